/* SPDX-License-Identifier: Apache-2.0 */
/* A clip's tables of samples, fragment by fragment. */
#include "test.h"

#include "clip/table.h"
#include "core/buf.h"

enum {
    SAMPLES_MAX = 8
};

/* One fragment's samples from decode_time on, each `duration` long, the first one a key frame. */
static struct playback_timeline *line_of(int64_t decode_time, size_t count, uint32_t duration)
{
    struct playback_timeline *line =
        calloc(1, sizeof *line + SAMPLES_MAX * sizeof line->samples[0]);
    assert_non_null(line);
    *line =
        (struct playback_timeline){.timescale = 1000, .decode_time = decode_time, .count = count};
    for (size_t i = 0; i < count; i++)
        line->samples[i] = (struct playback_sample){.bytes = (uint32_t) (10 + i),
                                                    .duration = duration,
                                                    .composition = i == 1 ? -5 : 0,
                                                    .key = i == 0};
    return line;
}

struct fragment {
    int64_t decode_time;
    size_t count;
    uint32_t duration;
};

static size_t table_of(struct clip_table *table, const struct fragment *fragments, size_t count,
                       uint32_t *ret)
{
    struct kn_buf out;
    kn_buf_init(&out, 1 << 16);
    for (size_t i = 0; i < count; i++) {
        struct playback_timeline *line =
            line_of(fragments[i].decode_time, fragments[i].count, fragments[i].duration);
        clip_table_add(table, line, i < 2 ? 1 : 2, 1000 * i, &out);
        free(line);
    }
    clip_table_end(table, &out);
    assert_int_equal(out.error, 0);
    size_t words = out.len / 4;
    assert_true(words <= 32);
    for (size_t i = 0; i < words; i++)
        ret[i] = (uint32_t) out.ptr[4 * i] << 24 | (uint32_t) out.ptr[4 * i + 1] << 16 |
                 (uint32_t) out.ptr[4 * i + 2] << 8 | out.ptr[4 * i + 3];
    kn_buf_done(&out);
    return words;
}

static void expect(struct clip_table *table, const struct fragment *fragments, size_t count,
                   const uint32_t *wanted, size_t wanted_count)
{
    uint32_t words[32];
    assert_int_equal(table_of(table, fragments, count, words), wanted_count);
    for (size_t i = 0; i < wanted_count; i++)
        assert_int_equal(words[i], wanted[i]);
}

#define EXPECT(table, fragments, ...)                                                              \
    do {                                                                                           \
        static const uint32_t wanted_[] = {__VA_ARGS__};                                           \
        expect(table, fragments, KN_ARRAY_LEN(fragments), wanted_, KN_ARRAY_LEN(wanted_));         \
    } while (0)

static const struct fragment three[] = {
    {5000, 3, 40},
    {5120, 3, 40},
    {5240, 2, 40}
};

TEST(durations_that_run_on_are_one_run)
{
    struct clip_table table = {.kind = CLIP_STTS};
    EXPECT(&table, three, 8, 40);
    assert_int_equal(table.entries, 1);
    assert_int_equal(table.first, 5000);
    assert_int_equal(table.end, 5320);
}

TEST(the_last_frame_of_a_fragment_reaches_to_the_next_one)
{
    static const struct fragment late[] = {
        {5000, 2, 40},
        {5090, 2, 40}
    };
    static const struct fragment early[] = {
        {5000, 2, 40},
        {5070, 2, 40}
    };
    struct clip_table table = {.kind = CLIP_STTS}, other = {.kind = CLIP_STTS};
    EXPECT(&table, late, 1, 40, 1, 50, 2, 40);
    assert_int_equal(table.end, 5170);
    EXPECT(&other, early, 1, 40, 1, 30, 2, 40);
    assert_int_equal(other.end, 5150);
}

TEST(sound_is_counted_as_long_as_it_keeps_step_and_never_drifts)
{
    static const struct fragment steps[] = {
        {5000, 2, 40},
        {5081, 2, 40}, /* within the slack: not believed */
        {5163, 2, 40}, /* 3 late by now: believed */
    };
    struct clip_table table = {.kind = CLIP_STTS, .slack = 2};
    EXPECT(&table, steps, 3, 40, 1, 43, 2, 40);
    assert_int_equal(table.end, 5243);
}

TEST(offsets_sizes_keys_and_chunks_follow_the_samples)
{
    struct clip_table ctts = {.kind = CLIP_CTTS}, stsz = {.kind = CLIP_STSZ};
    struct clip_table stss = {.kind = CLIP_STSS}, stsc = {.kind = CLIP_STSC};
    struct clip_table stco = {.kind = CLIP_CHUNK_OFFSETS};
    struct clip_table co64 = {.kind = CLIP_CHUNK_OFFSETS, .wide = true};
    EXPECT(&ctts, three, 1, 0, 1, (uint32_t) -5, 2, 0, 1, (uint32_t) -5, 2, 0, 1, (uint32_t) -5);
    EXPECT(&stsz, three, 10, 11, 12, 10, 11, 12, 10, 11);
    EXPECT(&stss, three, 1, 4, 7);
    EXPECT(&stsc, three, 1, 3, 1, 3, 2, 2); /* the third has other codec parameters too */
    EXPECT(&stco, three, 0, 1000, 2000);
    EXPECT(&co64, three, 0, 0, 0, 1000, 0, 2000);
    assert_int_equal(ctts.entries, 6);
    assert_int_equal(stsc.entries, 2);
    assert_int_equal(co64.entries, 3);
}

TEST(a_fragment_without_a_sample_is_no_chunk)
{
    static const struct fragment hole[] = {
        {5000, 2, 40},
        {5080, 0, 40},
        {5200, 2, 40}
    };
    struct clip_table stco = {.kind = CLIP_CHUNK_OFFSETS}, stts = {.kind = CLIP_STTS};
    EXPECT(&stco, hole, 0, 2000);
    EXPECT(&stts, hole, 1, 40, 1, 160, 2, 40);
}

TESTS_MAIN(TEST_OF(durations_that_run_on_are_one_run),
           TEST_OF(the_last_frame_of_a_fragment_reaches_to_the_next_one),
           TEST_OF(sound_is_counted_as_long_as_it_keeps_step_and_never_drifts),
           TEST_OF(offsets_sizes_keys_and_chunks_follow_the_samples),
           TEST_OF(a_fragment_without_a_sample_is_no_chunk))
