/* SPDX-License-Identifier: Apache-2.0 */
#include "event_place.h"

void datastream_event_place_done(struct datastream_event_place *place)
{
    storage_shard_unref(place->shard);
    datastream_stream_unref(place->target);
    *place = (struct datastream_event_place){0};
}

static bool owns(const struct datastream_shard *row, struct datastream_hash hash)
{
    return datastream_hash_cmp(row->range.start, hash) <= 0 &&
           datastream_hash_cmp(hash, row->range.end) <= 0;
}

/* Of a shard's parents the one that owned the hash key; NULL: there is none, or no more. */
static const struct datastream_shard *parent_of(const struct datastream_shard_map *map,
                                                const struct datastream_shard *row,
                                                struct datastream_hash hash)
{
    const int64_t both[] = {row->parent, row->adjacent};
    for (size_t i = 0; i < KN_ARRAY_LEN(both); i++) {
        const struct datastream_shard *parent =
            both[i] < 0 ? NULL : datastream_shard_map_find(map, (uint32_t) both[i]);
        if (parent && owns(parent, hash))
            return parent;
    }
    return NULL;
}

/* The newest sequence in the shards that owned the key before. */
static int sent_before(struct datastream *ds, struct datastream_stream *stream,
                       const struct datastream_shard_map *map, const struct datastream_shard *row,
                       struct datastream_hash hash, const struct storage_id *source, uint64_t *ret)
{
    *ret = 0;
    while (*ret == 0 && (row = parent_of(map, row, hash))) {
        KN_CLEANUP(storage_shard_unrefp) struct storage_shard *shard = NULL;
        int r = datastream_log_get(ds, stream, row->index, false, &shard);
        if (r < 0 && r != -ENOENT)
            return r;
        if (r == 0)
            *ret = storage_shard_source_seq(shard, source);
    }
    return 0;
}

static int place_in(struct datastream *ds, struct kn_str partition_key,
                    const struct storage_id *source, struct datastream_event_place *place)
{
    KN_CLEANUP(datastream_settings_unrefp)
    struct datastream_settings *settings = datastream_stream_settings(place->target);
    if (settings->deleting)
        return -ENOENT;
    place->created_ms = settings->created_ms;
    KN_CLEANUP(datastream_shards_unrefp)
    struct datastream_shards *shards = datastream_stream_shards(place->target);
    struct datastream_hash hash = datastream_hash_of(partition_key);
    const struct datastream_shard *row = datastream_shard_map_route(&shards->map, hash);
    place->index = row->index;
    int r = datastream_log_get(ds, place->target, row->index, false, &place->shard);
    if (r < 0)
        return r;
    place->sent_seq = storage_shard_source_seq(place->shard, source);
    return place->sent_seq > 0
               ? 0
               : sent_before(ds, place->target, &shards->map, row, hash, source, &place->sent_seq);
}

int datastream_event_place_find(struct datastream *ds, struct kn_str data_stream,
                                struct kn_str partition_key, const struct storage_id *source,
                                struct datastream_event_place *ret)
{
    struct datastream_event_place place = {.target =
                                               datastream_stream_find(ds->streams, data_stream)};
    if (!place.target)
        return -ENOENT;
    int r = place_in(ds, partition_key, source, &place);
    if (r < 0)
        datastream_event_place_done(&place);
    else
        *ret = place;
    return r;
}

bool datastream_event_place_exists(struct datastream *ds,
                                   const struct datastream_event_place *place)
{
    KN_CLEANUP(datastream_stream_unrefp)
    struct datastream_stream *now = datastream_stream_find(ds->streams, place->target->name);
    KN_CLEANUP(datastream_settings_unrefp)
    struct datastream_settings *settings = datastream_stream_settings(place->target);
    return now == place->target && !settings->deleting;
}

bool datastream_event_place_holds(const struct datastream_event_place *place,
                                  const struct datastream_shard_map *map,
                                  struct kn_str partition_key)
{
    return datastream_shard_map_route(map, datastream_hash_of(partition_key))->index ==
           place->index;
}

/* --- when shards are forgotten ---------------------------------------------------------------- */
static int pass_to_children(struct storage *storage, const struct datastream_stream *stream,
                            const struct datastream_shard_map *map, uint32_t parent)
{
    struct storage_id id = datastream_log_id(stream, parent);
    KN_CLEANUP(storage_shard_unrefp) struct storage_shard *from = NULL;
    int r = storage_shard_open(storage, &id, INT64_MAX, &from);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    for (size_t i = 0; r == 0 && i < map->count; i++) {
        if (map->rows[i].parent != parent && map->rows[i].adjacent != parent)
            continue;
        id = datastream_log_id(stream, map->rows[i].index);
        r = storage_shard_inherit(storage, &id, from);
    }
    return r;
}

int datastream_event_pass_on(struct storage *storage, const struct datastream_stream *stream,
                             const struct datastream_shard_map *now,
                             const struct datastream_shard_map *next)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < now->count; i++) { /* parents come before their children */
        if (!datastream_shard_map_find(next, now->rows[i].index))
            r = pass_to_children(storage, stream, now, now->rows[i].index);
    }
    return r;
}
