/* SPDX-License-Identifier: Apache-2.0 */
/* What a stream's sums are over restarts, orderly or not: those of the rows in the catalogue. */
#include "archive_rows.h"
#include "log.h"
#include "storage_internal.h"
#include "storage_rig.h"
#include "temp_dir.h"
#include "test.h"

#include <stdio.h>

enum {
    ROWS = 700,
    HOURS = 100, /* 600 chunks */
    STREAMS = 2,
    STEPS = 40,
    ROUNDS = 6,
};
static const int64_t start_ms = 1500000000000;

struct fixture {
    struct temp_dir dir;
    struct storage_conf conf;
    struct kn_fake_clock clock;
    struct storage *storage;
    struct storage_id streams[STREAMS];
    struct capture capture;
    unsigned holds, uploads;
};

/* Without the keeper's thread: its rounds are this test's. */
static void open_storage(struct fixture *f)
{
    struct kn_err err = {0};
    assert_ok(storage_open(f->dir.path, &f->conf, kn_fs_system(), &f->clock.clock, &f->storage,
                           NULL, &err));
    storage_keeper_stop(f->storage);
}

/* Killed: nothing is written that an orderly end writes. */
static void reopen(struct fixture *f, bool killed)
{
    storage_work_wait(f->storage);
    f->storage->failed = killed;
    storage_close(f->storage);
    open_storage(f);
}

static void setup(struct fixture *f)
{
    *f = (struct fixture){.dir = temp_dir_new(), .conf = rig_conf()};
    f->conf.directory_bytes_max = 1; /* whichever is read, the others' rows go */
    f->conf.retention_slice_chunks = 50;
    kn_fake_clock_init(&f->clock, start_ms + (int64_t) ROWS * ARCHIVE_CHUNK_MS);
    f->capture = capture_read("media/captures/sink360_h264_abs.mkv");
    open_storage(f);
    for (unsigned i = 0; i < STREAMS; i++) {
        char name[8];
        snprintf(name, sizeof(name), "s%u", i);
        f->streams[i] = rig_stream(f->storage, name, HOURS);
        assert_ok(archive_rows_write(f->storage->meta, &f->streams[i], ROWS, start_ms));
    }
    reopen(f, false);
    storage_keeper_round(f->storage);
}

static void teardown(struct fixture *f)
{
    storage_close(f->storage);
    capture_done(&f->capture);
    temp_dir_remove(&f->dir);
}

/* --- counted row by row ----------------------------------------------------------------------- */
struct walked {
    uint64_t trim_seq, chunks, fragments, bytes, kept_bytes;
    int64_t oldest_ms;
};

static void count_row(struct walked *w, const struct storage_chunk_row *row)
{
    if (w->chunks++ == 0)
        w->oldest_ms = row->first_server_ts_ms;
    w->fragments += row->count;
    w->bytes += row->bytes;
    w->kept_bytes += row->kept ? row->bytes : 0;
}

static int on_row(void *ctx, struct kn_bytes key, struct kn_bytes value, uint64_t version)
{
    struct walked *w = ctx;
    struct storage_chunk_row row;
    (void) key;
    (void) version;
    assert_ok(storage_chunk_row_decode(value, &row));
    if (storage_row_last_seq(&row) > w->trim_seq || row.kept)
        count_row(w, &row);
    return 0;
}

static struct walked walk(struct fixture *f, const struct storage_id *stream)
{
    char key[STORAGE_CHUNK_KEY_BYTES];
    struct storage_numbers numbers = {0};
    struct kn_buf value;
    uint64_t version;
    kn_buf_init(&value, KIB(1));
    int r = storage_meta_get(f->storage->meta, storage_numbers_key(stream, key), &value, &version);
    assert_true(r == 0 || r == -ENOENT);
    if (r == 0)
        assert_ok(storage_numbers_decode(kn_buf_bytes(&value), &numbers));
    kn_buf_done(&value);
    struct walked w = {.trim_seq = numbers.trim_seq};
    assert_ok(storage_meta_list(f->storage->meta, storage_chunk_prefix('c', stream, key),
                                (struct kn_bytes){NULL, 0}, SIZE_MAX, on_row, &w));
    struct storage_log *log = storage_log_peek(f->storage, stream);
    assert_non_null(log);
    KN_LOCKED(&log->lock);
    for (size_t i = 0; i < log->directory.count; i++) { /* what is not sealed has no row yet */
        if (log->directory.rows[i].live && log->directory.rows[i].count > 0)
            count_row(&w, &log->directory.rows[i]);
    }
    return w;
}

