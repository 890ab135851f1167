/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pattern predicates against the expressions they stand for, in POSIX form, on random strings
 * made of the characters that matter. The tag pattern, which POSIX cannot say, has cases by hand.
 */
#include "test.h"

#include <regex.h>

#include "core/api_row.h"

static const struct {
    kn_api_pattern_fn *is;
    const char *name, *posix, *alphabet;
    const char *good; /* a start from which single changes are made */
} rows[] = {
    {kn_api_pattern_name,               "name",               "^[a-zA-Z0-9_.-]+$",                     "aZ0_.- /", "cam-1"                                              },
    {kn_api_pattern_version,            "version",            "^[a-zA-Z0-9]+$",                        "aZ0-_",    "aB3"                                                },
    {kn_api_pattern_digits,             "digits",             "^[0-9]+$",                              "0195a-",   "913"                                                },
    {kn_api_pattern_word,               "word",               "^[a-zA-Z_0-9]+$",                       "aZ0_-",    "80"                                                 },
    {kn_api_pattern_token,              "token",              "^[a-zA-Z0-9+/=]*$",                     "aZ0+/=-",  "aA=="                                               },
    {kn_api_pattern_base64_token,       "base64_token",       "^[a-zA-Z0-9+/]+={0,2}$",                "aZ0+/=",   "aA=="                                               },
    {kn_api_pattern_continuation_token, "continuation_token", "^[a-zA-Z0-9_.-]+$",                     "a0_.-/",   "a.b"                                                },
    {kn_api_pattern_one_line,           "one_line",           "^[^\n\r]+$",                            "a \n\r",   "a b"                                                },
    {kn_api_pattern_schedule,           "schedule",           "^[^\n]{11,100}$",                       "a \n*",    "0 0 0/1 * * ?"                                      },
    {kn_api_pattern_media_type,         "media_type",
     "^[a-zA-Z0-9_.+-]+/[a-zA-Z0-9_.+-]+(,[a-zA-Z0-9_.+-]+/[a-zA-Z0-9_.+-]+)*$",                       "a/,+-. ",
     "video/h264,audio/aac"                                                                                                                                             },
    {kn_api_pattern_destination_uri,    "destination_uri",    "^[a-zA-Z_0-9]+:(//)?([^/]+)/?([^*]*)$",
     "a:/*_-",                                                                                                     "s3://bucket/p"                                      },
    {kn_api_pattern_region,             "region",             "^[a-z]+(-[a-z]+)?-[a-z]+-[0-9]$",       "az-19A",   "us-gov-west-1"                                      },
    {kn_api_pattern_arn,                "arn",
     "^arn:[a-z0-9-]+:kinesisvideo:[a-z0-9-]+:[0-9]+:[a-z]+/[a-zA-Z0-9_.-]+/[0-9]+$",                  "a0:/-A_",
     "arn:aws:kinesisvideo:eu-1:1:stream/a.b/17"                                                                                                                        },
    {kn_api_pattern_thing_arn,          "thing_arn",
     "^arn:[a-z0-9-]+:iot:[a-z0-9-]+:[0-9]+:thing/[a-zA-Z0-9_.-]+$",                                   "a0:/-A_",
     "arn:aws:iot:eu-1:1:thing/a"                                                                                                                                       },
    {kn_api_pattern_secret_arn,         "secret_arn",
     "^arn:[a-z0-9-]+:secretsmanager:[a-z0-9-]+:[0-9]+:secret:[a-zA-Z0-9_.-]+$",                       "a0:/-A_",
     "arn:aws:secretsmanager:eu-1:1:secret:a"                                                                                                                           },
    {kn_api_pattern_hash_key,           "hash_key",           "^(0|([1-9][0-9]{0,38}))$",              "019a",
     "170141183460469231731687303715884105728"                                                                                                                          },
    {kn_api_pattern_sequence_number,    "sequence_number",    "^(0|([1-9][0-9]{0,128}))$",             "019a",
     "4960028268294489578626766069307552"                                                                                                                               },
    {kn_api_pattern_stream_id,          "stream_id",          "^[a-z0-9]{20}-[a-z0-9]{3}$",            "a0-A",
     "abcdefghij0123456789-az1"                                                                                                                                         },
    {kn_api_pattern_stream_arn,         "stream_arn",
     "^arn:aws[^\n]*:kinesis:[^\n]*:[0-9]{12}:stream/[^ \t\n\v\f\r]+$",                                "a0:/ \n",
     "arn:aws:kinesis:eu-1:123456789012:stream/a.b"                                                                                                                     },
    {kn_api_pattern_kinesis_arn,        "kinesis_arn",
     "^arn:aws[^\n]*:kinesis:[^\n]*:[0-9]{12}:[^\n]*stream/[^ \t\n\v\f\r]+$",                          "a0:/ \n",
     "arn:aws:kinesis:eu-1:123456789012:stream/a stream/b"                                                                                                              },
    {kn_api_pattern_consumer_arn,       "consumer_arn",
     "^arn:aws[^\n]*:kinesis:[^\n]*:[0-9]{12}:[^\n]*stream/[a-zA-Z0-9_.-]+/consumer/"
     "[a-zA-Z0-9_.-]+:[0-9]+$",                                                                        "a0:/ \n",  "arn:aws:kinesis::123456789012:stream/a/consumer/b:1"},
};

