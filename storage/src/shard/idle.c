/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Retention of shards that nobody opens: a walk over their rows, which say how long each is kept. A
 * page at a time, so that neither memory nor one round grows with the archive. What an owner says
 * of an open shard finds its way to the row here.
 */
#include "segment.h"

#include "core/crypto.h"

enum {
    PAGE = 256,
    CHANGES_MAX = 256,
    SLICES_MAX = 8, /* of one shard; the rest when the walk comes by again */
};

/* --- rows ------------------------------------------------------------------------------------- */
struct row_change {
    char key[STORAGE_SHARD_KEY_BYTES];
    struct kn_buf value;
    struct storage_meta_change change;
};

/* 0: nothing is to be changed; 1: a change. */
static int prepare(struct storage_meta *meta, const struct storage_id *id, int64_t retention_ms,
                   struct row_change *ret)
{
    struct storage_shard_row row;
    uint64_t version;
    int r = storage_shard_row_get(meta, id, &row, &version);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    bool other = row.retention_ms != retention_ms;
    row.retention_ms = retention_ms;
    if (other)
        r = storage_shard_row_encode(&row, &ret->value);
    free(row.sources);
    if (r < 0 || !other)
        return r;
    ret->change = (struct storage_meta_change){.key = storage_shard_key(id, ret->key),
                                               .value = kn_buf_bytes(&ret->value),
                                               .expect = version};
    return 1;
}

/* Of those that another has written meanwhile, again. */
static int store_some(struct storage_meta *meta, const struct storage_id *ids, size_t count,
                      int64_t retention_ms, struct row_change *rows,
                      struct storage_meta_change *changes)
{
    for (bool stale = true; stale;) {
        size_t changed = 0;
        stale = false;
        for (size_t i = 0; i < count; i++) {
            int r = prepare(meta, &ids[i], retention_ms, &rows[changed]);
            if (r < 0)
                return r;
            if (r > 0)
                changes[changed] = rows[changed].change;
            changed += (size_t) r;
        }
        if (changed > 0)
            storage_meta_change_all(meta, changes, changed);
        for (size_t i = 0; i < changed; i++) {
            stale |= changes[i].result == -ESTALE;
            if (changes[i].result < 0 && changes[i].result != -ESTALE &&
                changes[i].result != -ENOENT)
                return changes[i].result;
        }
    }
    return 0;
}

int storage_shards_store_retention(struct storage_meta *meta, const struct storage_id *ids,
                                   size_t count, int64_t retention_ms)
{
    struct row_change *rows = calloc(CHANGES_MAX, sizeof(*rows));
    struct storage_meta_change *changes = calloc(CHANGES_MAX, sizeof(*changes));
    int r = rows && changes ? 0 : -ENOMEM;
    for (size_t i = 0; r == 0 && i < CHANGES_MAX; i++)
        kn_buf_init(&rows[i].value, STORAGE_META_VALUE_BYTES_MAX);
    for (size_t at = 0; r == 0 && at < count; at += CHANGES_MAX)
        r = store_some(meta, ids + at, kn_min_u64(count - at, CHANGES_MAX), retention_ms, rows,
                       changes);
    for (size_t i = 0; rows && i < CHANGES_MAX; i++)
        kn_buf_done(&rows[i].value);
    free(rows);
    free(changes);
    return r;
}

/* --- of open shards --------------------------------------------------------------------------- */
static size_t take_changed(struct storage_shards *shards, struct storage_shard **list, size_t max)
{
    size_t count = 0;
    KN_LOCKED(&shards->lock);
    for (size_t i = 0; i < STORAGE_SHARD_BUCKETS; i++) {
        for (struct storage_shard *s = shards->buckets[i]; s && count < max; s = s->bucket_next) {
            if (!s->is_told || s->retention_ms == s->retention_stored_ms)
                continue;
            s->refs++;
            list[count++] = s;
        }
    }
    return count;
}

/* Under the lock of rounds: a checkpoint writes the same rows. */
int storage_retention_store(struct storage_shards *shards)
{
    struct storage_shard **list = calloc(PAGE, sizeof(struct storage_shard *));
    if (!list)
        return -ENOMEM;
    int r = 0;
    kn_lock_take(&shards->round);
    size_t count = take_changed(shards, list, PAGE);
    for (size_t i = 0; i < count; i++) {
        int64_t ms = list[i]->retention_ms;
        int stored =
            r < 0 ? r : storage_shards_store_retention(shards->storage->meta, &list[i]->id, 1, ms);
        if (stored == 0)
            list[i]->retention_stored_ms = ms; /* without a row, the one to come says it */
        r = stored;
    }
    kn_lock_give(&shards->round);
    for (size_t i = 0; i < count; i++)
        storage_shard_unref(list[i]);
    free(list);
    return r;
}

/* --- of those nobody opens -------------------------------------------------------------------- */
struct page {
    struct storage_shards *shards;
    struct {
        struct storage_id id;
        int64_t retention_ms;
    } items[PAGE];
    size_t count, seen;
};

