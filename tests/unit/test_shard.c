/* SPDX-License-Identifier: Apache-2.0 */
/* The logs of shards over a real folder: appending, reading, checkpoints, restart. */
#include "storage_rig.h"
#include "temp_dir.h"
#include "test.h"

#include "shard/shards.h"

/* The real disk, on which flushes by the thread that commits can be made to fail. */
static struct bad_disk {
    struct kn_fs fs;
    struct kn_fs_ops ops;
    _Atomic int flushes_to_fail;
} bad;

static int bad_open(struct kn_fs *fs, const char *path, int flags, struct kn_file **ret)
{
    (void) fs;
    int r = kn_fs_system()->ops->open(kn_fs_system(), path, flags, ret);
    if (r == 0)
        (*ret)->fs = &bad.fs;
    return r;
}

static int bad_sync(struct kn_file *file)
{
    char name[16] = "";
    (void) pthread_getname_np(pthread_self(), name, sizeof(name));
    if (bad.flushes_to_fail > 0 && strcmp(name, "shard-commit") == 0) {
        bad.flushes_to_fail--;
        return -EIO;
    }
    return kn_fs_system()->ops->sync(file);
}

static struct kn_fake_clock now; /* of the test under way */

struct fixture {
    struct temp_dir dir;
    struct storage_shard_conf conf;
    struct storage *storage;
    struct storage_shards_report report;
    struct storage_id id;
    struct storage_shard *shard;
};

static void open_all(struct fixture *f)
{
    struct kn_err err = {0};
    struct storage_conf conf = rig_conf();
    assert_ok(storage_open(f->dir.path, &conf, &bad.fs, &now.clock, &f->storage, NULL, &err));
    f->report = (struct storage_shards_report){0};
    int r = storage_shards_start(f->storage, &f->conf, &f->report, &err);
    if (r < 0)
        print_error("%s\n", err.text);
    assert_ok(r);
    assert_ok(storage_shard_open(f->storage, &f->id, INT64_MAX, &f->shard));
}

static void close_all(struct fixture *f)
{
    storage_shard_unref(f->shard);
    storage_close(f->storage);
}

static void reopen(struct fixture *f)
{
    close_all(f);
    open_all(f);
}

static struct fixture setup(uint64_t journal_bytes)
{
    bad = (struct bad_disk){.ops = *kn_fs_system()->ops};
    bad.ops.open = bad_open;
    bad.ops.sync = bad_sync;
    bad.fs.ops = &bad.ops;
    struct fixture f = {.dir = temp_dir_new(), .id = {{1, 2, 3}}};
    struct kn_conf_table table = {.title = "shards",
                                  .keys = storage_shard_conf_keys,
                                  .count = storage_shard_conf_key_count,
                                  .target = &f.conf};
    assert_ok(kn_conf_defaults(&table, 1));
    f.conf.journal_bytes = journal_bytes;
    kn_fake_clock_init(&now, 1700000000000);
    open_all(&f);
    return f;
}

static void teardown(struct fixture *f)
{
    close_all(f);
    temp_dir_remove(&f->dir);
}

/* --- appending -------------------------------------------------------------------------------- */
struct waiter {
    struct kn_lock lock;
    struct kn_cond moved;
    size_t done;
    uint64_t index;
    int64_t arrival_ms;
    int result;
};

static void on_appended(void *ctx, uint64_t first_index, int64_t arrival_ms, int result)
{
    struct waiter *w = ctx;
    KN_LOCKED(&w->lock);
    w->done++;
    w->index = first_index;
    w->arrival_ms = arrival_ms;
    w->result = result;
    kn_cond_signal(&w->moved);
}

static int wait_for(struct storage_shard *shard, struct storage_batch *batch, struct waiter *w)
{
    *w = (struct waiter){.done = 0};
    kn_lock_init(&w->lock);
    kn_cond_init(&w->moved);
    storage_shard_append(shard, batch, on_appended, w);
    kn_lock_take(&w->lock);
    while (w->done == 0)
        kn_cond_wait(&w->moved, &w->lock);
    kn_lock_give(&w->lock);
    kn_cond_done(&w->moved);
    kn_lock_done(&w->lock);
    return w->result;
}

