/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <errno.h>

#include "core/clock.h"

TEST(a_glob_matches_whole_names_only)
{
    assert_true(kn_str_glob(KN_STR("cam-*"), KN_STR("cam-1")));
    assert_true(kn_str_glob(KN_STR("cam-*"), KN_STR("cam-")));
    assert_true(kn_str_glob(KN_STR("*a*b"), KN_STR("xxaxxab")));
    assert_true(kn_str_glob(KN_STR("*"), KN_STR("")));
    assert_true(kn_str_glob(KN_STR("a?c"), KN_STR("abc")));
    assert_false(kn_str_glob(KN_STR("cam-*"), KN_STR("xcam-1")));
    assert_false(kn_str_glob(KN_STR("a?c"), KN_STR("ac")));
    assert_false(kn_str_glob(KN_STR(""), KN_STR("a")));
    assert_false(kn_str_glob(KN_STR("a*b"), KN_STR("a*bc")));
}

TEST(a_number_is_digits_within_range)
{
    uint64_t u = 7;
    int64_t i = 7;

    assert_ok(kn_str_to_u64(KN_STR("18446744073709551615"), UINT64_MAX, &u));
    assert_true(u == UINT64_MAX);
    assert_int_equal(kn_str_to_u64(KN_STR("18446744073709551616"), UINT64_MAX, &u), -EMSGSIZE);
    assert_int_equal(kn_str_to_u64(KN_STR(""), 9, &u), -EINVAL);
    assert_int_equal(kn_str_to_u64(KN_STR("+1"), 9, &u), -EINVAL);
    assert_int_equal(kn_str_to_u64(KN_STR("10"), 9, &u), -EMSGSIZE);
    assert_ok(kn_str_to_i64(KN_STR("-9223372036854775808"), &i));
    assert_true(i == INT64_MIN);
    assert_int_equal(kn_str_to_i64(KN_STR("9223372036854775808"), &i), -EMSGSIZE);
}

TEST(a_cursor_never_passes_its_end)
{
    const uint8_t bytes[] = {1, 2, 3};
    struct kn_reader r = kn_reader_of((struct kn_bytes){bytes, sizeof bytes});
    uint32_t v32 = 9;
    uint16_t v16;
    uint8_t v8;

    assert_int_equal(kn_read_u32be(&r, &v32), -ENODATA);
    assert_int_equal(v32, 9);
    assert_ok(kn_read_u16be(&r, &v16));
    assert_int_equal(v16, 0x0102);
    assert_ok(kn_read_u8(&r, &v8));
    assert_int_equal(kn_read_u8(&r, &v8), -ENODATA);
}

TEST(a_varint_of_more_than_64_bits_is_refused)
{
    const uint8_t fits[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01};
    const uint8_t over[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02};
    struct kn_reader r = kn_reader_of((struct kn_bytes){fits, sizeof fits});
    uint64_t v;

    assert_ok(kn_read_varint(&r, &v));
    assert_true(v == UINT64_MAX);
    r = kn_reader_of((struct kn_bytes){over, sizeof over});
    assert_int_equal(kn_read_varint(&r, &v), -EBADMSG);
    assert_int_equal(kn_reader_left(&r), sizeof over);
}

TEST(zigzag_gives_back_what_it_took)
{
    const int64_t values[] = {0, -1, 1, INT64_MAX, INT64_MIN};

    for (size_t i = 0; i < KN_ARRAY_LEN(values); i++)
        assert_true(kn_unzigzag(kn_zigzag(values[i])) == values[i]);
}

TEST(times_are_written_in_every_form)
{
    char text[KN_TIME_TEXT_BYTES];
    int64_t ms = 0;

    kn_time_iso8601(1795380595123, text);
    assert_string_equal(text, "2026-11-22T20:49:55.123Z");
    kn_time_amz(1795380595123, text);
    assert_string_equal(text, "20261122T204955Z");
    kn_time_http(1795380595123, text);
    assert_string_equal(text, "Sun, 22 Nov 2026 20:49:55 GMT");
    assert_ok(kn_time_parse_amz(KN_STR("20261122T204955Z"), &ms));
    assert_true(ms == 1795380595000);
    assert_int_equal(kn_time_parse_amz(KN_STR("20260231T204955Z"), &ms), -EINVAL);
    assert_int_equal(kn_time_parse_amz(KN_STR("20261122T256099Z"), &ms), -EINVAL);
    assert_int_equal(kn_time_parse_amz(KN_STR("20261122 204955Z"), &ms), -EINVAL);
    assert_int_equal(kn_time_parse_amz(KN_STR("02261122T204955Z"), &ms), -EINVAL);
}

TEST(every_day_is_read_back_and_none_that_is_not)
{
    const int64_t day_ms = 24 * 60 * 60 * 1000;
    char text[KN_TIME_TEXT_BYTES];
    int64_t ms = 0;

    for (int64_t day = 0; day < 400 * 366; day++) {
        kn_time_amz(day * day_ms + 86399000, text);
        assert_ok(kn_time_parse_amz(kn_str_from(text), &ms));
        assert_true(ms == day * day_ms + 86399000);
    }
    static const char *const wrong[] = {
        "20260229T000000Z", "21000229T000000Z", "20260431T000000Z", "20261301T000000Z",
        "20260001T000000Z", "20260100T000000Z", "20260101T240000Z", "20260101T006000Z",
        "20260101T000060Z", "2026x101T000000Z", "20260101T00000xZ", "19691231T235959Z",
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(wrong); i++)
        assert_int_equal(kn_time_parse_amz(kn_str_from(wrong[i]), &ms), -EINVAL);
}

TEST(the_empty_view_of_nothing_has_an_end_and_a_rest)
{
    const struct kn_bytes nothing = {NULL, 0}, some = {(const uint8_t *) "ab", 2};

    assert_null(kn_bytes_end(nothing));
    assert_null(kn_bytes_skip(nothing, 0).ptr);
    assert_null(kn_str_skip((struct kn_str){NULL, 0}, 0).ptr);
    assert_ptr_equal(kn_bytes_skip(some, 2).ptr, kn_bytes_end(some));
    assert_int_equal(kn_bytes_skip(some, 2).len, 0);
}

TESTS_MAIN(TEST_OF(the_empty_view_of_nothing_has_an_end_and_a_rest),
           TEST_OF(a_glob_matches_whole_names_only), TEST_OF(a_number_is_digits_within_range),
           TEST_OF(a_cursor_never_passes_its_end),
           TEST_OF(a_varint_of_more_than_64_bits_is_refused),
           TEST_OF(zigzag_gives_back_what_it_took), TEST_OF(times_are_written_in_every_form),
           TEST_OF(every_day_is_read_back_and_none_that_is_not))
