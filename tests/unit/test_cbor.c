/* SPDX-License-Identifier: Apache-2.0 */
/* The CBOR writer and reader, against the examples of RFC 8949's appendix A and what breaks them.
 */
#include "test.h"

#include <errno.h>
#include <math.h>

#include "core/cbor.h"
#include "core/crypto.h"

/* One input at a time, from hexadecimal. */
static struct kn_cbor_reader r;
static uint8_t in[4096];
static enum kn_cbor_token token;

static void read_hex(const char *hex)
{
    size_t len = strlen(hex) / 2;
    assert_ok(kn_hex_decode(kn_str_from(hex), in, len));
    kn_cbor_reader_init(&r, (struct kn_bytes){in, len});
}

static enum kn_cbor_token next(void)
{
    assert_ok(kn_cbor_next(&r, &token));
    return token;
}

/* To the end: how many tokens, or -EBADMSG. */
static int drain(const char *hex)
{
    int count = 0;
    read_hex(hex);
    do {
        int error = kn_cbor_next(&r, &token);
        if (error)
            return error;
        count++;
    } while (token != KN_CBOR_DONE);
    return count;
}

TEST(whole_numbers_of_every_width)
{
    static const struct {
        const char *hex;
        int64_t value;
    } rows[] = {
        {"00",                 0            },
        {"17",                 23           },
        {"1818",               24           },
        {"1903e8",             1000         },
        {"1a000f4240",         1000000      },
        {"1b000000e8d4a51000", 1000000000000},
        {"1b7fffffffffffffff", INT64_MAX    },
        {"20",                 -1           },
        {"3863",               -100         },
        {"3b7fffffffffffffff", INT64_MIN    },
        {"f93c00",             1            },
        {"fb41d954fc40000000", 1700000000   },
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(rows); i++) {
        int64_t v = 0;
        read_hex(rows[i].hex);
        assert_int_equal(next(), KN_CBOR_NUMBER);
        assert_ok(kn_cbor_number_i64(&r, &v));
        assert_true(v == rows[i].value);
        assert_int_equal(next(), KN_CBOR_DONE);
    }
}

TEST(what_is_no_64_bit_number_is_none)
{
    static const char *const hexes[] = {
        "1bffffffffffffffff", "3b8000000000000000", "f93e00", "f97c00", "f97e00",
        "fb43e0000000000000"};
    for (size_t i = 0; i < KN_ARRAY_LEN(hexes); i++) {
        int64_t v;
        read_hex(hexes[i]);
        assert_int_equal(next(), KN_CBOR_NUMBER);
        assert_int_equal(kn_cbor_number_i64(&r, &v), -EINVAL);
    }
}

TEST(reals_of_half_single_and_double_width)
{
    static const struct {
        const char *hex;
        double value;
    } rows[] = {
        {"f90000",             0.0                    },
        {"f93e00",             1.5                    },
        {"f97bff",             65504.0                },
        {"f90001",             5.960464477539063e-8   },
        {"f90400",             0.00006103515625       },
        {"f9c400",             -4.0                   },
        {"fa47c35000",         100000.0               },
        {"fa7f7fffff",         3.4028234663852886e+38 },
        {"fb3ff199999999999a", 1.1                    },
        {"fbc010666666666666", -4.1                   },
        {"1bffffffffffffffff", 18446744073709551615.0 },
        {"3bffffffffffffffff", -18446744073709551616.0},
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(rows); i++) {
        read_hex(rows[i].hex);
        assert_int_equal(next(), KN_CBOR_NUMBER);
        assert_true(fabs(kn_cbor_number_double(&r) - rows[i].value) <= fabs(rows[i].value) * 1e-15);
    }
    read_hex("f97c00");
    (void) next();
    assert_true(isinf(kn_cbor_number_double(&r)));
    read_hex("f97e00");
    (void) next();
    assert_true(isnan(kn_cbor_number_double(&r)));
}

TEST(tag_1_is_a_time_and_other_tags_are_passed_over)
{
    int64_t v = 0;
    read_hex("d9d9f7c11b00000174876e807b"); /* 55799, then 1 */
    assert_int_equal(next(), KN_CBOR_NUMBER);
    assert_true(r.is_time);
    assert_ok(kn_cbor_number_i64(&r, &v));
    assert_true(v == 1600000000123);
    read_hex("82c10102");
    assert_int_equal(next(), KN_CBOR_ARRAY);
    (void) next();
    assert_true(r.is_time);
    (void) next();
    assert_false(r.is_time); /* not left over */
    assert_int_equal(drain("c1c1c1c1c100"), -EBADMSG);
}

TEST(maps_and_lists_of_both_kinds_of_length)
{
    static const char *const hexes[] = {
        "a26161016162820203",         /* {"a": 1, "b": [2, 3]} */
        "bf61610161629f0203ffff",     /* the same until breaks */
        "bf7f6161ff0161629f0203ffff", /* and a key in chunks */
    };
    static const enum kn_cbor_token want[] = {
        KN_CBOR_MAP,    KN_CBOR_KEY,    KN_CBOR_NUMBER,    KN_CBOR_KEY,     KN_CBOR_ARRAY,
        KN_CBOR_NUMBER, KN_CBOR_NUMBER, KN_CBOR_ARRAY_END, KN_CBOR_MAP_END, KN_CBOR_DONE,
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(hexes); i++) {
        read_hex(hexes[i]);
        for (size_t k = 0; k < KN_ARRAY_LEN(want); k++)
            assert_int_equal(next(), want[k]);
    }
    assert_int_equal(drain("80"), 3);
    assert_int_equal(drain("a0"), 3);
    assert_int_equal(drain("9fff"), 3);
    assert_int_equal(drain("bfff"), 3);
}

