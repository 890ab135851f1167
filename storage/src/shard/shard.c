/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of shards. One is in memory while somebody holds it, or while records of it are not in
 * a segment yet; otherwise the catalogue's rows say all there is to know.
 */
#include "metrics.h"
#include "shards.h"

#include <stdatomic.h>

enum {
    TAIL_FIRST = 8, /* batches: one allocation, when each of many shards has a few */
};

static size_t bucket_of(const struct storage_id *id) /* ids are random */
{
    return ((size_t) id->bytes[0] << 8 | id->bytes[1]) % STORAGE_SHARD_BUCKETS;
}

struct storage_shard *storage_shard_peek_locked(struct storage_shards *shards,
                                                const struct storage_id *id)
{
    struct storage_shard *shard = shards->buckets[bucket_of(id)];
    while (shard && storage_id_cmp(&shard->id, id) != 0)
        shard = shard->bucket_next;
    return shard;
}

static void shard_free(struct storage_shard *shard)
{
    storage_shard_metrics_loaded(-1);
    kn_assert(shard->tail_count == 0);
    free(shard->tail);
    free(shard->sources);
    storage_marks_done(&shard->marks);
    kn_gate_done(&shard->gate);
    kn_lock_done(&shard->lock);
    free(shard);
}

void storage_shard_ref(struct storage_shard *shard)
{
    shard->refs++;
}

static void remove_locked(struct storage_shards *shards, struct storage_shard *shard)
{
    struct storage_shard **at = &shards->buckets[bucket_of(&shard->id)];
    while (*at && *at != shard)
        at = &(*at)->bucket_next;
    if (*at)
        *at = shard->bucket_next;
}

void storage_shard_unref(struct storage_shard *shard)
{
    if (!shard)
        return;
    uint32_t refs = shard->refs;
    while (refs > 1) { /* the usual case needs no lock */
        if (atomic_compare_exchange_weak(&shard->refs, &refs, refs - 1))
            return;
    }
    struct storage_shards *shards = shard->shards;
    kn_lock_take(&shards->lock);
    bool last = --shard->refs == 0;
    if (last)
        remove_locked(shards, shard);
    kn_lock_give(&shards->lock);
    if (last)
        shard_free(shard);
}

/* --- from the catalogue ----------------------------------------------------------------------- */
static int load_segments(struct storage_meta *meta, struct storage_shard *shard)
{
    struct storage_segment_row newest, oldest;
    uint64_t version;
    int r = storage_segment_row_at(meta, &shard->id, UINT64_MAX, &newest, &version);
    if (r == 0)
        r = storage_segment_row_oldest(meta, &shard->id, &oldest);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    shard->flushed = newest.next;
    shard->flushed_ms = newest.last_ms;
    shard->oldest = oldest.first;
    shard->oldest_ms = oldest.first_ms;
    shard->bytes_dropped = oldest.bytes_before;
    shard->records_dropped = oldest.records_before;
    if (newest.next > shard->next || newest.last_ms > shard->newest_ms) {
        shard->next = kn_max_u64(shard->next, newest.next);
        shard->newest_ms = kn_max_i64(shard->newest_ms, newest.last_ms);
    }
    shard->bytes = kn_max_u64(shard->bytes, newest.bytes_before + newest.data_bytes);
    shard->records = kn_max_u64(shard->records, newest.records_before + newest.records);
    return 0;
}

static int load_rows(struct storage_meta *meta, struct storage_shard *shard)
{
    struct storage_shard_row row = {.next = 0};
    uint64_t version;
    int r = storage_shard_row_get(meta, &shard->id, &row, &version);
    if (r < 0 && r != -ENOENT)
        return r;
    if (r == -ENOENT)
        row.give = shard->shards->leap;
    shard->has_row = r == 0;
    shard->closed = shard->closing = row.closed;
    shard->retention_ms = shard->retention_stored_ms = r == 0 ? row.retention_ms : INT64_MAX;
    shard->flushed = shard->told = row.next;
    shard->next = kn_max_u64(row.next, row.give);
    shard->newest_ms = shard->flushed_ms = row.newest_ms;
    shard->bytes = shard->bytes_dropped = row.bytes;
    shard->records = shard->records_dropped = row.records;
    shard->oldest = row.next;
    shard->sources = row.sources;
    shard->source_count = shard->source_cap = row.source_count;
    return load_segments(meta, shard);
}

