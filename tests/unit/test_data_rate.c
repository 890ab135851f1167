/* SPDX-License-Identifier: Apache-2.0 */
/* AWS's limits of a shard and of a day, by a clock that the test owns. */
#include "datastream_internal.h"
#include "test.h"

enum {
    HOUR_MS = 60 * 60 * 1000,
};

static struct kn_fake_clock fake;
static struct datastream_conf conf;
static struct datastream ds;
static struct datastream_stream stream;

static void start(bool aws_limits)
{
    kn_fake_clock_init(&fake, INT64_C(1795849862123));
    conf = (struct datastream_conf){.aws_limits = aws_limits};
    ds = (struct datastream){.conf = &conf, .clock = &fake.clock};
    stream = (struct datastream_stream){0};
    datastream_rates_init(&stream.rates);
}

static void stop(void)
{
    datastream_rates_done(&stream.rates);
}

static unsigned put_many(uint32_t shard, size_t bytes, unsigned max)
{
    unsigned count = 0;
    while (count < max && datastream_rate_put(&ds, &stream, shard, bytes))
        count++;
    return count;
}

TEST(a_shard_takes_a_thousand_records_a_second_and_no_other_shard_feels_it)
{
    start(true);
    assert_int_equal(put_many(3, 10, 5000), 1000);
    assert_int_equal(put_many(1, 10, 5000), 1000);
    kn_fake_clock_advance(&fake, 500);
    assert_int_equal(put_many(3, 10, 5000), 500);
    stop();
}

TEST(a_shard_takes_a_mebibyte_a_second_and_saves_ten)
{
    start(true);
    assert_int_equal(put_many(0, MIB(1), 50), 10);
    kn_fake_clock_advance(&fake, 999);
    assert_int_equal(put_many(0, MIB(1), 50), 0);
    kn_fake_clock_advance(&fake, 1);
    assert_int_equal(put_many(0, MIB(1), 50), 1);
    stop();
}

TEST(a_record_too_large_for_now_costs_no_record)
{
    start(true);
    assert_int_equal(put_many(0, MIB(10), 1), 1);
    for (unsigned i = 0; i < 2000; i++)
        assert_false(datastream_rate_put(&ds, &stream, 0, MIB(1)));
    kn_fake_clock_advance(&fake, 10);
    assert_int_equal(put_many(0, 1, 5000), 1000);
    stop();
}

TEST(a_shard_gives_two_mebibytes_in_five_calls_a_second)
{
    start(true);
    unsigned calls = 0;
    while (datastream_rate_get(&ds, &stream, 0))
        calls++;
    assert_int_equal(calls, 5);
    kn_fake_clock_advance(&fake, 200);
    assert_true(datastream_rate_get(&ds, &stream, 0));

    datastream_rate_got(&ds, &stream, 0, MIB(10)); /* a page of that shuts it */

    kn_fake_clock_advance(&fake, 4000);
    assert_false(datastream_rate_get(&ds, &stream, 0));
    kn_fake_clock_advance(&fake, 1);
    assert_true(datastream_rate_get(&ds, &stream, 0));
    stop();
}

TEST(a_day_has_so_many_changes)
{
    start(true);
    assert_true(datastream_rate_day(&ds, &stream, DATASTREAM_DAY_MODE));
    kn_fake_clock_advance(&fake, HOUR_MS);
    assert_true(datastream_rate_day(&ds, &stream, DATASTREAM_DAY_MODE));
    assert_false(datastream_rate_day(&ds, &stream, DATASTREAM_DAY_MODE));
    assert_true(datastream_rate_day(&ds, &stream, DATASTREAM_DAY_SCALE));
    kn_fake_clock_advance(&fake, 23 * HOUR_MS);
    assert_true(datastream_rate_day(&ds, &stream, DATASTREAM_DAY_MODE));
    assert_false(datastream_rate_day(&ds, &stream, DATASTREAM_DAY_MODE));
    stop();
}

TEST(without_limits_everything_passes_and_nothing_is_kept)
{
    start(false);
    assert_int_equal(put_many(0, MIB(10), 5000), 5000);
    for (unsigned i = 0; i < 100; i++) {
        assert_true(datastream_rate_get(&ds, &stream, i));
        assert_true(datastream_rate_iterator(&ds, &stream, i));
        assert_true(datastream_rate_day(&ds, &stream, DATASTREAM_DAY_MODE));
    }
    assert_int_equal(stream.rates.count, 0);
    assert_int_equal(datastream_rate_subscription(&ds), 0);
    stop();
}

TESTS_MAIN(TEST_OF(a_shard_takes_a_thousand_records_a_second_and_no_other_shard_feels_it),
           TEST_OF(a_shard_takes_a_mebibyte_a_second_and_saves_ten),
           TEST_OF(a_record_too_large_for_now_costs_no_record),
           TEST_OF(a_shard_gives_two_mebibytes_in_five_calls_a_second),
           TEST_OF(a_day_has_so_many_changes),
           TEST_OF(without_limits_everything_passes_and_nothing_is_kept))