TEST(strings_lie_where_they_are_or_are_joined)
{
    struct kn_arena arena;
    struct kn_bytes joined;
    kn_arena_init(&arena, 1 << 20);
    read_hex("4401020304");
    assert_int_equal(next(), KN_CBOR_BYTES);
    assert_ok(kn_cbor_join(&r, &arena, &joined));
    assert_true(joined.ptr == in + 1 && joined.len == 4);
    read_hex("5f42010243030405ff");
    assert_int_equal(next(), KN_CBOR_BYTES);
    assert_ok(kn_cbor_join(&r, &arena, &joined));
    assert_int_equal(joined.len, 5);
    assert_memory_equal(joined.ptr, "\1\2\3\4\5", 5);
    read_hex("7f657374726561646d696e67ff"); /* strea, ming */
    assert_int_equal(next(), KN_CBOR_TEXT);
    assert_ok(kn_cbor_join(&r, &arena, &joined));
    assert_str_is(kn_str_of(joined), "streaming");
    read_hex("5fff");
    assert_int_equal(next(), KN_CBOR_BYTES);
    assert_ok(kn_cbor_join(&r, &arena, &joined));
    assert_int_equal(joined.len, 0);
    kn_arena_done(&arena);
}

TEST(what_is_malformed_is_refused)
{
    static const char *const hexes[] = {
        "",
        "18",
        "19ff",
        "1c",
        "1f",
        "3f",
        "41",
        "5bffffffffffffffff01",
        "9bffffffffffffffff",
        "bbffffffffffffffff",
        "8101ff",
        "ff",
        "81",
        "81ff",
        "a1",
        "a16161",
        "a10000",
        "bf00ff",
        "bf6161ff",
        "9f",
        "5f6161ff",
        "7f4161ff",
        "5f5f4100ffff",
        "61ff",
        "7f61c361bcff",
        "f800",
        "f8ff",
        "fc",
        "c1",
        "df00",
        "0000",
        "a1c1616100",
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(hexes); i++) {
        if (drain(hexes[i]) != -EBADMSG)
            fail_msg("%s was read", hexes[i]);
        assert_int_equal(kn_cbor_next(&r, &token), -EBADMSG); /* and stays so */
    }
}

TEST(nesting_has_a_ceiling)
{
    char hex[2 * (KN_CBOR_DEPTH_MAX + 2) + 1];
    memset(hex, 0, sizeof hex);
    for (size_t i = 0; i < KN_CBOR_DEPTH_MAX; i++)
        memcpy(hex + 2 * i, "81", 2);
    memcpy(hex + 2 * (size_t) KN_CBOR_DEPTH_MAX, "00", 2);
    assert_int_equal(drain(hex), 2 * KN_CBOR_DEPTH_MAX + 2);
    memcpy(hex + 2 * (size_t) KN_CBOR_DEPTH_MAX, "8100", 4);
    assert_int_equal(drain(hex), -EBADMSG);
}

TEST(skipping_takes_the_whole_value)
{
    read_hex("a2616183019f02ff03616204");
    assert_int_equal(next(), KN_CBOR_MAP);
    assert_int_equal(next(), KN_CBOR_KEY);
    assert_ok(kn_cbor_skip(&r, next()));
    assert_int_equal(next(), KN_CBOR_KEY);
    assert_ok(kn_cbor_skip(&r, next()));
    assert_int_equal(next(), KN_CBOR_MAP_END);
}

TEST(the_writer_uses_the_shortest_heads)
{
    char hex[512];
    struct kn_buf out;
    kn_buf_init(&out, 1 << 16);
    kn_cbor_map(&out, 2);
    kn_cbor_text(&out, KN_STR("a"));
    kn_cbor_array(&out, 7);
    kn_cbor_i64(&out, 23);
    kn_cbor_i64(&out, 24);
    kn_cbor_i64(&out, 65536);
    kn_cbor_i64(&out, INT64_MIN);
    kn_cbor_bool(&out, true);
    kn_cbor_null(&out);
    kn_cbor_double(&out, 1.1);
    kn_cbor_text(&out, KN_STR("b\xFF"));
    kn_cbor_time_ms(&out, 1600000000123);
    assert_ok(out.error);
    kn_hex_encode(kn_buf_bytes(&out), hex);
    assert_string_equal(hex, "a2616187171818"
                             "1a00010000"
                             "3b7fffffffffffffff"
                             "f5f6"
                             "fb3ff199999999999a"
                             "6462efbfbd"
                             "c11b00000174876e807b");
    kn_buf_clear(&out);
    kn_cbor_bytes(&out, (struct kn_bytes){in, 300});
    assert_memory_equal(out.ptr, "\x59\x01\x2c", 3);
    kn_buf_done(&out);
}

TESTS_MAIN(TEST_OF(whole_numbers_of_every_width), TEST_OF(what_is_no_64_bit_number_is_none),
           TEST_OF(reals_of_half_single_and_double_width),
           TEST_OF(tag_1_is_a_time_and_other_tags_are_passed_over),
           TEST_OF(maps_and_lists_of_both_kinds_of_length),
           TEST_OF(strings_lie_where_they_are_or_are_joined), TEST_OF(what_is_malformed_is_refused),
           TEST_OF(nesting_has_a_ceiling), TEST_OF(skipping_takes_the_whole_value),
           TEST_OF(the_writer_uses_the_shortest_heads))