static size_t data_of(uint64_t number, uint8_t dst[512])
{
    size_t len = 4 + number * 37 % 500;
    for (size_t i = 0; i < len; i++)
        dst[i] = (uint8_t) (number + i * 7);
    return len;
}

static void add(struct fixture *f, struct storage_batch *batch, uint64_t number,
                const struct storage_shard_source *source)
{
    (void) f;
    uint8_t bytes[512], *dst;
    char key[24];
    size_t len = data_of(number, bytes);
    snprintf(key, sizeof(key), "key-%llu", (unsigned long long) number);
    assert_ok(storage_batch_add(batch, kn_str_from(key), (uint8_t) number, source, 512, &dst));
    memcpy(dst, bytes, len);
    storage_batch_trim(batch, len);
}

/* Records whose content follows from their number; returns the first one's index. */
static uint64_t append_to(struct fixture *f, struct storage_shard *shard, uint64_t number,
                          size_t count)
{
    struct storage_batch *batch;
    struct waiter w;
    assert_ok(storage_batch_new(f->storage, &batch));
    for (size_t i = 0; i < count; i++)
        add(f, batch, number + i, NULL);
    assert_ok(wait_for(shard, batch, &w));
    return w.index;
}

static uint64_t append(struct fixture *f, uint64_t number, size_t count)
{
    return append_to(f, f->shard, number, count);
}

static void assert_record(const struct storage_shard_record *record, uint64_t number)
{
    uint8_t bytes[512];
    char key[24];
    size_t len = data_of(number, bytes);
    snprintf(key, sizeof(key), "key-%llu", (unsigned long long) number);
    assert_str_is(record->key, key);
    assert_int_equal(record->tag, (uint8_t) number);
    assert_int_equal(record->data.len, len);
    assert_memory_equal(record->data.ptr, bytes, len);
}

/* All from this index on: record n has index n. */
static void assert_reads(struct storage_shard *shard, uint64_t from, uint64_t to, size_t count_max)
{
    int64_t arrival_ms = 0;
    struct storage_shard_ends ends;
    storage_shard_ends(shard, &ends);
    while (from < to) {
        struct storage_shard_read read = {
            .from = from, .count_max = count_max, .bytes_max = MIB(1)};
        struct storage_page page;
        assert_ok(storage_shard_read(shard, &read, &page));
        assert_true(page.count > 0 && page.count <= count_max);
        for (size_t i = 0; i < page.count; i++) {
            assert_int_equal(page.records[i].index, from + i);
            assert_true(page.records[i].arrival_ms >= arrival_ms);
            arrival_ms = page.records[i].arrival_ms;
            assert_record(&page.records[i], from + i);
        }
        from = page.next;
        assert_int_equal(page.at_end, from == ends.next);
        storage_page_free(&page);
    }
}

TEST(records_are_read_as_they_were_appended)
{
    struct fixture f = setup(MIB(1));
    struct storage_batch *batch;
    uint8_t *dst;
    struct waiter w;

    assert_ok(storage_batch_new(f.storage, &batch));
    add(&f, batch, 0, NULL);
    assert_ok(storage_batch_add(batch, KN_STR("taken back"), 0, NULL, 100, &dst));
    storage_batch_undo(batch);
    add(&f, batch, 1, NULL);
    assert_int_equal(storage_batch_count(batch), 2);
    assert_ok(wait_for(f.shard, batch, &w));
    append(&f, 2, 3);

    assert_int_equal(w.index, 0);
    assert_int_equal(w.arrival_ms, 1700000000000);
    assert_reads(f.shard, 0, 5, 100);
    assert_reads(f.shard, 0, 5, 1);
    assert_reads(f.shard, 3, 5, 100);
    teardown(&f);
}

TEST(a_record_may_have_no_key_and_no_data)
{
    struct fixture f = setup(MIB(1));
    struct storage_batch *batch;
    uint8_t *dst;
    struct waiter w;
    struct storage_page page;

    assert_ok(storage_batch_new(f.storage, &batch));
    assert_ok(storage_batch_add(batch, (struct kn_str){NULL, 0}, 9, NULL, 0, &dst));
    assert_ok(wait_for(f.shard, batch, &w));
    reopen(&f);

    struct storage_shard_read read = {.from = 0, .count_max = 10, .bytes_max = 10};
    assert_ok(storage_shard_read(f.shard, &read, &page));
    assert_int_equal(page.count, 1);
    assert_null(page.records[0].key.ptr);
    assert_int_equal(page.records[0].data.len, 0);
    assert_int_equal(page.records[0].tag, 9);
    storage_page_free(&page);
    teardown(&f);
}

