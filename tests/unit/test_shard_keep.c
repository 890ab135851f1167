/* SPDX-License-Identifier: Apache-2.0 */
/* The logs of shards in operation: what cannot be written, what is kept and for how long. */
#include "shard_rig.h"

#include "core/metrics.h"

/* Appends until it is refused; what was acknowledged. */
static uint64_t append_until_refused(struct shard_rig *f, uint64_t number, int *ret_result)
{
    struct storage_batch *batch;
    struct shard_waiter w;
    for (*ret_result = 0; *ret_result == 0 && number < 100000;) {
        assert_ok(storage_batch_new(f->storage, &batch));
        shard_rig_add(f, batch, number, NULL);
        *ret_result = shard_rig_wait(f->shard, batch, &w);
        number += *ret_result == 0;
    }
    return number;
}

static void one_shard_is_stuck(int error, bool in_flushes)
{
    struct shard_rig f = shard_rig_setup(KIB(64));
    f.conf.shard_memory_bytes_max = MIB(1);
    shard_rig_reopen(&f);
    struct storage_shard *other;
    struct storage_id other_id = {{9}};
    char id[STORAGE_ID_TEXT_BYTES];
    storage_id_text(&f.id, id);
    shard_disk_set_folder("/shards/%s", id);
    assert_ok(storage_shard_open(f.storage, &other_id, INT64_MAX, &other));
    for (uint64_t n = 0; n < 1000; n += 40)
        shard_rig_append(&f, n, 40);

    if (in_flushes)
        shard_disk.folder_flush_error = error;
    else
        shard_disk.folder_error = error;
    int result;
    uint64_t end = append_until_refused(&f, 1000, &result);
    assert_int_equal(result, error);
    assert_true(end > 1000 && end < 100000);
    for (uint64_t n = 0; n < 4000; n += 40) /* many times what the journals hold */
        assert_int_equal(shard_rig_append_to(&f, other, n, 40), n);
    if (in_flushes)
        shard_rig_assert_reads(f.shard, 0, end, 1000);
    storage_shard_unref(other);
    shard_rig_reopen(&f); /* nothing has been mended meanwhile */
    assert_int_equal(f.report.bad_frames, 0);
    assert_ok(storage_shard_open(f.storage, &other_id, INT64_MAX, &other));
    for (uint64_t n = 4000; n < 8000; n += 40)
        assert_int_equal(shard_rig_append_to(&f, other, n, 40), n);

    shard_disk.folder_error = shard_disk.folder_flush_error = 0;
    for (uint64_t n = 8000; n < 12000; n += 40)
        assert_int_equal(shard_rig_append_to(&f, other, n, 40), n);
    for (int i = 0; i < 2; i++) {
        shard_rig_assert_reads(f.shard, 0, end, 1000);
        assert_int_equal(shard_rig_append(&f, end, 1), end);
        end++;
        storage_shard_unref(other);
        shard_rig_reopen(&f);
        assert_true(f.report.records < 2000); /* nothing is held any more */
        assert_ok(storage_shard_open(f.storage, &other_id, INT64_MAX, &other));
    }
    shard_rig_assert_reads(other, 0, 12000, 1000);
    storage_shard_unref(other);
    shard_rig_teardown(&f);
}

TEST(a_shard_whose_files_are_damaged_stops_no_other)
{
    one_shard_is_stuck(-EIO, false);
}

TEST(a_shard_whose_folder_is_full_stops_no_other)
{
    one_shard_is_stuck(-ENOSPC, false);
}

TEST(a_shard_whose_flushes_fail_stops_no_other)
{
    one_shard_is_stuck(-EIO, true);
}

