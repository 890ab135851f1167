/* SPDX-License-Identifier: Apache-2.0 */
/* Decode times, composition offsets and durations from presentation times alone. */
#include "test.h"

#include "mp4/silence.h"

enum {
    FRAMES_MAX = 64,
    START_MS = 1000000
};

static const struct playback_track video = {
    .number = 1, .mkv_number = 1, .info = {.codec = PLAYBACK_H264}};
static const struct playback_track audio = {
    .number = 2,
    .mkv_number = 2,
    .info = {.codec = PLAYBACK_AAC, .sample_hz = 48000, .channels = 1, .frame_samples = 1024}
};

static struct playback_timeline *make(const struct playback_track *track, const int32_t *times,
                                      size_t count, uint64_t scale_ns, int64_t next_ms)
{
    struct storage_frames *frames = calloc(1, sizeof *frames + count * sizeof frames->items[0]);
    assert_non_null(frames);
    frames->count = count;
    for (size_t i = 0; i < count; i++)
        frames->items[i] = (struct storage_frame){.offset = (uint32_t) (100 * i),
                                                  .bytes = 50,
                                                  .time = times[i],
                                                  .track = track->mkv_number,
                                                  .key = i == 0};
    struct playback_timeline *line;
    assert_ok(playback_timeline_make(&(struct playback_timeline_in){.track = track,
                                                                    .frames = frames,
                                                                    .scale_ns = scale_ns,
                                                                    .start_ms = START_MS,
                                                                    .next_start_ms = next_ms},
                                     &line));
    free(frames);
    return line;
}

TEST(frames_in_order_keep_their_times)
{
    static const int32_t times[] = {0, 33, 67, 100};
    struct playback_timeline *line = make(&video, times, 4, 1000000, INT64_MIN);
    assert_int_equal(line->timescale, 1000);
    assert_int_equal(line->decode_time, START_MS);
    assert_false(line->reordered);
    static const uint32_t durations[] = {33, 34, 33, 33};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(line->samples[i].duration, durations[i]);
        assert_int_equal(line->samples[i].composition, 0);
    }
    assert_true(line->samples[0].key);
    assert_false(line->samples[1].key);
    free(line);
}

TEST(b_frames_get_sorted_decode_times_and_signed_offsets)
{
    /* decode order I0 P4 B2 b1 b3 P8 B6 b5 b7 at 40 ms */
    static const int32_t times[] = {0, 160, 80, 40, 120, 320, 240, 200, 280};
    struct playback_timeline *line = make(&video, times, 9, 1000000, START_MS + 360);
    int64_t decode = line->decode_time;
    assert_true(line->reordered);
    for (size_t i = 0; i < 9; i++) {
        assert_int_equal(decode, START_MS + 40 * (int64_t) i);
        assert_int_equal(decode + line->samples[i].composition, START_MS + times[i]);
        assert_int_equal(line->samples[i].duration, 40);
        decode += line->samples[i].duration;
    }
    assert_int_equal(decode, START_MS + 360);
    free(line);
}

TEST(an_open_gop_starts_at_its_leading_frames)
{
    /* CRA at 120 is decoded first, two leading frames are shown before it */
    static const int32_t times[] = {80, 0, 40, 120};
    struct playback_timeline *line = make(&video, times, 4, 1000000, INT64_MIN);
    assert_int_equal(line->decode_time, START_MS);
    assert_int_equal(line->samples[0].composition, 80);
    assert_int_equal(line->samples[1].composition, -40);
    free(line);
}

TEST(any_order_of_times_survives_as_presentation_time)
{
    uint64_t state = test_seed();
    for (int round = 0; round < 200; round++) {
        int32_t times[FRAMES_MAX];
        size_t count = 1 + test_random(&state) % FRAMES_MAX;
        for (size_t i = 0; i < count; i++)
            times[i] = (int32_t) (test_random(&state) % 2000);
        struct playback_timeline *line = make(&video, times, count, 1000000, INT64_MIN);
        int64_t decode = line->decode_time;
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(decode + line->samples[i].composition, START_MS + times[i]);
            assert_true(line->samples[i].duration >= 1);
            decode += line->samples[i].duration;
        }
        free(line);
    }
}