TEST(what_was_acknowledged_is_there_after_a_restart)
{
    struct fixture f = setup(MIB(1));
    append(&f, 0, 10);
    append(&f, 10, 1);

    reopen(&f);

    assert_int_equal(f.report.records, 11);
    assert_int_equal(f.report.bad_frames, 0);
    assert_reads(f.shard, 0, 11, 100);
    assert_int_equal(append(&f, 11, 2), 11);
    assert_reads(f.shard, 0, 13, 100);
    teardown(&f);
}

TEST(records_outlive_many_rounds_of_the_journals)
{
    struct fixture f = setup(KIB(64));
    f.conf.segment_bytes_max = KIB(100);
    f.conf.open_segments_max = 2;
    reopen(&f);
    struct storage_shard *other;
    struct storage_id other_id = {{9}};
    assert_ok(storage_shard_open(f.storage, &other_id, INT64_MAX, &other));

    for (uint64_t n = 0; n < 4000; n += 5) {
        assert_int_equal(append(&f, n, 5), n);
        if (n % 100 == 0)
            assert_int_equal(append_to(&f, other, n / 100, 1), n / 100);
    }

    assert_reads(f.shard, 0, 4000, 333);
    assert_reads(f.shard, 1234, 4000, 1000);
    assert_reads(other, 0, 40, 1000);
    storage_shard_unref(other);
    reopen(&f);
    assert_true(f.report.records < 2000); /* most had gone to segments */
    assert_reads(f.shard, 0, 4000, 1000);
    struct storage_shard_ends ends;
    storage_shard_ends(f.shard, &ends);
    assert_int_equal(ends.oldest, 0);
    assert_int_equal(ends.next, 4000);
    assert_int_equal(ends.records, 4000);
    assert_ok(storage_shard_open(f.storage, &other_id, INT64_MAX, &other));
    assert_reads(other, 0, 40, 1000);
    storage_shard_unref(other);
    assert_int_equal(append(&f, 4000, 1), 4000);
    teardown(&f);
}

TEST(an_idle_shard_is_not_read_without_the_disk)
{
    struct fixture f = setup(KIB(64));
    for (uint64_t n = 0; n < 1000; n += 10)
        append(&f, n, 10);
    reopen(&f); /* nothing is cached */

    struct storage_shard_read read = {
        .from = 0, .count_max = 10, .bytes_max = KIB(1), .nowait = true};
    struct storage_page page;
    assert_int_equal(storage_shard_read(f.shard, &read, &page), -EAGAIN);
    assert_reads(f.shard, 0, 1000, 1000);
    teardown(&f);
}

TEST(a_page_ends_at_its_limits)
{
    struct fixture f = setup(MIB(1));
    append(&f, 0, 50);
    struct storage_page page;
    uint8_t bytes[512];
    size_t two = 2 * strlen("key-0") + data_of(0, bytes) + data_of(1, bytes);

    struct storage_shard_read read = {.from = 0, .count_max = 100, .bytes_max = two};
    assert_ok(storage_shard_read(f.shard, &read, &page));
    assert_int_equal(page.count, 2);
    assert_int_equal(page.bytes, two);
    assert_int_equal(page.next, 2);
    assert_false(page.at_end);
    storage_page_free(&page);
    read.bytes_max = 1; /* one is given all the same */
    assert_ok(storage_shard_read(f.shard, &read, &page));
    assert_int_equal(page.count, 1);
    storage_page_free(&page);
    read.from = 50;
    assert_ok(storage_shard_read(f.shard, &read, &page));
    assert_int_equal(page.count, 0);
    assert_int_equal(page.next, 50);
    assert_true(page.at_end);
    storage_page_free(&page);
    teardown(&f);
}