TEST(a_shard_that_is_dropped_while_it_is_stuck_does_not_come_back)
{
    struct shard_rig f = shard_rig_setup(KIB(64));
    struct storage_shard *other;
    struct storage_id other_id = {{9}};
    char id[STORAGE_ID_TEXT_BYTES];
    storage_id_text(&f.id, id);
    shard_disk_set_folder("/shards/%s", id);
    shard_disk.folder_error = -EIO;
    assert_ok(storage_shard_open(f.storage, &other_id, INT64_MAX, &other));
    shard_rig_append(&f, 0, 10);
    for (uint64_t n = 0; n < 4000; n += 40)
        assert_int_equal(shard_rig_append_to(&f, other, n, 40), n);

    shard_disk.folder_error = 0;
    assert_ok(storage_shard_drop(f.storage, &f.id));
    for (uint64_t n = 4000; n < 8000; n += 40)
        assert_int_equal(shard_rig_append_to(&f, other, n, 40), n);
    storage_shard_unref(other);

    shard_rig_reopen(&f); /* its mark is forgotten, so that it can be made anew */
    struct storage_shard_ends ends;
    storage_shard_ends(f.shard, &ends);
    assert_int_equal(ends.next, 0);
    assert_int_equal(shard_rig_append(&f, 0, 1), 0);
    shard_rig_teardown(&f);
}

static struct storage_shard_source source_of(uint32_t number, uint64_t seq)
{
    struct storage_shard_source source = {.seq = seq};
    uint32_t mixed = number * 2654435761u; /* no order that matters */
    memcpy(source.id.bytes, &mixed, sizeof(mixed));
    return source;
}

static int append_source(struct shard_rig *f, uint32_t number, uint32_t count, uint64_t seq)
{
    struct storage_batch *batch;
    struct shard_waiter w;
    uint8_t *dst;
    assert_ok(storage_batch_new(f->storage, &batch));
    for (uint32_t i = 0; i < count; i++) {
        struct storage_shard_source source = source_of(number + i, seq);
        assert_ok(storage_batch_add(batch, KN_STR("k"), 0, &source, 0, &dst));
    }
    return shard_rig_wait(f->shard, batch, &w);
}

TEST(a_shard_knows_so_many_sources_and_refuses_the_next_by_name)
{
    struct shard_rig f = shard_rig_setup(MIB(1));
    for (uint32_t n = 0; n < STORAGE_SHARD_SOURCES_MAX; n += 500)
        assert_ok(append_source(&f, n, 500, n + 1));

    for (int i = 0; i < 2; i++) { /* from the journal, then from its row */
        assert_int_equal(append_source(&f, STORAGE_SHARD_SOURCES_MAX, 1, 1), -EDQUOT);
        assert_ok(append_source(&f, 7, 1, 100 + (uint64_t) i)); /* the known ones go on */
        struct storage_shard_source known = source_of(7, 0), last = source_of(19999, 0);
        assert_int_equal(storage_shard_source_seq(f.shard, &known.id), 100 + i);
        assert_int_equal(storage_shard_source_seq(f.shard, &last.id), 19501);
        for (uint64_t n = 0; n < 8000; n += 100)
            shard_rig_append(&f, n, 100);
        shard_rig_reopen(&f);
    }
    struct storage_shard_source gone = source_of(3, 0);
    storage_shard_source_gone(f.shard, &gone.id);
    assert_int_equal(storage_shard_source_seq(f.shard, &gone.id), 0);
    assert_ok(append_source(&f, STORAGE_SHARD_SOURCES_MAX, 1, 5));
    struct storage_shard_source added = source_of(STORAGE_SHARD_SOURCES_MAX, 0);
    assert_int_equal(storage_shard_source_seq(f.shard, &added.id), 5);
    shard_rig_teardown(&f);
}

/* Shards with old records that nobody has open after a restart. */
enum {
    IDLE = 300,
};

static struct storage_id idle_id(unsigned number)
{
    return (struct storage_id){
        {(uint8_t) (number * 37), (uint8_t) (number >> 8), (uint8_t) number, 1}
    };
}

static void append_to_idle(struct shard_rig *f, unsigned number, int64_t retention_ms, bool close)
{
    struct storage_shard *shard;
    struct storage_id id = idle_id(number);
    uint64_t end;
    assert_ok(storage_shard_open(f->storage, &id, retention_ms, &shard));
    assert_int_equal(shard_rig_append_to(f, shard, 0, 3), 0);
    if (close)
        assert_ok(storage_shard_close(shard, &end));
    storage_shard_unref(shard);
}

