/* SPDX-License-Identifier: Apache-2.0 */
/* The logs of shards over a real folder: appending, reading, checkpoints, restart. */
#include "shard_rig.h"

TEST(records_are_read_as_they_were_appended)
{
    struct shard_rig f = shard_rig_setup(MIB(1));
    struct storage_batch *batch;
    uint8_t *dst;
    struct shard_waiter w;

    assert_ok(storage_batch_new(f.storage, &batch));
    shard_rig_add(&f, batch, 0, NULL);
    assert_ok(storage_batch_add(batch, KN_STR("taken back"), 0, NULL, 100, &dst));
    storage_batch_undo(batch);
    shard_rig_add(&f, batch, 1, NULL);
    assert_int_equal(storage_batch_count(batch), 2);
    assert_ok(shard_rig_wait(f.shard, batch, &w));
    shard_rig_append(&f, 2, 3);

    assert_int_equal(w.index, 0);
    assert_int_equal(w.arrival_ms, 1700000000000);
    shard_rig_assert_reads(f.shard, 0, 5, 100);
    shard_rig_assert_reads(f.shard, 0, 5, 1);
    shard_rig_assert_reads(f.shard, 3, 5, 100);
    shard_rig_teardown(&f);
}

TEST(a_record_may_have_no_key_and_no_data)
{
    struct shard_rig f = shard_rig_setup(MIB(1));
    struct storage_batch *batch;
    uint8_t *dst;
    struct shard_waiter w;
    struct storage_page page;

    assert_ok(storage_batch_new(f.storage, &batch));
    assert_ok(storage_batch_add(batch, (struct kn_str){NULL, 0}, 9, NULL, 0, &dst));
    assert_ok(shard_rig_wait(f.shard, batch, &w));
    shard_rig_reopen(&f);

    struct storage_shard_read read = {.from = 0, .count_max = 10, .bytes_max = 10};
    assert_ok(storage_shard_read(f.shard, &read, &page));
    assert_int_equal(page.count, 1);
    assert_null(page.records[0].key.ptr);
    assert_int_equal(page.records[0].data.len, 0);
    assert_int_equal(page.records[0].tag, 9);
    storage_page_free(&page);
    shard_rig_teardown(&f);
}

TEST(what_was_acknowledged_is_there_after_a_restart)
{
    struct shard_rig f = shard_rig_setup(MIB(1));
    shard_rig_append(&f, 0, 10);
    shard_rig_append(&f, 10, 1);

    shard_rig_reopen(&f);

    assert_int_equal(f.report.records, 11);
    assert_int_equal(f.report.bad_frames, 0);
    shard_rig_assert_reads(f.shard, 0, 11, 100);
    assert_int_equal(shard_rig_append(&f, 11, 2), 11);
    shard_rig_assert_reads(f.shard, 0, 13, 100);
    shard_rig_teardown(&f);
}

TEST(records_outlive_many_rounds_of_the_journals)
{
    struct shard_rig f = shard_rig_setup(KIB(64));
    f.conf.segment_bytes_max = KIB(100);
    f.conf.open_segments_max = 2;
    shard_rig_reopen(&f);
    struct storage_shard *other;
    struct storage_id other_id = {{9}};
    assert_ok(storage_shard_open(f.storage, &other_id, INT64_MAX, &other));

    for (uint64_t n = 0; n < 4000; n += 5) {
        assert_int_equal(shard_rig_append(&f, n, 5), n);
        if (n % 100 == 0)
            assert_int_equal(shard_rig_append_to(&f, other, n / 100, 1), n / 100);
    }

    shard_rig_assert_reads(f.shard, 0, 4000, 333);
    shard_rig_assert_reads(f.shard, 1234, 4000, 1000);
    shard_rig_assert_reads(other, 0, 40, 1000);
    storage_shard_unref(other);
    shard_rig_reopen(&f);
    assert_true(f.report.records < 2000); /* most had gone to segments */
    shard_rig_assert_reads(f.shard, 0, 4000, 1000);
    struct storage_shard_ends ends;
    storage_shard_ends(f.shard, &ends);
    assert_int_equal(ends.oldest, 0);
    assert_int_equal(ends.next, 4000);
    assert_int_equal(ends.records, 4000);
    assert_ok(storage_shard_open(f.storage, &other_id, INT64_MAX, &other));
    shard_rig_assert_reads(other, 0, 40, 1000);
    storage_shard_unref(other);
    assert_int_equal(shard_rig_append(&f, 4000, 1), 4000);
    shard_rig_teardown(&f);
}