TEST(a_closed_shard_takes_no_more_for_ever)
{
    struct fixture f = setup(KIB(64));
    append(&f, 0, 3);
    uint64_t end = 0;
    struct storage_batch *batch;
    struct waiter w;

    assert_ok(storage_shard_close(f.shard, &end));
    assert_int_equal(end, 3);
    assert_ok(storage_shard_close(f.shard, &end));
    for (int i = 0; i < 3; i++) { /* from the journal, then from the catalogue */
        assert_ok(storage_batch_new(f.storage, &batch));
        add(&f, batch, 3, NULL);
        assert_int_equal(wait_for(f.shard, batch, &w), -ESHUTDOWN);
        struct storage_shard_ends ends;
        storage_shard_ends(f.shard, &ends);
        assert_true(ends.closed);
        assert_int_equal(ends.next, 3);
        assert_reads(f.shard, 0, 3, 100);
        reopen(&f);
    }
    teardown(&f);
}

TEST(the_newest_sequence_of_a_source_comes_with_its_record)
{
    struct fixture f = setup(KIB(64));
    struct storage_shard_source a = {{{0xaa}}, 0}, b = {{{0xbb}}, 7};
    struct storage_batch *batch;
    struct waiter w;

    assert_int_equal(storage_shard_source_seq(f.shard, &a.id), 0);
    for (uint64_t n = 0; n < 600; n++) {
        assert_ok(storage_batch_new(f.storage, &batch));
        a.seq = n + 1;
        add(&f, batch, n, &a);
        assert_ok(wait_for(f.shard, batch, &w));
        if (n == 0) {
            assert_ok(storage_batch_new(f.storage, &batch));
            add(&f, batch, n, &b);
            assert_ok(wait_for(f.shard, batch, &w));
        }
    }

    for (int i = 0; i < 2; i++) {
        assert_int_equal(storage_shard_source_seq(f.shard, &a.id), 600);
        assert_int_equal(storage_shard_source_seq(f.shard, &b.id), 7);
        reopen(&f);
    }
    teardown(&f);
}

TEST(arrivals_never_fall_and_records_are_found_by_them)
{
    struct fixture f = setup(KIB(64));
    int64_t start = 1700000000000;
    for (uint64_t n = 0; n < 1000; n += 10) {
        now.wall_ms = start + (int64_t) n;
        append(&f, n, 10);
    }
    now.wall_ms = start;
    append(&f, 1000, 1); /* the clock has stepped back */
    uint64_t at;

    for (int i = 0; i < 2; i++) {
        assert_reads(f.shard, 0, 1001, 1000);
        assert_ok(storage_shard_find(f.shard, 0, false, &at));
        assert_int_equal(at, 0);
        assert_ok(storage_shard_find(f.shard, start + 11, false, &at));
        assert_int_equal(at, 20);
        assert_ok(storage_shard_find(f.shard, start + 990, false, &at));
        assert_int_equal(at, 990);
        assert_ok(storage_shard_find(f.shard, start + 991, false, &at));
        assert_int_equal(at, 1001);
        reopen(&f);
    }
    teardown(&f);
}

TEST(retention_is_applied_to_each_read)
{
    struct fixture f = setup(KIB(64));
    int64_t start = 1700000000000;
    for (uint64_t n = 0; n < 1000; n += 10) {
        now.wall_ms = start + (int64_t) n;
        append(&f, n, 10);
    }
    struct storage_page page;
    struct storage_shard_read read = {.from = 0, .count_max = 10, .bytes_max = MIB(1)};

    storage_shard_set_retention(f.shard, 500);
    now.wall_ms = start + 1000;
    assert_ok(storage_shard_read(f.shard, &read, &page));
    assert_int_equal(page.records[0].index, 500);
    storage_page_free(&page);
    now.wall_ms = start + 5000;
    assert_ok(storage_shard_read(f.shard, &read, &page));
    assert_int_equal(page.count, 0);
    assert_int_equal(page.next, 1000);
    assert_true(page.at_end);
    storage_page_free(&page);
    struct storage_shard_ends ends;
    storage_shard_ends(f.shard, &ends);
    assert_int_equal(ends.oldest, 1000);
    teardown(&f);
}

static int count_one(void *ctx, const char *name, bool is_dir)
{
    (void) name;
    (void) is_dir;
    ++*(size_t *) ctx;
    return 0;
}

static size_t files_of_shard(struct fixture *f)
{
    char path[200], id[STORAGE_ID_TEXT_BYTES];
    size_t count = 0;
    storage_id_text(&f->id, id);
    snprintf(path, sizeof(path), "%s/shards/%s", f->dir.path, id);
    int r = kn_fs_system()->ops->list(kn_fs_system(), path, count_one, &count);
    assert_true(r == 0 || r == -ENOENT);
    return count;
}

