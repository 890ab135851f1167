/* SPDX-License-Identifier: Apache-2.0 */
/* x-amzn-producer-start-timestamp as different producers print it. */
#include "put_media.h"
#include "test.h"

#include "core/err.h"

static int64_t read(const char *text, const char *user_agent)
{
    int64_t ms = -1;
    int r = ingest_start_timestamp_parse(kn_str_from(text), kn_str_from(user_agent), &ms);
    return r < 0 ? r : ms;
}

static const char c_producer[] = "AWS-PRODUCER-SDK-KVS/1.6.4 GCC/12.2.0 Linux/6.1 x86_64";
static const char cpp_producer[] = "AWS-SDK-KVS-CPP-CLIENT/3.6.0/1.6.2 GCC/12.2.0 Linux x86_64";

TEST(c_producers_do_not_pad_the_milliseconds)
{
    assert_true(read("1795378995.92", c_producer) == 1795378995092);
    assert_true(read("1795378995.5", cpp_producer) == 1795378995005);
    assert_true(read("1795378995.920", c_producer) == 1795378995920);
}

TEST(others_write_a_decimal_fraction)
{
    assert_true(read("1795378995.92", "Java/17") == 1795378995920);
    assert_true(read("1795378995.5", "") == 1795378995500);
    assert_true(read("1795378995", "") == 1795378995000);
    assert_true(read("1795378995.092999", "") == 1795378995092);
    assert_true(read("0.0", "") == 0);
}

TEST(what_is_no_time_is_refused)
{
    static const char *const bad[] = {"",      ".5",  "5.",      "-1",       "1e9",
                                      "1.2.3", "1.x", "1.0000x", "nonsense", "99999999999999"};
    for (size_t i = 0; i < KN_ARRAY_LEN(bad); i++)
        assert_int_equal(read(bad[i], c_producer), -EINVAL);
}

TESTS_MAIN(TEST_OF(c_producers_do_not_pad_the_milliseconds),
           TEST_OF(others_write_a_decimal_fraction), TEST_OF(what_is_no_time_is_refused))
