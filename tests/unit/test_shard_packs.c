/* SPDX-License-Identifier: Apache-2.0 */
/* Segments of many shards in one file: written, read, checked, dumped and removed. */
#include "shard_rig.h"

#include <unistd.h>

#include "shard/pack.h"

enum {
    LITTLE = 90, /* shards */
    RECORDS = 3, /* of each at a time */
};

static char said[1 << 20];
static size_t said_len;

static void on_line(void *ctx, const char *line)
{
    (void) ctx;
    said_len += (size_t) snprintf(said + said_len, sizeof(said) - said_len, "%s\n", line);
    assert_true(said_len < sizeof(said));
}

static struct storage_look looking(void)
{
    return (struct storage_look){kn_fs_system(), &shard_clock.clock, on_line, NULL};
}

static uint64_t problems(struct shard_rig *f)
{
    struct storage_check_result result;
    struct kn_err err = {0};
    said_len = 0;
    const struct storage_look look = looking();
    assert_ok(storage_check(f->dir.path, &look, &result, &err));
    return result.problems;
}

static struct storage_shard *open_little(struct shard_rig *f, unsigned number, int64_t retention_ms)
{
    struct storage_shard *shard;
    struct storage_id id = {
        {9, (uint8_t) number}
    };
    assert_ok(storage_shard_open(f->storage, &id, retention_ms, &shard));
    return shard;
}

/* Of every second one a day, of the others a second is kept. */
static int64_t retention_of(unsigned number)
{
    return number % 2 ? 1000 : 86400000;
}

static void append_round(struct shard_rig *f, uint64_t next)
{
    for (unsigned i = 0; i < LITTLE; i++) {
        struct storage_shard *shard = open_little(f, i, retention_of(i));
        assert_int_equal(shard_rig_append_to(f, shard, next, RECORDS), next);
        storage_shard_unref(shard);
    }
}

static int name_pack(void *ctx, const char *name, bool is_dir)
{
    assert_false(is_dir);
    snprintf(ctx, 200, "%s", name);
    return 0;
}

static int count_pack(void *ctx, const char *name, bool is_dir)
{
    (void) name;
    (void) is_dir;
    ++*(size_t *) ctx;
    return 0;
}

static size_t packs_of(struct shard_rig *f)
{
    char path[200];
    size_t count = 0;
    snprintf(path, sizeof(path), "%s/packs", f->dir.path);
    assert_ok(kn_fs_system()->ops->list(kn_fs_system(), path, count_pack, &count));
    return count;
}

/* Everything is checkpointed: the rig's own shard has filled the journals. */
static void fill_journals(struct shard_rig *f)
{
    struct storage_shard_ends ends;
    storage_shard_ends(f->shard, &ends);
    for (uint64_t n = ends.next; n < ends.next + 2000; n += 40)
        shard_rig_append(f, n, 40);
    kn_lock_take(&f->storage->shards->lock);
    while (f->storage->shards->checkpointed + 2 < f->storage->shards->generation)
        kn_cond_wait(&f->storage->shards->idle, &f->storage->shards->lock);
    kn_lock_give(&f->storage->shards->lock);
}

static struct shard_rig packed(unsigned rounds)
{
    struct shard_rig f = shard_rig_setup(KIB(64));
    f.conf.pack_shards_min = 20;
    f.conf.pack_bytes_max = KIB(16);
    shard_rig_reopen(&f);
    for (unsigned i = 0; i < rounds; i++) {
        append_round(&f, (uint64_t) i * RECORDS);
        fill_journals(&f);
    }
    return f;
}

static void assert_all_read(struct shard_rig *f, unsigned step, uint64_t to)
{
    for (unsigned i = 0; i < LITTLE; i += step) {
        struct storage_shard *shard = open_little(f, i, retention_of(i));
        shard_rig_assert_reads(shard, 0, to, 4);
        storage_shard_unref(shard);
    }
}

static void retire(struct shard_rig *f)
{
    do
        assert_ok(storage_shards_retire(f->storage->shards));
    while (f->storage->shards->retire_more);
}

TEST(shards_with_little_share_files_and_are_read_from_them)
{
    struct shard_rig f = packed(4);
    assert_true(packs_of(&f) >= 4);
    assert_all_read(&f, 1, 4 * RECORDS);
    shard_rig_reopen(&f);
    assert_all_read(&f, 1, 4 * RECORDS);
    shard_rig_close(&f);
    assert_int_equal(problems(&f), 0);
    shard_rig_open(&f);
    shard_rig_teardown(&f);
}

/* From a file of its own to packs and back. */
TEST(a_shard_goes_from_its_own_file_to_packs_and_back)
{
    struct shard_rig f = shard_rig_setup(KIB(64));
    for (unsigned i = 0; i < 6; i++) {
        f.conf.pack_shards_min = i % 2 ? 20 : 1000000;
        shard_rig_reopen(&f);
        append_round(&f, (uint64_t) i * RECORDS);
        fill_journals(&f);
    }
    assert_all_read(&f, 1, 6 * RECORDS);
    shard_rig_close(&f);
    assert_int_equal(problems(&f), 0);
    shard_rig_open(&f);
    assert_all_read(&f, 7, 6 * RECORDS);
    shard_rig_teardown(&f);
}