/* The good string with up to three characters replaced, put in or taken out; or a short one. */
static void make_text(const char *good, const char *alphabet, uint64_t *seed, char dst[128])
{
    size_t letters = strlen(alphabet), len = strlen(good);
    (void) snprintf(dst, 128, "%s", test_random(seed) % 4 ? good : "");
    len = strlen(dst);
    for (uint64_t edits = test_random(seed) % 4; edits; edits--) {
        size_t at = (size_t) (test_random(seed) % (len + 1));
        char letter = alphabet[test_random(seed) % letters];
        switch (test_random(seed) % 3) {
        case 0:
            memmove(dst + at + 1, dst + at, len - at + 1);
            dst[at] = letter;
            len++;
            break;
        case 1:
            if (at < len)
                dst[at] = letter;
            break;
        default:
            if (at < len) {
                memmove(dst + at, dst + at + 1, len - at);
                len--;
            }
        }
    }
}

TEST(every_predicate_agrees_with_its_expression)
{
    uint64_t seed = test_seed();
    for (size_t i = 0; i < KN_ARRAY_LEN(rows); i++) {
        regex_t regex;
        size_t matches = 0;
        assert_ok(regcomp(&regex, rows[i].posix, REG_EXTENDED | REG_NOSUB));
        assert_true(rows[i].is(kn_str_from(rows[i].good)));
        for (int round = 0; round < 4000; round++) {
            char text[128];
            make_text(rows[i].good, rows[i].alphabet, &seed, text);
            bool want = regexec(&regex, text, 0, NULL, 0) == 0;
            matches += want;
            if (rows[i].is(kn_str_from(text)) != want)
                fail_msg("%s: '%s' should be %d", rows[i].name, text, want);
        }
        assert_in_range(matches, 100, 3990); /* both sides were tried */
        regfree(&regex);
    }
}

TEST(no_predicate_is_fooled_by_a_nul)
{
    assert_false(kn_api_pattern_name(KN_STR("a\0")));
    assert_false(kn_api_pattern_digits(KN_STR("1\0")));
    assert_false(kn_api_pattern_tag(KN_STR("a\0")));
    assert_false(kn_api_pattern_region(KN_STR("us-west-1\0")));
}

TEST(tags_hold_letters_numbers_and_spaces_of_all_scripts)
{
    static const char *const good[] = {
        "",
        "a B9",
        "_.:/=+-@",
        "Gr\xC3\xB6\xC3\x9F",       /* an umlaut and a sharp s */
        "\xE6\x91\x84\xE5\x83\x8F", /* CJK letters */
        "\xD9\xA3",
        /* ARABIC-INDIC DIGIT THREE */ "\xE2\x85\xA7", /* ROMAN NUMERAL EIGHT */
        "\xC2\xA0",
        /* NO-BREAK SPACE */ "\xF0\x9D\x92\x9C", /* MATHEMATICAL SCRIPT A */
    };
    static const char *const bad[] = {
        "<",
        "a\n",
        "a\tb",
        "a;b",
        "!",
        "\x7f",
        "\xE2\x82\xAC" /* EURO SIGN */,
        "\xF0\x9F\x8E\xA5" /* an emoji */,
        "\xE2\x80\x8B" /* ZERO WIDTH SPACE, a format character */,
        "\xCC\x81" /* COMBINING ACUTE, a mark */,
        "\xFF",
        "\xC3",
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(good); i++)
        if (!kn_api_pattern_tag(kn_str_from(good[i])))
            fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < KN_ARRAY_LEN(bad); i++)
        if (kn_api_pattern_tag(kn_str_from(bad[i])))
            fail_msg("accepted: %s", bad[i]);
}

TESTS_MAIN(TEST_OF(every_predicate_agrees_with_its_expression),
           TEST_OF(no_predicate_is_fooled_by_a_nul),
           TEST_OF(tags_hold_letters_numbers_and_spaces_of_all_scripts))