TEST(the_last_frame_reaches_to_the_next_fragment_when_they_meet)
{
    static const int32_t times[] = {0, 40, 80};
    static const struct {
        int64_t next_ms;
        uint32_t last;
    } cases[] = {
        {INT64_MIN,      40}, /* none yet */
        {START_MS + 120, 40},
        {START_MS + 125, 45},
        {START_MS + 100, 20}, /* a little early: shortened */
        {START_MS + 170, 90},
        {START_MS + 171, 40}, /* a gap: not stretched */
        {START_MS + 60,  40}, /* an overlap: left to the player */
        {START_MS - 500, 40},
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        struct playback_timeline *line = make(&video, times, 3, 1000000, cases[i].next_ms);
        assert_int_equal(line->samples[2].duration, cases[i].last);
        free(line);
    }
}

/* Sound 20 ms ahead of the pictures, here and in the next fragment: its start is not a picture's.
 */
TEST(the_last_picture_does_not_reach_to_where_the_next_fragments_sound_starts)
{
    static const struct storage_frame items[] = {
        {.time = 0,   .track = 2},
        {.time = 20,  .track = 1},
        {.time = 60,  .track = 1},
        {.time = 60,  .track = 2},
        {.time = 100, .track = 1},
    };
    struct storage_frames *frames = calloc(1, sizeof *frames + sizeof items);
    assert_non_null(frames);
    frames->count = KN_ARRAY_LEN(items);
    memcpy(frames->items, items, sizeof items);
    struct playback_timeline_in in = {.track = &video,
                                      .frames = frames,
                                      .scale_ns = 1000000,
                                      .start_ms = START_MS,
                                      .next_start_ms = START_MS + 120};
    struct playback_timeline *line;
    assert_ok(playback_timeline_make(&in, &line));
    assert_int_equal(line->samples[2].duration, 40);
    free(line);

    frames->items[0].time = 20; /* they begin together */
    assert_ok(playback_timeline_make(&in, &line));
    assert_int_equal(line->samples[2].duration, 20);
    free(line);
    free(frames);
}

TEST(a_single_frame_lasts_as_long_as_somebody_says)
{
    static const int32_t times[] = {0};
    struct playback_track track = video;
    struct playback_timeline *line = make(&track, times, 1, 1000000, INT64_MIN);
    assert_int_equal(line->samples[0].duration, 40);
    free(line);
    track.info.frames_per_s = 5;
    line = make(&track, times, 1, 1000000, INT64_MIN);
    assert_int_equal(line->samples[0].duration, 200);
    free(line);
    track.default_duration_ns = 100000000;
    line = make(&track, times, 1, 1000000, INT64_MIN);
    assert_int_equal(line->samples[0].duration, 100);
    free(line);
}

TEST(audio_frames_keep_their_exact_length_under_a_clock_of_milliseconds)
{
    int32_t times[48];
    for (int32_t i = 0; i < 48; i++)
        times[i] = (int32_t) (i * 1024.0 / 48 + 0.5);
    struct playback_timeline *line = make(&audio, times, 48, 1000000, INT64_MIN);
    assert_int_equal(line->timescale, 48000);
    assert_int_equal(line->decode_time, (int64_t) START_MS * 48);
    for (size_t i = 0; i < 48; i++)
        assert_int_equal(line->samples[i].duration, 1024);
    free(line);
}

/* --- silence ---------------------------------------------------------------------------------- */

