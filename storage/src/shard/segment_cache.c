/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segments open for reading. They are found by halving; the lock is held for that alone, never
 * while a disk is waited for: files are opened before, and closed behind it.
 */
#include "segment.h"

static int compare(const struct storage_segment *segment, const struct storage_id *shard,
                   uint64_t first)
{
    int by_shard = storage_id_cmp(&segment->shard, shard);
    if (by_shard != 0)
        return by_shard;
    return segment->row.first < first ? -1 : segment->row.first > first;
}

/* The place of the first that is not below. */
static size_t place_locked(struct storage_shards *shards, const struct storage_id *shard,
                           uint64_t first)
{
    return KN_BISECT(i, 0, shards->segment_count, compare(shards->segments[i], shard, first) < 0);
}

static void unlink_used_locked(struct storage_shards *shards, struct storage_segment *segment)
{
    if (segment->prev)
        segment->prev->next = segment->next;
    else
        shards->segment_newest = segment->next;
    if (segment->next)
        segment->next->prev = segment->prev;
    else
        shards->segment_oldest = segment->prev;
    segment->next = segment->prev = NULL;
}

static void link_used_locked(struct storage_shards *shards, struct storage_segment *segment)
{
    segment->next = shards->segment_newest;
    segment->prev = NULL;
    if (segment->next)
        segment->next->prev = segment;
    else
        shards->segment_oldest = segment;
    shards->segment_newest = segment;
}

/* Onto a list of those whose references are given up once the lock is. */
static void remove_locked(struct storage_shards *shards, size_t at, struct storage_segment **gone)
{
    struct storage_segment *segment = shards->segments[at];
    shards->segment_count--;
    memmove(&shards->segments[at], &shards->segments[at + 1],
            (shards->segment_count - at) * sizeof(*shards->segments));
    unlink_used_locked(shards, segment);
    segment->next = *gone;
    *gone = segment;
}

static void unref_all(struct storage_segment *gone)
{
    while (gone) {
        struct storage_segment *next = gone->next;
        storage_segment_unref(gone);
        gone = next;
    }
}

struct storage_segment *storage_segments_find(struct storage_shards *shards,
                                              const struct storage_id *shard, uint64_t index)
{
    KN_LOCKED(&shards->segments_lock);
    size_t at = place_locked(shards, shard, index);
    if (at == shards->segment_count || compare(shards->segments[at], shard, index) != 0) {
        if (at == 0) /* the one before it may have it */
            return NULL;
        at--;
    }
    struct storage_segment *s = shards->segments[at];
    if (storage_id_cmp(&s->shard, shard) != 0 || index >= s->row.next)
        return NULL;
    s->refs++;
    unlink_used_locked(shards, s);
    link_used_locked(shards, s);
    return s;
}

struct storage_segment *storage_segments_find_ms(struct storage_shards *shards,
                                                 const struct storage_id *shard, int64_t ms,
                                                 uint64_t oldest)
{
    KN_LOCKED(&shards->segments_lock);
    size_t first = place_locked(shards, shard, 0), end = place_locked(shards, shard, UINT64_MAX);
    /* The first that reaches so far. */
    size_t at = KN_BISECT(i, first, end, shards->segments[i]->row.last_ms < ms);
    if (at == shards->segment_count)
        return NULL;
    struct storage_segment *s = shards->segments[at];
    if (storage_id_cmp(&s->shard, shard) != 0)
        return NULL;
    bool follows = at > first && shards->segments[at - 1]->row.next == s->row.first;
    if (s->row.first_ms >= ms && !follows && s->row.first != oldest)
        return NULL; /* it may be in one before it */
    s->refs++;
    unlink_used_locked(shards, s);
    link_used_locked(shards, s);
    return s;
}

static bool make_room_locked(struct storage_shards *shards)
{
    if (shards->segment_count < shards->segment_cap)
        return true;
    size_t cap = shards->segment_cap ? shards->segment_cap * 2 : 16;
    struct storage_segment **grown =
        realloc(shards->segments, cap * sizeof(struct storage_segment *));
    if (!grown)
        return false;
    shards->segments = grown;
    shards->segment_cap = cap;
    return true;
}

void storage_segments_put(struct storage_shards *shards, struct storage_segment *segment)
{
    struct storage_segment *gone = NULL;
    kn_lock_take(&shards->segments_lock);
    size_t at = place_locked(shards, &segment->shard, segment->row.first);
    if (at < shards->segment_count &&
        compare(shards->segments[at], &segment->shard, segment->row.first) == 0)
        remove_locked(shards, at, &gone);
    if (make_room_locked(shards)) { /* or it is not cached */
        memmove(&shards->segments[at + 1], &shards->segments[at],
                (shards->segment_count - at) * sizeof(*shards->segments));
        shards->segments[at] = segment;
        shards->segment_count++;
        segment->refs++;
        link_used_locked(shards, segment);
    }
    while (shards->segment_count > shards->conf.open_segments_max) {
        struct storage_segment *s = shards->segment_oldest;
        remove_locked(shards, place_locked(shards, &s->shard, s->row.first), &gone);
    }
    kn_lock_give(&shards->segments_lock);
    unref_all(gone);
}

void storage_segments_forget(struct storage_shards *shards, const struct storage_id *shard)
{
    struct storage_segment *gone = NULL;
    kn_lock_take(&shards->segments_lock);
    size_t at = shard ? place_locked(shards, shard, 0) : 0;
    while (at < shards->segment_count &&
           (!shard || storage_id_cmp(&shards->segments[at]->shard, shard) == 0))
        remove_locked(shards, at, &gone);
    if (!shard) {
        free(shards->segments);
        shards->segments = NULL;
        shards->segment_cap = 0;
    }
    kn_lock_give(&shards->segments_lock);
    unref_all(gone);
}
