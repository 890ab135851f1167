/* SPDX-License-Identifier: Apache-2.0 */
/* What goes, when, and in bounded steps: retention by age, memory streams, deletion, a full disk.
 */
#include "storage_internal.h"
#include "storage_rig.h"
#include "temp_dir.h"
#include "test.h"

#include "core/metrics.h"

enum {
    LOOKS_MAX = 6000, /* 10 ms apart, for what another thread does */
    FRAGMENTS = 3
}; /* whole ones in the capture that are used */
static const int64_t hour_ms = 3600 * 1000;

struct fixture {
    struct temp_dir dir;
    struct storage_conf conf;
    struct kn_fake_clock clock;
    struct storage *storage;
    struct capture capture;
    struct storage_id stream;
};

static void open_storage(struct fixture *f)
{
    struct kn_err err = {0};
    assert_ok(storage_open(f->dir.path, &f->conf, kn_fs_system(), &f->clock.clock, &f->storage,
                           NULL, &err));
}

static void setup(struct fixture *f, uint32_t retention_hours)
{
    *f = (struct fixture){.dir = temp_dir_new(), .conf = rig_conf()};
    f->conf.chunk_bytes_max = KIB(4); /* a chunk a fragment */
    f->conf.retention_slice_chunks = 2;
    kn_fake_clock_init(&f->clock, 1763851000000);
    open_storage(f);
    f->stream = rig_stream(f->storage, "cam", retention_hours);
    f->capture = capture_read("media/captures/sink360_h264_abs.mkv");
}

static void teardown(struct fixture *f)
{
    storage_close(f->storage);
    capture_done(&f->capture);
    temp_dir_remove(&f->dir);
}

/* Fragment by fragment, `step_ms` apart. */
static void upload(struct fixture *f, size_t count, int64_t step_ms)
{
    struct rig_upload up;
    assert_ok(rig_upload_open(&up, f->storage, &f->stream, false));
    rig_upload_header(&up, &f->capture);
    for (size_t i = 0; i < count; i++) {
        assert_ok(
            rig_upload_fragment(&up, &f->capture, i % FRAGMENTS, kn_wall_ms(&f->clock.clock)));
        rig_upload_settle(&up);
        kn_fake_clock_advance(&f->clock, step_ms);
    }
    rig_upload_close(&up);
    for (size_t i = 0; i < up.commit_count; i++)
        assert_ok(up.commits[i].result);
    rig_upload_done(&up);
}

static size_t list(struct fixture *f, struct storage_fragment *out, size_t cap)
{
    struct storage_query query = {.order = STORAGE_BY_NUMBER};
    size_t count;
    assert_ok(storage_find(f->storage, &f->stream, &query, out, cap, &count, false));
    return count;
}

TEST(fragments_older_than_the_retention_go_and_their_files_too)
{
    struct fixture f;
    setup(&f, 2);
    upload(&f, 6, hour_ms / 2); /* 0, 0.5 … 2.5 h; it is 3 h now */
    struct storage_fragment out[10];
    assert_int_equal(rig_chunk_files(f.dir.path), 6);

    assert_int_equal(list(&f, out, 10), 4); /* hidden at once … */
    storage_work_wait(f.storage);
    storage_keeper_round(f.storage); /* … and removed by the keeper, slice by slice */

    assert_int_equal(list(&f, out, 10), 4);
    assert_int_equal(out[0].ordinal, 2);
    assert_int_equal(rig_chunk_files(f.dir.path), 4);
    storage_close(f.storage);
    open_storage(&f);
    assert_int_equal(list(&f, out, 10), 4);
    assert_int_equal(out[0].ordinal, 2);
    teardown(&f);
}

static bool shows_age(double *ret)
{
    static const char series[] = "\nkinema_storage_oldest_fragment_age_seconds{stream=\"cam\"} ";
    struct kn_buf text;
    kn_buf_init(&text, MIB(1));
    assert_ok(kn_metrics_write(&text));
    assert_ok(kn_buf_append(&text, "", 1));
    const char *at = strstr((const char *) text.ptr, series);
    if (at)
        *ret = strtod(at + strlen(series), NULL);
    kn_buf_done(&text);
    return at;
}