static int shard_new(struct storage_shards *shards, const struct storage_id *id,
                     struct storage_shard **ret)
{
    struct storage_shard *shard = calloc(1, sizeof(*shard));
    if (!shard)
        return -ENOMEM;
    shard->shards = shards;
    shard->id = *id;
    shard->refs = 1;
    shard->retention_ms = INT64_MAX;
    shard->trim_ms = INT64_MIN;
    storage_shard_metrics_loaded(1);
    kn_gate_init(&shard->gate);
    kn_lock_init(&shard->lock);
    int r = storage_shard_is_dropped(shards, id);
    r = r == 1 ? -ENOENT : r;
    if (r == 0)
        r = load_rows(shards->storage->meta, shard);
    int64_t trim_ms = INT64_MIN;
    if (r == 0)
        r = storage_trim_get(shards->storage->meta, id, &trim_ms);
    if (r < 0) {
        shard_free(shard);
        return r;
    }
    shard->assigned = shard->next;
    shard->trim_ms = trim_ms;
    shard->assigned_ms = kn_max_i64(shard->newest_ms, trim_ms);
    *ret = shard;
    return 0;
}

static struct storage_shard *take_there(struct storage_shards *shards, const struct storage_id *id)
{
    KN_LOCKED(&shards->lock);
    struct storage_shard *shard = storage_shard_peek_locked(shards, id);
    if (shard)
        shard->refs++;
    return shard;
}

int storage_shard_load_in_round(struct storage_shards *shards, const struct storage_id *id,
                                struct storage_shard **ret)
{
    struct storage_shard *shard = take_there(shards, id);
    if (!shard) {
        int r = shard_new(shards, id, &shard);
        if (r < 0)
            return r;
        KN_LOCKED(&shards->lock);
        struct storage_shard **bucket = &shards->buckets[bucket_of(id)];
        shard->bucket_next = *bucket;
        *bucket = shard;
    }
    *ret = shard;
    return 0;
}

/* Under the lock of rounds: what a checkpoint writes of a shard is either in memory or in rows. */
int storage_shard_load(struct storage_shards *shards, const struct storage_id *id,
                       struct storage_shard **ret)
{
    struct storage_shard *shard = take_there(shards, id);
    if (shard) {
        *ret = shard;
        return 0;
    }
    shards->round_waiters++;
    kn_lock_take(&shards->round);
    shards->round_waiters--;
    int r = storage_shard_load_in_round(shards, id, ret);
    kn_lock_give(&shards->round);
    return r;
}

int storage_shard_open(struct storage *storage, const struct storage_id *id, int64_t retention_ms,
                       struct storage_shard **ret)
{
    int r = storage_shard_load(storage->shards, id, ret);
    if (r < 0)
        return r;
    kn_lock_take(&(*ret)->lock);
    bool dropped = (*ret)->dropped;
    kn_lock_give(&(*ret)->lock);
    if (dropped) {
        storage_shard_unref(KN_MOVE(*ret));
        return -ENOENT;
    }
    storage_shard_set_retention(*ret, retention_ms);
    return 0;
}

void storage_shard_set_retention(struct storage_shard *shard, int64_t retention_ms)
{
    shard->retention_ms = retention_ms;
    shard->is_told = true;
    storage_shard_trim_ask(shard);
}

