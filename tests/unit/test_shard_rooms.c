/* SPDX-License-Identifier: Apache-2.0 */
/* Batches that lie side by side, and what becomes of their memory. */
#include "shard_rig.h"

#include "shard/shards.h"

enum {
    CALL = 100, /* records of a call, a batch each */
    FEW = 8,    /* shards */
    LOAF = 16 << 10,
    LOAVES = 2048, /* an eighth of the budget */
};

struct call {
    struct kn_lock lock;
    struct kn_cond moved;
    size_t left, failed; /* guarded by lock */
};

static void on_appended(void *ctx, uint64_t first_index, int64_t arrival_ms, int result)
{
    struct call *call = ctx;
    (void) first_index;
    (void) arrival_ms;
    KN_LOCKED(&call->lock);
    call->left--;
    call->failed += result < 0;
    kn_cond_signal(&call->moved);
}

/* A call with a record a batch, to the shards in turn; shards count the same records. */
static void put(struct shard_rig *f, struct storage_shard *const *shards, size_t shard_count,
                uint64_t number)
{
    struct call call = {.left = CALL};
    struct storage_appends all = {.first = NULL};
    struct storage_room *room = NULL;
    kn_lock_init(&call.lock);
    kn_cond_init(&call.moved);
    for (size_t i = 0; i < CALL; i++) {
        struct storage_batch *batch;
        assert_ok(storage_batch_new_for(f->storage, &room, 1, 24 + 512, &batch));
        shard_rig_add(f, batch, number + i / shard_count, NULL);
        storage_shard_ref(shards[i % shard_count]);
        storage_shard_append_with(shards[i % shard_count], batch, on_appended, &call, &all);
    }
    assert_non_null(room);
    storage_room_leave(f->storage, room);
    storage_shard_append_all(&all);
    kn_lock_take(&call.lock);
    while (call.left > 0)
        kn_cond_wait(&call.moved, &call.lock);
    kn_lock_give(&call.lock);
    assert_int_equal(call.failed, 0);
    kn_cond_done(&call.moved);
    kn_lock_done(&call.lock);
}

static void open_few(struct shard_rig *f, struct storage_shard *shards[FEW])
{
    for (unsigned i = 0; i < FEW; i++) {
        struct storage_id id = {
            {(uint8_t) i, 7}
        };
        assert_ok(storage_shard_open(f->storage, &id, INT64_MAX, &shards[i]));
    }
}

/* Until no more than the newest journal's records are in memory. */
static void wait_for_checkpoints(struct storage_shards *shards)
{
    KN_LOCKED(&shards->lock);
    for (unsigned i = 0; i < STORAGE_JOURNALS_MAX; i++) {
        while (shards->journals[i].state == STORAGE_JOURNAL_FULL)
            kn_cond_wait(&shards->idle, &shards->lock);
    }
}

TEST(batches_of_a_call_lie_side_by_side_and_are_read)
{
    struct shard_rig f = shard_rig_setup(MIB(1));
    struct storage_shard *shards[1] = {f.shard};

    for (uint64_t n = 0; n < 4000; n += CALL)
        put(&f, shards, 1, n);

    shard_rig_assert_reads(f.shard, 0, 4000, 1000);
    wait_for_checkpoints(f.storage->shards);
    shard_rig_assert_reads(f.shard, 0, 4000, 1000);
    shard_rig_reopen(&f);
    assert_int_equal(f.report.bad_frames, 0);
    shard_rig_assert_reads(f.shard, 0, 4000, 1000);
    shard_rig_teardown(&f);
}

TEST(rooms_that_are_not_needed_any_more_go_back_to_the_system)
{
    struct shard_rig f = shard_rig_setup(MIB(1));
    struct storage_shards *shards = f.storage->shards;
    struct storage_shard *one[1] = {f.shard};
    for (uint64_t n = 0; n < 10000; n += CALL)
        put(&f, one, 1, n);
    wait_for_checkpoints(shards);
    assert_true(shards->memory_bytes <= MIB(3)); /* of journals of 1 MiB */

    storage_rooms_tidy(shards); /* once: which of them are needed shows from now on */
    storage_rooms_tidy(shards);

    assert_null(shards->rooms.spare);
    assert_int_equal(storage_rooms_due_ns(shards), INT64_MAX);
    put(&f, one, 1, 10000);
    shard_rig_assert_reads(f.shard, 0, 10000 + CALL, 1000);
    shard_rig_teardown(&f);
}

/* Rooms of 256 KiB would be 128 and more; from a sixteenth of the budget on they have 2 MiB. */
TEST(where_much_is_in_memory_rooms_are_large)
{
    struct shard_rig f = shard_rig_setup(MIB(1));
    struct storage_shards *shards = f.storage->shards;
    static struct storage_batch *batches[LOAVES];
    struct storage_room *room = NULL, *last = NULL;
    size_t rooms = 0;
    shards->conf.shard_memory_bytes_max = MIB(256);

    for (size_t i = 0; i < LOAVES; i++) {
        assert_ok(storage_batch_new_for(f.storage, &room, 1, LOAF, &batches[i]));
        shard_rig_add(&f, batches[i], i, NULL);
        rooms += room != last;
        last = room;
    }

    assert_in_range(rooms, 64 + 8, 80);
    assert_in_range(shards->memory_bytes, LOAVES * LOAF, MIB(38));
    storage_room_leave(f.storage, room);
    for (size_t i = 0; i < LOAVES; i++)
        storage_batch_free(batches[i]);
    storage_rooms_tidy(shards);
    assert_int_equal(shards->memory_bytes, 0); /* nor of the one that takes more */
    storage_rooms_tidy(shards);
    assert_null(shards->rooms.spare);
    assert_null(shards->rooms.open);
    shard_rig_teardown(&f);
}

TEST(a_batch_that_is_stuck_does_not_keep_the_room_of_others)
{
    struct shard_rig f = shard_rig_setup(KIB(256));
    struct storage_shards *shards = f.storage->shards;
    struct storage_shard *few[FEW + 1];
    char id[STORAGE_ID_TEXT_BYTES];
    storage_id_text(&f.id, id);
    shard_disk_set_folder("/shards/%s", id);
    shard_disk.folder_error = -EIO;
    open_few(&f, few);
    few[FEW] = f.shard;

    for (unsigned i = 0; i < 200; i++) /* more than 10 MB, a ninth of them stuck */
        put(&f, few, FEW + 1, i * (CALL / (FEW + 1)));
    wait_for_checkpoints(shards);

    assert_true(shards->stuck_bytes > MIB(1) / 4);
    assert_true(shards->memory_bytes <= MIB(4));
    shard_disk.folder_error = 0;
    for (unsigned i = 0; i < FEW; i++)
        storage_shard_unref(few[i]);
    shard_rig_teardown(&f);
}

TESTS_MAIN(TEST_OF(batches_of_a_call_lie_side_by_side_and_are_read),
           TEST_OF(rooms_that_are_not_needed_any_more_go_back_to_the_system),
           TEST_OF(where_much_is_in_memory_rooms_are_large),
           TEST_OF(a_batch_that_is_stuck_does_not_keep_the_room_of_others))
