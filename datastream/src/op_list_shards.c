/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ListShards: a stream's shards by index, those that a filter lets through, a page at a time.
 *
 * @source AWS API reference, ListShards and ShardFilter
 */
#include "page_token.h"
#include "shard_id.h"
#include "state.h"

#include <errno.h>

enum {
    SHARDS_DEFAULT = 1000,
    LOOP_SHARDS_MAX = 200, /* more of them take a millisecond to show */
    SECOND_MS = 1000,
    HOUR_MS = 60 * 60 * 1000,
};

enum kind {
    FROM, /* open, or closed at ms or later */
    AT,   /* open at ms */
    NOW,  /* open */
};

struct wanted {
    enum kind kind;
    int64_t ms;
    bool has_after;
    uint32_t after; /* index */
};

/* --- what is asked for ------------------------------------------------------------------------ */
static int missing(struct kn_api_call *call, const char *member,
                   enum datastream_ShardFilterType type)
{
    return kn_api_fault(call, "InvalidArgumentException",
                        "%s must be specified for a ShardFilter of type " KN_STR_FMT ".", member,
                        KN_STR_ARG(datastream_ShardFilterType_text[type]));
}

/* How far back the stream reaches. */
static int64_t horizon(struct datastream *ds, const struct datastream_settings *settings)
{
    return kn_max_i64(kn_wall_ms(ds->clock) - settings->retention_hours * HOUR_MS,
                      settings->created_ms);
}

static int read_filter(struct datastream *ds, struct kn_api_call *call,
                       const struct datastream_stream *stream,
                       const struct datastream_settings *settings,
                       const struct datastream_ShardFilter *filter, struct wanted *ret)
{
    ret->ms = horizon(ds, settings);
    switch (filter ? filter->Type : DATASTREAM_ShardFilterType_ABSENT) {
    case DATASTREAM_ShardFilterType_AT_LATEST:
        ret->kind = NOW;
        return 0;
    case DATASTREAM_ShardFilterType_AT_TRIM_HORIZON:
        ret->kind = AT;
        return 0;
    case DATASTREAM_ShardFilterType_AT_TIMESTAMP:
    case DATASTREAM_ShardFilterType_FROM_TIMESTAMP:
        if (!filter->Timestamp.set)
            return missing(call, "Timestamp", filter->Type);
        ret->kind = filter->Type == DATASTREAM_ShardFilterType_AT_TIMESTAMP ? AT : FROM;
        ret->ms = kn_max_i64(ret->ms, filter->Timestamp.v);
        return 0;
    case DATASTREAM_ShardFilterType_AFTER_SHARD_ID:
        if (!filter->ShardId.ptr)
            return missing(call, "ShardId", filter->Type);
        ret->has_after = true;
        return datastream_shard_id_read(call, stream, filter->ShardId, &ret->after);
    case DATASTREAM_ShardFilterType_FROM_TRIM_HORIZON:
    case DATASTREAM_ShardFilterType_ABSENT:
        break;
    }
    return 0;
}

static int find_by_name(struct datastream *ds, struct kn_api_call *call,
                        const struct datastream_ListShards_in *in, struct wanted *wanted,
                        struct datastream_stream **ret)
{
    if (!in->StreamName.ptr && !in->StreamARN.ptr)
        return kn_api_fault(call, "InvalidArgumentException",
                            "Either NextToken or StreamName should be provided.");
    int r = datastream_find(ds, call, in->StreamName, in->StreamARN, ret);
    if (r < 0)
        return r;
    KN_CLEANUP(datastream_settings_unrefp)
    struct datastream_settings *settings = datastream_stream_settings(*ret);
    enum datastream_state state = datastream_state_of(ds, settings);
    if (state == DATASTREAM_CREATING)
        return datastream_not_active(call, *ret, state);
    if (in->StreamCreationTimestamp.set &&
        in->StreamCreationTimestamp.v / SECOND_MS != settings->created_ms / SECOND_MS)
        return datastream_not_found(call, (*ret)->name);
    r = read_filter(ds, call, *ret, settings, in->ShardFilter, wanted);
    if (r == 0 && in->ExclusiveStartShardId.ptr) {
        wanted->has_after = true;
        r = datastream_shard_id_read(call, *ret, in->ExclusiveStartShardId, &wanted->after);
    }
    return r;
}

/* --- pages ------------------------------------------------------------------------------------ */
static int read_after(struct kn_str text, struct wanted *ret)
{
    struct kn_str kind, ms, after = kn_str_cut(text, ' ', &kind);
    after = kn_str_cut(after, ' ', &ms);
    uint64_t numbers[3];
    if (kn_str_to_u64(kind, NOW, &numbers[0]) < 0 ||
        kn_str_to_u64(ms, INT64_MAX, &numbers[1]) < 0 ||
        kn_str_to_u64(after, DATASTREAM_SHARD_INDEX_MAX, &numbers[2]) < 0)
        return -EINVAL;
    *ret =
        (struct wanted){(enum kind) numbers[0], (int64_t) numbers[1], true, (uint32_t) numbers[2]};
    return 0;
}

