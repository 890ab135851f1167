/* SPDX-License-Identifier: Apache-2.0 */
#include "datastream/view.h"

#include "datastream_internal.h"
#include "log.h"
#include "sequence.h"
#include "shard_id.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

static_assert((int) DATASTREAM_VIEW_NAME_BYTES > (int) DATASTREAM_NAME_BYTES_MAX, "a whole name");
static_assert((int) DATASTREAM_VIEW_SHARD_BYTES == (int) DATASTREAM_SHARD_ID_BYTES, "a whole id");
static_assert((int) DATASTREAM_VIEW_NUMBER_BYTES == (int) DATASTREAM_SEQUENCE_TEXT_BYTES, "digits");
static_assert((int) DATASTREAM_VIEW_KEY_BYTES == (int) DATASTREAM_HASH_TEXT_BYTES, "digits");

/* A shard without a log, since it was never written or is being removed, has nothing. */
static struct storage_shard_ends ends_of(struct datastream *ds, struct datastream_stream *stream,
                                         uint32_t shard)
{
    struct storage_shard_ends ends = {0};
    KN_CLEANUP(storage_shard_unrefp) struct storage_shard *log = NULL;
    if (datastream_log_get(ds, stream, shard, false, &log) == 0)
        storage_shard_ends(log, &ends);
    return ends;
}

static void view_of(struct datastream *ds, struct datastream_stream *stream,
                    struct datastream_view *ret)
{
    KN_CLEANUP(datastream_settings_unrefp)
    struct datastream_settings *settings = datastream_stream_settings(stream);
    KN_CLEANUP(datastream_shards_unrefp)
    struct datastream_shards *shards = datastream_stream_shards(stream);
    *ret = (struct datastream_view){.created_ms = settings->created_ms,
                                    .retention_hours = settings->retention_hours,
                                    .on_demand = settings->on_demand,
                                    .encrypted = settings->kms_key.ptr != NULL,
                                    .deleting = settings->deleting,
                                    .shards = shards->map.count,
                                    .open_shards = shards->map.open_count};
    memcpy(ret->name, stream->name_text, sizeof(stream->name_text));
    for (size_t i = 0; i < shards->map.count; i++) {
        struct storage_shard_ends ends = ends_of(ds, stream, shards->map.rows[i].index);
        ret->records += ends.records;
        ret->bytes += ends.bytes;
        ret->records_in += ends.records_in;
        ret->bytes_in += ends.bytes_in;
        ret->newest_ms = kn_max_i64(ret->newest_ms, ends.newest_ms);
    }
}

size_t datastream_view_list(struct datastream *ds, struct kn_str after, struct datastream_view *out,
                            size_t cap)
{
    struct datastream_stream **streams = calloc(cap, sizeof(struct datastream_stream *));
    size_t count = streams ? datastream_stream_list(ds->streams, after, streams, cap) : 0;
    for (size_t i = 0; i < count; i++) {
        view_of(ds, streams[i], &out[i]);
        datastream_stream_unref(streams[i]);
    }
    free(streams);
    return count;
}

int datastream_view_get(struct datastream *ds, struct kn_str name, struct datastream_view *ret)
{
    KN_CLEANUP(datastream_stream_unrefp)
    struct datastream_stream *stream = datastream_stream_find(ds->streams, name);
    if (!stream)
        return -ENOENT;
    view_of(ds, stream, ret);
    return 0;
}

/* --- shards ----------------------------------------------------------------------------------- */
static double part_of_all(struct datastream_hash key)
{
    return ldexp((double) key.high, -64) + ldexp((double) key.low, -128);
}

static void shard_view_of(struct datastream *ds, struct datastream_stream *stream,
                          const struct datastream_shard *shard, struct datastream_shard_view *ret)
{
    *ret = (struct datastream_shard_view){.index = shard->index,
                                          .parent = shard->parent,
                                          .adjacent = shard->adjacent,
                                          .created_ms = shard->created_s * 1000,
                                          .closed_ms = shard->closed_ms,
                                          .from = part_of_all(shard->range.start),
                                          .to = part_of_all(shard->range.end),
                                          .ends = ends_of(ds, stream, shard->index)};
    (void) datastream_log_readers(stream, shard->index, &ret->behind_ms, &ret->read_ms);
    (void) datastream_shard_id_format((int32_t) shard->index, ret->id);
    (void) datastream_hash_format(shard->range.start, ret->first_key);
    (void) datastream_hash_format(shard->range.end, ret->last_key);
}

int datastream_view_shards(struct datastream *ds, struct kn_str name, uint32_t from,
                           struct datastream_shard_view *out, size_t cap, size_t *ret_count)
{
    KN_CLEANUP(datastream_stream_unrefp)
    struct datastream_stream *stream = datastream_stream_find(ds->streams, name);
    if (!stream)
        return -ENOENT;
    KN_CLEANUP(datastream_shards_unrefp)
    struct datastream_shards *shards = datastream_stream_shards(stream);
    size_t count = 0;
    for (size_t i = 0; i < shards->map.count && count < cap; i++)
        if (shards->map.rows[i].index >= from)
            shard_view_of(ds, stream, &shards->map.rows[i], &out[count++]);
    *ret_count = count;
    return 0;
}

/* --- records ---------------------------------------------------------------------------------- */
int datastream_view_records(struct datastream *ds, struct kn_str name, uint32_t shard,
                            const struct storage_shard_read *read,
                            struct datastream_shard_view *ret, struct storage_page *ret_page)
{
    KN_CLEANUP(datastream_stream_unrefp)
    struct datastream_stream *stream = datastream_stream_find(ds->streams, name);
    KN_CLEANUP(datastream_shards_unrefp)
    struct datastream_shards *shards = stream ? datastream_stream_shards(stream) : NULL;
    const struct datastream_shard *row =
        shards ? datastream_shard_map_find(&shards->map, shard) : NULL;
    KN_CLEANUP(storage_shard_unrefp) struct storage_shard *log = NULL;
    if (!row)
        return -ENOENT;
    int r = datastream_log_get(ds, stream, shard, false, &log);
    if (r < 0)
        return r;
    shard_view_of(ds, stream, row, ret);
    struct storage_shard_read from = *read;
    const struct storage_shard_ends *ends = &ret->ends;
    if (from.from == UINT64_MAX)
        from.from = ends->next - kn_min_u64(ends->next - ends->oldest, from.count_max);
    return storage_shard_read(log, &from, ret_page);
}

size_t datastream_view_number(const struct datastream_shard_view *shard,
                              const struct storage_shard_record *record,
                              char dst[DATASTREAM_VIEW_NUMBER_BYTES])
{
    struct datastream_sequence sequence = {.layout = 2,
                                           .created_s = shard->created_ms / 1000,
                                           .shard = (int32_t) shard->index,
                                           .index = datastream_sequence_index(record->index),
                                           .arrival_s = record->arrival_ms / 1000};
    return datastream_sequence_format(&sequence, dst);
}