/* Frames of one track at these times, in a fragment of two seconds that the next one follows. */
static struct playback_timeline *filled(const struct playback_track *track, const int32_t *times,
                                        size_t count, uint32_t length_ms)
{
    struct storage_frames *frames = calloc(1, sizeof *frames + count * sizeof frames->items[0]);
    assert_non_null(frames);
    for (; frames->count < count; frames->count++)
        frames->items[frames->count] = (struct storage_frame){
            .bytes = 50, .time = times[frames->count], .track = audio.mkv_number};
    const struct playback_timeline_in in = {.track = track,
                                            .frames = frames,
                                            .scale_ns = 1000000,
                                            .start_ms = START_MS,
                                            .next_start_ms = START_MS + 2000,
                                            .length_ms = length_ms};
    struct playback_timeline *line;
    assert_ok(playback_timeline_make(&in, &line));
    assert_ok(playback_silence_fill(&in, &line));
    free(frames);
    return line;
}

static int64_t length_of(const struct playback_timeline *line)
{
    int64_t length = 0;
    for (size_t i = 0; i < line->count; i++)
        length += line->samples[i].duration;
    return length;
}

/* Whole frames counted from 1970: what one fragment leaves of a frame, the next one has. */
TEST(silent_frames_lie_on_one_grid_in_all_fragments)
{
    struct playback_track lent = audio;
    lent.mkv_number = 0;
    struct playback_timeline *line = filled(&lent, NULL, 0, 1980);
    assert_int_equal(line->count, 94); /* 93.75 */
    assert_int_equal(line->decode_time % 1024, 0);
    assert_in_range(line->decode_time, (int64_t) START_MS * 48, (int64_t) START_MS * 48 + 1023);
    int64_t end = line->decode_time + length_of(line);
    assert_in_range(end, (int64_t) (START_MS + 2000) * 48, (int64_t) (START_MS + 2000) * 48 + 1023);
    assert_int_equal(line->silence.len, 4);
    for (size_t i = 0; i < line->count; i++) {
        assert_true(line->samples[i].offset == playback_silent && line->samples[i].key);
        assert_int_equal(line->samples[i].bytes, 4);
        assert_int_equal(line->samples[i].duration, 1024);
    }
    free(line);
}

/* Sound from 700 to 743 ms, and from 1400 to 1421 ms, of 2000: silence around it. */
TEST(silence_stands_before_between_and_behind_sound_which_keeps_its_times)
{
    static const int32_t times[] = {700, 721, 1400};
    struct playback_timeline *line = filled(&audio, times, 3, 2000);
    int64_t time = line->decode_time;
    size_t sound = 0, silent = 0;
    assert_int_equal(time % 1024, 0);
    for (size_t i = 0; i < line->count; i++) {
        const struct playback_sample *sample = &line->samples[i];
        if (sample->offset == playback_silent) {
            assert_in_range(sample->duration, 1024, 2047);
            silent++;
        } else {
            int64_t ms = START_MS + times[sound];
            assert_in_range(time, ms * 48 - 16, ms * 48 + 16); /* 721: the count of samples */
            assert_int_equal(sample->duration, 1024);
            sound++;
        }
        time += sample->duration;
    }
    assert_int_equal(sound, 3);
    assert_int_equal(silent, 32 + 30 + 27);
    assert_int_equal(time % 1024, 0); /* and so the next fragment's silence follows */
    assert_in_range(time, (START_MS + 2000) * 48, (START_MS + 2000) * 48 + 1023);
    free(line);
}

TEST(sound_that_is_late_or_early_by_less_than_half_a_second_is_left_alone)
{
    static const int32_t times[] = {480, 501, 990, 1011, 1500};
    struct playback_timeline *plain = make(&audio, times, 5, 1000000, START_MS + 2000);
    struct playback_timeline *line = filled(&audio, times, 5, 2000);
    assert_int_equal(line->count, 5);
    assert_int_equal(line->decode_time, plain->decode_time);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(line->samples[i].duration, plain->samples[i].duration);
    free(plain);
    free(line);
}

TEST(silence_has_a_ceiling_whatever_length_a_sender_made_up)
{
    static const int32_t times[] = {0, 1000000000, 2000000000};
    struct playback_timeline *line = filled(&audio, times, 3, UINT32_MAX);
    assert_in_range(line->count, 8192, 8192 + 3);
    free(line);
    struct playback_track lent = audio;
    lent.mkv_number = 0;
    line = filled(&lent, NULL, 0, UINT32_MAX);
    assert_int_equal(line->count, 8192);
    free(line);
}

