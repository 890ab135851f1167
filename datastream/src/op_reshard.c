/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Splitting, merging and scaling the shards of a stream.
 * Source of texts: recordings of the service in the public tests of kinesalite and moto; errors
 * that users of the CDK quote.
 */
#include "datastream_internal.h"
#include "shard_id.h"
#include "state.h"
#include "tend.h"

#include <errno.h>

struct edit {
    struct datastream *ds;
    struct kn_api_call *call;
    struct datastream_stream *stream;
    uint32_t shard, adjacent, target;
    struct kn_str start_text;
    struct datastream_hash start;
    size_t before;
};

static int no_shard(const struct edit *edit, uint32_t index)
{
    char id[DATASTREAM_SHARD_ID_BYTES];
    datastream_shard_id_format((int32_t) index, id);
    return kn_api_fault(edit->call, "ResourceNotFoundException",
                        "Could not find shard %s in stream " KN_STR_FMT " under account %s.", id,
                        KN_STR_ARG(edit->stream->name), edit->call->identity->account);
}

static int too_many(const struct edit *edit)
{
    return kn_api_fault(edit->call, "LimitExceededException",
                        "A stream can have at most %d open shards, and %d with those that were "
                        "closed and still have records.",
                        DATASTREAM_SHARDS_MAX, DATASTREAM_SHARD_ROWS_MAX);
}

/* On a provisioned stream that is ACTIVE. */
static int check_mode(struct edit *edit)
{
    KN_CLEANUP(datastream_settings_unrefp)
    struct datastream_settings *settings = datastream_stream_settings(edit->stream);
    enum datastream_state state = datastream_state_of(edit->ds, settings);
    if (state != DATASTREAM_ACTIVE)
        return datastream_not_active(edit->call, edit->stream, state);
    if (settings->on_demand)
        return kn_api_fault(edit->call, "ValidationException",
                            "Request is invalid. Stream " KN_STR_FMT
                            " under account %s is in On-Demand mode.",
                            KN_STR_ARG(edit->stream->name), edit->call->identity->account);
    return 0;
}

static int run(struct edit *edit, struct datastream_stream *stream, datastream_reshard_fn *fn)
{
    int r = datastream_reshard(edit->ds, stream, fn, edit);
    return r < 0 ? r : datastream_updating(edit->ds, stream);
}

/* --- split ------------------------------------------------------------------------------------ */
static int outside(const struct edit *edit, const struct datastream_shard *row)
{
    char id[DATASTREAM_SHARD_ID_BYTES], low[DATASTREAM_HASH_TEXT_BYTES],
        high[DATASTREAM_HASH_TEXT_BYTES];
    datastream_shard_id_format((int32_t) row->index, id);
    datastream_hash_format(row->range.start, low);
    datastream_hash_format(row->range.end, high);
    return kn_api_fault(edit->call, "InvalidArgumentException",
                        "NewStartingHashKey " KN_STR_FMT " used in SplitShard() on shard %s in "
                        "stream " KN_STR_FMT " under account %s is not both greater than one plus "
                        "the shard's StartingHashKey %s and less than the shard's EndingHashKey "
                        "%s.",
                        KN_STR_ARG(edit->start_text), id, KN_STR_ARG(edit->stream->name),
                        edit->call->identity->account, low, high);
}

static int already_closed(const struct edit *edit, uint32_t index)
{
    char id[DATASTREAM_SHARD_ID_BYTES];
    datastream_shard_id_format((int32_t) index, id);
    return kn_api_fault(edit->call, "InvalidArgumentException",
                        "Shard %s in stream " KN_STR_FMT " under account %s has already been "
                        "merged or split, and thus is not eligible for merging or splitting.",
                        id, KN_STR_ARG(edit->stream->name), edit->call->identity->account);
}

static int split(void *ctx, const struct datastream_shard_map *map,
                 struct datastream_shard_map *ret)
{
    struct edit *edit = ctx;
    const struct datastream_shard *row = datastream_shard_map_find(map, edit->shard);
    if (!row)
        return no_shard(edit, edit->shard);
    if (row->closed_ms)
        return already_closed(edit, edit->shard);
    struct datastream_hash least = datastream_hash_add(row->range.start, 1);
    if (datastream_hash_cmp(edit->start, least) <= 0 ||
        datastream_hash_cmp(edit->start, row->range.end) >= 0)
        return outside(edit, row);
    int r = datastream_room_for_shards(edit->ds, edit->call, 1);
    if (r < 0)
        return r;
    r = datastream_shard_map_split(map, edit->shard, edit->start, kn_wall_ms(edit->ds->clock), ret);
    return r == -E2BIG ? too_many(edit) : r;
}

int datastream_op_SplitShard(struct datastream *ds, const struct datastream_SplitShard_in *in,
                             struct datastream_SplitShard_out *out KN_UNUSED,
                             struct kn_api_call *call)
{
    KN_CLEANUP(datastream_stream_unrefp) struct datastream_stream *stream = NULL;
    int r = datastream_find(ds, call, in->StreamName, in->StreamARN, &stream);
    if (r < 0)
        return r;
    struct edit edit = {
        .ds = ds, .call = call, .stream = stream, .start_text = in->NewStartingHashKey};
    r = datastream_shard_id_read(call, stream, in->ShardToSplit, &edit.shard);
    if (r == 0)
        r = check_mode(&edit);
    if (r < 0)
        return r;
    if (datastream_hash_parse(in->NewStartingHashKey, &edit.start) < 0)
        return kn_api_fault(call, "InvalidArgumentException",
                            "Invalid NewStartingHashKey. It must be in the range: [0, 2^128-1]. "
                            "Specified value was " KN_STR_FMT,
                            KN_STR_ARG(in->NewStartingHashKey));
    return run(&edit, stream, split);
}