static int count_entry(void *ctx, const char *name, bool is_dir)
{
    (void) name;
    (void) is_dir;
    ++*(size_t *) ctx;
    return 0;
}

static size_t entries_of(struct shard_rig *f, const char *folder)
{
    char path[200];
    size_t count = 0;
    snprintf(path, sizeof(path), "%s/shards/%s", f->dir.path, folder);
    int r = kn_fs_system()->ops->list(kn_fs_system(), path, count_entry, &count);
    assert_true(r == 0 || r == -ENOENT);
    return count;
}

static size_t files_of(struct shard_rig *f, unsigned number)
{
    char text[STORAGE_ID_TEXT_BYTES];
    struct storage_id id = idle_id(number);
    storage_id_text(&id, text);
    return entries_of(f, text);
}

static void fill_journals(struct shard_rig *f)
{
    struct storage_shard_ends ends;
    storage_shard_ends(f->shard, &ends);
    for (uint64_t n = 0; n < 2000; n += 40)
        shard_rig_append(f, n, 40);
}

/* As the thread does it. */
static void retire(struct shard_rig *f)
{
    do
        assert_ok(storage_shards_retire(f->storage->shards));
    while (f->storage->shards->retire_more);
}

TEST(old_records_go_also_of_shards_that_nobody_opens)
{
    struct shard_rig f = shard_rig_setup(KIB(64));
    for (unsigned i = 0; i < IDLE; i++)
        append_to_idle(&f, i, i == 5 ? 100000 : 1000, i % 2);
    fill_journals(&f);
    shard_rig_reopen(&f);
    fill_journals(&f);
    assert_int_equal(files_of(&f, 3), 1);

    shard_clock.wall_ms += 5000;
    retire(&f);

    for (unsigned i = 0; i < IDLE; i++)
        assert_int_equal(files_of(&f, i), i == 5);
    assert_int_equal(entries_of(&f, ""), IDLE / 2 + 2); /* closed ones have no folder either */
    for (unsigned i = 3; i < 6; i++) {
        struct storage_shard *shard;
        struct storage_shard_ends ends;
        struct storage_id id = idle_id(i);
        assert_ok(storage_shard_open(f.storage, &id, i == 5 ? 100000 : 1000, &shard));
        storage_shard_ends(shard, &ends);
        assert_int_equal(ends.next, 3);
        assert_int_equal(ends.oldest, i == 5 ? 0 : 3);
        assert_int_equal(ends.records, i == 5 ? 3 : 0);
        assert_int_equal(ends.closed, i % 2);
        storage_shard_unref(shard);
    }
    shard_rig_teardown(&f);
}

TEST(what_was_said_last_of_retention_holds_for_shards_that_nobody_opens)
{
    struct shard_rig f = shard_rig_setup(KIB(64));
    struct storage_shard *shard;
    struct storage_id ids[] = {idle_id(0), idle_id(1), idle_id(2)};
    for (unsigned i = 0; i < 2; i++)
        append_to_idle(&f, i, 1000, false);
    append_to_idle(&f, 2, 100000, false);
    fill_journals(&f);
    shard_rig_reopen(&f);
    fill_journals(&f);

    assert_ok(storage_shards_store_retention(f.storage->meta, ids, 1, 100000));
    assert_ok(storage_shard_open(f.storage, &ids[2], 100000, &shard));
    storage_shard_set_retention(shard, 500); /* its row is told by and by */
    retire(&f);
    storage_shard_unref(shard);
    shard_rig_reopen(&f);
    fill_journals(&f);
    shard_clock.wall_ms += 5000;
    retire(&f);

    assert_int_equal(files_of(&f, 0), 1);
    assert_int_equal(files_of(&f, 1), 0);
    assert_int_equal(files_of(&f, 2), 0);
    shard_rig_teardown(&f);
}

/* --- space ------------------------------------------------------------------------------------ */
static void upload(struct shard_rig *f, const struct storage_id *stream)
{
    struct capture capture = capture_read("media/captures/sink360_h264_abs.mkv");
    struct rig_upload up;
    assert_ok(rig_upload_open(&up, f->storage, stream, false));
    rig_upload_header(&up, &capture);
    assert_ok(rig_upload_fragment(&up, &capture, 0, kn_wall_ms(&shard_clock.clock)));
    rig_upload_settle(&up);
    rig_upload_close(&up);
    rig_upload_done(&up);
    capture_done(&capture);
}