/* Also when the count of what is left in it had to be made anew. */
TEST(a_pack_goes_with_the_last_of_its_segments)
{
    struct shard_rig f = packed(2);
    size_t before = packs_of(&f);
    assert_true(before >= 2);
    shard_clock.wall_ms += 5000;
    retire(&f);
    assert_int_equal(packs_of(&f), before);
    assert_all_read(&f, 2, 2 * RECORDS);
    for (unsigned i = 0; i < LITTLE; i += 2) {
        struct storage_id id = {
            {9, (uint8_t) i}
        };
        assert_ok(storage_shard_drop(f.storage, &id));
        if (i == 20)
            shard_rig_reopen(&f);
    }
    assert_int_equal(packs_of(&f), 0);
    shard_rig_close(&f);
    assert_int_equal(problems(&f), 0);
    shard_rig_open(&f);
    shard_rig_teardown(&f);
}

TEST(what_cannot_go_to_a_pack_goes_to_files_of_its_own)
{
    struct shard_rig f = shard_rig_setup(KIB(64));
    f.conf.pack_shards_min = 20;
    shard_rig_reopen(&f);
    shard_disk_set_folder("/packs/");
    shard_disk.folder_error = -EIO;
    append_round(&f, 0);
    fill_journals(&f);
    assert_all_read(&f, 1, RECORDS);
    shard_disk.folder_error = 0;
    append_round(&f, RECORDS);
    fill_journals(&f);
    assert_all_read(&f, 1, 2 * RECORDS);
    assert_true(packs_of(&f) > 0);
    shard_rig_close(&f);
    assert_int_equal(problems(&f), 0);
    shard_rig_open(&f);
    shard_rig_teardown(&f);
}

/* A crash has left it: a row and a torn file that nobody names. */
TEST(a_pack_that_was_not_finished_is_removed)
{
    struct shard_rig f = shard_rig_setup(KIB(64));
    struct storage_pack_row row = {.number = 1};
    char path[STORAGE_SHARD_PATH_BYTES];
    fill_journals(&f);
    assert_ok(storage_pack_put(f.storage->meta, &row));
    assert_ok(storage_pack_path(f.storage->shards, 1, path));
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fputs("torn", file);
    fclose(file);
    assert_int_equal(packs_of(&f), 1);
    retire(&f);
    assert_int_equal(packs_of(&f), 0);
    shard_rig_teardown(&f);
}

TEST(a_pack_is_dumped_and_its_damage_found)
{
    struct shard_rig f = packed(1);
    char folder[200], name[200] = "", path[500];
    const struct storage_look look = looking();
    struct kn_err err = {0};
    shard_rig_close(&f);
    snprintf(folder, sizeof(folder), "%s/packs", f.dir.path);
    assert_ok(kn_fs_system()->ops->list(kn_fs_system(), folder, name_pack, name));
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    said_len = 0;
    assert_ok(storage_dump(path, &look, true, &err));
    assert_non_null(strstr(said, "pack number="));
    assert_non_null(strstr(said, "segment shard=09"));
    assert_non_null(strstr(said, "record index=0"));
    assert_null(strstr(said, "damage"));

    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, -100, SEEK_END), 0);
    for (int i = 0; i < 20; i++)
        fputc('x', file);
    assert_int_equal(fseek(file, 70, SEEK_SET), 0);
    fputc('x', file);
    fclose(file);
    assert_true(problems(&f) >= 2);
    assert_non_null(strstr(said, "problem pack file="));
    assert_non_null(strstr(said, "problem frame file="));
    shard_rig_open(&f);
    shard_rig_teardown(&f);
}

/* --- rows of shards --------------------------------------------------------------------------- */
static uint64_t next_by_row(struct shard_rig *f, unsigned number)
{
    struct storage_shard_row row;
    uint64_t version;
    struct storage_id id = {
        {9, (uint8_t) number}
    };
    assert_ok(storage_shard_row_get(storage_meta_of(f->storage), &id, &row, &version));
    free(row.sources);
    return row.next;
}

/* Checkpoints leave a shard's row as it is where its newest segment says the same. */
TEST(a_shard_whose_segments_are_all_gone_goes_on_where_it_was)
{
    struct shard_rig f = packed(3);
    struct storage_shard_ends before, after;
    struct storage_shard *shard = open_little(&f, 1, retention_of(1));
    storage_shard_ends(shard, &before);
    storage_shard_unref(shard);
    assert_int_equal(before.next, 3 * RECORDS);
    assert_int_equal(next_by_row(&f, 1), RECORDS);

    shard_clock.wall_ms += 5000;
    retire(&f);
    assert_int_equal(next_by_row(&f, 1), 3 * RECORDS);
    assert_int_equal(next_by_row(&f, 2), RECORDS);
    for (int i = 0; i < 2; i++) {
        shard_rig_reopen(&f);
        shard = open_little(&f, 1, retention_of(1));
        storage_shard_ends(shard, &after);
        assert_int_equal(after.oldest, 3 * RECORDS + (uint64_t) i);
        assert_int_equal(after.records_in, before.records_in + (uint64_t) i);
        assert_true(i == 0 ? after.bytes_in == before.bytes_in : after.bytes_in > before.bytes_in);
        assert_int_equal(shard_rig_append_to(&f, shard, after.next, 1), 3 * RECORDS + (uint64_t) i);
        fill_journals(&f);
        shard_clock.wall_ms += 5000;
        storage_shard_unref(shard);
        retire(&f);
    }
    shard_rig_teardown(&f);
}

