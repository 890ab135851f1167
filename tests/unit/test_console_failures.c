/* SPDX-License-Identifier: Apache-2.0 */
#include "console_failures.h"
#include "test.h"

static struct console_failures failures;

static void add(const char *peer, int times, int64_t now_ms)
{
    for (int i = 0; i < times; i++)
        console_failures_add(&failures, kn_str_from(peer), now_ms);
}

static bool too_many(const char *peer, int64_t now_ms)
{
    return console_failures_too_many(&failures, kn_str_from(peer), now_ms);
}

TEST(one_address_is_slowed_down_and_no_other)
{
    failures = (struct console_failures){0};
    add("10.0.0.1:4711", CONSOLE_FAILURES_MAX - 1, 1000);
    assert_false(too_many("10.0.0.1:1", 1000));
    add("10.0.0.1:4712", 1, 1000);
    assert_true(too_many("10.0.0.1:1", 1000));
    assert_false(too_many("10.0.0.2:1", 1000));
    assert_false(too_many("[::1]:1", 1000));
    add("[2001:db8::1]:9", CONSOLE_FAILURES_MAX, 1000);
    assert_true(too_many("[2001:db8::1]:10", 1000));
    assert_false(too_many("[2001:db8::2]:10", 1000));
}

TEST(after_a_minute_it_may_try_again_also_when_the_clock_was_set_back)
{
    failures = (struct console_failures){0};
    add("10.0.0.1:1", CONSOLE_FAILURES_MAX, 100000);
    assert_true(too_many("10.0.0.1:1", 100000 + CONSOLE_FAILURE_WINDOW_MS));
    assert_false(too_many("10.0.0.1:1", 100001 + CONSOLE_FAILURE_WINDOW_MS));
    assert_false(too_many("10.0.0.1:1", 99999));
    add("10.0.0.1:1", 1, 99999);
    assert_false(too_many("10.0.0.1:1", 99999));
}

TEST(more_addresses_than_are_remembered_push_out_the_oldest)
{
    failures = (struct console_failures){0};
    char peer[32];
    add("10.0.0.1:1", CONSOLE_FAILURES_MAX, 1000);
    for (int i = 0; i < CONSOLE_FAILURE_PEERS - 1; i++) {
        snprintf(peer, sizeof(peer), "10.1.%d.%d:1", i / 200, i % 200);
        add(peer, 1, 2000);
    }
    assert_true(too_many("10.0.0.1:1", 2000));
    add("10.2.0.1:1", CONSOLE_FAILURES_MAX, 2000);
    assert_false(too_many("10.0.0.1:1", 2000));
    assert_true(too_many("10.2.0.1:1", 2000));
}

TESTS_MAIN(TEST_OF(one_address_is_slowed_down_and_no_other),
           TEST_OF(after_a_minute_it_may_try_again_also_when_the_clock_was_set_back),
           TEST_OF(more_addresses_than_are_remembered_push_out_the_oldest))
