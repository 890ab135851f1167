/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <errno.h>

#include "core/arena.h"
#include "core/buf.h"

TEST(a_buffer_stops_at_its_ceiling_and_stays_stopped)
{
    struct kn_buf b;

    kn_buf_init(&b, 8);
    assert_ok(kn_buf_append_text(&b, "12345678"));
    assert_int_equal(kn_buf_append_byte(&b, '9'), -EMSGSIZE);
    assert_int_equal(kn_buf_append(&b, "", 0), -EMSGSIZE);
    assert_str_is(kn_buf_str(&b), "12345678");
    kn_buf_clear(&b);
    assert_ok(kn_buf_printf(&b, "%d", 42));
    assert_str_is(kn_buf_str(&b), "42");
    kn_buf_done(&b);
}

TEST(a_long_text_is_formatted_whole)
{
    struct kn_buf b;

    kn_buf_init(&b, 1000);
    assert_ok(kn_buf_printf(&b, "%0600d", 7));
    assert_int_equal(b.len, 600);
    kn_buf_consume(&b, 599);
    assert_str_is(kn_buf_str(&b), "7");
    kn_buf_done(&b);
}

TEST(numbers_are_written_in_decimal)
{
    struct kn_buf b;

    kn_buf_init(&b, 100);
    assert_ok(kn_buf_append_decimal(&b, 0));
    assert_ok(kn_buf_append_byte(&b, ' '));
    assert_ok(kn_buf_append_decimal(&b, 1090));
    assert_ok(kn_buf_append_byte(&b, ' '));
    assert_ok(kn_buf_append_decimal(&b, UINT64_MAX));
    assert_str_is(kn_buf_str(&b), "0 1090 18446744073709551615");
    kn_buf_done(&b);
}

TEST(an_arena_gives_zeroed_memory_up_to_its_ceiling)
{
    struct kn_arena a;
    uint8_t *p;

    kn_arena_init(&a, 64 * 1024);
    p = kn_arena_alloc(&a, 60000);
    assert_non_null(p);
    assert_int_equal((uintptr_t) p % 16, 0);
    for (size_t i = 0; i < 60000; i++)
        assert_int_equal(p[i], 0);
    assert_null(kn_arena_alloc(&a, 60000));
    assert_str_is(kn_arena_printf(&a, "%s-%d", "x", 3), "x-3");
    kn_arena_done(&a);
}

TESTS_MAIN(TEST_OF(a_buffer_stops_at_its_ceiling_and_stays_stopped),
           TEST_OF(a_long_text_is_formatted_whole), TEST_OF(numbers_are_written_in_decimal),
           TEST_OF(an_arena_gives_zeroed_memory_up_to_its_ceiling))
