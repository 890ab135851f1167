/* SPDX-License-Identifier: Apache-2.0 */
/* Finding an index or a time in the log of a shard: by marks, with few reads, or from memory. */
#include "shard_rig.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

enum {
    RECORDS = 12000, /* some three MiB: three sealed segments and one that grows */
    RECORDS_A_BATCH = 40,
    MARKS_ALIGN = 4096,
};
static const int64_t start = 1700000000000;

/* Record n arrives at start + n, rounded down to its batch. */
static void append_until(struct shard_rig *f, uint64_t from, uint64_t to)
{
    for (uint64_t n = from; n < to; n += RECORDS_A_BATCH) {
        shard_clock.wall_ms = start + (int64_t) n;
        shard_rig_append(f, n, RECORDS_A_BATCH);
    }
}

static struct shard_rig segments(void)
{
    struct shard_rig f = shard_rig_setup(KIB(128));
    f.conf.segment_bytes_max = KIB(900);
    f.conf.open_segments_max = 64;
    shard_rig_reopen(&f);
    append_until(&f, 0, RECORDS);
    return f;
}

static uint64_t found(struct shard_rig *f, int64_t ms)
{
    uint64_t at;
    assert_ok(storage_shard_find(f->shard, ms, false, &at));
    return at;
}

/* What is there without the disk; UINT64_MAX: the disk is needed. */
static uint64_t found_now(struct shard_rig *f, int64_t ms)
{
    uint64_t at;
    int r = storage_shard_find(f->shard, ms, true, &at);
    assert_true(r == 0 || r == -EAGAIN);
    return r == 0 ? at : UINT64_MAX;
}

static uint64_t batch_of(uint64_t n) /* the first record that arrives at start + n or later */
{
    return (n + RECORDS_A_BATCH - 1) / RECORDS_A_BATCH * RECORDS_A_BATCH;
}

static void assert_read_one(struct storage_shard *shard, uint64_t index)
{
    struct storage_page page;
    struct storage_shard_read read = {.from = index, .count_max = 1, .bytes_max = 1};
    assert_ok(storage_shard_read(shard, &read, &page));
    assert_int_equal(page.count, 1);
    assert_int_equal(page.records[0].index, index);
    shard_rig_assert_record(&page.records[0], index);
    storage_page_free(&page);
}

/* The oldest segment as the catalogue has it, sealed. */
static struct storage_segment_row oldest_row(struct shard_rig *f, char path[4096])
{
    struct storage_segment_row row;
    assert_ok(storage_segment_row_oldest(storage_meta_of(f->storage), &f->id, &row));
    assert_true(row.sealed && row.bytes > KIB(500));
    assert_ok(storage_segment_path(f->storage->shards, &f->id, row.first, path));
    return row;
}

static void overwrite(const char *path, uint64_t at, const void *bytes, size_t len)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, len, (off_t) at), len);
    close(fd);
}

/* Then the answer could lie in the segment before it. */
static bool begins_segment(struct shard_rig *f, uint64_t index)
{
    struct storage_segment_row row;
    uint64_t version;
    int r = storage_segment_row_at(storage_meta_of(f->storage), &f->id, index, &row, &version);
    return r == 0 && row.first == index;
}

static uint64_t marks_at(const struct storage_segment_row *row)
{
    return (row->bytes + MARKS_ALIGN - 1) / MARKS_ALIGN * MARKS_ALIGN;
}

TEST(an_index_and_a_time_in_a_sealed_segment_cost_two_reads)
{
    struct shard_rig f = segments();
    char path[4096];
    struct storage_segment_row row = oldest_row(&f, path);
    for (uint64_t n = row.first + 7; n < row.next; n += 977) {
        storage_segments_forget(f.storage->shards, NULL);
        unsigned before = shard_disk.reads;
        assert_read_one(f.shard, n);
        assert_true(shard_disk.reads - before <= 2); /* marks, and what they point at */

        storage_segments_forget(f.storage->shards, NULL);
        before = shard_disk.reads;
        uint64_t next = batch_of(n);
        if (next >= row.next)
            break;
        assert_int_equal(found(&f, start + (int64_t) n), next);
        assert_true(shard_disk.reads - before <= 2);
        before = shard_disk.reads;
        assert_int_equal(found(&f, start + (int64_t) n), next);
        assert_true(shard_disk.reads - before <= 1); /* the marks are in memory */
    }
    shard_rig_teardown(&f);
}