/* So many files make up for what is missing. */
static void run_short_of_space(struct shard_rig *f, unsigned files)
{
    f->storage->conf.volume_free_bytes_min = MIB(64);
    f->storage->conf.volume_margin_bytes = MIB(64);
    shard_disk.file_bytes = MIB(160 - 100) / files;
    shard_disk.free_bytes = MIB(100);
}

TEST(short_of_space_the_oldest_of_media_and_shards_go_first)
{
    struct shard_rig f = shard_rig_setup(KIB(64));
    const int64_t hour_ms = 3600 * 1000;
    struct storage_id stream = rig_stream(f.storage, "cam", 1000);
    append_to_idle(&f, 0, INT64_MAX, false);
    kn_fake_clock_advance(&shard_clock, 2 * hour_ms);
    upload(&f, &stream);
    kn_fake_clock_advance(&shard_clock, 2 * hour_ms);
    storage_keeper_round(f.storage); /* seals the chunk */
    storage_work_wait(f.storage);
    append_to_idle(&f, 1, INT64_MAX, false);
    kn_fake_clock_advance(&shard_clock, 2 * hour_ms);
    append_to_idle(&f, 2, INT64_MAX, false);
    fill_journals(&f);
    shard_rig_reopen(&f);
    fill_journals(&f);

    run_short_of_space(&f, 2);
    storage_keeper_round(f.storage);
    assert_int_equal(files_of(&f, 0), 0);
    assert_int_equal(rig_chunk_files(f.dir.path), 0);
    assert_int_equal(files_of(&f, 1), 1);

    run_short_of_space(&f, 100); /* more than there is */
    storage_keeper_round(f.storage);
    assert_int_equal(files_of(&f, 1), 0);
    assert_int_equal(files_of(&f, 2), 1); /* it is young, and records may be added to it */
    struct storage_shard *shard;
    struct storage_shard_ends ends;
    struct storage_id id = idle_id(1);
    assert_ok(storage_shard_open(f.storage, &id, INT64_MAX, &shard));
    storage_shard_ends(shard, &ends);
    assert_int_equal(ends.next, 3);
    assert_int_equal(ends.records, 0);
    storage_shard_unref(shard);
    shard_rig_teardown(&f);
}

TEST(below_the_volumes_floor_records_are_refused_and_closing_is_not)
{
    struct shard_rig f = shard_rig_setup(KIB(64));
    struct storage_batch *batch;
    struct shard_waiter w;
    uint64_t end;
    shard_rig_append(&f, 0, 5);
    f.storage->conf.volume_free_bytes_min = UINT64_MAX / 2;
    storage_space_check(f.storage);

    assert_ok(storage_batch_new(f.storage, &batch));
    shard_rig_add(&f, batch, 5, NULL);
    assert_int_equal(shard_rig_wait(f.shard, batch, &w), -ENOSPC);
    shard_rig_assert_reads(f.shard, 0, 5, 100);

    f.storage->conf.volume_free_bytes_min = 0;
    storage_space_check(f.storage);
    assert_int_equal(shard_rig_append(&f, 5, 1), 5);
    f.storage->conf.volume_free_bytes_min = UINT64_MAX / 2;
    storage_space_check(f.storage);
    assert_ok(storage_shard_close(f.shard, &end));
    assert_int_equal(end, 6);
    shard_rig_teardown(&f);
}

/* --- metrics ---------------------------------------------------------------------------------- */
static double metric(const char *series)
{
    struct kn_buf text;
    char line[120];
    kn_buf_init(&text, MIB(4));
    assert_ok(kn_metrics_write(&text));
    assert_ok(kn_buf_append(&text, "", 1));
    snprintf(line, sizeof(line), "\nkinema_shard_%s ", series);
    const char *at = strstr((const char *) text.ptr, line);
    double value = at ? strtod(at + strlen(line), NULL) : 0;
    kn_buf_done(&text);
    return value;
}

