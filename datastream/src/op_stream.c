/* SPDX-License-Identifier: Apache-2.0 */
/* Making, listing and deleting streams. */
#include "page_token.h"
#include "state.h"
#include "tend.h"

#include <errno.h>

enum {
    LIST_DEFAULT = 100,
    SHARDS_DEFAULT = 1,
};

static size_t tags_of(const struct kn_api_map *map, struct datastream_tag dst[DATASTREAM_TAGS_MAX])
{
    for (size_t i = 0; i < map->count; i++)
        dst[i] = (struct datastream_tag){map->items[i].key, map->items[i].value};
    return map->count;
}

static int shards_wanted(struct kn_api_call *call, const struct datastream_CreateStream_in *in,
                         bool on_demand, uint32_t *ret)
{
    if (on_demand && in->ShardCount.set)
        return kn_api_fault(call, "InvalidArgumentException",
                            "ShardCount must not be given for a stream in on-demand mode.");
    int64_t count = on_demand            ? datastream_demand_least(in->WarmThroughputMiBps.v)
                    : in->ShardCount.set ? in->ShardCount.v
                                         : -1;
    if (count < 0)
        return kn_api_fault(call, "InvalidArgumentException",
                            "ShardCount must be specified for a stream in PROVISIONED mode.");
    if (count > DATASTREAM_SHARDS_MAX)
        return kn_api_fault(call, "LimitExceededException",
                            "A stream can have at most %d open shards.", DATASTREAM_SHARDS_MAX);
    *ret = (uint32_t) count;
    return 0;
}

/* A name is free again once the deletion of who had it is due. */
static int create(struct datastream *ds, const struct datastream_settings *settings, uint32_t count)
{
    KN_CLEANUP(datastream_stream_unrefp)
    struct datastream_stream *former = datastream_stream_find(ds->streams, settings->name);
    int r = former ? datastream_stream_bury(ds, former) : 0;
    struct datastream_shard_map map;
    if (r == 0)
        r = datastream_shard_map_even(count, settings->created_ms, &map);
    if (r < 0)
        return r;
    KN_CLEANUP(datastream_stream_unrefp) struct datastream_stream *stream = NULL;
    r = datastream_stream_create(ds->streams, settings, &map, &stream);
    if (r == 0)
        datastream_tend_open(ds, stream); /* the first records need not wait for that */
    return r;
}

int datastream_op_CreateStream(struct datastream *ds, const struct datastream_CreateStream_in *in,
                               struct datastream_CreateStream_out *out KN_UNUSED,
                               struct kn_api_call *call)
{
    bool on_demand = in->StreamModeDetails &&
                     in->StreamModeDetails->StreamMode == DATASTREAM_StreamMode_ON_DEMAND;
    uint32_t shards = SHARDS_DEFAULT;
    int r = shards_wanted(call, in, on_demand, &shards);
    if (r == 0)
        r = datastream_tags_check(call, &in->Tags, in->Tags.count);
    if (r < 0)
        return r;
    r = datastream_room_for_stream(ds, call);
    if (r == 0)
        r = datastream_room_for_shards(ds, call, shards);
    if (r == 0 && on_demand)
        r = datastream_room_for_on_demand(ds, call);
    if (r < 0)
        return r;
    bool spread = in->RecordDistributionStrategy == DATASTREAM_RecordDistributionStrategy_AUTO;
    if (spread && !on_demand)
        return kn_api_fault(call, "InvalidArgumentException",
                            "RecordDistributionStrategy AUTO is for streams in on-demand mode.");
    if (in->WarmThroughputMiBps.set) {
        r = datastream_warm_check(ds, call, on_demand, in->WarmThroughputMiBps.v);
        if (r < 0)
            return r;
    }
    struct datastream_tag tags[DATASTREAM_TAGS_MAX];
    int64_t now_ms = kn_wall_ms(ds->clock);
    struct datastream_settings settings = {
        .name = in->StreamName,
        .created_ms = now_ms,
        .retention_hours = DATASTREAM_RETENTION_HOURS_MIN,
        .record_kib_max =
            in->MaxRecordSizeInKiB.set ? in->MaxRecordSizeInKiB.v : DATASTREAM_RECORD_KIB_MIN,
        .warm_mibps = in->WarmThroughputMiBps.set ? in->WarmThroughputMiBps.v : 0,
        .on_demand = on_demand,
        .spread = spread,
        .tags = tags,
        .tag_count = tags_of(&in->Tags, tags),
    };
    datastream_state_begin(ds, DATASTREAM_CREATING, &settings);
    r = create(ds, &settings, shards);
    if (r == -EEXIST)
        return kn_api_fault(call, "ResourceInUseException",
                            "Stream " KN_STR_FMT " under account %s already exists.",
                            KN_STR_ARG(in->StreamName), call->identity->account);
    if (r == -EDQUOT)
        return kn_api_fault(call, "LimitExceededException",
                            "This server keeps at most %d data streams.", DATASTREAM_STREAMS_MAX);
    return r;
}

