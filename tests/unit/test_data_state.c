/* SPDX-License-Identifier: Apache-2.0 */
/* States are times in settings: what they mean by a clock that the test owns. */
#include "state.h"
#include "test.h"

static struct kn_fake_clock fake;
static struct datastream_conf conf;
static struct datastream ds;
static struct datastream_settings settings;

static void start(uint64_t state_ms)
{
    kn_fake_clock_init(&fake, INT64_C(1795849862123));
    conf = (struct datastream_conf){.stream_state_ms = state_ms};
    ds = (struct datastream){.conf = &conf, .clock = &fake.clock};
    settings = (struct datastream_settings){0};
}

static enum datastream_state now(void)
{
    return datastream_state_of(&ds, &settings);
}

TEST(a_state_lasts_as_long_as_the_setting_says)
{
    const struct {
        enum datastream_state during, after;
    } rows[] = {
        {DATASTREAM_CREATING, DATASTREAM_ACTIVE},
        {DATASTREAM_UPDATING, DATASTREAM_ACTIVE},
        {DATASTREAM_DELETING, DATASTREAM_GONE  },
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(rows); i++) {
        start(30000);

        datastream_state_begin(&ds, rows[i].during, &settings);

        assert_int_equal(now(), rows[i].during);
        kn_fake_clock_advance(&fake, 29999);
        assert_int_equal(now(), rows[i].during);
        kn_fake_clock_advance(&fake, 1);
        assert_int_equal(now(), rows[i].after);
    }
}

TEST(without_the_setting_everything_is_done_at_once)
{
    start(0);
    datastream_state_begin(&ds, DATASTREAM_CREATING, &settings);
    assert_int_equal(now(), DATASTREAM_ACTIVE);
    assert_int_equal(settings.busy_until_ms, 0);
    datastream_state_begin(&ds, DATASTREAM_DELETING, &settings);
    assert_int_equal(now(), DATASTREAM_GONE);
}

TEST(a_state_of_a_longer_setting_or_of_a_clock_that_stepped_back_is_over)
{
    start(30000);
    datastream_state_begin(&ds, DATASTREAM_UPDATING, &settings);
    conf.stream_state_ms = 1000;
    assert_int_equal(now(), DATASTREAM_ACTIVE);

    start(30000);
    datastream_state_begin(&ds, DATASTREAM_UPDATING, &settings);
    kn_fake_clock_advance(&fake, -3600000);
    assert_int_equal(now(), DATASTREAM_ACTIVE);
}

TESTS_MAIN(TEST_OF(a_state_lasts_as_long_as_the_setting_says),
           TEST_OF(without_the_setting_everything_is_done_at_once),
           TEST_OF(a_state_of_a_longer_setting_or_of_a_clock_that_stepped_back_is_over))