TEST(what_the_logs_do_is_counted)
{
    struct shard_rig f = shard_rig_setup(KIB(64));
    const char *done = "append_records_total{outcome=\"done\"}";
    const char *refused = "append_records_total{outcome=\"no_space\"}";
    double had_done = metric(done), had_refused = metric(refused);
    double had_flushes = metric("flush_seconds_count{}"),
           had_made = metric("made_segments_total{}");
    double had_open = metric("open{}");
    struct storage_batch *batch;
    struct shard_waiter w;

    append_to_idle(&f, 0, 1000, false);
    fill_journals(&f);
    assert_true(metric(done) - had_done == 2003);
    assert_true(metric("flush_seconds_count{}") - had_flushes >= 51);
    assert_true(metric("open{}") >= had_open); /* the rig's shard was open before */

    f.storage->no_space = true;
    assert_ok(storage_batch_new(f.storage, &batch));
    shard_rig_add(&f, batch, 5, NULL);
    assert_int_equal(shard_rig_wait(f.shard, batch, &w), -ENOSPC);
    f.storage->no_space = false;
    assert_true(metric(refused) - had_refused == 1);

    shard_rig_reopen(&f);
    fill_journals(&f);
    assert_true(metric("made_segments_total{}") - had_made >= 2);
    double had_removed = metric("removed_segments_total{rule=\"age\"}");
    shard_clock.wall_ms += 5000;
    retire(&f);
    assert_true(metric("removed_segments_total{rule=\"age\"}") - had_removed == 1);
    shard_rig_teardown(&f);
    assert_true(metric("open{}") == had_open - 1);
}

/* The segment's row is made, the shard's own is not. */
TEST(what_lies_in_a_segment_is_not_written_once_more)
{
    struct shard_rig f = shard_rig_setup(KIB(64));
    struct storage_meta *meta = storage_meta_of(f.storage);
    char text[STORAGE_SHARD_KEY_BYTES];
    struct kn_bytes key = storage_shard_key(&f.id, text);
    struct kn_buf had;
    uint64_t version;
    for (uint64_t n = 0; n < 1000; n += 10)
        shard_rig_append(&f, n, 10);
    kn_buf_init(&had, MIB(1));
    int r;
    do { /* a checkpoint may come between */
        kn_buf_clear(&had);
        assert_ok(storage_meta_get(meta, key, &had, &version));
        r = storage_meta_put(meta, key, kn_bytes_of(KN_STR("unreadable")), version, &version);
    } while (r == -ESTALE);
    assert_ok(r);
    storage_shard_set_retention(f.shard, INT64_MAX - 1); /* else the row is left as it is */
    for (uint64_t n = 1000; n < 2000; n += 10)
        shard_rig_append(&f, n, 10);
    assert_ok(storage_meta_put(meta, key, kn_buf_bytes(&had), version, &version));
    kn_buf_done(&had);
    for (uint64_t n = 2000; n < 3000; n += 10)
        shard_rig_append(&f, n, 10);

    for (int i = 0; i < 2; i++) {
        shard_rig_assert_reads(f.shard, 0, 3000, 1000);
        shard_rig_reopen(&f);
    }
    shard_rig_teardown(&f);
}

TESTS_MAIN(TEST_OF(what_lies_in_a_segment_is_not_written_once_more),
           TEST_OF(a_shard_whose_files_are_damaged_stops_no_other),
           TEST_OF(a_shard_whose_folder_is_full_stops_no_other),
           TEST_OF(a_shard_whose_flushes_fail_stops_no_other),
           TEST_OF(a_shard_that_is_dropped_while_it_is_stuck_does_not_come_back),
           TEST_OF(a_shard_knows_so_many_sources_and_refuses_the_next_by_name),
           TEST_OF(old_records_go_also_of_shards_that_nobody_opens),
           TEST_OF(what_was_said_last_of_retention_holds_for_shards_that_nobody_opens),
           TEST_OF(short_of_space_the_oldest_of_media_and_shards_go_first),
           TEST_OF(below_the_volumes_floor_records_are_refused_and_closing_is_not),
           TEST_OF(what_the_logs_do_is_counted))