TEST(closing_a_shard_later_counts_all_that_it_had)
{
    struct shard_rig f = packed(3);
    struct storage_shard_ends before, after;
    struct storage_shard *shard = open_little(&f, 1, retention_of(1));
    uint64_t end;
    storage_shard_ends(shard, &before);
    assert_ok(storage_shard_close(shard, &end));
    storage_shard_unref(shard);
    fill_journals(&f);
    shard_clock.wall_ms += 5000;
    retire(&f);
    shard_rig_reopen(&f);
    shard = open_little(&f, 1, retention_of(1));
    storage_shard_ends(shard, &after);
    assert_true(after.closed);
    assert_int_equal(after.oldest, 3 * RECORDS);
    assert_int_equal(after.records_in, before.records_in);
    assert_int_equal(after.bytes_in, before.bytes_in);
    storage_shard_unref(shard);
    shard_rig_teardown(&f);
}

static bool any_full_locked(const struct storage_shards *shards)
{
    for (unsigned i = 0; i < STORAGE_JOURNALS_MAX; i++)
        if (shards->journals[i].state == STORAGE_JOURNAL_FULL)
            return true;
    return false;
}

/* Until no checkpoint is due, which would write rows. */
static void await_quiet(struct shard_rig *f)
{
    struct storage_shards *shards = f->storage->shards;
    KN_LOCKED(&shards->lock);
    while (any_full_locked(shards))
        kn_cond_wait(&shards->idle, &shards->lock);
}

TEST(indexes_that_damage_may_have_taken_follow_the_newest_segment)
{
    struct shard_rig f = packed(3);
    shard_rig_reopen(&f);
    await_quiet(&f); /* a start leaps before its threads run */
    assert_int_equal(next_by_row(&f, 1), RECORDS);
    assert_ok(storage_shards_leap(f.storage->shards, 4));
    for (int i = 0; i < 2; i++) {
        struct storage_shard *shard = open_little(&f, 1, retention_of(1));
        struct storage_shard_ends ends;
        storage_shard_ends(shard, &ends);
        assert_int_equal(ends.next, 3 * RECORDS + 4);
        storage_shard_unref(shard);
        shard_rig_reopen(&f);
    }
    shard_rig_teardown(&f);
}

/* --- when a checkpoint begins ----------------------------------------------------------------- */
static uint64_t newest_journal(struct shard_rig *f)
{
    struct storage_shards *shards = f->storage->shards;
    KN_LOCKED(&shards->lock);
    return shards->generation;
}

static void await_checkpoint(struct shard_rig *f, uint64_t generation)
{
    struct storage_shards *shards = f->storage->shards;
    KN_LOCKED(&shards->lock);
    while (shards->checkpointed < generation)
        kn_cond_wait(&shards->idle, &shards->lock);
}

/* With many shards a full journal waits for a second one; when none comes, it is written out too.
 */
TEST(a_full_journal_of_many_shards_does_not_wait_for_ever)
{
    struct shard_rig f = shard_rig_setup(KIB(64));
    uint64_t next = 0;
    for (uint64_t full = 1; full <= 6; full++) {
        for (; newest_journal(&f) <= full; next += RECORDS)
            append_round(&f, next);
        if (full % 2 == 0)
            await_checkpoint(&f, full); /* nothing is appended meanwhile */
    }
    shard_rig_close(&f);
    assert_int_equal(problems(&f), 0);
    shard_rig_open(&f);
    shard_rig_teardown(&f);
}

TESTS_MAIN(TEST_OF(shards_with_little_share_files_and_are_read_from_them),
           TEST_OF(a_shard_goes_from_its_own_file_to_packs_and_back),
           TEST_OF(a_pack_goes_with_the_last_of_its_segments),
           TEST_OF(what_cannot_go_to_a_pack_goes_to_files_of_its_own),
           TEST_OF(a_pack_that_was_not_finished_is_removed),
           TEST_OF(a_pack_is_dumped_and_its_damage_found),
           TEST_OF(a_shard_whose_segments_are_all_gone_goes_on_where_it_was),
           TEST_OF(closing_a_shard_later_counts_all_that_it_had),
           TEST_OF(indexes_that_damage_may_have_taken_follow_the_newest_segment),
           TEST_OF(a_full_journal_of_many_shards_does_not_wait_for_ever))
