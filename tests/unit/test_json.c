/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON writer and reader: strictness after the classes of the public JSON test suites. */
#include "test.h"

#include <errno.h>
#include <math.h>

#include "core/json.h"

/* --- writer --------------------------------------------------------------------------------- */
static struct kn_buf out;

static struct kn_json_writer *writer(void)
{
    static struct kn_json_writer w;
    kn_buf_done(&out);
    kn_buf_init(&out, 1 << 20);
    kn_json_writer_init(&w, &out);
    return &w;
}

TEST(writer_closes_and_separates_by_itself)
{
    struct kn_json_writer *w = writer();

    kn_json_object_begin(w);
    kn_json_key(w, "a");
    kn_json_array_begin(w);
    kn_json_i64(w, -1);
    kn_json_u64(w, UINT64_MAX);
    kn_json_object_begin(w);
    kn_json_object_end(w);
    kn_json_array_end(w);
    kn_json_key(w, "b");
    kn_json_bool(w, true);
    kn_json_key(w, "c");
    kn_json_text(w, NULL);
    kn_json_object_end(w);

    assert_ok(out.error);
    assert_str_is(kn_buf_str(&out), "{\"a\":[-1,18446744073709551615,{}],\"b\":true,\"c\":null}");
}

TEST(writer_escapes_what_must_be_escaped_and_mends_what_is_no_utf8)
{
    struct kn_json_writer *w = writer();

    kn_json_array_begin(w);
    kn_json_str(w, KN_STR("\"\\/\b\f\n\r\t\x01\x0b\x1f\x7f"));
    kn_json_str(w, KN_STR("Gr\xC3\xB6\xC3\x9F"
                          "e \xF0\x9F\x8E\xA5"));
    kn_json_str(w, KN_STR("a\xFF"
                          "b\xC3"));
    kn_json_str(w, KN_STR("\0"));
    kn_json_array_end(w);

    assert_str_is(kn_buf_str(&out), "[\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u000b\\u001f\x7f\","
                                    "\"Gr\xC3\xB6\xC3\x9F"
                                    "e \xF0\x9F\x8E\xA5\",\"a\xEF\xBF\xBD"
                                    "b\xEF\xBF\xBD\",\"\\u0000\"]");
}

TEST(writer_prints_numbers_that_read_back_the_same)
{
    struct kn_json_writer *w = writer();

    kn_json_array_begin(w);
    kn_json_double(w, 0.1);
    kn_json_double(w, 1e300);
    kn_json_double(w, 0.1 + 0.2);
    kn_json_double(w, NAN);
    kn_json_epoch_ms(w, 1700000000123);
    kn_json_epoch_ms(w, 1000);
    kn_json_epoch_ms(w, -1);
    kn_json_epoch_ms(w, -1500);
    kn_json_array_end(w);

    assert_str_is(kn_buf_str(&out), "[0.1,1e+300,0.30000000000000004,null,1700000000.123,1.000,"
                                    "-0.001,-1.500]");
}

/* --- reader --------------------------------------------------------------------------------- */
static int read_all(const char *text, size_t len)
{
    struct kn_json_reader r;
    enum kn_json_token token;
    kn_json_reader_init(&r, (struct kn_bytes){(const uint8_t *) text, len});
    do {
        int error = kn_json_next(&r, &token);
        if (error)
            return error;
    } while (token != KN_JSON_DONE);
    return 0;
}

TEST(reader_accepts_what_the_rfc_accepts)
{
    static const char *const good[] = {
        "0",
        "-0",
        "1e1",
        "1E+10",
        "-1.5e-3",
        "123.456",
        "true",
        "false",
        "null",
        "\"\"",
        "[]",
        "{}",
        " [ ] ",
        "[[],[]]",
        "{\"a\":1,\"a\":2}",
        "[1,\"a\",null,{\"b\":[]}]",
        "\"\\u0000\"",
        "\"\\uD834\\uDD1E\"",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
        "\"\xF4\x8F\xBF\xBF\"",
        "\t\r\n{\"\":[0.0]}\n",
        "\"\x7f\"",
        "\"\xE2\x82\xAC\"",
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(good); i++)
        if (read_all(good[i], strlen(good[i])) != 0)
            fail_msg("refused: %s", good[i]);
}