static bool is_whole(struct fixture *f, const struct storage_id *stream)
{
    struct storage_log *log = storage_log_peek(f->storage, stream);
    KN_LOCKED(&log->lock);
    return log->loaded;
}

static void assert_sums(struct fixture *f, const struct storage_id *stream)
{
    struct storage_stream_stats stats;
    storage_work_wait(f->storage);
    assert_ok(storage_stream_stats(f->storage, stream, &stats, false));
    struct walked w = walk(f, stream);
    assert_int_equal(stats.chunks, w.chunks);
    assert_int_equal(stats.fragments, w.fragments);
    assert_int_equal(stats.bytes, w.bytes);
    assert_int_equal(stats.kept_bytes, w.kept_bytes);
    /* The age floor may lie in the oldest chunk. */
    if (w.chunks > 0)
        assert_in_range(stats.oldest_server_ts_ms, w.oldest_ms, w.oldest_ms + 2 * ARCHIVE_CHUNK_MS);
}

/* --- what happens to them --------------------------------------------------------------------- */
static void upload(struct fixture *f, const struct storage_id *stream)
{
    struct rig_upload up;
    assert_ok(rig_upload_open(&up, f->storage, stream, false));
    rig_upload_header(&up, &f->capture);
    kn_fake_clock_advance(&f->clock, 1000);
    assert_ok(rig_upload_fragment(&up, &f->capture, 0, 7000 * (int64_t) ++f->uploads));
    rig_upload_close(&up);
    assert_ok(up.commits[0].result);
    rig_upload_done(&up);
}

static void hold(struct fixture *f, const struct storage_id *stream, int64_t from_ms, int64_t to_ms)
{
    char name[16];
    snprintf(name, sizeof(name), "h%u", f->holds++);
    struct storage_hold hold = {.name = kn_str_from(name), .from_ms = from_ms, .to_ms = to_ms};
    assert_ok(storage_hold_put(f->storage, stream, &hold));
}

static void lift(struct fixture *f, const struct storage_id *stream, unsigned which)
{
    char name[16];
    snprintf(name, sizeof(name), "h%u", which);
    int r = storage_hold_remove(f->storage, stream, kn_str_from(name));
    assert_true(r == 0 || r == -ENOENT);
}

static void age(struct fixture *f, uint64_t chunks)
{
    kn_fake_clock_advance(&f->clock, (int64_t) chunks * ARCHIVE_CHUNK_MS);
    storage_keeper_round(f->storage);
}

static void read_all(struct fixture *f, const struct storage_id *stream)
{
    struct storage_span spans[4];
    size_t count;
    assert_ok(storage_coverage(f->storage, stream, 0, INT64_MAX, 5000, spans, 4, &count));
}

TEST(after_an_orderly_end_the_sums_need_no_old_rows)
{
    struct fixture f;
    setup(&f);
    const struct storage_id *stream = &f.streams[0];
    assert_sums(&f, stream); /* of a folder of before: all rows are read once */
    assert_true(is_whole(&f, stream));
    upload(&f, stream);
    for (int i = 0; i < 3; i++) { /* also when nobody asks for them between two ends */
        reopen(&f, false);
        if (i == 1)
            continue;
        assert_sums(&f, stream);
        assert_false(is_whole(&f, stream));
    }
    hold(&f, stream, start_ms + 300 * (int64_t) ARCHIVE_CHUNK_MS,
         start_ms + 301 * (int64_t) ARCHIVE_CHUNK_MS);
    age(&f, 250);
    reopen(&f, false);
    age(&f, 20); /* rows go before anybody has asked for the sums */
    assert_sums(&f, stream);
    assert_false(is_whole(&f, stream));
    teardown(&f);
}

TEST(after_a_kill_rows_are_counted_again)
{
    struct fixture f;
    setup(&f);
    const struct storage_id *stream = &f.streams[0];
    assert_sums(&f, stream);
    reopen(&f, false);
    assert_sums(&f, stream);
    assert_false(is_whole(&f, stream));
    age(&f, 10);
    reopen(&f, true);
    assert_sums(&f, stream);
    assert_true(is_whole(&f, stream));
    teardown(&f);
}