TEST(an_idle_shard_is_not_read_without_the_disk)
{
    struct shard_rig f = shard_rig_setup(KIB(64));
    for (uint64_t n = 0; n < 1000; n += 10)
        shard_rig_append(&f, n, 10);
    shard_rig_reopen(&f); /* nothing is cached */

    struct storage_shard_read read = {
        .from = 0, .count_max = 10, .bytes_max = KIB(1), .nowait = true};
    struct storage_page page;
    assert_int_equal(storage_shard_read(f.shard, &read, &page), -EAGAIN);
    shard_rig_assert_reads(f.shard, 0, 1000, 1000);
    shard_rig_teardown(&f);
}

TEST(a_page_ends_at_its_limits)
{
    struct shard_rig f = shard_rig_setup(MIB(1));
    shard_rig_append(&f, 0, 50);
    struct storage_page page;
    uint8_t bytes[512];
    size_t two = 2 * strlen("key-0") + shard_rig_data(0, bytes) + shard_rig_data(1, bytes);

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
    shard_rig_teardown(&f);
}

TEST(a_closed_shard_takes_no_more_for_ever)
{
    struct shard_rig f = shard_rig_setup(KIB(64));
    shard_rig_append(&f, 0, 3);
    uint64_t end = 0;
    struct storage_batch *batch;
    struct shard_waiter w;

    assert_ok(storage_shard_close(f.shard, &end));
    assert_int_equal(end, 3);
    assert_ok(storage_shard_close(f.shard, &end));
    for (int i = 0; i < 3; i++) { /* from the journal, then from the catalogue */
        assert_ok(storage_batch_new(f.storage, &batch));
        shard_rig_add(&f, batch, 3, NULL);
        assert_int_equal(shard_rig_wait(f.shard, batch, &w), -ESHUTDOWN);
        struct storage_shard_ends ends;
        storage_shard_ends(f.shard, &ends);
        assert_true(ends.closed);
        assert_int_equal(ends.next, 3);
        shard_rig_assert_reads(f.shard, 0, 3, 100);
        shard_rig_reopen(&f);
    }
    shard_rig_teardown(&f);
}

TEST(the_newest_sequence_of_a_source_comes_with_its_record)
{
    struct shard_rig f = shard_rig_setup(KIB(64));
    struct storage_shard_source a = {{{0xaa}}, 0}, b = {{{0xbb}}, 7};
    struct storage_batch *batch;
    struct shard_waiter w;

    assert_int_equal(storage_shard_source_seq(f.shard, &a.id), 0);
    for (uint64_t n = 0; n < 600; n++) {
        assert_ok(storage_batch_new(f.storage, &batch));
        a.seq = n + 1;
        shard_rig_add(&f, batch, n, &a);
        assert_ok(shard_rig_wait(f.shard, batch, &w));
        if (n == 0) {
            assert_ok(storage_batch_new(f.storage, &batch));
            shard_rig_add(&f, batch, n, &b);
            assert_ok(shard_rig_wait(f.shard, batch, &w));
        }
    }

    for (int i = 0; i < 2; i++) {
        assert_int_equal(storage_shard_source_seq(f.shard, &a.id), 600);
        assert_int_equal(storage_shard_source_seq(f.shard, &b.id), 7);
        shard_rig_reopen(&f);
    }
    shard_rig_teardown(&f);
}

TEST(arrivals_never_fall_and_records_are_found_by_them)
{
    struct shard_rig f = shard_rig_setup(KIB(64));
    int64_t start = 1700000000000;
    for (uint64_t n = 0; n < 1000; n += 10) {
        shard_clock.wall_ms = start + (int64_t) n;
        shard_rig_append(&f, n, 10);
    }
    shard_clock.wall_ms = start;
    shard_rig_append(&f, 1000, 1); /* the clock has stepped back */
    uint64_t at;

    for (int i = 0; i < 2; i++) {
        shard_rig_assert_reads(f.shard, 0, 1001, 1000);
        assert_ok(storage_shard_find(f.shard, 0, false, &at));
        assert_int_equal(at, 0);
        assert_ok(storage_shard_find(f.shard, start + 11, false, &at));
        assert_int_equal(at, 20);
        assert_ok(storage_shard_find(f.shard, start + 990, false, &at));
        assert_int_equal(at, 990);
        assert_ok(storage_shard_find(f.shard, start + 991, false, &at));
        assert_int_equal(at, 1001);
        shard_rig_reopen(&f);
    }
    shard_rig_teardown(&f);
}