TEST(the_age_of_the_oldest_fragment_is_a_metric_until_the_stream_is_gone)
{
    struct fixture f;
    double age_s = 0;
    setup(&f, 2);
    upload(&f, 2, hour_ms / 2); /* 0, 0.5 h; it is 1 h now */
    storage_work_wait(f.storage);
    storage_keeper_round(f.storage);
    assert_true(shows_age(&age_s));
    assert_float_equal(age_s, 3600, 1);

    kn_fake_clock_advance(&f.clock, hour_ms + hour_ms / 4); /* the first one is past its time */
    storage_keeper_round(f.storage);
    for (int i = 0; i < LOOKS_MAX && !shows_age(&age_s); i++) {
        usleep(10000); /* the new front is looked up meanwhile */
        storage_keeper_round(f.storage);
    }
    assert_true(shows_age(&age_s));
    assert_float_equal(age_s, 1.75 * 3600, 1);

    assert_ok(storage_stream_delete(f.storage, KN_STR("cam"), KN_STR("")));
    for (int i = 0; i < LOOKS_MAX && storage_stream_count(f.storage) > 0; i++)
        usleep(10000);
    assert_int_equal(storage_stream_count(f.storage), 0);
    assert_false(shows_age(&age_s));
    teardown(&f);
}

TEST(numbers_and_ordinals_go_on_when_everything_was_trimmed)
{
    struct fixture f;
    setup(&f, 1);
    upload(&f, 3, 1000);
    struct storage_fragment before[4], after[4];
    assert_int_equal(list(&f, before, 4), 3);
    storage_work_wait(f.storage);
    kn_fake_clock_advance(&f.clock, 5 * hour_ms);
    storage_keeper_round(f.storage); /* seals the aged open chunk … */
    storage_work_wait(f.storage);
    storage_keeper_round(f.storage); /* … which then goes */
    assert_int_equal(rig_chunk_files(f.dir.path), 0);
    storage_close(f.storage);
    f.clock.wall_ms -= 10 * hour_ms; /* and the clock is set back */
    open_storage(&f);

    upload(&f, 1, 1000);

    f.clock.wall_ms += 10 * hour_ms - 5 * hour_ms;
    assert_int_equal(list(&f, after, 4), 1);
    assert_int_equal(after[0].ordinal, 3);
    assert_true(after[0].number.seq > before[2].number.seq);
    assert_true(after[0].number.server_ts_ms > before[2].number.server_ts_ms);
    teardown(&f);
}

TEST(a_reader_of_a_trimmed_fragment_is_told)
{
    struct fixture f;
    setup(&f, 1);
    upload(&f, 2, 1000);
    struct storage_fragment out[4];
    assert_int_equal(list(&f, out, 4), 2);
    storage_work_wait(f.storage);
    kn_fake_clock_advance(&f.clock, 5 * hour_ms);
    uint64_t seen = kn_gate_value(storage_tail_gate(f.storage, &f.stream));
    storage_keeper_round(f.storage);

    uint8_t byte;
    struct iovec iov = {&byte, 1};
    assert_int_equal(storage_read(f.storage, &f.stream, &out[0], 0, &iov, 1, false), -ENOENT);
    assert_true(kn_gate_value(storage_tail_gate(f.storage, &f.stream)) > seen);
    teardown(&f);
}

TEST(a_memory_stream_keeps_five_minutes)
{
    struct fixture f;
    setup(&f, 0);
    f.storage->conf.memory_stream_ms_max = 5 * 60 * 1000;
    upload(&f, 6, 2 * 60 * 1000); /* 0, 2, 4, 6, 8, 10 minutes; it is 12 now */
    struct storage_fragment out[10];

    storage_keeper_round(f.storage);

    size_t count = list(&f, out, 10);
    assert_true(count >= 2 && count <= 3);
    assert_ok(rig_compare(f.storage, &f.stream, &out[count - 1], &f.capture, 5 % FRAGMENTS));
    teardown(&f);
}

static int edit_retention(void *ctx, const struct storage_stream *now,
                          struct storage_stream_draft *draft)
{
    (void) now;
    draft->retention_hours = *(const uint32_t *) ctx;
    return 0;
}

static void set_retention(struct fixture *f, uint32_t hours)
{
    assert_ok(storage_stream_update(f->storage, KN_STR("cam"), (struct kn_str){NULL, 0},
                                    edit_retention, &hours));
}

TEST(what_memory_gives_up_hides_nothing_that_is_on_disk)
{
    struct fixture f;
    setup(&f, 24);
    upload(&f, 3, 1000);
    set_retention(&f, 0);
    upload(&f, 2, 1000);
    set_retention(&f, 24);
    struct storage_fragment out[10];
    assert_int_equal(list(&f, out, 10), 5);

    kn_fake_clock_advance(&f.clock, hour_ms);
    storage_keeper_round(f.storage); /* closes the open chunk in memory … */
    storage_keeper_round(f.storage); /* … which then goes */
    assert_int_equal(list(&f, out, 10), 3);
    for (size_t i = 0; i < 3; i++)
        assert_ok(rig_compare(f.storage, &f.stream, &out[i], &f.capture, i));
    teardown(&f);
}

