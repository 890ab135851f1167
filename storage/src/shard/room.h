/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rooms: blocks of memory in which batches lie side by side. The records of a call that go to many
 * shards are as many batches; each would be an allocation of its own, taken on one thread and given
 * back on another. A room goes when the last batch in it has gone, which a checkpoint brings about
 * for nearly all of them at once, and is used again; those that are not needed for a second the
 * system has back. Where much is in memory a room is a huge page: batches are read shard by shard,
 * each on another page, which the processor would have to look up.
 */
#ifndef STORAGE_SRC_SHARD_ROOM_H
#define STORAGE_SRC_SHARD_ROOM_H

#include "core/thread.h"
#include "storage/shard.h"

struct storage_shards;

struct storage_rooms {
    struct kn_lock lock; /* a leaf */
    /* Guarded by lock. */
    struct storage_room *open;       /* with space left, in nobody's hands */
    struct storage_room *spare;      /* with nothing in them */
    size_t spare_count, spare_least; /* now, and since it was last tidied */
    int64_t tidied_ns;
};

void storage_rooms_init(struct storage_rooms *rooms);
void storage_rooms_done(struct storage_shards *shards); /* nothing is in them any more */

/* Bytes in *room, which is the caller's alone until it leaves it (storage/shard.h); NULL, or
 * without so much space: it becomes another. NULL: too many for a room, or no memory within the
 * budget. Each holds a reference, to be given back by unref. */
void *storage_room_take(struct storage_shards *shards, struct storage_room **room, size_t bytes);
void storage_room_unref(struct storage_shards *shards, struct storage_room *room);

/* When there may be something to give back to the system; INT64_MAX: not as things are. */
int64_t storage_rooms_due_ns(struct storage_shards *shards);
/* Gives back those that were not needed since the last time. One that is open, with nothing in it
 * any more, is spare from now on. */
void storage_rooms_tidy(struct storage_shards *shards);

#endif