TEST(a_time_is_found_also_while_its_segment_grows)
{
    struct shard_rig f = shard_rig_setup(KIB(64));
    int64_t start = 1700000000000;
    uint64_t at;
    for (uint64_t n = 0; n < 3000; n += 10) {
        shard_clock.wall_ms = start + (int64_t) n;
        shard_rig_append(&f, n, 10);
        for (uint64_t wanted = n % 100; wanted <= n; wanted += 100) {
            assert_ok(storage_shard_find(f.shard, start + (int64_t) wanted, false, &at));
            assert_int_equal(at, wanted);
        }
    }
    shard_rig_teardown(&f);
}

TEST(retention_is_applied_to_each_read)
{
    struct shard_rig f = shard_rig_setup(KIB(64));
    int64_t start = 1700000000000;
    for (uint64_t n = 0; n < 1000; n += 10) {
        shard_clock.wall_ms = start + (int64_t) n;
        shard_rig_append(&f, n, 10);
    }
    struct storage_page page;
    struct storage_shard_read read = {.from = 0, .count_max = 10, .bytes_max = MIB(1)};

    storage_shard_set_retention(f.shard, 500);
    shard_clock.wall_ms = start + 1000;
    assert_ok(storage_shards_trim(f.storage->shards, false));
    assert_ok(storage_shard_read(f.shard, &read, &page));
    assert_int_equal(page.records[0].index, 500);
    storage_page_free(&page);
    shard_clock.wall_ms = start + 5000;
    assert_ok(storage_shards_trim(f.storage->shards, false));
    assert_ok(storage_shard_read(f.shard, &read, &page));
    assert_int_equal(page.count, 0);
    assert_int_equal(page.next, 1000);
    assert_true(page.at_end);
    storage_page_free(&page);
    struct storage_shard_ends ends;
    storage_shard_ends(f.shard, &ends);
    assert_int_equal(ends.oldest, 1000);
    shard_rig_teardown(&f);
}

static int count_one(void *ctx, const char *name, bool is_dir)
{
    (void) name;
    (void) is_dir;
    ++*(size_t *) ctx;
    return 0;
}

static size_t files_of_shard(struct shard_rig *f)
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
    struct shard_rig f = shard_rig_setup(KIB(64));
    f.conf.segment_bytes_max = KIB(16);
    f.conf.journal_count = 2; /* a checkpoint writes out one or both, to one segment */
    shard_rig_reopen(&f);
    int64_t start = 1700000000000;
    for (uint64_t n = 0; n < 3000; n += 10) {
        shard_clock.wall_ms = start + (int64_t) n;
        shard_rig_append(&f, n, 10);
    }
    size_t files = files_of_shard(&f);
    struct storage_shard_ends ends;
    assert_true(files > 3);

    shard_clock.wall_ms = start + 3000;
    storage_shard_set_retention(f.shard, 2000);
    assert_ok(storage_shards_retire(f.storage->shards));
    assert_true(files_of_shard(&f) < files && files_of_shard(&f) > 0);
    shard_rig_assert_reads(f.shard, 1000, 3000, 100);
    storage_shard_ends(f.shard, &ends);
    assert_true(ends.oldest > 0 && ends.oldest <= 1000);
    assert_int_equal(ends.records, 3000 - ends.oldest);
    uint64_t at;
    assert_ok(storage_shard_find(f.shard, 0, false, &at));
    assert_int_equal(at, 1000);

    storage_shard_set_retention(f.shard, 1);
    shard_clock.wall_ms = start + 9000;
    assert_ok(storage_shards_retire(f.storage->shards));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(shard_rig_append(&f, 3000 + (uint64_t) i, 1), 3000 + (uint64_t) i);
        shard_rig_reopen(&f);
    }
    storage_shard_ends(f.shard, &ends);
    assert_int_equal(ends.next, 3002);
    shard_rig_teardown(&f);
}