TEST(a_deleted_stream_leaves_no_file)
{
    struct fixture f;
    setup(&f, 24);
    upload(&f, 5, 1000);
    assert_ok(storage_stream_delete(f.storage, KN_STR("cam"), KN_STR("")));

    struct storage_fragment out[4];
    assert_int_equal(list(&f, out, 4), 0);
    struct rig_upload up;
    assert_int_equal(rig_upload_open(&up, f.storage, &f.stream, false), -ENOENT);
    storage_close(f.storage); /* the drop ends now or at the next start */
    open_storage(&f);
    for (int i = 0; i < LOOKS_MAX && storage_stream_count(f.storage) > 0; i++)
        usleep(10000);

    assert_int_equal(storage_stream_count(f.storage), 0);
    assert_int_equal(rig_chunk_files(f.dir.path), 0);
    f.stream = rig_stream(f.storage, "cam", 24);
    upload(&f, 1, 1000);
    assert_int_equal(list(&f, out, 4), 1);
    teardown(&f);
}

TEST(coverage_joins_what_lies_close)
{
    struct fixture f;
    setup(&f, 100);
    upload(&f, 3, 1000);
    kn_fake_clock_advance(&f.clock, hour_ms);
    upload(&f, 2, 1000);
    struct storage_span spans[8];
    size_t count;

    assert_ok(storage_coverage(f.storage, &f.stream, 0, INT64_MAX, 5000, spans, 8, &count));
    assert_int_equal(count, 2);
    assert_int_equal(spans[0].fragments, 3);
    assert_int_equal(spans[1].fragments, 2);
    assert_int_equal(spans[0].from_ms, 1763851000000 + 1); /* the chunk's name took the first ms */
    assert_ok(storage_coverage(f.storage, &f.stream, 0, INT64_MAX, 2 * hour_ms, spans, 8, &count));
    assert_int_equal(count, 1);
    assert_int_equal(spans[0].fragments, 5);
    assert_ok(storage_coverage(f.storage, &f.stream, spans[0].from_ms + 500, INT64_MAX, 5000, spans,
                               8, &count));
    assert_int_equal(spans[0].fragments, 2);
    teardown(&f);
}

TEST(below_the_floor_uploads_are_refused)
{
    struct fixture f;
    setup(&f, 24);
    f.storage->conf.volume_free_bytes_min = UINT64_MAX / 2;
    storage_space_check(f.storage);
    struct rig_upload up;

    assert_int_equal(rig_upload_open(&up, f.storage, &f.stream, false), -ENOSPC);

    f.storage->conf.volume_free_bytes_min = 0;
    storage_space_check(f.storage);
    upload(&f, 1, 1000);
    teardown(&f);
}

TEST(below_the_floor_what_is_kept_in_memory_goes_on)
{
    struct fixture f;
    setup(&f, 0);
    f.storage->conf.volume_free_bytes_min = UINT64_MAX / 2;
    storage_space_check(f.storage);

    upload(&f, 2, 1000);

    struct storage_fragment found[4];
    assert_int_equal(list(&f, found, 4), 2);
    teardown(&f);
}

TEST(what_ails_the_folder_is_told_until_it_is_over)
{
    struct fixture f;
    setup(&f, 24);
    assert_int_equal(storage_ailments(f.storage), 0);
    f.storage->conf.volume_free_bytes_min = UINT64_MAX / 4;
    f.storage->conf.volume_margin_bytes = 1;
    storage_keeper_round(f.storage);
    assert_int_equal(storage_ailments(f.storage),
                     STORAGE_VOLUME_FULL | STORAGE_RETENTION_EXHAUSTED);

    f.storage->conf.volume_free_bytes_min = 1;
    storage_keeper_round(f.storage);
    assert_int_equal(storage_ailments(f.storage), 0);
    teardown(&f);
}

TESTS_MAIN(TEST_OF(fragments_older_than_the_retention_go_and_their_files_too),
           TEST_OF(the_age_of_the_oldest_fragment_is_a_metric_until_the_stream_is_gone),
           TEST_OF(numbers_and_ordinals_go_on_when_everything_was_trimmed),
           TEST_OF(a_reader_of_a_trimmed_fragment_is_told),
           TEST_OF(a_memory_stream_keeps_five_minutes),
           TEST_OF(what_memory_gives_up_hides_nothing_that_is_on_disk),
           TEST_OF(a_deleted_stream_leaves_no_file), TEST_OF(coverage_joins_what_lies_close),
           TEST_OF(below_the_floor_uploads_are_refused),
           TEST_OF(below_the_floor_what_is_kept_in_memory_goes_on),
           TEST_OF(what_ails_the_folder_is_told_until_it_is_over))
