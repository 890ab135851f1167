/* SPDX-License-Identifier: Apache-2.0 */
/* Under what time a camera's frames are recorded, whatever its clock and its packets say. */
#include "clock.h"
#include "test.h"

enum {
    VIDEO = 0,
    AUDIO = 1,
    VIDEO_HZ = 90000,
    AUDIO_HZ = 8000,
    FRAME_MS = 40,
    REPORT_MS = 5000,
    HOUR_MS = 3600 * 1000,
    LINK_MS = 20, /* from the camera to us */
};
#define START_MS INT64_C(1700000000000)

/* A camera of two streams; times are of the true wall clock. */
struct rig {
    struct camera_clock clock;
    int64_t now_ms, report_ms;
    int64_t own_ms;            /* its clock, of the true one */
    uint32_t base[2];          /* its media times begin here */
    int64_t rate_ppm;          /* its media clock runs so much faster */
    int64_t last_ms, audio_ms; /* what the last frame of each got */
    int64_t may_go_back_ms;    /* as B-frames do */
    bool silent;               /* it sends no reports */
};

static void setup(struct rig *rig)
{
    *rig = (struct rig){
        .now_ms = START_MS, .base = {4000000000u, 77}
    };
    camera_clock_init(&rig->clock, 0);
    camera_clock_stream(&rig->clock, VIDEO, VIDEO_HZ);
    camera_clock_stream(&rig->clock, AUDIO, AUDIO_HZ);
}

static uint32_t media_time(const struct rig *rig, unsigned stream)
{
    int64_t passed_ms = rig->now_ms - START_MS;
    int64_t ppm = passed_ms + passed_ms * rig->rate_ppm / 1000000;
    return rig->base[stream] + (uint32_t) (ppm * (stream == VIDEO ? VIDEO_HZ : AUDIO_HZ) / 1000);
}

static void report(struct rig *rig)
{
    for (unsigned stream = 0; stream < 2; stream++)
        camera_clock_report(&rig->clock, stream, media_time(rig, stream), rig->now_ms + rig->own_ms,
                            rig->now_ms + LINK_MS);
    rig->report_ms = rig->now_ms;
}

static void run(struct rig *rig, int64_t for_ms)
{
    for (int64_t end_ms = rig->now_ms + for_ms; rig->now_ms < end_ms; rig->now_ms += FRAME_MS) {
        int64_t came_ms = rig->now_ms + LINK_MS;
        if (!rig->silent && rig->now_ms - rig->report_ms >= REPORT_MS)
            report(rig);
        int64_t video_ms = camera_clock_frame(&rig->clock, VIDEO, media_time(rig, VIDEO), came_ms);
        assert_true(video_ms >= rig->last_ms - rig->may_go_back_ms);
        rig->last_ms = video_ms;
        rig->audio_ms = camera_clock_frame(&rig->clock, AUDIO, media_time(rig, AUDIO), came_ms);
    }
}

/* Of the last frames, which were taken FRAME_MS ago. */
static int64_t off_ms(const struct rig *rig)
{
    return rig->last_ms - (rig->now_ms - FRAME_MS);
}

static int64_t apart_ms(const struct rig *rig)
{
    return rig->audio_ms - rig->last_ms;
}

TEST(frames_of_a_camera_with_a_good_clock_have_its_time)
{
    struct rig rig;
    setup(&rig);
    rig.own_ms = -300;
    run(&rig, 30000);
    assert_true(rig.clock.believed);
    assert_int_equal(off_ms(&rig), -300);
    assert_in_range(apart_ms(&rig) + 1, 0, 2);
    assert_in_range(rig.clock.ahead_ms + 400, 0, 200);
    assert_string_equal(camera_clock_word(&rig.clock), "camera");
}

TEST(a_report_that_comes_first_is_of_the_first_frame)
{
    struct rig rig;
    setup(&rig);
    rig.own_ms = 700;
    report(&rig);
    run(&rig, FRAME_MS);
    assert_int_equal(off_ms(&rig), 700);
}

TEST(frames_of_one_whose_clock_is_wrong_lie_where_they_came)
{
    for (int sign = -1; sign <= 1; sign += 2) {
        struct rig rig;
        setup(&rig);
        rig.own_ms = sign * (int64_t) HOUR_MS;
        run(&rig, 30000);
        assert_false(rig.clock.believed);
        assert_int_equal(off_ms(&rig), LINK_MS);
        assert_in_range(apart_ms(&rig) + 1, 0, 2);
    }
}

TEST(one_that_says_nothing_of_its_clock_too)
{
    struct rig rig;
    setup(&rig);
    rig.silent = true;
    run(&rig, 30000);
    assert_false(rig.clock.reported);
    assert_int_equal(off_ms(&rig), LINK_MS);
}

TEST(a_clock_that_steps_moves_no_frame_and_is_believed_when_it_has_kept_still)
{
    struct rig rig;
    setup(&rig);
    run(&rig, 20000);
    rig.own_ms = -2000;
    run(&rig, 20000);
    assert_int_equal(rig.clock.steps, 1);
    assert_false(rig.clock.believed);
    assert_int_equal(off_ms(&rig), 0);
    rig.own_ms = 1000;
    run(&rig, 20000);
    assert_int_equal(rig.clock.steps, 2);
    assert_int_equal(off_ms(&rig), 0);
    assert_in_range(apart_ms(&rig) + 1, 0, 2);
    run(&rig, CAMERA_CLOCK_STEADY_MS + 30000);
    assert_true(rig.clock.believed);
    assert_int_equal(off_ms(&rig), 1000);
}