static int find_by_token(struct datastream *ds, struct kn_api_call *call,
                         const struct datastream_ListShards_in *in, struct wanted *wanted,
                         struct datastream_stream **ret)
{
    const struct {
        bool given;
        const char *name;
    } others[] = {
        {in->StreamName.ptr != NULL,            "StreamName"             },
        {in->StreamARN.ptr != NULL,             "StreamARN"              },
        {in->StreamCreationTimestamp.set,       "StreamCreationTimestamp"},
        {in->ExclusiveStartShardId.ptr != NULL, "ExclusiveStartShardId"  },
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(others); i++) {
        if (others[i].given)
            return kn_api_fault(call, "InvalidArgumentException",
                                "NextToken and %s cannot be provided together.", others[i].name);
    }
    struct datastream_page_token token;
    int r = datastream_page_token_read(ds, call, 's', in->NextToken, &token);
    if (r == 0)
        r = kn_api_permit(call, token.name);
    if (r < 0)
        return r;
    *ret = datastream_stream_find(ds->streams, token.name);
    if (!*ret || storage_id_cmp(&(*ret)->id, &token.stream) != 0)
        return datastream_not_found(call, token.name);
    if (read_after(token.after, wanted) < 0)
        return kn_api_fault(call, "InvalidArgumentException", "The NextToken is invalid.");
    return 0;
}

static int give_token(struct datastream *ds, struct kn_api_call *call,
                      const struct datastream_stream *stream, const struct wanted *wanted,
                      uint32_t after, struct kn_str *ret)
{
    struct datastream_page_token token = {
        's', stream->id, stream->name,
        kn_arena_printf(call->arena, "%d %lld %u", wanted->kind, (long long) wanted->ms, after)};
    return token.after.ptr ? datastream_page_token_write(ds, call, &token, ret) : -ENOMEM;
}

/* A child begins when its parent is closed; its numbers begin with the second after that. */
static int64_t began_ms(const struct datastream_shard_map *map, const struct datastream_shard *row)
{
    const struct datastream_shard *parent =
        row->parent < 0 ? NULL : datastream_shard_map_find(map, (uint32_t) row->parent);
    return parent ? parent->closed_ms : row->created_s * SECOND_MS;
}

static bool is_wanted(const struct datastream_shard_map *map, const struct datastream_shard *row,
                      const struct wanted *wanted)
{
    if (wanted->has_after && row->index <= wanted->after)
        return false;
    switch (wanted->kind) {
    case FROM:
        return !row->closed_ms || row->closed_ms >= wanted->ms;
    case AT:
        return began_ms(map, row) <= wanted->ms && (!row->closed_ms || row->closed_ms > wanted->ms);
    case NOW:
        break;
    }
    return !row->closed_ms;
}

static int show(struct datastream *ds, struct kn_api_call *call,
                const struct datastream_stream *stream, const struct datastream_shard_map *map,
                const struct wanted *wanted, size_t max, struct datastream_ListShards_out *out)
{
    max = kn_min_u64(max, map->count);
    struct datastream_Shard *shown = kn_arena_alloc(call->arena, (max + 1) * sizeof(*shown));
    size_t count = 0;
    uint32_t last = 0;
    int r = shown ? 0 : -ENOMEM;
    for (size_t i = 0; i < map->count && r == 0; i++) {
        const struct datastream_shard *row = &map->rows[i];
        if (!is_wanted(map, row, wanted))
            continue;
        if (count == max) {
            r = give_token(ds, call, stream, wanted, last, &out->NextToken);
            break;
        }
        last = row->index;
        r = datastream_shard_show(call, row, &shown[count++]);
    }
    out->Shards = (struct datastream_Shard_list){true, count, shown};
    return r;
}

int datastream_op_ListShards(struct datastream *ds, const struct datastream_ListShards_in *in,
                             struct datastream_ListShards_out *out, struct kn_api_call *call)
{
    KN_CLEANUP(datastream_stream_unrefp) struct datastream_stream *stream = NULL;
    struct wanted wanted = {.kind = FROM};
    int r = in->NextToken.ptr ? find_by_token(ds, call, in, &wanted, &stream)
                              : find_by_name(ds, call, in, &wanted, &stream);
    if (r < 0)
        return r;
    KN_CLEANUP(datastream_shards_unrefp)
    struct datastream_shards *shards = datastream_stream_shards(stream);
    if (shards->map.count > LOOP_SHARDS_MAX && !call->on_worker)
        return kn_api_defer(call, KN_HTTP_READS);
    return show(ds, call, stream, &shards->map, &wanted,
                (size_t) (in->MaxResults.set ? in->MaxResults.v : SHARDS_DEFAULT), out);
}