TEST(a_dropped_shard_is_gone_for_good)
{
    struct shard_rig f = shard_rig_setup(KIB(64));
    struct storage_batch *batch;
    struct shard_waiter w;
    struct storage_page page;
    struct storage_shard *other;
    struct storage_id other_id = {{9}};
    struct storage_shard_read read = {.from = 0, .count_max = 10, .bytes_max = KIB(1)};
    assert_ok(storage_shard_open(f.storage, &other_id, INT64_MAX, &other));
    for (uint64_t n = 0; n < 1000; n += 10)
        shard_rig_append(&f, n, 10);

    assert_ok(storage_shard_drop(f.storage, &f.id));
    assert_ok(storage_shard_drop(f.storage, &f.id));

    assert_int_equal(files_of_shard(&f), 0);
    assert_int_equal(storage_shard_read(f.shard, &read, &page), -ENOENT);
    assert_ok(storage_batch_new(f.storage, &batch));
    shard_rig_add(&f, batch, 1, NULL);
    assert_int_equal(shard_rig_wait(f.shard, batch, &w), -ENOENT);
    for (int i = 0; i < 2; i++) { /* the journals still hold some of it */
        struct kn_err err = {0};
        struct storage_conf conf = rig_conf();
        struct storage_shard *again;
        if (i == 0) /* later nobody remembers it */
            assert_int_equal(storage_shard_open(f.storage, &f.id, INT64_MAX, &again), -ENOENT);
        for (uint64_t n = 0; n < 500; n++)
            shard_rig_append_to(&f, other, (uint64_t) i * 500 + n, 1);
        storage_shard_unref(other);
        storage_shard_unref(f.shard);
        f.shard = NULL;
        storage_close(f.storage);
        assert_ok(storage_open(f.dir.path, &conf, &shard_disk.fs, &shard_clock.clock, &f.storage,
                               NULL, &err));
        assert_ok(storage_shards_start(f.storage, &f.conf, &f.report, &err));
        assert_ok(storage_shard_open(f.storage, &other_id, INT64_MAX, &other));
    }
    shard_rig_assert_reads(other, 0, 1000, 100);
    assert_int_equal(files_of_shard(&f), 0);
    storage_shard_unref(other);
    assert_ok(storage_shard_open(f.storage, &f.id, INT64_MAX, &f.shard)); /* nothing comes back */
    assert_int_equal(shard_rig_append(&f, 0, 1), 0);
    shard_rig_teardown(&f);
}

TEST(after_a_failed_flush_nothing_behind_it_is_believed)
{
    struct shard_rig f = shard_rig_setup(KIB(64));
    struct storage_batch *batch;
    struct shard_waiter w;
    shard_rig_append(&f, 0, 5);

    assert_ok(storage_batch_new(f.storage, &batch));
    shard_rig_add(&f, batch, 5, NULL);
    shard_disk.flushes_to_fail = 1; /* the bytes are in the file, whole */
    assert_int_equal(shard_rig_wait(f.shard, batch, &w), -EIO);
    struct storage_shard_ends ends;
    storage_shard_ends(f.shard, &ends);
    assert_int_equal(ends.next, 5);
    uint64_t after = shard_rig_append(&f, 6, 1);
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
        shard_rig_assert_record(&page.records[page.count - 1], 6);
        assert_true(page.at_end);
        storage_page_free(&page);
        shard_rig_reopen(&f);
        assert_int_equal(f.report.bad_frames, 0);
    }
    shard_rig_teardown(&f);
}

struct together {
    struct shard_waiter waiter;
    int results[3];
};

static void one_of_many(void *ctx, uint64_t first_index, int64_t arrival_ms, int result)
{
    struct together *all = ctx;
    (void) first_index;
    (void) arrival_ms;
    KN_LOCKED(&all->waiter.lock);
    all->results[all->waiter.done++] = result;
    kn_cond_signal(&all->waiter.moved);
}

static void append_together(struct shard_rig *f, struct together *all)
{
    struct storage_appends appends = {.first = NULL};
    kn_lock_init(&all->waiter.lock);
    kn_cond_init(&all->waiter.moved);
    for (uint64_t i = 0; i < KN_ARRAY_LEN(all->results); i++) {
        struct storage_batch *batch;
        assert_ok(storage_batch_new(f->storage, &batch));
        shard_rig_add(f, batch, i, NULL);
        storage_shard_ref(f->shard);
        storage_shard_append_with(f->shard, batch, one_of_many, all, &appends);
    }
    storage_shard_append_all(&appends);
    assert_null(appends.first);
    storage_shard_append_all(&appends); /* of none */
    kn_lock_take(&all->waiter.lock);
    while (all->waiter.done < KN_ARRAY_LEN(all->results))
        kn_cond_wait(&all->waiter.moved, &all->waiter.lock);
    kn_lock_give(&all->waiter.lock);
    kn_cond_done(&all->waiter.moved);
    kn_lock_done(&all->waiter.lock);
}

