/* SPDX-License-Identifier: Apache-2.0 */
#include "room.h"

#include "shards.h"

#include <stdatomic.h>
#include <sys/mman.h>

enum {
    SMALL_BYTES = 256 << 10,
    LARGE_BYTES = 2 << 20, /* a huge page: of many shards' batches each lies on another page */
    LARGE_FROM = 16,       /* the part of the budget that is taken when rooms begin to be large */
    SHARE = 64,            /* a room is no more than this part of the budget, else there are none */
    PART = 4,              /* what is longer than this part of a small room has memory of its own */
    LEFT_BYTES = 16 << 10, /* with less a room is not kept open */
    LINE_BYTES = 64,       /* the processor's: a batch begins one */
    LENT = 1 << 16,        /* references, more than batches fit in */
    REST_MS = 1000,
};

struct storage_room {
    struct storage_room *next;
    _Atomic uint32_t refs; /* of what lies in it, and of who adds to it, */
    uint32_t lent;         /* who has so many to give away, without a look at the others' */
    size_t bytes, used;
};
static_assert(LENT > LARGE_BYTES / LINE_BYTES, "a reference for each");
static_assert(sizeof(struct storage_room) <= LINE_BYTES, "the first batch begins a line");

void storage_rooms_init(struct storage_rooms *rooms)
{
    kn_lock_init(&rooms->lock);
}

static void unmap(struct storage_room *room)
{
    while (room) {
        struct storage_room *next = room->next;
        (void) munmap(room, room->bytes);
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
static void *map_pages(size_t bytes, int flags)
{
    void *at =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

/* It begins where a huge page can; where there is none it is made of others. */
static void *map_large(void)
{
    uint8_t *at = map_pages((size_t) 2 * LARGE_BYTES, 0);
    if (!at)
        return NULL;
    size_t before = (LARGE_BYTES - (uintptr_t) at % LARGE_BYTES) % LARGE_BYTES;
    if (before > 0)
        (void) munmap(at, before);
    (void) munmap(at + before + LARGE_BYTES, LARGE_BYTES - before);
    (void) madvise(at + before, LARGE_BYTES, MADV_HUGEPAGE);
    (void) madvise(at + before, LARGE_BYTES, MADV_POPULATE_WRITE);
    return at + before;
}

/* All its pages at once: one call, not a fault for each. */
static struct storage_room *map(size_t bytes)
{
    struct storage_room *room = bytes == LARGE_BYTES ? map_large() : map_pages(bytes, MAP_POPULATE);
    if (room)
        room->bytes = bytes;
    return room;
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

static void keep(struct storage_rooms *rooms, struct storage_room *room)
{
    KN_LOCKED(&rooms->lock);
    room->next = rooms->spare;
    rooms->spare = room;
    rooms->spare_count++;
}

static struct storage_room *lend(struct storage_room *room)
{
    room->lent = LENT;
    room->refs += LENT;
    return room;
}

static size_t bytes_of_next(const struct storage_shards *shards)
{
    uint64_t max = shards->conf.shard_memory_bytes_max;
    bool large = max / SHARE >= LARGE_BYTES && shards->memory_bytes >= max / LARGE_FROM;
    return large ? LARGE_BYTES : SMALL_BYTES;
}

static struct storage_room *empty(struct storage_shards *shards)
{
    struct storage_room *room = spare(&shards->rooms);
    size_t bytes = room ? room->bytes : bytes_of_next(shards);
    if (storage_memory_take(shards, bytes) < 0) {
        if (room)
            keep(&shards->rooms, room);
        return NULL;
    }
    if (!room && !(room = map(bytes))) {
        storage_memory_give(shards, bytes);
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
    if (bytes > SMALL_BYTES / PART || shards->conf.shard_memory_bytes_max / SHARE < SMALL_BYTES)
        return NULL;
    if (!*room)
        *room = opened(&shards->rooms);
    if (*room && (*room)->used + bytes > (*room)->bytes) {
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
    if (!room || room->used + LEFT_BYTES > room->bytes) {
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
    storage_memory_give(shards, room->bytes);
    keep(&shards->rooms, room);
}

/* Where one that is open hangs with nothing in it any more, else the end. */
static struct storage_room **emptied_locked(struct storage_rooms *rooms)
{
    struct storage_room **at = &rooms->open;
    while (*at && (*at)->refs > 1)
        at = &(*at)->next;
    return at;
}

static struct storage_room *closed(struct storage_rooms *rooms)
{
    KN_LOCKED(&rooms->lock);
    struct storage_room **at = emptied_locked(rooms), *room = *at;
    if (room)
        *at = room->next;
    return room;
}

int64_t storage_rooms_due_ns(struct storage_shards *shards)
{
    struct storage_rooms *rooms = &shards->rooms;
    KN_LOCKED(&rooms->lock);
    bool due = rooms->spare || *emptied_locked(rooms);
    return due ? rooms->tidied_ns + REST_MS * INT64_C(1000000) : INT64_MAX;
}

void storage_rooms_tidy(struct storage_shards *shards)
{
    struct storage_rooms *rooms = &shards->rooms;
    for (struct storage_room *room; (room = closed(rooms));)
        storage_room_unref(shards, room);
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