TEST(there_is_no_silence_of_pictures_and_of_g711)
{
    static const int32_t times[] = {0};
    struct playback_track other = audio;
    other.info.codec = PLAYBACK_ULAW;
    other.info.channels = 1;
    struct playback_timeline *line = filled(&other, times, 1, 2000);
    assert_int_equal(line->count, 1);
    free(line);
    line = filled(&video, times, 1, 2000);
    assert_int_equal(line->count, 0);
    free(line);
}

TEST(a_hole_in_the_audio_stays_a_hole)
{
    static const int32_t times[] = {0, 21, 43, 500, 521};
    struct playback_timeline *line = make(&audio, times, 5, 1000000, INT64_MIN);
    assert_int_equal(line->samples[1].duration, 1024);
    assert_int_equal(line->samples[2].duration, 500 * 48 - 2048);
    assert_int_equal(line->samples[3].duration, 1024);
    free(line);
}

TEST(the_timescale_states_milliseconds_and_the_timestamp_scale_exactly)
{
    static const struct {
        uint64_t scale_ns;
        uint32_t timescale;
    } cases[] = {
        {1000000,  1000      },
        {10000000, 1000      },
        {100000,   10000     },
        {1,        1000000000},
        {22675,    90000     },
        {3000000,  1000      },
        {16666666, 90000     },
        {0,        90000     }
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++)
        assert_int_equal(playback_timescale(&video.info, cases[i].scale_ns), cases[i].timescale);
    static const int32_t times[] = {0, 4};
    struct playback_timeline *line = make(&video, times, 2, 10000000, INT64_MIN);
    assert_int_equal(line->samples[0].duration, 40);
    free(line);
}

TEST(times_out_of_any_range_do_not_overflow)
{
    static const int32_t times[] = {INT32_MIN, 0, INT32_MAX};
    struct playback_timeline *line = make(&video, times, 3, UINT64_MAX / 4, INT64_MIN);
    assert_int_equal(line->decode_time, 0);
    free(line);
    line = make(&audio, times, 3, 1000000000, INT64_MAX);
    assert_int_equal(line->count, 3);
    free(line);
}

TEST(a_track_without_frames_gives_an_empty_line)
{
    static const int32_t times[] = {0};
    struct playback_timeline *line = make(&video, times, 0, 1000000, INT64_MIN);
    assert_int_equal(line->count, 0);
    assert_int_equal(line->decode_time, START_MS);
    free(line);
}

TESTS_MAIN(TEST_OF(frames_in_order_keep_their_times),
           TEST_OF(b_frames_get_sorted_decode_times_and_signed_offsets),
           TEST_OF(an_open_gop_starts_at_its_leading_frames),
           TEST_OF(any_order_of_times_survives_as_presentation_time),
           TEST_OF(the_last_frame_reaches_to_the_next_fragment_when_they_meet),
           TEST_OF(the_last_picture_does_not_reach_to_where_the_next_fragments_sound_starts),
           TEST_OF(a_single_frame_lasts_as_long_as_somebody_says),
           TEST_OF(audio_frames_keep_their_exact_length_under_a_clock_of_milliseconds),
           TEST_OF(silent_frames_lie_on_one_grid_in_all_fragments),
           TEST_OF(silence_stands_before_between_and_behind_sound_which_keeps_its_times),
           TEST_OF(sound_that_is_late_or_early_by_less_than_half_a_second_is_left_alone),
           TEST_OF(silence_has_a_ceiling_whatever_length_a_sender_made_up),
           TEST_OF(there_is_no_silence_of_pictures_and_of_g711),
           TEST_OF(a_hole_in_the_audio_stays_a_hole),
           TEST_OF(the_timescale_states_milliseconds_and_the_timestamp_scale_exactly),
           TEST_OF(times_out_of_any_range_do_not_overflow),
           TEST_OF(a_track_without_frames_gives_an_empty_line))