TEST(reader_refuses_everything_else)
{
    static const char *const bad[] = {
        "",
        " ",
        "[",
        "]",
        "{",
        "}",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1,,2]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{'a':1}",
        "{1:1}",
        "{\"a\" 1}",
        "{\"a\":1 \"b\":2}",
        "[}",
        "{]",
        "01",
        "-",
        "-01",
        "+1",
        ".5",
        "1.",
        "1.e1",
        "1e",
        "1e+",
        "0x1",
        "1_0",
        "NaN",
        "Infinity",
        "-Infinity",
        "tru",
        "nul",
        "falsee",
        "True",
        "\"",
        "\"a",
        "'a'",
        "\"\\\"",
        "\"\\x41\"",
        "\"\\u12\"",
        "\"\\u123g\"",
        "\"\\uD800\"",
        "\"\\uDC00\"",
        "\"\\uD800\\uD800\"",
        "\"\\uD800\\n\"",
        "\"\\uD800x\"",
        "\"\t\"",
        "\"\n\"",
        "\"\x1f\"",
        "\"\xFF\"",
        "\"\xC0\x80\"",
        "\"\xED\xA0\x80\"",
        "\"\xF4\x90\x80\x80\"",
        "\"\xE2\x82\"",
        "\xEF\xBB\xBF{}",
        "[] []",
        "[]x",
        "1 2",
        "// c\n1",
        "/**/1",
        "[1]\x0c",
        "\"a\"\"b\"",
        "{\"a\":1}}",
        "[\"a\",\n4\n,1,",
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(bad); i++)
        if (read_all(bad[i], strlen(bad[i])) != -EBADMSG)
            fail_msg("accepted: %s", bad[i]);
    assert_int_equal(read_all("1\0", 2), -EBADMSG);
    assert_int_equal(read_all("\"a\0b\"", 5), -EBADMSG);
}

TEST(reader_bounds_the_depth)
{
    char text[2 * (KN_JSON_DEPTH_MAX + 1)];

    memset(text, '[', KN_JSON_DEPTH_MAX);
    memset(text + KN_JSON_DEPTH_MAX, ']', KN_JSON_DEPTH_MAX);
    assert_ok(read_all(text, sizeof text - 2));

    memset(text, '[', sizeof text);
    assert_int_equal(read_all(text, sizeof text), -EBADMSG);
}

TEST(reader_says_where_it_stopped_and_stays_stopped)
{
    struct kn_json_reader r;
    enum kn_json_token token;
    kn_json_reader_init(&r, kn_bytes_of(KN_STR("{\"a\": tru}")));

    assert_ok(kn_json_next(&r, &token));
    assert_ok(kn_json_next(&r, &token));
    assert_int_equal(token, KN_JSON_KEY);
    assert_str_is(r.raw, "a");
    assert_int_equal(kn_json_next(&r, &token), -EBADMSG);
    assert_int_equal(kn_json_offset(&r), 6);
    assert_int_equal(kn_json_next(&r, &token), -EBADMSG);
}

TEST(reader_skips_a_whole_value)
{
    struct kn_json_reader r;
    enum kn_json_token token;
    kn_json_reader_init(&r, kn_bytes_of(KN_STR("[{\"a\":[1,{}]},[[]],7]")));

    assert_ok(kn_json_next(&r, &token));
    for (int i = 0; i < 2; i++) {
        assert_ok(kn_json_next(&r, &token));
        assert_ok(kn_json_skip(&r, token));
    }
    assert_ok(kn_json_next(&r, &token));
    assert_int_equal(token, KN_JSON_NUMBER);
    assert_str_is(r.raw, "7");
}

TEST(strings_are_unescaped_only_when_needed)
{
    struct kn_arena arena;
    struct kn_json_reader r;
    enum kn_json_token token;
    struct kn_str got;
    kn_arena_init(&arena, 1 << 16);

    kn_json_reader_init(&r, kn_bytes_of(KN_STR("\"plain\"")));
    assert_ok(kn_json_next(&r, &token));
    assert_ok(kn_json_unescape(&r, &arena, &got));
    assert_ptr_equal(got.ptr, r.raw.ptr);

    kn_json_reader_init(
        &r, kn_bytes_of(KN_STR("\"\\u0041\\u00e9\\u20AC\\ud83c\\udfa5\\n\\/\\\"\\\\x\"")));
    assert_ok(kn_json_next(&r, &token));
    assert_ok(kn_json_unescape(&r, &arena, &got));
    assert_str_is(got, "A\xC3\xA9\xE2\x82\xAC\xF0\x9F\x8E\xA5\n/\"\\x");
    kn_arena_done(&arena);
}