static int take_row(void *ctx, struct kn_bytes key, struct kn_bytes value, uint64_t version)
{
    struct page *page = ctx;
    struct storage_shards *shards = page->shards;
    struct storage_shard_row row;
    struct storage_id id;
    (void) version;
    if (key.len > sizeof(shards->retire_after))
        return -EBADMSG;
    memcpy(shards->retire_after, key.ptr, key.len);
    shards->retire_after_bytes = key.len;
    page->seen++;
    struct kn_str text = kn_str_skip(kn_str_of(key), sizeof("w/") - 1);
    if (kn_hex_decode(text, id.bytes, sizeof(id.bytes)) < 0 ||
        storage_shard_row_head(value, &row) < 0 || row.retention_ms == INT64_MAX)
        return 0; /* what cannot be read is not removed */
    page->items[page->count].id = id;
    page->items[page->count++].retention_ms = row.retention_ms;
    return 0;
}

static bool is_told(struct storage_shards *shards, const struct storage_id *id)
{
    KN_LOCKED(&shards->lock);
    struct storage_shard *shard = storage_shard_peek_locked(shards, id);
    return shard && shard->is_told;
}

static int retire_one(struct storage_shards *shards, const struct storage_id *id,
                      int64_t retention_ms)
{
    struct storage_segment_row oldest;
    int64_t now_ms = kn_wall_ms(shards->storage->clock);
    if (is_told(shards, id))
        return 0;
    int r = storage_segment_row_oldest(shards->storage->meta, id, &oldest);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    if (oldest.last_ms >= now_ms - kn_min_i64(retention_ms, now_ms))
        return 0;
    struct storage_shard *shard = NULL;
    kn_lock_take(&shards->round);
    r = storage_shard_load_in_round(shards, id, &shard);
    bool more = r == 0 && !shard->is_told;
    if (more) {
        shard->retention_ms = retention_ms;
        r = storage_shard_trim_in_round(shard);
    }
    for (unsigned i = 0; r == 0 && more && i < SLICES_MAX; i++)
        r = storage_shard_retire_in_round(shard, &more);
    kn_lock_give(&shards->round);
    storage_shard_unref(shard);
    return r == -ENOENT ? 0 : r;
}

int storage_retire_page(struct storage_shards *shards, bool *ret_end)
{
    struct page *page = calloc(1, sizeof(*page));
    *ret_end = true;
    if (!page)
        return -ENOMEM;
    page->shards = shards;
    struct kn_bytes after = {(const uint8_t *) shards->retire_after, shards->retire_after_bytes};
    char key[STORAGE_SHARD_KEY_BYTES];
    memcpy(key, shards->retire_after, sizeof(key)); /* it moves while rows come */
    after.ptr = (const uint8_t *) key;
    int r = storage_meta_list(shards->storage->meta, kn_bytes_of(KN_STR("w/")), after, PAGE,
                              take_row, page);
    for (size_t i = 0; i < page->count; i++) {
        int one = retire_one(shards, &page->items[i].id, page->items[i].retention_ms);
        r = r < 0 ? r : one;
    }
    *ret_end = page->seen < PAGE;
    if (*ret_end)
        shards->retire_after_bytes = 0;
    free(page);
    return r;
}

/* --- for the rule of space -------------------------------------------------------------------- */
struct fronts {
    struct storage_id ids[PAGE];
    size_t count;
    char after[STORAGE_SHARD_KEY_BYTES];
    size_t after_bytes;
};

static int take_id(void *ctx, struct kn_bytes key, struct kn_bytes value, uint64_t version)
{
    struct fronts *fronts = ctx;
    struct kn_str text = kn_str_skip(kn_str_of(key), sizeof("w/") - 1);
    (void) value;
    (void) version;
    if (key.len > sizeof(fronts->after) ||
        kn_hex_decode(text, fronts->ids[fronts->count].bytes, sizeof(fronts->ids[0].bytes)) < 0)
        return -EBADMSG;
    memcpy(fronts->after, key.ptr, key.len);
    fronts->after_bytes = key.len;
    fronts->count++;
    return 0;
}

int storage_shard_fronts(struct storage *storage, storage_shard_front_fn *each, void *ctx)
{
    struct fronts *fronts = storage->shards ? calloc(1, sizeof(*fronts)) : NULL;
    int r = storage->shards && !fronts ? -ENOMEM : 0;
    while (r == 0 && fronts) {
        char after[STORAGE_SHARD_KEY_BYTES];
        memcpy(after, fronts->after, sizeof(after));
        fronts->count = 0;
        r = storage_meta_list(storage->meta, kn_bytes_of(KN_STR("w/")),
                              (struct kn_bytes){(const uint8_t *) after, fronts->after_bytes}, PAGE,
                              take_id, fronts);
        for (size_t i = 0; i < fronts->count; i++) {
            int64_t end_ms;
            if (storage_shard_front(storage, &fronts->ids[i], &end_ms) == 0)
                each(ctx, &fronts->ids[i], end_ms);
        }
        if (fronts->count < PAGE)
            break;
    }
    free(fronts);
    return r;
}