TEST(a_page_of_few_records_reads_few_bytes_whatever_else_it_may_hold)
{
    struct shard_rig f = segments();
    assert_read_one(f.shard, 4000); /* its segment is open */
    struct storage_page page;
    struct storage_shard_read read = {.from = 4000, .count_max = 200, .bytes_max = MIB(10)};
    uint64_t before = shard_disk.read_bytes;

    assert_ok(storage_shard_read(f.shard, &read, &page));

    assert_int_equal(page.count, 200);
    assert_true(shard_disk.read_bytes - before < KIB(300));
    storage_page_free(&page);
    shard_rig_teardown(&f);
}

TEST(any_time_is_found_whatever_is_cached)
{
    struct shard_rig f = segments();
    uint64_t state = test_seed() | 1;
    for (int i = 0; i < 600; i++) {
        uint64_t n = test_random(&state) % RECORDS, now, next = batch_of(n);
        if (test_random(&state) % 8 == 0)
            storage_segments_forget(f.storage->shards, NULL);
        if (test_random(&state) % 2)
            assert_read_one(f.shard, test_random(&state) % RECORDS);
        now = found_now(&f, start + (int64_t) n);
        assert_true(now == UINT64_MAX || now == next);
        assert_int_equal(found(&f, start + (int64_t) n), next);
        now = found_now(&f, start + (int64_t) n); /* it is cached now */
        assert_true(now == next || (now == UINT64_MAX && begins_segment(&f, next)));
        if (i == 300)
            shard_rig_reopen(&f);
    }
    shard_rig_teardown(&f);
}

TEST(the_newest_and_the_oldest_are_found_without_the_disk)
{
    struct shard_rig f = segments();
    append_until(&f, RECORDS, RECORDS + RECORDS_A_BATCH); /* it is still in a journal */
    unsigned before = shard_disk.reads;

    assert_int_equal(found_now(&f, start + RECORDS), RECORDS);
    assert_int_equal(found_now(&f, start + RECORDS + 1), RECORDS + RECORDS_A_BATCH);
    assert_int_equal(found_now(&f, 0), 0);
    assert_int_equal(found_now(&f, start), 0);
    assert_int_equal(shard_disk.reads, before);
    assert_true(found_now(&f, start + 1000) == UINT64_MAX);
    shard_rig_teardown(&f);
}

TEST(damaged_marks_are_not_believed_and_written_again)
{
    struct shard_rig f = segments();
    char path[4096], other[4096];
    uint8_t bytes[512];
    struct storage_segment_row row = oldest_row(&f, path);
    for (int how = 0; how < 4; how++) {
        if (how == 0) { /* never written: a crash came before */
            assert_ok(truncate(path, (off_t) row.bytes));
        } else if (how == 1) { /* a place in it is another */
            int fd = open(path, O_RDONLY | O_CLOEXEC);
            assert_int_equal(pread(fd, bytes, 1, (off_t) marks_at(&row) + 24 + 16), 1);
            close(fd);
            bytes[0] ^= 1;
            overwrite(path, marks_at(&row) + 24 + 16, bytes, 1);
        } else if (how == 2) { /* cut */
            assert_ok(truncate(path, (off_t) marks_at(&row) + 50));
        } else { /* those of another segment */
            struct storage_segment_row second;
            uint64_t version;
            assert_ok(storage_segment_row_at(storage_meta_of(f.storage), &f.id, row.next, &second,
                                             &version));
            assert_ok(storage_segment_path(f.storage->shards, &f.id, second.first, other));
            int fd = open(other, O_RDONLY | O_CLOEXEC);
            assert_true(pread(fd, bytes, sizeof(bytes), (off_t) marks_at(&second)) > 100);
            close(fd);
            overwrite(path, marks_at(&row), bytes, sizeof(bytes));
        }
        storage_segments_forget(f.storage->shards, NULL);
        unsigned before = shard_disk.reads;
        assert_int_equal(found(&f, start + 1999), 2000);
        assert_true(shard_disk.reads - before > 2); /* it was walked */

        storage_segments_forget(f.storage->shards, NULL);
        before = shard_disk.reads;
        assert_read_one(f.shard, row.next - 1);
        assert_true(shard_disk.reads - before <= 2);
        shard_rig_assert_reads(f.shard, 0, RECORDS, 1000);
    }
    shard_rig_teardown(&f);
}

