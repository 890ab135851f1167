/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hash table whose buckets hold a few streams each: a new one takes the place of the one heard of
 * longest ago that uploads nothing, so memory is bounded without anybody saying that a stream went.
 */
#include "upload_health.h"

#include "ingest_internal.h"

#include <stdlib.h>

#include "core/thread.h"

enum {
    BUCKETS = 4096,
    BUCKET_STREAMS_MAX = 8, /* 32,768 streams, 13 MB */
};

struct entry {
    struct storage_id stream;
    struct ingest_health health;
    struct entry *next;
};

struct ingest_healths {
    struct kn_lock lock;
    struct entry *buckets[BUCKETS]; /* the newest first */
};

int ingest_healths_new(struct ingest_healths **ret)
{
    struct ingest_healths *healths = calloc(1, sizeof *healths);
    if (!healths)
        return -ENOMEM;
    kn_lock_init(&healths->lock);
    *ret = healths;
    return 0;
}

void ingest_healths_free(struct ingest_healths *healths)
{
    if (!healths)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        while (healths->buckets[i]) {
            struct entry *entry = healths->buckets[i];
            healths->buckets[i] = entry->next;
            free(entry);
        }
    kn_lock_done(&healths->lock);
    free(healths);
}

static struct entry **bucket_of(struct ingest_healths *healths, const struct storage_id *stream)
{
    size_t hash = 0; /* ids are random */
    memcpy(&hash, stream->bytes, sizeof hash);
    return &healths->buckets[hash % BUCKETS];
}

static struct entry *find_locked(struct ingest_healths *healths, const struct storage_id *stream)
{
    kn_lock_assert_held(&healths->lock);
    for (struct entry *e = *bucket_of(healths, stream); e; e = e->next)
        if (storage_id_cmp(&e->stream, stream) == 0)
            return e;
    return NULL;
}

/* Room for one more: the oldest that uploads nothing goes; all do: the bucket grows. */
static void make_room_locked(struct entry **bucket)
{
    struct entry **victim = NULL;
    size_t count = 0;
    for (struct entry **at = bucket; *at; at = &(*at)->next) {
        count++;
        if ((*at)->health.open == 0 &&
            (!victim || (*at)->health.ended_ms <= (*victim)->health.ended_ms))
            victim = at;
    }
    if (count < BUCKET_STREAMS_MAX || !victim)
        return;
    struct entry *gone = *victim;
    *victim = gone->next;
    free(gone);
}

void ingest_health_began(struct ingest_healths *healths, const struct storage_id *stream,
                         int64_t now_ms)
{
    KN_LOCKED(&healths->lock);
    struct entry *entry = find_locked(healths, stream);
    if (!entry) {
        struct entry **bucket = bucket_of(healths, stream);
        make_room_locked(bucket);
        entry = calloc(1, sizeof *entry);
        if (!entry)
            return; /* an upload is worth more than what is told of it */
        entry->stream = *stream;
        entry->next = *bucket;
        *bucket = entry;
    }
    struct ingest_health *health = &entry->health;
    health->open++;
    health->since_ms = now_ms;
    health->starts_ms[health->uploads++ % INGEST_HEALTH_STARTS_MAX] = now_ms;
}

void ingest_health_ended(struct ingest_healths *healths, const struct storage_id *stream,
                         int64_t now_ms)
{
    KN_LOCKED(&healths->lock);
    struct entry *entry = find_locked(healths, stream);
    if (!entry)
        return;
    entry->health.open -= entry->health.open > 0 ? 1 : 0;
    entry->health.ended_ms = now_ms;
}

void ingest_health_failed(struct ingest_healths *healths, const struct storage_id *stream,
                          int64_t now_ms, enum ingest_error error, const char *text)
{
    KN_LOCKED(&healths->lock);
    struct entry *entry = find_locked(healths, stream);
    if (!entry)
        return;
    entry->health.errors++;
    entry->health.error_ms = now_ms;
    entry->health.error_id = (int) error;
    entry->health.error_code = ingest_error_code(error);
    snprintf(entry->health.error_text, sizeof entry->health.error_text, "%s", text);
}

void ingest_health_keyless(struct ingest_healths *healths, const struct storage_id *stream,
                           int64_t now_ms)
{
    KN_LOCKED(&healths->lock);
    struct entry *entry = find_locked(healths, stream);
    if (entry)
        entry->health.keyless_ms = now_ms;
}

bool ingest_healths_get(struct ingest_healths *healths, const struct storage_id *stream,
                        struct ingest_health *ret)
{
    KN_LOCKED(&healths->lock);
    const struct entry *entry = find_locked(healths, stream);
    if (entry)
        *ret = entry->health;
    return entry != NULL;
}

bool ingest_health_get(struct ingest *ingest, const struct storage_id *stream,
                       struct ingest_health *ret)
{
    return ingest_healths_get(ingest->healths, stream, ret);
}

unsigned ingest_health_starts_after(const struct ingest_health *health, int64_t ms)
{
    unsigned count = 0;
    for (size_t i = 0; i < INGEST_HEALTH_STARTS_MAX; i++)
        count += health->starts_ms[i] > ms ? 1 : 0;
    return count;
}