TEST(one_that_is_set_right_after_a_while_is_believed)
{
    struct rig rig;
    setup(&rig);
    rig.own_ms = -50 * 365 * 24 * (int64_t) HOUR_MS;
    run(&rig, 20000);
    rig.own_ms = 10;
    run(&rig, CAMERA_CLOCK_STEADY_MS + 30000);
    assert_true(rig.clock.believed);
    assert_int_equal(off_ms(&rig), 10);
}

TEST(one_that_runs_away_is_believed_as_far_as_the_bound)
{
    struct rig rig;
    setup(&rig);
    for (rig.own_ms = 0; rig.own_ms < CAMERA_CLOCK_TRUST_MS + 1000; rig.own_ms += 100) {
        run(&rig, REPORT_MS);
        assert_true(off_ms(&rig) <= CAMERA_CLOCK_TRUST_MS + 200);
    }
    run(&rig, 120000);
    assert_false(rig.clock.believed);
    assert_in_range(off_ms(&rig) + CAMERA_CLOCK_DRIFT_MS, 0, 2 * CAMERA_CLOCK_DRIFT_MS);
}

TEST(media_times_that_jump_lose_no_order_and_no_place)
{
    struct rig rig;
    setup(&rig);
    for (int i = 0; i < 4; i++) {
        run(&rig, 12000);
        rig.base[VIDEO] += i % 2 ? 3000000000u : 900000000u; /* hours back, hours ahead */
    }
    run(&rig, 12000);
    assert_int_equal(rig.clock.jumps, 4);
    assert_in_range(off_ms(&rig), 0, 2 * LINK_MS);
}

TEST(media_times_that_stand_still_are_those_of_arrival)
{
    struct rig rig;
    setup(&rig);
    rig.silent = true;
    rig.rate_ppm = -1000000;
    run(&rig, 10000);
    assert_int_equal(off_ms(&rig), LINK_MS);
}

TEST(a_media_clock_that_drifts_is_followed)
{
    for (int sign = -1; sign <= 1; sign += 2) {
        struct rig rig;
        setup(&rig);
        rig.silent = true;
        rig.rate_ppm = sign * 5000;
        run(&rig, 2 * (int64_t) HOUR_MS);
        int64_t most = CAMERA_CLOCK_DRIFT_MS + 200;
        assert_in_range(off_ms(&rig) + most, 0, 2 * most);
    }
}

TEST(sound_that_drifts_from_the_picture_is_held_to_it_by_reports)
{
    struct rig rig;
    setup(&rig);
    run(&rig, 10000);
    for (int i = 0; i < 200; i++) { /* 10 ms each 5 s: 2,000 ppm */
        rig.base[AUDIO] += AUDIO_HZ / 100;
        run(&rig, REPORT_MS);
    }
    assert_in_range(apart_ms(&rig) + 30, 0, 60);
}

TEST(pictures_shown_in_another_order_than_sent_keep_their_times)
{
    static const int64_t order[] = {0, 120, 40, 80, 240, 160, 200};
    struct camera_clock clock;
    camera_clock_init(&clock, 0);
    camera_clock_stream(&clock, VIDEO, VIDEO_HZ);
    int64_t first_ms = 0;
    for (size_t i = 0; i < KN_ARRAY_LEN(order); i++) {
        int64_t at_ms = camera_clock_frame(&clock, VIDEO, (uint32_t) (order[i] * 90),
                                           START_MS + (int64_t) i * FRAME_MS);
        first_ms = i ? first_ms : at_ms;
        assert_in_range(at_ms - first_ms - order[i] + 100, 0, 100);
    }
}

/* Whatever a camera says, its frames keep their order (run looks), and stay near the truth. */
TEST(a_camera_that_lies_about_everything_corrupts_no_order)
{
    uint64_t random = test_seed();
    for (unsigned round = 0; round < 50; round++) {
        struct rig rig;
        setup(&rig);
        rig.may_go_back_ms = CAMERA_CLOCK_REORDER_MS;
        for (int i = 0; i < 60; i++) {
            if (test_random(&random) % 3 == 0)
                rig.own_ms = (int64_t) (test_random(&random) % (4 * HOUR_MS)) - 2 * HOUR_MS;
            if (test_random(&random) % 4 == 0)
                rig.base[test_random(&random) % 2] += (uint32_t) test_random(&random);
            rig.silent = test_random(&random) % 5 == 0;
            run(&rig, (int64_t) (test_random(&random) % 9000));
        }
        rig.own_ms = 2 * HOUR_MS;
        run(&rig, 600000);
        assert_in_range(off_ms(&rig) + CAMERA_CLOCK_DRIFT_MS, 0, 2 * CAMERA_CLOCK_DRIFT_MS);
    }
}

TESTS_MAIN(TEST_OF(frames_of_a_camera_with_a_good_clock_have_its_time),
           TEST_OF(a_report_that_comes_first_is_of_the_first_frame),
           TEST_OF(frames_of_one_whose_clock_is_wrong_lie_where_they_came),
           TEST_OF(one_that_says_nothing_of_its_clock_too),
           TEST_OF(a_clock_that_steps_moves_no_frame_and_is_believed_when_it_has_kept_still),
           TEST_OF(one_that_is_set_right_after_a_while_is_believed),
           TEST_OF(one_that_runs_away_is_believed_as_far_as_the_bound),
           TEST_OF(media_times_that_jump_lose_no_order_and_no_place),
           TEST_OF(media_times_that_stand_still_are_those_of_arrival),
           TEST_OF(a_media_clock_that_drifts_is_followed),
           TEST_OF(sound_that_drifts_from_the_picture_is_held_to_it_by_reports),
           TEST_OF(pictures_shown_in_another_order_than_sent_keep_their_times),
           TEST_OF(a_camera_that_lies_about_everything_corrupts_no_order))
