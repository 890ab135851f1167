/* SPDX-License-Identifier: Apache-2.0 */
/* The trim point of a shard: what retention has trimmed never comes back. */
#include "shard_rig.h"

#include <sched.h>

static const int64_t start = 1700000000000;

/* Record n arrives at start + n. */
static void append_until(struct shard_rig *f, uint64_t from, uint64_t to)
{
    for (uint64_t n = from; n < to; n += 10) {
        shard_clock.wall_ms = start + (int64_t) n;
        shard_rig_append(f, n, 10);
    }
}

static uint64_t first_index(struct storage_shard *shard)
{
    struct storage_page page;
    struct storage_shard_read read = {.from = 0, .count_max = 1, .bytes_max = 1};
    assert_ok(storage_shard_read(shard, &read, &page));
    uint64_t first = page.count > 0 ? page.records[0].index : page.next;
    assert_int_equal(page.at_end, page.count == 0 || page.next > first + 1);
    storage_page_free(&page);
    return first;
}

static void trim(struct shard_rig *f, int64_t retention_ms)
{
    storage_shard_set_retention(f->shard, retention_ms);
    assert_ok(storage_shards_trim(f->storage->shards, false));
}

static uint64_t found(struct shard_rig *f, int64_t ms)
{
    uint64_t at;
    assert_ok(storage_shard_find(f->shard, ms, false, &at));
    return at;
}

/* Once in the journal, once in segments. */
static const uint64_t journal_bytes[] = {MIB(4), KIB(64)};

TEST(what_was_trimmed_does_not_come_back_when_the_retention_is_raised)
{
    for (size_t i = 0; i < KN_ARRAY_LEN(journal_bytes); i++) {
        struct shard_rig f = shard_rig_setup(journal_bytes[i]);
        append_until(&f, 0, 1000);
        shard_clock.wall_ms = start + 1000;
        trim(&f, 500);
        assert_int_equal(first_index(f.shard), 500);

        trim(&f, INT64_MAX);
        for (int again = 0; again < 2; again++) { /* opened with an endless retention */
            assert_int_equal(first_index(f.shard), 500);
            assert_int_equal(found(&f, 0), 500);
            shard_rig_reopen(&f);
        }
        trim(&f, 300); /* and it goes on */
        assert_int_equal(first_index(f.shard), 700);
        shard_rig_teardown(&f);
    }
}

TEST(what_was_trimmed_does_not_come_back_when_the_clock_is_set_back)
{
    for (size_t i = 0; i < KN_ARRAY_LEN(journal_bytes); i++) {
        struct shard_rig f = shard_rig_setup(journal_bytes[i]);
        append_until(&f, 0, 1000);
        trim(&f, 490);
        assert_int_equal(first_index(f.shard), 500);

        shard_clock.wall_ms = start - 100000;
        for (int again = 0; again < 2; again++) {
            trim(&f, 490);
            assert_int_equal(first_index(f.shard), 500);
            shard_rig_reopen(&f);
        }
        shard_rig_teardown(&f);
    }
}

TEST(a_clock_that_was_far_ahead_hides_nothing_that_comes_after)
{
    struct shard_rig f = shard_rig_setup(MIB(1));
    append_until(&f, 0, 100);
    shard_clock.wall_ms = start + INT64_C(100) * 365 * 86400 * 1000;
    trim(&f, 1000);
    assert_int_equal(first_index(f.shard), 100);

    shard_clock.wall_ms = start;
    for (uint64_t i = 0; i < 3; i++) {
        shard_rig_append(&f, 100 + i, 1);
        trim(&f, 1000);
        shard_rig_assert_reads(f.shard, 100, 101 + i, 100);
        shard_rig_reopen(&f);
        trim(&f, 1000);
    }
    shard_rig_teardown(&f);
}

TEST(a_shard_without_retention_is_never_trimmed)
{
    struct shard_rig f = shard_rig_setup(KIB(64));
    append_until(&f, 0, 1000);
    shard_clock.wall_ms = start + INT64_C(100) * 365 * 86400 * 1000;
    assert_ok(storage_shards_retire(f.storage->shards));
    shard_rig_assert_reads(f.shard, 0, 1000, 1000);
    shard_rig_teardown(&f);
}

/* The thread that trims is woken by who reads. */
TEST(a_reader_that_finds_old_records_has_them_trimmed_soon)
{
    struct shard_rig f = shard_rig_setup(MIB(1));
    append_until(&f, 0, 1000);
    shard_clock.wall_ms = start + 1000; /* before the retention: that wakes the thread as well */
    storage_shard_set_retention(f.shard, 500);
    int64_t end_ns = kn_mono_ns(kn_clock_system()) + INT64_C(10) * 1000000000;
    while (first_index(f.shard) < 500 && kn_mono_ns(kn_clock_system()) < end_ns)
        sched_yield();
    assert_int_equal(first_index(f.shard), 500);
    shard_rig_teardown(&f);
}

TEST(a_dropped_shard_leaves_no_trim_point)
{
    struct shard_rig f = shard_rig_setup(KIB(64));
    append_until(&f, 0, 1000);
    trim(&f, 500);
    assert_ok(storage_shard_drop(f.storage, &f.id));

    int64_t ms;
    assert_ok(storage_trim_get(storage_meta_of(f.storage), &f.id, &ms));
    assert_true(ms == INT64_MIN);
    storage_shard_unref(f.shard);
    storage_close(f.storage);
    temp_dir_remove(&f.dir);
}

TESTS_MAIN(TEST_OF(what_was_trimmed_does_not_come_back_when_the_retention_is_raised),
           TEST_OF(what_was_trimmed_does_not_come_back_when_the_clock_is_set_back),
           TEST_OF(a_clock_that_was_far_ahead_hides_nothing_that_comes_after),
           TEST_OF(a_shard_without_retention_is_never_trimmed),
           TEST_OF(a_reader_that_finds_old_records_has_them_trimmed_soon),
           TEST_OF(a_dropped_shard_leaves_no_trim_point))