TEST(retention_removes_whole_segments_and_the_index_goes_on)
{
    struct fixture f = setup(KIB(64));
    f.conf.segment_bytes_max = KIB(16);
    f.conf.journal_count = 2; /* a checkpoint writes out one or both, to one segment */
    reopen(&f);
    int64_t start = 1700000000000;
    for (uint64_t n = 0; n < 3000; n += 10) {
        now.wall_ms = start + (int64_t) n;
        append(&f, n, 10);
    }
    size_t files = files_of_shard(&f);
    struct storage_shard_ends ends;
    assert_true(files > 3);

    now.wall_ms = start + 3000;
    storage_shard_set_retention(f.shard, 2000);
    assert_ok(storage_shards_retire(f.storage->shards));
    assert_true(files_of_shard(&f) < files && files_of_shard(&f) > 0);
    assert_reads(f.shard, 1000, 3000, 100);
    storage_shard_ends(f.shard, &ends);
    assert_true(ends.oldest > 0 && ends.oldest <= 1000);
    assert_int_equal(ends.records, 3000 - ends.oldest);
    uint64_t at;
    assert_ok(storage_shard_find(f.shard, 0, false, &at));
    assert_int_equal(at, 1000);

    storage_shard_set_retention(f.shard, 1);
    now.wall_ms = start + 9000;
    assert_ok(storage_shards_retire(f.storage->shards));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(append(&f, 3000 + (uint64_t) i, 1), 3000 + (uint64_t) i);
        reopen(&f);
    }
    storage_shard_ends(f.shard, &ends);
    assert_int_equal(ends.next, 3002);
    teardown(&f);
}

TEST(a_dropped_shard_is_gone_for_good)
{
    struct fixture f = setup(KIB(64));
    struct storage_batch *batch;
    struct waiter w;
    struct storage_page page;
    struct storage_shard *other;
    struct storage_id other_id = {{9}};
    struct storage_shard_read read = {.from = 0, .count_max = 10, .bytes_max = KIB(1)};
    assert_ok(storage_shard_open(f.storage, &other_id, INT64_MAX, &other));
    for (uint64_t n = 0; n < 1000; n += 10)
        append(&f, n, 10);

    assert_ok(storage_shard_drop(f.storage, &f.id));
    assert_ok(storage_shard_drop(f.storage, &f.id));

    assert_int_equal(files_of_shard(&f), 0);
    assert_int_equal(storage_shard_read(f.shard, &read, &page), -ENOENT);
    assert_ok(storage_batch_new(f.storage, &batch));
    add(&f, batch, 1, NULL);
    assert_int_equal(wait_for(f.shard, batch, &w), -ENOENT);
    for (int i = 0; i < 2; i++) { /* the journals still hold some of it */
        struct kn_err err = {0};
        struct storage_conf conf = rig_conf();
        struct storage_shard *again;
        if (i == 0) /* later nobody remembers it */
            assert_int_equal(storage_shard_open(f.storage, &f.id, INT64_MAX, &again), -ENOENT);
        for (uint64_t n = 0; n < 500; n++)
            append_to(&f, other, (uint64_t) i * 500 + n, 1);
        storage_shard_unref(other);
        storage_shard_unref(f.shard);
        f.shard = NULL;
        storage_close(f.storage);
        assert_ok(storage_open(f.dir.path, &conf, &bad.fs, &now.clock, &f.storage, NULL, &err));
        assert_ok(storage_shards_start(f.storage, &f.conf, &f.report, &err));
        assert_ok(storage_shard_open(f.storage, &other_id, INT64_MAX, &other));
    }
    assert_reads(other, 0, 1000, 100);
    assert_int_equal(files_of_shard(&f), 0);
    storage_shard_unref(other);
    assert_ok(storage_shard_open(f.storage, &f.id, INT64_MAX, &f.shard)); /* nothing comes back */
    assert_int_equal(append(&f, 0, 1), 0);
    teardown(&f);
}