/* Whoever it was has left the mark, and the sums with it, alone. */
static void add_row(struct fixture *f, const struct storage_id *stream)
{
    struct storage_chunk_row row = archive_row(ROWS, start_ms);
    char path[150], key[STORAGE_CHUNK_KEY_BYTES];
    uint8_t value[STORAGE_CHUNK_ROW_BYTES];
    struct storage_meta *meta;
    struct kn_err err = {0};
    uint64_t version;
    snprintf(path, sizeof(path), "%s/catalogue", f->dir.path);
    assert_ok(storage_meta_open(path, MIB(64), &meta, &err));
    storage_chunk_row_encode(&row, value);
    assert_ok(storage_meta_put(meta, storage_chunk_key('c', stream, row.name.seq, key),
                               (struct kn_bytes){value, sizeof(value)}, 0, &version));
    storage_meta_close(meta);
}

TEST(sums_of_other_rows_than_those_found_are_not_believed)
{
    struct fixture f;
    setup(&f);
    struct storage_id stream = f.streams[0];
    assert_sums(&f, &stream);
    storage_close(f.storage);
    add_row(&f, &stream);
    open_storage(&f);
    assert_sums(&f, &stream);
    assert_true(is_whole(&f, &stream));
    teardown(&f);
}

TEST(a_stream_that_is_deleted_leaves_no_sums)
{
    struct fixture f;
    setup(&f);
    assert_sums(&f, &f.streams[0]);
    reopen(&f, false);
    char key[STORAGE_CHUNK_KEY_BYTES] = "cs/";
    uint64_t version;
    struct kn_buf value;
    kn_buf_init(&value, KIB(1));
    storage_id_text(&f.streams[0], key + 3);
    struct kn_bytes name = kn_bytes_of(kn_str_from(key));
    assert_ok(storage_meta_get(f.storage->meta, name, &value, &version));
    age(&f, 590);
    assert_ok(storage_log_drop(f.storage, &f.streams[0]));
    assert_int_equal(storage_meta_get(f.storage->meta, name, &value, &version), -ENOENT);
    kn_buf_done(&value);
    teardown(&f);
}

static void step(struct fixture *f, uint64_t *state)
{
    const struct storage_id *stream = &f->streams[test_random(state) % STREAMS];
    uint64_t what = test_random(state) % 8, at = test_random(state) % ROWS;
    int64_t ms = start_ms + (int64_t) at * ARCHIVE_CHUNK_MS;
    if (what == 0)
        upload(f, stream);
    else if (what == 1)
        reopen(f, false);
    else if (what == 2)
        reopen(f, test_random(state) % 2);
    else if (what == 3)
        hold(f, stream, ms, ms + (int64_t) (test_random(state) % 40) * ARCHIVE_CHUNK_MS);
    else if (what == 4)
        lift(f, stream, f->holds ? (unsigned) (at % f->holds) : 0);
    else if (what == 5)
        age(f, test_random(state) % 40);
    else if (what == 6)
        read_all(f, stream);
    else
        storage_keeper_round(f->storage);
}

TEST(whatever_happens_the_sums_are_those_of_the_rows)
{
    uint64_t first = test_seed() % 1000000;
    for (uint64_t seed = first; seed < first + ROUNDS; seed++) {
        uint64_t state = seed * 0x9E3779B97F4A7C15u + 1;
        struct fixture f;
        print_message("round %" PRIu64 "\n", seed);
        setup(&f);
        for (unsigned i = 0; i < STEPS; i++) {
            step(&f, &state);
            for (unsigned s = 0; s < STREAMS; s++) {
                if (test_random(&state) % 2)
                    assert_sums(&f, &f.streams[s]);
            }
        }
        teardown(&f);
    }
}

TESTS_MAIN(TEST_OF(after_an_orderly_end_the_sums_need_no_old_rows),
           TEST_OF(after_a_kill_rows_are_counted_again),
           TEST_OF(sums_of_other_rows_than_those_found_are_not_believed),
           TEST_OF(a_stream_that_is_deleted_leaves_no_sums),
           TEST_OF(whatever_happens_the_sums_are_those_of_the_rows))
