/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What sources a shard has recorded goes on to the shards that follow it, so that "sent up to" is
 * known there before the first record, and still is when the parent is gone. It is stored in the
 * child's own row, under the lock of rounds, which checkpoints write it under too.
 */
#include "shards.h"

static int copy_sources(struct storage_shard *from, struct storage_shard_row *ret)
{
    KN_LOCKED(&from->lock);
    if (from->source_count == 0)
        return 0;
    ret->sources = calloc(from->source_count, sizeof(*ret->sources));
    if (!ret->sources)
        return -ENOMEM;
    memcpy(ret->sources, from->sources, from->source_count * sizeof(*ret->sources));
    ret->source_count = from->source_count;
    return 0;
}

/* In memory first: a checkpoint that comes next writes the same. */
static int learn_all(struct storage_shard *shard, const struct storage_shard_row *from)
{
    KN_LOCKED(&shard->lock);
    for (size_t i = 0; i < from->source_count; i++) {
        int r =
            storage_shard_learn_source_locked(shard, &from->sources[i].id, from->sources[i].seq);
        if (r < 0)
            return r;
    }
    return 0;
}

static int store(struct storage_shard *shard)
{
    struct storage_meta *meta = shard->shards->storage->meta;
    struct storage_shard_row row = {.next = 0};
    uint64_t version = 0;
    int r = storage_shard_row_get(meta, &shard->id, &row, &version);
    if (r < 0 && r != -ENOENT)
        return r;
    free(row.sources);
    if (r == -ENOENT) {
        row.retention_ms = shard->retention_ms;
        row.give = shard->shards->leap;
    }
    struct kn_buf value;
    char key[STORAGE_SHARD_KEY_BYTES];
    kn_buf_init(&value, STORAGE_META_VALUE_BYTES_MAX);
    kn_lock_take(&shard->lock);
    row.sources = shard->sources;
    row.source_count = shard->source_count;
    r = storage_shard_row_encode(&row, &value);
    kn_lock_give(&shard->lock);
    if (r == 0)
        r = storage_meta_put(meta, storage_shard_key(&shard->id, key), kn_buf_bytes(&value),
                             version, NULL);
    kn_buf_done(&value);
    return r;
}

int storage_shard_inherit(struct storage *storage, const struct storage_id *id,
                          struct storage_shard *from)
{
    struct storage_shards *shards = storage->shards;
    struct storage_shard_row sources = {.next = 0};
    int r = copy_sources(from, &sources);
    if (r < 0 || sources.source_count == 0)
        return r;
    kn_lock_take(&shards->round);
    struct storage_shard *shard = NULL;
    r = storage_shard_load_in_round(shards, id, &shard);
    if (r == 0) {
        r = learn_all(shard, &sources);
        if (r == 0)
            r = store(shard);
    }
    kn_lock_give(&shards->round);
    storage_shard_unref(shard); /* which may take shards.lock */
    free(sources.sources);
    return r;
}