TEST(after_a_failed_flush_nothing_behind_it_is_believed)
{
    struct fixture f = setup(KIB(64));
    struct storage_batch *batch;
    struct waiter w;
    append(&f, 0, 5);

    assert_ok(storage_batch_new(f.storage, &batch));
    add(&f, batch, 5, NULL);
    bad.flushes_to_fail = 1; /* the bytes are in the file, whole */
    assert_int_equal(wait_for(f.shard, batch, &w), -EIO);
    struct storage_shard_ends ends;
    storage_shard_ends(f.shard, &ends);
    assert_int_equal(ends.next, 5);
    uint64_t after = append(&f, 6, 1);
    assert_true(after > 5); /* a gap */

    for (int i = 0; i < 2; i++) {
        struct storage_page page;
        struct storage_shard_read read = {.from = 0, .count_max = 100, .bytes_max = MIB(1)};
        assert_ok(storage_shard_read(f.shard, &read, &page));
        uint64_t from = page.next;
        assert_true(page.count >= 5);
        if (page.count == 5) { /* the rest is in memory */
            storage_page_free(&page);
            read.from = from;
            assert_ok(storage_shard_read(f.shard, &read, &page));
        }
        assert_int_equal(page.records[page.count - 1].index, after);
        assert_record(&page.records[page.count - 1], 6);
        assert_true(page.at_end);
        storage_page_free(&page);
        reopen(&f);
        assert_int_equal(f.report.bad_frames, 0);
    }
    teardown(&f);
}

TEST(when_the_outcome_of_a_flush_cannot_be_known_it_is_said)
{
    struct fixture f = setup(KIB(64));
    struct storage_batch *batch;
    struct waiter w;
    append(&f, 0, 5);

    assert_ok(storage_batch_new(f.storage, &batch));
    add(&f, batch, 5, NULL);
    bad.flushes_to_fail = 2; /* the next journal's header too */

    assert_int_equal(wait_for(f.shard, batch, &w), -ETIMEDOUT);
    assert_true(append(&f, 6, 1) > 5);
    reopen(&f);
    assert_reads(f.shard, 0, 5, 5);
    teardown(&f);
}

TEST(memory_has_a_ceiling)
{
    struct fixture f = setup(MIB(1));
    f.conf.shard_memory_bytes_max = KIB(256);
    reopen(&f);
    struct storage_batch *batch;
    uint8_t *dst;

    assert_ok(storage_batch_new(f.storage, &batch));
    assert_int_equal(storage_batch_add(batch, KN_STR("k"), 0, NULL, KIB(300), &dst), -ENOBUFS);
    assert_int_equal(storage_batch_add(batch, KN_STR("k"), 0, NULL, MIB(2), &dst), -EMSGSIZE);
    assert_ok(storage_batch_add(batch, KN_STR("k"), 0, NULL, KIB(200), &dst));
    storage_batch_free(batch);
    teardown(&f);
}

static void wake(struct kn_gate_waiter *waiter)
{
    (void) waiter;
}

TEST(the_gate_moves_with_each_batch)
{
    struct fixture f = setup(MIB(1));
    struct kn_gate *gate = storage_shard_gate(f.shard);
    uint64_t seen = kn_gate_value(gate);
    struct kn_gate_waiter waiter = {.wake = wake};

    append(&f, 0, 1);

    while (kn_gate_join(gate, &waiter, seen)) /* bumped before the answer */
        fail();
    teardown(&f);
}

TESTS_MAIN(TEST_OF(records_are_read_as_they_were_appended),
           TEST_OF(a_record_may_have_no_key_and_no_data),
           TEST_OF(what_was_acknowledged_is_there_after_a_restart),
           TEST_OF(records_outlive_many_rounds_of_the_journals),
           TEST_OF(an_idle_shard_is_not_read_without_the_disk), TEST_OF(a_page_ends_at_its_limits),
           TEST_OF(a_closed_shard_takes_no_more_for_ever),
           TEST_OF(the_newest_sequence_of_a_source_comes_with_its_record),
           TEST_OF(arrivals_never_fall_and_records_are_found_by_them),
           TEST_OF(retention_is_applied_to_each_read),
           TEST_OF(retention_removes_whole_segments_and_the_index_goes_on),
           TEST_OF(a_dropped_shard_is_gone_for_good),
           TEST_OF(after_a_failed_flush_nothing_behind_it_is_believed),
           TEST_OF(when_the_outcome_of_a_flush_cannot_be_known_it_is_said),
           TEST_OF(memory_has_a_ceiling), TEST_OF(the_gate_moves_with_each_batch))