static struct kn_json_reader number(const char *text)
{
    struct kn_json_reader r;
    enum kn_json_token token;
    kn_json_reader_init(&r, kn_bytes_of(kn_str_from(text)));
    assert_ok(kn_json_next(&r, &token));
    assert_int_equal(token, KN_JSON_NUMBER);
    return r;
}

TEST(whole_numbers_are_exact)
{
    static const struct {
        const char *text;
        int64_t want;
    } good[] = {
        {"0",                       0        },
        {"-0",                      0        },
        {"1e3",                     1000     },
        {"2.0",                     2        },
        {"1.5e1",                   15       },
        {"-12.300e1",               -123     },
        {"9223372036854775807",     INT64_MAX},
        {"-9223372036854775808",    INT64_MIN},
        {"0e999999999999999999999", 0        },
        {"0.000",                   0        },
        {"100e-2",                  1        },
        {"0.001e3",                 1        },
    };
    static const char *const bad[] = {
        "9223372036854775808",
        "-9223372036854775809",
        "1.5",
        "1e-1",
        "1e19",
        "1e999999999999",
        "99999999999999999999",
        "0.1",
        "1e-999999999999",
    };
    int64_t got;
    for (size_t i = 0; i < KN_ARRAY_LEN(good); i++) {
        struct kn_json_reader r = number(good[i].text);
        assert_ok(kn_json_number_i64(&r, &got));
        assert_int_equal(got, good[i].want);
    }
    for (size_t i = 0; i < KN_ARRAY_LEN(bad); i++) {
        struct kn_json_reader r = number(bad[i]);
        if (kn_json_number_i64(&r, &got) != -EINVAL)
            fail_msg("accepted: %s", bad[i]);
    }
}

TEST(epoch_seconds_become_milliseconds_without_a_double)
{
    static const struct {
        const char *text;
        int64_t want;
    } cases[] = {
        {"1700000000",           1700000000000      },
        {"1700000000.123",       1700000000123      },
        {"1.700000000123E9",     1700000000123      },
        {"1700000000.1229999",   1700000000123      },
        {"0.0004",               0                  },
        {"0.0005",               1                  },
        {"0.00049999",           0                  },
        {"-1.5",                 -1500              },
        {"9007199254740993.001", 9007199254740993001},
    };
    int64_t got;
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        struct kn_json_reader r = number(cases[i].text);
        assert_ok(kn_json_number_epoch_ms(&r, &got));
        assert_int_equal(got, cases[i].want);
    }
    struct kn_json_reader r = number("1e30");
    assert_int_equal(kn_json_number_epoch_ms(&r, &got), -EINVAL);
}

TEST(doubles_are_finite)
{
    double got;
    struct kn_json_reader r = number("-1.25e2");
    assert_ok(kn_json_number_double(&r, &got));
    assert_true(got == -125.0);
    r = number("1e999");
    assert_int_equal(kn_json_number_double(&r, &got), -EINVAL);
}

/* Whatever the writer is given, the reader reads the same back. */
TEST(random_strings_survive_the_round_trip)
{
    uint64_t seed = test_seed();
    for (int round = 0; round < 2000; round++) {
        char text[24];
        struct kn_arena arena;
        struct kn_json_reader r;
        enum kn_json_token token;
        struct kn_str got;
        size_t len = test_random(&seed) % sizeof text;
        for (size_t i = 0; i < len; i++)
            text[i] = (char) (test_random(&seed) % 0x80);
        kn_arena_init(&arena, 1 << 16);

        kn_json_str(writer(), (struct kn_str){text, len});
        kn_json_reader_init(&r, kn_buf_bytes(&out));
        assert_ok(kn_json_next(&r, &token));
        assert_ok(kn_json_unescape(&r, &arena, &got));

        assert_int_equal(got.len, len);
        assert_memory_equal(got.ptr, text, len);
        kn_arena_done(&arena);
    }
    kn_buf_done(&out);
}

