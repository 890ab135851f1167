/* SPDX-License-Identifier: Apache-2.0 */
#include "room.h"

#include "shards.h"

#include <stdatomic.h>
#include <sys/mman.h>

enum {
    ROOM_BYTES = 256 << 10,
    SHARE = 64,            /* a room is no more than this part of the budget, else there are none */
    PART = 4,              /* what is longer than this part of a room has memory of its own */
    LEFT_BYTES = 16 << 10, /* with less a room is not kept open */
    LINE_BYTES = 64,       /* the processor's: a batch begins one */
    LENT = 1 << 16,        /* references, more than batches fit in */
    REST_MS = 1000,
};

struct storage_room {
    struct storage_room *next;
    _Atomic uint32_t refs; /* of what lies in it, and of who adds to it, */
    uint32_t lent;         /* who has so many to give away, without a look at the others' */
    size_t used;
};
static_assert(LENT > ROOM_BYTES / LINE_BYTES, "a reference for each");
static_assert(sizeof(struct storage_room) <= LINE_BYTES, "the first batch begins a line");

void storage_rooms_init(struct storage_rooms *rooms)
{
    kn_lock_init(&rooms->lock);
}

static void unmap(struct storage_room *room)
{
    while (room) {
        struct storage_room *next = room->next;
        (void) munmap(room, ROOM_BYTES);
        room = next;
    }
}

void storage_rooms_done(struct storage_shards *shards)
{
    struct storage_rooms *rooms = &shards->rooms;
    while (rooms->open) {
        struct storage_room *room = rooms->open;
        rooms->open = room->next;
        storage_room_unref(shards, room);
    }
    unmap(KN_MOVE(rooms->spare));
    kn_lock_done(&rooms->lock);
}

/* --- taking ----------------------------------------------------------------------------------- */
/* All its pages at once: one call, not a fault for each. */
static struct storage_room *map(void)
{
    void *at = mmap(NULL, ROOM_BYTES, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

static struct storage_room *spare(struct storage_rooms *rooms)
{
    KN_LOCKED(&rooms->lock);
    struct storage_room *room = rooms->spare;
    if (room) {
        rooms->spare = room->next;
        rooms->spare_count--;
        rooms->spare_least = kn_min_u64(rooms->spare_least, rooms->spare_count);
    }
    return room;
}

static struct storage_room *lend(struct storage_room *room)
{
    room->lent = LENT;
    room->refs += LENT;
    return room;
}

static struct storage_room *empty(struct storage_shards *shards)
{
    if (storage_memory_take(shards, ROOM_BYTES) < 0)
        return NULL;
    struct storage_room *room = spare(&shards->rooms);
    if (!room && !(room = map())) {
        storage_memory_give(shards, ROOM_BYTES);
        return NULL;
    }
    room->refs = 1;
    room->used = LINE_BYTES;
    return lend(room);
}

static struct storage_room *opened(struct storage_rooms *rooms)
{
    KN_LOCKED(&rooms->lock);
    struct storage_room *room = rooms->open;
    if (room)
        rooms->open = room->next;
    if (room && room->refs == 1) /* all that lay in it has gone */
        room->used = LINE_BYTES;
    return room ? lend(room) : NULL;
}

/* What of them was not given away comes back. */
static void settle(struct storage_room *room)
{
    room->refs -= room->lent;
}

void *storage_room_take(struct storage_shards *shards, struct storage_room **room, size_t bytes)
{
    bytes = (bytes + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
    if (bytes > ROOM_BYTES / PART || shards->conf.shard_memory_bytes_max / SHARE < ROOM_BYTES)
        return NULL;
    if (!*room)
        *room = opened(&shards->rooms);
    if (*room && (*room)->used + bytes > ROOM_BYTES) {
        settle(*room);
        storage_room_unref(shards, KN_MOVE(*room));
    }
    if (!*room && !(*room = empty(shards)))
        return NULL;
    void *at = (uint8_t *) *room + (*room)->used;
    (*room)->used += bytes;
    (*room)->lent--;
    return at;
}

/* --- giving back ------------------------------------------------------------------------------ */
void storage_room_leave(struct storage *storage, struct storage_room *room)
{
    struct storage_shards *shards = storage->shards;
    if (room)
        settle(room);
    if (!room || room->used + LEFT_BYTES > ROOM_BYTES) {
        storage_room_unref(shards, room);
        return;
    }
    KN_LOCKED(&shards->rooms.lock);
    room->next = shards->rooms.open;
    shards->rooms.open = room;
}

void storage_room_unref(struct storage_shards *shards, struct storage_room *room)
{
    if (!room || (room->refs > 1 && --room->refs > 0))
        return;
    storage_memory_give(shards, ROOM_BYTES);
    KN_LOCKED(&shards->rooms.lock);
    room->next = shards->rooms.spare;
    shards->rooms.spare = room;
    shards->rooms.spare_count++;
}

int64_t storage_rooms_due_ns(struct storage_shards *shards)
{
    KN_LOCKED(&shards->rooms.lock);
    return shards->rooms.spare ? shards->rooms.tidied_ns + REST_MS * INT64_C(1000000) : INT64_MAX;
}

void storage_rooms_tidy(struct storage_shards *shards)
{
    struct storage_rooms *rooms = &shards->rooms;
    struct storage_room *idle = NULL;
    kn_lock_take(&rooms->lock);
    for (; rooms->spare_least > 0; rooms->spare_least--, rooms->spare_count--) {
        struct storage_room *room = rooms->spare;
        rooms->spare = room->next;
        room->next = idle;
        idle = room;
    }
    rooms->spare_least = rooms->spare_count;
    rooms->tidied_ns = kn_mono_ns(kn_clock_system());
    kn_lock_give(&rooms->lock);
    unmap(idle);
}
