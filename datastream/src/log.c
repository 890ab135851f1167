/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include "datastream_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "core/crypto.h"

static const int64_t hour_ms = 60 * 60 * 1000;

void datastream_logs_init(struct datastream_logs *logs)
{
    kn_lock_init(&logs->lock);
}

void datastream_logs_done(struct datastream_logs *logs)
{
    for (size_t i = 0; i < logs->count; i++)
        storage_shard_unref(logs->items[i].log);
    free(logs->items);
    kn_lock_done(&logs->lock);
}

struct storage_id datastream_log_id(const struct datastream_stream *stream, uint32_t shard)
{
    return datastream_log_id_of(&stream->id, shard);
}

struct storage_id datastream_log_id_of(const struct storage_id *stream, uint32_t shard)
{
    uint8_t name[sizeof(stream->bytes) + 4], digest[KN_SHA256_BYTES];
    memcpy(name, stream->bytes, sizeof(stream->bytes));
    kn_put_u32be(name + sizeof(stream->bytes), shard);
    kn_sha256((struct kn_bytes){name, sizeof(name)}, digest);
    struct storage_id id;
    memcpy(id.bytes, digest, sizeof(id.bytes));
    return id;
}

/* --- what is open ----------------------------------------------------------------------------- */
static size_t place_locked(const struct datastream_logs *logs, uint32_t shard, bool *found)
{
    size_t at = shard;
    if (at >= logs->count || logs->items[at].shard != shard) /* not all of them are open */
        at = KN_BISECT(i, 0, logs->count, logs->items[i].shard < shard);
    *found = at < logs->count && logs->items[at].shard == shard;
    return at;
}

struct storage_shard *datastream_log_peek_locked(const struct datastream_logs *logs, uint32_t shard)
{
    bool found;
    size_t at = place_locked(logs, shard, &found);
    if (!found)
        return NULL;
    __builtin_prefetch(logs->items[at].log);
    return logs->items[at].log;
}

static int reserve_locked(struct datastream_logs *logs)
{
    if (logs->count < logs->cap)
        return 0;
    size_t cap = logs->cap ? logs->cap * 2 : 4;
    struct datastream_log *items = realloc(logs->items, cap * sizeof(*items));
    if (!items)
        return -ENOMEM;
    logs->items = items;
    logs->cap = cap;
    return 0;
}

static int64_t retention_ms(struct datastream_stream *stream)
{
    KN_LOCKED(&stream->lock);
    return stream->settings->retention_hours * hour_ms;
}

/* Of two that open one at the same time, the first has it. Takes a reference of its own. */
static int keep(struct datastream_stream *stream, uint32_t shard, struct storage_shard *log)
{
    struct datastream_logs *logs = &stream->logs;
    KN_LOCKED(&logs->lock);
    bool found;
    size_t at = place_locked(logs, shard, &found);
    if (logs->gone)
        return -ENOENT;
    if (found)
        return 0;
    int r = reserve_locked(logs);
    if (r < 0)
        return r;
    memmove(logs->items + at + 1, logs->items + at, (logs->count - at) * sizeof(*logs->items));
    storage_shard_ref(log);
    logs->items[at] = (struct datastream_log){.shard = shard, .log = log};
    logs->count++;
    storage_shard_set_retention(log, retention_ms(stream)); /* it may have changed meanwhile */
    return 0;
}

static bool has_shard(struct datastream_stream *stream, uint32_t shard)
{
    KN_CLEANUP(datastream_shards_unrefp)
    struct datastream_shards *shards = datastream_stream_shards(stream);
    return datastream_shard_map_find(&shards->map, shard) != NULL;
}

static int open_log(struct datastream *ds, struct datastream_stream *stream, uint32_t shard,
                    struct storage_shard **ret)
{
    struct storage_id id = datastream_log_id(stream, shard);
    int r = storage_shard_open(ds->storage, &id, retention_ms(stream), ret);
    if (r < 0)
        return r;
    r = keep(stream, shard, *ret);
    if (r < 0)
        storage_shard_unref(KN_MOVE(*ret));
    return r;
}

int datastream_log_get(struct datastream *ds, struct datastream_stream *stream, uint32_t shard,
                       bool nowait, struct storage_shard **ret)
{
    kn_lock_take(&stream->logs.lock);
    *ret = datastream_log_peek_locked(&stream->logs, shard);
    if (*ret)
        storage_shard_ref(*ret);
    bool gone = stream->logs.gone;
    kn_lock_give(&stream->logs.lock);
    if (*ret)
        return 0;
    if (gone || !has_shard(stream, shard))
        return -ENOENT;
    return nowait ? -EAGAIN : open_log(ds, stream, shard, ret);
}

void datastream_log_was_read(struct datastream_stream *stream, uint32_t shard, int64_t behind_ms,
                             int64_t now_ms)
{
    KN_LOCKED(&stream->logs.lock);
    bool found;
    size_t at = place_locked(&stream->logs, shard, &found);
    if (!found)
        return;
    stream->logs.items[at].behind_ms = behind_ms;
    stream->logs.items[at].read_ms = now_ms;
}

bool datastream_log_readers(struct datastream_stream *stream, uint32_t shard,
                            int64_t *ret_behind_ms, int64_t *ret_read_ms)
{
    KN_LOCKED(&stream->logs.lock);
    bool found;
    size_t at = place_locked(&stream->logs, shard, &found);
    if (!found || stream->logs.items[at].read_ms == 0)
        return false;
    *ret_behind_ms = stream->logs.items[at].behind_ms;
    *ret_read_ms = stream->logs.items[at].read_ms;
    return true;
}

int datastream_logs_store_retention(struct datastream_stream *stream, struct storage_meta *meta,
                                    int64_t hours)
{
    KN_CLEANUP(datastream_shards_unrefp)
    struct datastream_shards *shards = datastream_stream_shards(stream);
    struct storage_id *ids = calloc(shards->map.count + 1, sizeof(*ids));
    if (!ids)
        return -ENOMEM;
    for (size_t i = 0; i < shards->map.count; i++)
        ids[i] = datastream_log_id(stream, shards->map.rows[i].index);
    int r = storage_shards_store_retention(meta, ids, shards->map.count, hours * hour_ms);
    free(ids);
    return r;
}

void datastream_logs_retain(struct datastream_stream *stream)
{
    KN_LOCKED(&stream->logs.lock);
    int64_t ms = retention_ms(stream);
    for (size_t i = 0; i < stream->logs.count; i++)
        storage_shard_set_retention(stream->logs.items[i].log, ms);
}

int datastream_log_drop(struct datastream *ds, struct datastream_stream *stream, uint32_t shard)
{
    struct storage_id id = datastream_log_id(stream, shard);
    struct storage_shard *log = NULL;
    kn_lock_take(&stream->logs.lock);
    bool found;
    size_t at = place_locked(&stream->logs, shard, &found);
    if (found) {
        log = stream->logs.items[at].log;
        stream->logs.count--;
        memmove(stream->logs.items + at, stream->logs.items + at + 1,
                (stream->logs.count - at) * sizeof(*stream->logs.items));
    }
    kn_lock_give(&stream->logs.lock);
    storage_shard_unref(log);
    return storage_shard_drop(ds->storage, &id);
}

void datastream_logs_leave(struct datastream_stream *stream)
{
    struct datastream_logs *logs = &stream->logs;
    KN_LOCKED(&logs->lock);
    logs->gone = true;
    for (size_t i = 0; i < logs->count; i++)
        storage_shard_unref(logs->items[i].log);
    free(KN_MOVE(logs->items));
    logs->count = logs->cap = 0;
}