/* --- objects ---------------------------------------------------------------------------------- */
struct object {
    struct kn_str str;
    char text[4];
    int64_t i64;
    uint64_t u64;
    bool flag;
    unsigned items;
};

static int read_items(struct kn_json_reader *r, enum kn_json_token token, struct kn_arena *arena,
                      void *ctx)
{
    struct object *object = ctx;
    const struct kn_json_member member = {"i", .i64 = &object->i64};
    int error = token == KN_JSON_ARRAY ? 0 : -EBADMSG;
    while (!error && (error = kn_json_next(r, &token)) == 0 && token == KN_JSON_OBJECT) {
        error = kn_json_members_read(r, arena, &member, 1);
        object->items++;
    }
    return error;
}

static int read_object(const char *json, struct kn_arena *arena, struct object *ret)
{
    const struct kn_json_nested items = {read_items, ret};
    const struct kn_json_member members[] = {
        {"str",   .str = &ret->str       },
        {"text",  KN_JSON_TEXT(ret->text)},
        {"i64",   .i64 = &ret->i64       },
        {"u64",   .u64 = &ret->u64       },
        {"flag",  .flag = &ret->flag     },
        {"items", .nested = &items       },
    };
    *ret = (struct object){.text = "old", .i64 = 7, .flag = true};
    return kn_json_object_read(kn_bytes_of(kn_str_from(json)), arena, members,
                               KN_ARRAY_LEN(members));
}

TEST(objects_are_read_into_a_table_of_members)
{
    struct kn_arena arena;
    struct object o;
    kn_arena_init(&arena, 1 << 16);

    assert_ok(read_object("{\"str\":\"a\\n\",\"te\\u0078t\":\"abc\",\"i64\":-1,\"u64\":3,"
                          "\"flag\":false,\"other\":[{\"i64\":5}],"
                          "\"items\":[{\"i\":2},{\"k\":[]}]} ",
                          &arena, &o));
    assert_str_is(o.str, "a\n");
    assert_string_equal(o.text, "abc");
    assert_true(o.i64 == 2 && o.u64 == 3 && !o.flag && o.items == 2);

    assert_ok(read_object("{\"i64\":null,\"str\":null,\"text\":\"long\"}", &arena, &o));
    assert_true(o.i64 == 7 && !o.str.ptr && o.flag && o.text[0] == '\0');
    assert_ok(read_object("{}", &arena, &o));
    assert_string_equal(o.text, "old");
    kn_arena_done(&arena);
}

TEST(objects_with_values_of_another_type_are_refused)
{
    static const char *const bad[] = {
        "",
        "null",
        "[]",
        "{\"str\":1}",
        "{\"text\":true}",
        "{\"i64\":\"1\"}",
        "{\"i64\":1.5}",
        "{\"u64\":-1}",
        "{\"flag\":0}",
        "{\"items\":{}}",
        "{\"items\":[{\"i\":{}}]}",
        "{\"items\":[1",
        "{\"other\":[1",
        "{\"i64\":1",
        "{\"i64\":1} {",
        "{\"i64\":1},",
    };
    struct kn_arena arena;
    struct object o;
    kn_arena_init(&arena, 1 << 16);
    for (size_t i = 0; i < KN_ARRAY_LEN(bad); i++) {
        if (read_object(bad[i], &arena, &o) != -EBADMSG)
            fail_msg("%s", bad[i]);
    }
    kn_arena_done(&arena);
}

TESTS_MAIN(TEST_OF(writer_closes_and_separates_by_itself),
           TEST_OF(writer_escapes_what_must_be_escaped_and_mends_what_is_no_utf8),
           TEST_OF(writer_prints_numbers_that_read_back_the_same),
           TEST_OF(reader_accepts_what_the_rfc_accepts), TEST_OF(reader_refuses_everything_else),
           TEST_OF(reader_bounds_the_depth),
           TEST_OF(reader_says_where_it_stopped_and_stays_stopped),
           TEST_OF(reader_skips_a_whole_value), TEST_OF(strings_are_unescaped_only_when_needed),
           TEST_OF(whole_numbers_are_exact),
           TEST_OF(epoch_seconds_become_milliseconds_without_a_double), TEST_OF(doubles_are_finite),
           TEST_OF(random_strings_survive_the_round_trip),
           TEST_OF(objects_are_read_into_a_table_of_members),
           TEST_OF(objects_with_values_of_another_type_are_refused))