/* --- deleting --------------------------------------------------------------------------------- */
static int set_deleting(void *ctx, struct datastream_settings *draft)
{
    const struct datastream *ds = ctx;
    datastream_state_begin(ds, DATASTREAM_DELETING, draft);
    return 0;
}

int datastream_op_DeleteStream(struct datastream *ds, const struct datastream_DeleteStream_in *in,
                               struct datastream_DeleteStream_out *out KN_UNUSED,
                               struct kn_api_call *call)
{
    KN_CLEANUP(datastream_stream_unrefp) struct datastream_stream *stream = NULL;
    int r = datastream_find(ds, call, in->StreamName, in->StreamARN, &stream);
    if (r == 0)
        r = datastream_bury_consumers(ds, stream);
    if (r < 0)
        return r;
    enum datastream_state state = datastream_stream_state(ds, stream);
    if (state == DATASTREAM_CREATING || state == DATASTREAM_DELETING)
        return datastream_not_active(call, stream, state);
    size_t consumers = datastream_consumer_count(ds->consumers, &stream->id);
    if (consumers > 0 && !in->EnforceConsumerDeletion.v)
        return kn_api_fault(call, "ResourceInUseException",
                            "Stream " KN_STR_FMT
                            " under account %s has %zu registered consumers; it is deleted with "
                            "them when EnforceConsumerDeletion is true.",
                            KN_STR_ARG(stream->name), call->identity->account, consumers);
    if (!ds->conf->stream_state_ms)
        return datastream_stream_delete(ds, stream);
    r = datastream_stream_change(ds->streams, stream, set_deleting, ds);
    return r < 0 ? r : datastream_consumer_remove_all(ds->consumers, &stream->id);
}

/* --- listing ---------------------------------------------------------------------------------- */
/* 1: it is shown; 0: it is gone. */
static int show(struct datastream *ds, struct kn_api_call *call, struct datastream_stream *stream,
                struct kn_str *name, struct datastream_StreamSummary *summary)
{
    KN_CLEANUP(datastream_settings_unrefp)
    struct datastream_settings *settings = datastream_stream_settings(stream);
    enum datastream_state state = datastream_state_of(ds, settings);
    if (state == DATASTREAM_GONE)
        return 0;
    struct datastream_StreamModeDetails *mode = kn_arena_alloc(call->arena, sizeof(*mode));
    *name = kn_arena_str(call->arena, stream->name);
    *summary = (struct datastream_StreamSummary){
        .StreamName = *name,
        .StreamARN = datastream_arn(call, stream->name),
        .StreamStatus = datastream_status_of(state),
        .StreamModeDetails = mode,
        .StreamCreationTimestamp = {true, settings->created_ms},
    };
    if (!mode || !name->ptr || !summary->StreamARN.ptr)
        return -ENOMEM;
    mode->StreamMode =
        settings->on_demand ? DATASTREAM_StreamMode_ON_DEMAND : DATASTREAM_StreamMode_PROVISIONED;
    return 1;
}

int datastream_op_ListStreams(struct datastream *ds, const struct datastream_ListStreams_in *in,
                              struct datastream_ListStreams_out *out, struct kn_api_call *call)
{
    size_t max = (size_t) (in->Limit.set ? in->Limit.v : LIST_DEFAULT);
    struct datastream_page_token token = {
        .list = 'n', .name = KN_STR(""), .after = in->ExclusiveStartStreamName};
    if (in->NextToken.ptr && in->ExclusiveStartStreamName.ptr)
        return kn_api_fault(call, "InvalidArgumentException",
                            "NextToken and ExclusiveStartStreamName cannot both be given.");
    int r =
        in->NextToken.ptr ? datastream_page_token_read(ds, call, 'n', in->NextToken, &token) : 0;
    if (r < 0)
        return r;
    struct datastream_stream **streams =
        kn_arena_alloc(call->arena, (max + 1) * sizeof(struct datastream_stream *));
    struct kn_str *names = kn_arena_alloc(call->arena, max * sizeof(*names));
    struct datastream_StreamSummary *summaries =
        kn_arena_alloc(call->arena, max * sizeof(*summaries));
    if (!streams || !names || !summaries)
        return -ENOMEM;
    size_t count = datastream_stream_list(ds->streams, token.after, streams, max + 1);
    size_t shown = 0;
    for (size_t i = 0; i < count && i < max && r >= 0; i++) {
        r = show(ds, call, streams[i], &names[shown], &summaries[shown]);
        shown += r > 0;
    }
    if (r >= 0 && count > max) {
        token.after = streams[max - 1]->name;
        r = datastream_page_token_write(ds, call, &token, &out->NextToken);
    }
    for (size_t i = 0; i < count; i++)
        datastream_stream_unref(streams[i]);
    if (r < 0)
        return r;
    out->StreamNames = (struct kn_api_str_list){true, shown, names};
    out->StreamSummaries = (struct datastream_StreamSummary_list){true, shown, summaries};
    out->HasMoreStreams = (struct kn_api_bool){true, count > max};
    return 0;
}