TEST(appends_that_go_together_share_a_flush_in_their_order)
{
    struct shard_rig f = shard_rig_setup(KIB(64));
    struct together failed =
                        {
                            .results = {0}
    },
                    done = {.results = {1, 1, 1}};

    append_together(&f, &done);
    shard_rig_assert_reads(f.shard, 0, 3, 3);
    shard_disk.flushes_to_fail = 1; /* a second flush would be answered 0 */
    append_together(&f, &failed);

    for (size_t i = 0; i < KN_ARRAY_LEN(done.results); i++) {
        assert_int_equal(done.results[i], 0);
        assert_int_equal(failed.results[i], -EIO);
    }
    shard_rig_teardown(&f);
}

TEST(when_the_outcome_of_a_flush_cannot_be_known_it_is_said)
{
    struct shard_rig f = shard_rig_setup(KIB(64));
    struct storage_batch *batch;
    struct shard_waiter w;
    shard_rig_append(&f, 0, 5);

    assert_ok(storage_batch_new(f.storage, &batch));
    shard_rig_add(&f, batch, 5, NULL);
    shard_disk.flushes_to_fail = 2; /* the next journal's header too */

    assert_int_equal(shard_rig_wait(f.shard, batch, &w), -ETIMEDOUT);
    assert_true(shard_rig_append(&f, 6, 1) > 5);
    shard_rig_reopen(&f);
    shard_rig_assert_reads(f.shard, 0, 5, 5);
    shard_rig_teardown(&f);
}

TEST(memory_has_a_ceiling)
{
    struct shard_rig f = shard_rig_setup(MIB(1));
    f.conf.shard_memory_bytes_max = KIB(256);
    shard_rig_reopen(&f);
    struct storage_batch *batch;
    uint8_t *dst;

    assert_ok(storage_batch_new(f.storage, &batch));
    assert_int_equal(storage_batch_add(batch, KN_STR("k"), 0, NULL, KIB(300), &dst), -ENOBUFS);
    assert_int_equal(storage_batch_add(batch, KN_STR("k"), 0, NULL, MIB(2), &dst), -EMSGSIZE);
    assert_ok(storage_batch_add(batch, KN_STR("k"), 0, NULL, KIB(200), &dst));
    storage_batch_free(batch);
    shard_rig_teardown(&f);
}

static void wake(struct kn_gate_waiter *waiter)
{
    (void) waiter;
}

TEST(the_gate_moves_with_each_batch)
{
    struct shard_rig f = shard_rig_setup(MIB(1));
    struct kn_gate *gate = storage_shard_gate(f.shard);
    uint64_t seen = kn_gate_value(gate);
    struct kn_gate_waiter waiter = {.wake = wake};

    shard_rig_append(&f, 0, 1);

    while (kn_gate_join(gate, &waiter, seen)) /* bumped before the answer */
        fail();
    shard_rig_teardown(&f);
}

TESTS_MAIN(TEST_OF(records_are_read_as_they_were_appended),
           TEST_OF(a_record_may_have_no_key_and_no_data),
           TEST_OF(what_was_acknowledged_is_there_after_a_restart),
           TEST_OF(records_outlive_many_rounds_of_the_journals),
           TEST_OF(an_idle_shard_is_not_read_without_the_disk), TEST_OF(a_page_ends_at_its_limits),
           TEST_OF(a_closed_shard_takes_no_more_for_ever),
           TEST_OF(the_newest_sequence_of_a_source_comes_with_its_record),
           TEST_OF(arrivals_never_fall_and_records_are_found_by_them),
           TEST_OF(a_time_is_found_also_while_its_segment_grows),
           TEST_OF(retention_is_applied_to_each_read),
           TEST_OF(retention_removes_whole_segments_and_the_index_goes_on),
           TEST_OF(a_dropped_shard_is_gone_for_good),
           TEST_OF(after_a_failed_flush_nothing_behind_it_is_believed),
           TEST_OF(appends_that_go_together_share_a_flush_in_their_order),
           TEST_OF(when_the_outcome_of_a_flush_cannot_be_known_it_is_said),
           TEST_OF(memory_has_a_ceiling), TEST_OF(the_gate_moves_with_each_batch))