TEST(a_segment_that_grows_is_not_walked_each_time)
{
    struct shard_rig f = segments();
    shard_rig_reopen(&f); /* its marks are not on disk */
    struct storage_segment_row row;
    uint64_t version, n = RECORDS;
    unsigned walks = 0;
    for (int i = 0; i < 10; i++) {
        assert_ok(
            storage_segment_row_at(storage_meta_of(f.storage), &f.id, UINT64_MAX, &row, &version));
        storage_segments_forget(f.storage->shards, NULL);
        unsigned before = shard_disk.reads;
        assert_read_one(f.shard, row.first + (row.next - row.first) / 2);
        walks += shard_disk.reads - before > 2;
        append_until(&f, n, n + 600); /* more than a journal */
        n += 600;
    }
    assert_true(walks <= 3); /* once, and again if it grew while it was walked */
    shard_rig_assert_reads(f.shard, 0, n, 1000);
    shard_rig_teardown(&f);
}

static void *read_all(void *arg)
{
    shard_rig_assert_reads(arg, 0, 400, 1000);
    return NULL;
}

TEST(who_reads_one_shard_does_not_wait_for_the_disk_of_another)
{
    struct shard_rig f = segments();
    struct storage_shard *other;
    struct storage_id other_id = {{9}};
    char id[STORAGE_ID_TEXT_BYTES];
    pthread_t thread;
    assert_ok(storage_shard_open(f.storage, &other_id, INT64_MAX, &other));
    for (uint64_t n = 0; n < 400; n += RECORDS_A_BATCH)
        shard_rig_append_to(&f, other, n, RECORDS_A_BATCH);
    append_until(&f, RECORDS, RECORDS + 2000); /* those are in a segment now */
    storage_id_text(&other_id, id);
    shard_disk_set_folder("/shards/%s", id);
    shard_disk.folder_hangs = true;
    assert_ok(kn_thread_start(&thread, "reader", read_all, other));
    while (!shard_disk.hanging)
        sched_yield();

    storage_segments_forget(f.storage->shards, NULL);
    shard_rig_assert_reads(f.shard, 0, RECORDS, 1000);
    assert_int_equal(found(&f, start + 1999), 2000);

    shard_disk.folder_hangs = false;
    pthread_join(thread, NULL);
    storage_shard_unref(other);
    shard_rig_teardown(&f);
}

TESTS_MAIN(TEST_OF(an_index_and_a_time_in_a_sealed_segment_cost_two_reads),
           TEST_OF(a_page_of_few_records_reads_few_bytes_whatever_else_it_may_hold),
           TEST_OF(any_time_is_found_whatever_is_cached),
           TEST_OF(the_newest_and_the_oldest_are_found_without_the_disk),
           TEST_OF(damaged_marks_are_not_believed_and_written_again),
           TEST_OF(a_segment_that_grows_is_not_walked_each_time),
           TEST_OF(who_reads_one_shard_does_not_wait_for_the_disk_of_another))
