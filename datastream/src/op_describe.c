/* SPDX-License-Identifier: Apache-2.0 */
/* What a stream is: DescribeStream and its summary. */
#include "datastream_internal.h"
#include "metrics_names.h"
#include "state.h"

#include <errno.h>

enum {
    SHARDS_DEFAULT = 100
};

/* What both answers begin with. */
struct common {
    struct kn_str name, arn, key;
    enum datastream_StreamStatus status;
    enum datastream_EncryptionType encryption;
    const struct datastream_StreamModeDetails *mode;
    struct datastream_EnhancedMetrics_list monitoring;
};

static int common_of(struct kn_api_call *call, const struct datastream_stream *stream,
                     const struct datastream_settings *settings, enum datastream_state state,
                     struct common *ret)
{
    struct datastream_StreamModeDetails *mode = kn_arena_alloc(call->arena, sizeof(*mode));
    struct datastream_EnhancedMetrics *metrics = kn_arena_alloc(call->arena, sizeof(*metrics));
    if (!mode || !metrics ||
        datastream_metrics_list(call, settings->metrics, &metrics->ShardLevelMetrics) < 0)
        return -ENOMEM;
    mode->StreamMode =
        settings->on_demand ? DATASTREAM_StreamMode_ON_DEMAND : DATASTREAM_StreamMode_PROVISIONED;
    bool encrypted = settings->kms_key.ptr != NULL;
    *ret = (struct common){
        .name = kn_arena_str(call->arena, stream->name),
        .arn = datastream_arn(call, stream->name),
        .key = encrypted ? kn_arena_str(call->arena, settings->kms_key) : settings->kms_key,
        .status = datastream_status_of(state),
        .encryption = encrypted ? DATASTREAM_EncryptionType_KMS : DATASTREAM_EncryptionType_NONE,
        .mode = mode,
        .monitoring = {true, 1, metrics},
    };
    return ret->name.ptr && ret->arn.ptr && (!encrypted || ret->key.ptr) ? 0 : -ENOMEM;
}

/* The page of shards after one, or from the first on. */
static int shards_of(struct kn_api_call *call, const struct datastream_shard_map *map,
                     bool has_after, uint32_t after, size_t max,
                     struct datastream_StreamDescription *ret)
{
    size_t from = 0;
    while (has_after && from < map->count && map->rows[from].index <= after)
        from++;
    size_t count = kn_min_u64(max, map->count - from);
    struct datastream_Shard *shards =
        kn_arena_alloc(call->arena, (count ? count : 1) * sizeof(*shards));
    int r = shards ? 0 : -ENOMEM;
    for (size_t i = 0; i < count && r == 0; i++)
        r = datastream_shard_show(call, &map->rows[from + i], &shards[i]);
    ret->Shards = (struct datastream_Shard_list){true, count, shards};
    ret->HasMoreShards = (struct kn_api_bool){true, from + count < map->count};
    return r;
}

int datastream_op_DescribeStream(struct datastream *ds,
                                 const struct datastream_DescribeStream_in *in,
                                 struct datastream_DescribeStream_out *out,
                                 struct kn_api_call *call)
{
    KN_CLEANUP(datastream_stream_unrefp) struct datastream_stream *stream = NULL;
    int r = datastream_find(ds, call, in->StreamName, in->StreamARN, &stream);
    uint32_t after = 0;
    if (r == 0 && in->ExclusiveStartShardId.ptr)
        r = datastream_shard_id_read(call, stream, in->ExclusiveStartShardId, &after);
    if (r < 0)
        return r;
    KN_CLEANUP(datastream_settings_unrefp)
    struct datastream_settings *settings = datastream_stream_settings(stream);
    KN_CLEANUP(datastream_shards_unrefp)
    struct datastream_shards *shards = datastream_stream_shards(stream);
    struct datastream_StreamDescription *shown = kn_arena_alloc(call->arena, sizeof(*shown));
    struct common common;
    enum datastream_state state = datastream_state_of(ds, settings);
    if (!shown || common_of(call, stream, settings, state, &common) < 0)
        return -ENOMEM;
    *shown = (struct datastream_StreamDescription){
        .StreamName = common.name,
        .StreamARN = common.arn,
        .StreamStatus = common.status,
        .StreamModeDetails = common.mode,
        .RetentionPeriodHours = {true, settings->retention_hours},
        .StreamCreationTimestamp = {true, settings->created_ms     },
        .EnhancedMonitoring = common.monitoring,
        .EncryptionType = common.encryption,
        .KeyId = common.key,
    };
    out->StreamDescription = shown;
    if (state == DATASTREAM_CREATING) { /* with AWS it has none yet */
        shown->Shards.set = shown->HasMoreShards.set = true;
        return 0;
    }
    return shards_of(call, &shards->map, in->ExclusiveStartShardId.ptr != NULL, after,
                     (size_t) (in->Limit.set ? in->Limit.v : SHARDS_DEFAULT), shown);
}

int datastream_op_DescribeStreamSummary(struct datastream *ds,
                                        const struct datastream_DescribeStreamSummary_in *in,
                                        struct datastream_DescribeStreamSummary_out *out,
                                        struct kn_api_call *call)
{
    KN_CLEANUP(datastream_stream_unrefp) struct datastream_stream *stream = NULL;
    int r = datastream_find(ds, call, in->StreamName, in->StreamARN, &stream);
    if (r < 0)
        return r;
    KN_CLEANUP(datastream_settings_unrefp)
    struct datastream_settings *settings = datastream_stream_settings(stream);
    KN_CLEANUP(datastream_shards_unrefp)
    struct datastream_shards *shards = datastream_stream_shards(stream);
    struct datastream_StreamDescriptionSummary *shown = kn_arena_alloc(call->arena, sizeof(*shown));
    struct common common;
    enum datastream_state state = datastream_state_of(ds, settings);
    if (!shown || common_of(call, stream, settings, state, &common) < 0)
        return -ENOMEM;
    *shown = (struct datastream_StreamDescriptionSummary){
        .StreamName = common.name,
        .StreamARN = common.arn,
        .StreamStatus = common.status,
        .StreamModeDetails = common.mode,
        .RetentionPeriodHours = {true, settings->retention_hours                                    },
        .StreamCreationTimestamp = {true, settings->created_ms                                         },
        .EnhancedMonitoring = common.monitoring,
        .EncryptionType = common.encryption,
        .KeyId = common.key,
        .OpenShardCount = {true,
                                 state == DATASTREAM_CREATING ? 0 : (int64_t) shards->map.open_count},
        .ConsumerCount = {true, (int64_t) datastream_consumer_count(ds->consumers,             &stream->id)},
        .MaxRecordSizeInKiB = {true,    settings->record_kib_max                                                             },
    };
    if (settings->on_demand) /* AWS shows it there only */
        shown->RecordDistributionStrategy =
            settings->spread ? DATASTREAM_RecordDistributionStrategy_AUTO
                             : DATASTREAM_RecordDistributionStrategy_USER_PARTITION_KEY;
    out->StreamDescriptionSummary = shown;
    return settings->warm_mibps ? datastream_warm_show(call, stream, &shown->WarmThroughput) : 0;
}
