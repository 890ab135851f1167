/* SPDX-License-Identifier: Apache-2.0 */
/* An archive of years: what is read of it, what stays in memory, and that both answer alike. */
#include "archive_rows.h"
#include "log.h"
#include "storage_internal.h"
#include "storage_rig.h"
#include "temp_dir.h"
#include "test.h"

enum {
    ROWS = 6000, /* 864 KB in memory: one fits the limit of 1 MiB, two do not */
    HOUR_MS = 3600 * 1000
};
static const int64_t start_ms = 1500000000000;

struct fixture {
    struct temp_dir dir;
    struct storage_conf conf;
    struct kn_fake_clock clock;
    struct storage *storage;
    struct storage_id a, b;
};

static void open_storage(struct fixture *f)
{
    struct kn_err err = {0};
    assert_ok(storage_open(f->dir.path, &f->conf, kn_fs_system(), &f->clock.clock, &f->storage,
                           NULL, &err));
}

static void setup(struct fixture *f)
{
    *f = (struct fixture){.dir = temp_dir_new(), .conf = rig_conf()};
    f->conf.directory_bytes_max = MIB(1);
    f->conf.retention_slice_chunks = 500;
    kn_fake_clock_init(&f->clock, start_ms + (int64_t) ROWS * ARCHIVE_CHUNK_MS);
    open_storage(f);
    f->a = rig_stream(f->storage, "a", STORAGE_RETENTION_HOURS_MAX);
    f->b = rig_stream(f->storage, "b", STORAGE_RETENTION_HOURS_MAX);
    assert_ok(archive_rows_write(f->storage->meta, &f->a, ROWS, start_ms));
    assert_ok(archive_rows_write(f->storage->meta, &f->b, ROWS, start_ms));
    storage_close(f->storage);
    open_storage(f);
}

static void teardown(struct fixture *f)
{
    storage_close(f->storage);
    temp_dir_remove(&f->dir);
}

static bool is_whole(struct fixture *f, const struct storage_id *stream)
{
    struct storage_log *log = storage_log_peek(f->storage, stream);
    if (!log)
        return false;
    KN_LOCKED(&log->lock);
    return log->loaded;
}

/* All that is recorded from a time on, by rows alone. */
static uint64_t fragments_from(struct fixture *f, const struct storage_id *stream, int64_t from_ms)
{
    struct storage_span spans[4];
    size_t count;
    uint64_t fragments = 0;
    assert_ok(storage_coverage(f->storage, stream, from_ms, INT64_MAX, 5000, spans, 4, &count));
    for (size_t i = 0; i < count; i++)
        fragments += spans[i].fragments;
    return fragments;
}

static void assert_stats(struct fixture *f, const struct storage_id *stream, uint64_t chunks,
                         int64_t oldest_ms)
{
    struct storage_stream_stats stats;
    assert_ok(storage_stream_stats(f->storage, stream, &stats, false));
    assert_int_equal(stats.chunks, chunks);
    assert_int_equal(stats.fragments, chunks * ARCHIVE_FRAGMENTS);
    assert_int_equal(stats.bytes, chunks * ARCHIVE_BYTES);
    assert_in_range(stats.oldest_server_ts_ms, oldest_ms - 1, oldest_ms); /* the age floor */
}

TEST(an_upload_and_what_is_new_need_no_old_rows)
{
    struct fixture f;
    setup(&f);
    struct capture capture = capture_read("media/captures/sink360_h264_abs.mkv");
    struct rig_upload up;
    assert_ok(rig_upload_open(&up, f.storage, &f.a, false));
    rig_upload_header(&up, &capture);
    assert_ok(rig_upload_fragment(&up, &capture, 0, 0));
    rig_upload_close(&up);
    assert_ok(up.commits[0].result);
    assert_int_equal(up.commits[0].fragment.ordinal, ROWS * ARCHIVE_FRAGMENTS);
    rig_upload_done(&up);

    struct storage_query newest = {.order = STORAGE_BY_NUMBER, .newest_first = true};
    struct storage_fragment found;
    size_t count;
    assert_ok(storage_find(f.storage, &f.a, &newest, &found, 1, &count, true));
    assert_int_equal(count, 1);
    int64_t yesterday_ms = kn_wall_ms(&f.clock.clock) - 24 * HOUR_MS;
    assert_int_equal(fragments_from(&f, &f.a, yesterday_ms), 24 * 6 * ARCHIVE_FRAGMENTS + 1);
    assert_false(is_whole(&f, &f.a));

    assert_int_equal(fragments_from(&f, &f.a, 0), ROWS * ARCHIVE_FRAGMENTS + 1);
    assert_true(is_whole(&f, &f.a));
    capture_done(&capture);
    teardown(&f);
}