/* --- merge ------------------------------------------------------------------------------------ */
static int not_adjacent(const struct edit *edit)
{
    char a[DATASTREAM_SHARD_ID_BYTES], b[DATASTREAM_SHARD_ID_BYTES];
    datastream_shard_id_format((int32_t) edit->shard, a);
    datastream_shard_id_format((int32_t) edit->adjacent, b);
    return kn_api_fault(edit->call, "InvalidArgumentException",
                        "Shards %s and %s in stream " KN_STR_FMT " under account %s are not an "
                        "adjacent pair of shards eligible for merging",
                        a, b, KN_STR_ARG(edit->stream->name), edit->call->identity->account);
}

static int merge(void *ctx, const struct datastream_shard_map *map,
                 struct datastream_shard_map *ret)
{
    struct edit *edit = ctx;
    const uint32_t both[] = {edit->shard, edit->adjacent};
    for (size_t i = 0; i < KN_ARRAY_LEN(both); i++) {
        const struct datastream_shard *row = datastream_shard_map_find(map, both[i]);
        if (!row)
            return no_shard(edit, both[i]);
        if (row->closed_ms)
            return already_closed(edit, both[i]);
    }
    int r = datastream_shard_map_merge(map, edit->shard, edit->adjacent,
                                       kn_wall_ms(edit->ds->clock), ret);
    return r == -EDOM ? not_adjacent(edit) : r == -E2BIG ? too_many(edit) : r;
}

int datastream_op_MergeShards(struct datastream *ds, const struct datastream_MergeShards_in *in,
                              struct datastream_MergeShards_out *out KN_UNUSED,
                              struct kn_api_call *call)
{
    KN_CLEANUP(datastream_stream_unrefp) struct datastream_stream *stream = NULL;
    int r = datastream_find(ds, call, in->StreamName, in->StreamARN, &stream);
    if (r < 0)
        return r;
    struct edit edit = {.ds = ds, .call = call, .stream = stream};
    r = datastream_shard_id_read(call, stream, in->ShardToMerge, &edit.shard);
    if (r == 0)
        r = datastream_shard_id_read(call, stream, in->AdjacentShardToMerge, &edit.adjacent);
    if (r == 0)
        r = check_mode(&edit);
    return r < 0 ? r : run(&edit, stream, merge);
}

/* --- scale ------------------------------------------------------------------------------------ */
static int beyond(const struct edit *edit, const char *how)
{
    return kn_api_fault(edit->call, "LimitExceededException",
                        "UpdateShardCount cannot scale %s your current open shard count. Current "
                        "open shard count: %zu Target shard count: %u",
                        how, edit->before, edit->target);
}

static int scale(void *ctx, const struct datastream_shard_map *map,
                 struct datastream_shard_map *ret)
{
    struct edit *edit = ctx;
    edit->before = map->open_count;
    if (edit->target > 2 * edit->before)
        return beyond(edit, "up over double");
    if (2 * (uint64_t) edit->target < edit->before)
        return beyond(edit, "down below half");
    int r = edit->target > edit->before
                ? datastream_room_for_shards(edit->ds, edit->call, edit->target - edit->before)
                : 0;
    if (r == 0 && !datastream_rate_day(edit->ds, edit->stream, DATASTREAM_DAY_SCALE))
        return datastream_day_exceeded(edit->call, edit->stream, DATASTREAM_DAY_SCALE);
    if (r < 0)
        return r;
    r = datastream_shard_map_scale(map, edit->target, kn_wall_ms(edit->ds->clock), ret);
    return r == -E2BIG ? too_many(edit) : r;
}

int datastream_op_UpdateShardCount(struct datastream *ds,
                                   const struct datastream_UpdateShardCount_in *in,
                                   struct datastream_UpdateShardCount_out *out,
                                   struct kn_api_call *call)
{
    KN_CLEANUP(datastream_stream_unrefp) struct datastream_stream *stream = NULL;
    int r = datastream_find(ds, call, in->StreamName, in->StreamARN, &stream);
    if (r < 0)
        return r;
    struct edit edit = {
        .ds = ds, .call = call, .stream = stream, .target = (uint32_t) in->TargetShardCount.v};
    r = check_mode(&edit);
    if (r == 0)
        r = run(&edit, stream, scale);
    if (r < 0)
        return r;
    *out = (struct datastream_UpdateShardCount_out){
        .StreamName = kn_arena_str(call->arena, stream->name),
        .CurrentShardCount = {true, (int64_t) edit.before},
        .TargetShardCount = in->TargetShardCount,
        .StreamARN = datastream_arn(call, stream->name),
    };
    return out->StreamName.ptr && out->StreamARN.ptr ? 0 : -ENOMEM;
}
