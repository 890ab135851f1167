/* SPDX-License-Identifier: Apache-2.0 */
/* Which fragments a range of time names: kvs-api.md §4.1. */
#include "fake_storage.h"
#include "range.h"
#include "test.h"

enum {
    T = 1700000000
};
#define T_MS ((int64_t) T * 1000)

struct fixture {
    struct kn_fake_clock clock;
    struct storage *storage;
    struct storage_id stream;
    struct capture capture;
    size_t count;
};

static struct fixture recorded(void)
{
    struct fixture f = {.capture = capture_read("media/captures/sink360_h264_rel.mkv")};

    kn_fake_clock_init(&f.clock, T_MS);
    f.storage = fake_storage_new(&f.clock.clock);
    f.stream = fake_storage_stream(f.storage, "cam", 24);
    f.count = fake_storage_load(
        f.storage, &f.stream, &f.capture,
        &(struct fake_load){.server_ts_ms = T_MS, .producer_start_ms = T_MS - 500000});
    assert_true(f.count >= 4);
    return f;
}

static void done(struct fixture *f)
{
    fake_storage_free(f->storage);
    capture_done(&f->capture);
}

static struct playback_fragments selected(struct fixture *f, enum storage_order order,
                                          int64_t from_ms, int64_t to_ms, size_t max)
{
    struct playback_range range = {order, from_ms, to_ms, max};
    struct playback_fragments found = {0};

    assert_ok(playback_range_select(f->storage, &f->stream, &range, &found, true));
    return found;
}

static int64_t start_of(struct fixture *f, size_t index)
{
    return (int64_t) (f->capture.fragments[index].timecode - f->capture.fragments[0].timecode);
}

TEST(both_ends_of_a_range_are_included_and_compared_with_starts)
{
    struct fixture f = recorded();
    int64_t second = T_MS + start_of(&f, 1), third = T_MS + start_of(&f, 2);

    struct playback_fragments found = selected(&f, STORAGE_BY_SERVER_TS, second, third, 100);

    assert_int_equal(found.count, 2);
    assert_int_equal(found.items[0].number.server_ts_ms, second);
    assert_int_equal(found.items[1].number.server_ts_ms, third);
    playback_fragments_done(&found);

    /* one that began before the range is left out, though it reaches into it */
    found = selected(&f, STORAGE_BY_SERVER_TS, second + 1, third, 100);
    assert_int_equal(found.count, 1);
    assert_int_equal(found.items[0].number.server_ts_ms, third);
    playback_fragments_done(&found);
    done(&f);
}

TEST(a_limit_keeps_the_oldest_and_says_that_more_follow)
{
    struct fixture f = recorded();

    struct playback_fragments found = selected(&f, STORAGE_BY_SERVER_TS, INT64_MIN, INT64_MAX, 2);

    assert_int_equal(found.count, 2);
    assert_true(found.more);
    assert_int_equal(found.items[0].number.seq, 1);
    playback_fragments_done(&found);

    found = selected(&f, STORAGE_BY_SERVER_TS, INT64_MIN, INT64_MAX, f.count);
    assert_int_equal(found.count, f.count);
    assert_false(found.more);
    playback_fragments_done(&found);
    done(&f);
}

TEST(of_equal_producer_times_the_larger_number_wins)
{
    struct fixture f = recorded();

    /* the same period again, with the same producer times */
    fake_storage_jump(f.storage, &f.stream, 1000);
    assert_int_equal(fake_storage_load(f.storage, &f.stream, &f.capture,
                                       &(struct fake_load){.server_ts_ms = T_MS + 600000,
                                                           .producer_start_ms = T_MS - 500000}),
                     f.count);
    struct playback_fragments found =
        selected(&f, STORAGE_BY_PRODUCER_TS, INT64_MIN, INT64_MAX, 1000);

    assert_int_equal(found.count, f.count);
    for (size_t i = 0; i < found.count; i++)
        assert_int_equal(found.items[i].number.seq, 1000 + i);
    playback_fragments_done(&found);
    done(&f);
}

TEST(overlaps_with_other_starts_are_kept_in_producer_order)
{
    struct fixture f = recorded();

    /* an older period uploaded later, shifted by 100 ms against the first */
    assert_int_equal(fake_storage_load(f.storage, &f.stream, &f.capture,
                                       &(struct fake_load){.server_ts_ms = T_MS + 600000,
                                                           .producer_start_ms = T_MS - 500100}),
                     f.count);
    struct playback_fragments found =
        selected(&f, STORAGE_BY_PRODUCER_TS, INT64_MIN, INT64_MAX, 1000);

    assert_int_equal(found.count, 2 * f.count);
    for (size_t i = 1; i < found.count; i++)
        assert_true(found.items[i - 1].producer_ts_ms < found.items[i].producer_ts_ms);
    assert_true(found.items[0].number.seq > found.items[1].number.seq);
    playback_fragments_done(&found);
    done(&f);
}

TEST(many_uploads_of_one_period_do_not_grow_the_list)
{
    struct fixture f = recorded();

    for (int i = 0; i < 600; i++)
        (void) fake_storage_load(
            f.storage, &f.stream, &f.capture,
            &(struct fake_load){.server_ts_ms = T_MS + 600000, .producer_start_ms = T_MS - 500000});
    struct playback_fragments found = selected(&f, STORAGE_BY_PRODUCER_TS, INT64_MIN, INT64_MAX, 3);

    assert_int_equal(found.count, 3);
    assert_true(found.more);
    assert_int_equal(found.items[0].number.seq, 600 * f.count + 1); /* of the last upload */
    playback_fragments_done(&found);
    done(&f);
}

TEST(nothing_in_range_is_an_empty_list_and_a_cold_index_asks_for_a_worker)
{
    struct fixture f = recorded();
    struct playback_range range = {STORAGE_BY_SERVER_TS, 0, 1, 10};
    struct playback_fragments found = {0};

    assert_ok(playback_range_select(f.storage, &f.stream, &range, &found, true));
    assert_int_equal(found.count, 0);
    assert_false(found.more);
    playback_fragments_done(&found);

    fake_storage_set_cold(f.storage, true);
    assert_int_equal(playback_range_select(f.storage, &f.stream, &range, &found, true), -EAGAIN);
    assert_ok(playback_range_select(f.storage, &f.stream, &range, &found, false));
    playback_fragments_done(&found);
    done(&f);
}

TESTS_MAIN(TEST_OF(both_ends_of_a_range_are_included_and_compared_with_starts),
           TEST_OF(a_limit_keeps_the_oldest_and_says_that_more_follow),
           TEST_OF(of_equal_producer_times_the_larger_number_wins),
           TEST_OF(overlaps_with_other_starts_are_kept_in_producer_order),
           TEST_OF(many_uploads_of_one_period_do_not_grow_the_list),
           TEST_OF(nothing_in_range_is_an_empty_list_and_a_cold_index_asks_for_a_worker))