TEST(directories_past_their_memory_are_given_back_and_answer_alike)
{
    struct fixture f;
    setup(&f);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fragments_from(&f, &f.a, 0), ROWS * ARCHIVE_FRAGMENTS);
        assert_true(is_whole(&f, &f.a));
        assert_false(is_whole(&f, &f.b));
        assert_int_equal(fragments_from(&f, &f.b, 0), ROWS * ARCHIVE_FRAGMENTS);
        assert_true(is_whole(&f, &f.b));
        assert_false(is_whole(&f, &f.a));
        assert_stats(&f, &f.a, ROWS, start_ms + 1); /* the sums stay without the rows */
        assert_false(is_whole(&f, &f.a));
    }
    struct storage_log *log = storage_log_peek(f.storage, &f.a);
    assert_true(log->directory.cap * sizeof(*log->directory.rows) < KIB(64));
    teardown(&f);
}

static int shorter_retention(void *ctx, const struct storage_stream *now,
                             struct storage_stream_draft *draft)
{
    (void) now;
    draft->retention_hours = *(const uint32_t *) ctx;
    return 0;
}

TEST(what_is_not_in_memory_is_trimmed_and_counted_too)
{
    struct fixture f;
    setup(&f);
    assert_stats(&f, &f.a, ROWS, start_ms + 1);
    assert_stats(&f, &f.b, ROWS, start_ms + 1); /* a's rows went for b's */
    assert_false(is_whole(&f, &f.a));
    struct storage_hold hold = {
        .name = KN_STR("h"), .from_ms = start_ms + 1, .to_ms = start_ms + 1};
    assert_ok(storage_hold_put(f.storage, &f.b, &hold));
    uint32_t hours = 100; /* 600 chunks */
    assert_ok(storage_stream_update(f.storage, KN_STR("a"), KN_STR(""), shorter_retention, &hours));
    assert_ok(storage_stream_update(f.storage, KN_STR("b"), KN_STR(""), shorter_retention, &hours));

    storage_keeper_round(f.storage);

    int64_t oldest_ms = start_ms + (int64_t) (ROWS - 600) * ARCHIVE_CHUNK_MS + 1;
    assert_false(is_whole(&f, &f.a));
    /* One that ended just when the rest began may still be there. */
    struct storage_stream_stats stats;
    assert_ok(storage_stream_stats(f.storage, &f.a, &stats, false));
    assert_in_range(stats.chunks, 600, 601);
    assert_in_range(stats.oldest_server_ts_ms, oldest_ms - 1, oldest_ms); /* the age floor */
    assert_ok(storage_stream_stats(f.storage, &f.b, &stats, false));
    assert_in_range(stats.chunks, 601, 602);
    assert_int_equal(stats.oldest_server_ts_ms, start_ms + 1);
    assert_int_equal(stats.kept_bytes, ARCHIVE_BYTES);
    assert_int_equal(fragments_from(&f, &f.a, 0), 600 * ARCHIVE_FRAGMENTS);
    assert_int_equal(fragments_from(&f, &f.b, 0), 601 * ARCHIVE_FRAGMENTS);
    teardown(&f);
}

TESTS_MAIN(TEST_OF(an_upload_and_what_is_new_need_no_old_rows),
           TEST_OF(directories_past_their_memory_are_given_back_and_answer_alike),
           TEST_OF(what_is_not_in_memory_is_trimmed_and_counted_too))
