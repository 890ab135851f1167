/* SPDX-License-Identifier: Apache-2.0 */
/* What is foreseen of an upload, from producer times and arrivals alone. */
#include "rhythm.h"
#include "test.h"

enum {
    FRAME_MS = 200,
    GOP_MS = 2000,
    FRAME_BYTES = 2000,
};
#define NS_PER_MS  INT64_C(1000000)
#define ARRIVAL_MS INT64_C(777123) /* of producer time 0, by a clock of ours */

struct camera {
    struct ingest_rhythm rhythm;
    struct ingest_times times;
    uint64_t bytes;
};

/* Frames up to and with the one at until_ms are sent; fragments begin at whole gop_ms. They are
 * read late_ms after the last one came. */
static uint32_t read_at(struct camera *c, int64_t until_ms, int64_t gop_ms, int64_t late_ms)
{
    while (c->times.newest_ms + FRAME_MS <= until_ms) {
        c->times.newest_ms += FRAME_MS;
        c->bytes += FRAME_BYTES;
        if (c->times.newest_ms % gop_ms == 0) {
            c->times.start_ms = c->times.newest_ms;
            c->times.gap_ms = FRAME_MS;
        }
    }
    int64_t now_ns = (ARRIVAL_MS + until_ms + late_ms) * NS_PER_MS;
    ingest_rhythm_saw(&c->rhythm, now_ns, &c->times, c->bytes);
    return ingest_rhythm_calm_ms(&c->rhythm, now_ns);
}

static void learn(struct camera *c, int64_t until_ms)
{
    *c = (struct camera){.bytes = 1};
    for (int64_t at_ms = 0; at_ms < until_ms; at_ms += FRAME_MS)
        (void) read_at(c, at_ms, GOP_MS, 5);
}

TEST(once_fragments_are_equal_only_last_and_next_frame_matter)
{
    struct camera c = {.bytes = 1};
    for (int64_t at_ms = 0; at_ms < GOP_MS; at_ms += FRAME_MS)
        assert_int_equal(read_at(&c, at_ms, GOP_MS, 5), 1);
    assert_int_equal(read_at(&c, GOP_MS, GOP_MS, 5), INGEST_CALM_UNSURE_MS_MAX);
    assert_in_range(read_at(&c, GOP_MS + 1000, GOP_MS, 150), 645, 660);
    assert_in_range(read_at(&c, 2 * GOP_MS, GOP_MS, 5), GOP_MS - FRAME_MS - 10, GOP_MS - FRAME_MS);
    assert_in_range(read_at(&c, 2 * GOP_MS + 1400, GOP_MS, 5), 390, 400);
    assert_in_range(read_at(&c, 2 * GOP_MS + 1800, GOP_MS, 5), 190, 200);
}

TEST(a_second_fragment_that_is_shorter_is_late_once)
{
    struct camera c;
    learn(&c, GOP_MS);
    assert_int_equal(read_at(&c, GOP_MS, GOP_MS, 5), INGEST_CALM_UNSURE_MS_MAX);
    for (int64_t at_ms = 3 * GOP_MS / 2; at_ms < 2 * GOP_MS; at_ms += FRAME_MS)
        assert_int_equal(read_at(&c, at_ms, GOP_MS / 2, 5), 1);
}

TEST(a_late_look_does_not_make_the_next_one_later)
{
    struct camera c;
    learn(&c, 4 * GOP_MS);
    assert_in_range(read_at(&c, 4 * GOP_MS, GOP_MS, 150), GOP_MS - FRAME_MS - 155,
                    GOP_MS - FRAME_MS - 140);
    assert_in_range(read_at(&c, 4 * GOP_MS + 1000, GOP_MS, 150), 645, 660); /* from arrivals */
}

TEST(the_next_fragment_that_is_late_is_looked_for_until_it_comes)
{
    struct camera c;
    learn(&c, 4 * GOP_MS + FRAME_MS);
    assert_int_equal(read_at(&c, 5 * GOP_MS - FRAME_MS, GOP_MS, 205), 1);
    assert_int_equal(read_at(&c, 5 * GOP_MS - FRAME_MS, GOP_MS, 700), 1);
}

TEST(a_camera_that_changes_its_rhythm_is_watched_until_it_has_one_again)
{
    struct camera c;
    learn(&c, 4 * GOP_MS + FRAME_MS);
    enum {
        LONGER_MS = 3000
    };
    int64_t at_ms = 9000;
    for (; at_ms < 12000; at_ms += FRAME_MS) {
        uint32_t calm_ms = read_at(&c, at_ms, LONGER_MS, 5);
        if (at_ms > 5 * GOP_MS)
            assert_int_equal(calm_ms, 1);
    }
    for (; at_ms <= 15000; at_ms += FRAME_MS)
        (void) read_at(&c, at_ms, LONGER_MS, 5);
    assert_int_equal(read_at(&c, 18000, LONGER_MS, 5), INGEST_CALM_MS_MAX);
}

TEST(a_camera_whose_clock_runs_slow_is_not_looked_for_too_early_for_ever)
{
    struct camera c = {.bytes = 1};
    unsigned early = 0;
    for (int64_t at_ms = 0; at_ms < 200 * GOP_MS; at_ms += FRAME_MS) {
        int64_t behind_ms = at_ms / 5000; /* 200 parts in a million */
        uint32_t calm_ms = read_at(&c, at_ms, GOP_MS, behind_ms);
        bool last = at_ms % GOP_MS == GOP_MS - FRAME_MS;
        early += at_ms > 4 * GOP_MS && last && calm_ms < FRAME_MS - 5;
    }
    assert_int_equal(early, 0);
}

TEST(who_sends_much_is_read_for_the_bytes)
{
    struct camera c;
    learn(&c, 4 * GOP_MS);
    c.rhythm.period_bytes = 2 * GOP_MS / 1000 * INGEST_CALM_BYTES_MAX;
    c.bytes += 2 * GOP_MS / 1000 * INGEST_CALM_BYTES_MAX;
    assert_int_equal(read_at(&c, 4 * GOP_MS, GOP_MS, 5), 1);
}

TESTS_MAIN(TEST_OF(once_fragments_are_equal_only_last_and_next_frame_matter),
           TEST_OF(a_second_fragment_that_is_shorter_is_late_once),
           TEST_OF(a_late_look_does_not_make_the_next_one_later),
           TEST_OF(the_next_fragment_that_is_late_is_looked_for_until_it_comes),
           TEST_OF(a_camera_that_changes_its_rhythm_is_watched_until_it_has_one_again),
           TEST_OF(a_camera_whose_clock_runs_slow_is_not_looked_for_too_early_for_ever),
           TEST_OF(who_sends_much_is_read_for_the_bytes))