/* --- what is in memory ------------------------------------------------------------------------ */
int storage_shard_tail_reserve_locked(struct storage_shard *shard, size_t more)
{
    kn_lock_assert_held(&shard->lock);
    if (shard->tail_at + shard->tail_count + more <= shard->tail_cap)
        return 0;
    if (shard->tail_at > 0 && shard->tail_at >= shard->tail_cap / 2) {
        memmove(shard->tail, shard->tail + shard->tail_at,
                shard->tail_count * sizeof(struct storage_batch *));
        shard->tail_at = 0;
        if (shard->tail_count + more <= shard->tail_cap)
            return 0;
    }
    size_t cap = kn_max_u64(shard->tail_cap > 0 ? shard->tail_cap * 2 : TAIL_FIRST,
                            shard->tail_at + shard->tail_count + more);
    struct storage_batch **tail = realloc(shard->tail, cap * sizeof(struct storage_batch *));
    if (!tail)
        return -ENOMEM;
    shard->tail = tail;
    shard->tail_cap = cap;
    return 0;
}

void storage_shard_tail_push_locked(struct storage_shard *shard, struct storage_batch *batch)
{
    kn_lock_assert_held(&shard->lock);
    kn_assert(shard->tail_at + shard->tail_count < shard->tail_cap);
    if (shard->tail_count == 0)
        storage_shard_ref(shard);
    shard->tail[shard->tail_at + shard->tail_count++] = batch;
    shard->tail_bytes += STORAGE_SHARD_FRAME_BYTES + batch->len;
}

void storage_shard_tail_fetch_locked(const struct storage_shard *shard)
{
    enum {
        AT_MOST = 16, /* more are not fetched at once */
    };
    size_t count = kn_min_u64(shard->tail_count, AT_MOST);
    for (size_t i = 0; i < count; i++)
        __builtin_prefetch(shard->tail[shard->tail_at + i]);
}

struct kn_gate *storage_shard_gate(struct storage_shard *shard)
{
    return &shard->gate;
}

/* --- closing ---------------------------------------------------------------------------------- */
struct closing {
    struct kn_lock lock;
    struct kn_cond moved;
    size_t left; /* on their way */
    int result;  /* the first error */
};

static void on_closed(void *ctx, uint64_t first_index, int64_t arrival_ms, int result)
{
    struct closing *closing = ctx;
    (void) first_index;
    (void) arrival_ms;
    KN_LOCKED(&closing->lock);
    closing->left--;
    if (result !=
        -ESHUTDOWN) /* it is closed, or else nothing is written any more: looked at below */
        closing->result = closing->result < 0 ? closing->result : result;
    kn_cond_signal(&closing->moved);
}

static bool is_closed(struct storage_shard *shard)
{
    KN_LOCKED(&shard->lock);
    return shard->closed;
}

static int close_begin(struct storage_shard *shard, struct closing *closing)
{
    struct storage_batch *batch;
    int r = storage_batch_new(shard->shards->storage, &batch);
    if (r < 0)
        return r;
    kn_lock_take(&closing->lock);
    closing->left++;
    kn_lock_give(&closing->lock);
    batch->kind = STORAGE_BATCH_CLOSE;
    batch->done = on_closed;
    batch->ctx = closing;
    storage_shard_ref(shard);
    batch->shard = shard;
    storage_commit_add(shard->shards, &(struct storage_appends){.first = batch, .last = batch});
    return 0;
}

int storage_shard_close_all(struct storage_shard *const *shards, size_t count)
{
    struct closing closing = {.left = 0};
    int r = 0;
    kn_lock_init(&closing.lock);
    kn_cond_init(&closing.moved);
    for (size_t i = 0; i < count && r == 0; i++)
        r = is_closed(shards[i]) ? 0 : close_begin(shards[i], &closing);
    kn_lock_take(&closing.lock);
    while (closing.left > 0)
        kn_cond_wait(&closing.moved, &closing.lock);
    kn_lock_give(&closing.lock);
    r = r < 0 ? r : closing.result;
    for (size_t i = 0; i < count && r == 0; i++)
        r = is_closed(shards[i]) ? 0 : -ESHUTDOWN;
    kn_cond_done(&closing.moved);
    kn_lock_done(&closing.lock);
    return r;
}

int storage_shard_close(struct storage_shard *shard, uint64_t *ret_end)
{
    int r = storage_shard_close_all(&shard, 1);
    KN_LOCKED(&shard->lock);
    *ret_end = shard->next;
    return r;
}
