/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a stream is provided: its mode, warm throughput, the largest record, and whether keys choose
 * the shard. What one of these operations leaves out of its answers is told by
 * DescribeStreamSummary.
 */
#include "state.h"

#include <errno.h>

struct edit {
    struct datastream *ds;
    struct kn_api_call *call;
    struct datastream_stream *stream;
    bool on_demand, spread;
    bool at_once; /* AWS does it in no time */
    struct kn_api_i64 warm_mibps;
    int64_t record_kib_max;
};

static int run(struct edit *edit, struct kn_str name, struct kn_str arn, datastream_edit_fn *change,
               struct datastream_stream **ret)
{
    KN_CLEANUP(datastream_stream_unrefp) struct datastream_stream *stream = NULL;
    int r = datastream_find(edit->ds, edit->call, name, arn, &stream);
    if (r < 0)
        return r;
    edit->stream = stream;
    r = edit->at_once ? datastream_update_beside(edit->ds, edit->call, stream, change, edit)
                      : datastream_update(edit->ds, edit->call, stream, change, edit);
    if (r == 0 && edit->warm_mibps.set)
        r = datastream_demand_warm(edit->ds, stream);
    if (r == 0 && ret)
        *ret = datastream_stream_ref(stream);
    return r;
}

/* @source API reference, UpdateStreamWarmThroughput */
int datastream_warm_check(struct datastream *ds, struct kn_api_call *call, bool on_demand,
                          int64_t warm_mibps)
{
    struct datastream_commitment commitment = datastream_account_commitment(&ds->account);
    if (!on_demand)
        return kn_api_fault(call, "ValidationException",
                            "Warm throughput is for streams in on-demand mode.");
    if (!datastream_commitment_holds(&commitment, kn_wall_ms(ds->clock)))
        return kn_api_fault(
            call, "ValidationException",
            "Warm throughput is for accounts with MinimumThroughputBillingCommitment"
            " enabled.");
    if (warm_mibps > DATASTREAM_WARM_MIBPS_MAX)
        return kn_api_fault(call, "InvalidArgumentException",
                            "WarmThroughputMiBps must be at most %d; %lld was asked for.",
                            DATASTREAM_WARM_MIBPS_MAX, (long long) warm_mibps);
    return 0;
}

/* It will have that many shards. */
static int room_for_warm(const struct edit *edit)
{
    KN_CLEANUP(datastream_shards_unrefp)
    struct datastream_shards *shards = datastream_stream_shards(edit->stream);
    size_t least = datastream_demand_least(edit->warm_mibps.v);
    return least <= shards->map.open_count
               ? 0
               : datastream_room_for_shards(edit->ds, edit->call, least - shards->map.open_count);
}

/* --- mode ------------------------------------------------------------------------------------- */
/* The shards stay as they are. What is of on-demand mode alone ends with it. */
static int change_mode(void *ctx, struct datastream_settings *draft)
{
    struct edit *edit = ctx;
    if (edit->warm_mibps.set) {
        int r = datastream_warm_check(edit->ds, edit->call, edit->on_demand, edit->warm_mibps.v);
        if (r < 0)
            return r;
        r = room_for_warm(edit);
        if (r < 0)
            return r;
        draft->warm_mibps = edit->warm_mibps.v;
    }
    if (draft->on_demand != edit->on_demand) {
        int r = edit->on_demand ? datastream_room_for_on_demand(edit->ds, edit->call) : 0;
        if (r < 0)
            return r;
        if (!datastream_rate_day(edit->ds, edit->stream, DATASTREAM_DAY_MODE))
            return datastream_day_exceeded(edit->call, edit->stream, DATASTREAM_DAY_MODE);
    }
    draft->on_demand = edit->on_demand;
    draft->spread = edit->on_demand && draft->spread;
    draft->warm_mibps = edit->on_demand ? draft->warm_mibps : 0;
    return 0;
}

int datastream_op_UpdateStreamMode(struct datastream *ds,
                                   const struct datastream_UpdateStreamMode_in *in,
                                   struct datastream_UpdateStreamMode_out *out KN_UNUSED,
                                   struct kn_api_call *call)
{
    struct edit edit = {
        .ds = ds,
        .call = call,
        .on_demand = in->StreamModeDetails->StreamMode == DATASTREAM_StreamMode_ON_DEMAND,
        .warm_mibps = in->WarmThroughputMiBps,
    };
    return run(&edit, (struct kn_str){NULL, 0}, in->StreamARN, change_mode, NULL);
}

/* --- warm throughput -------------------------------------------------------------------------- */
static int change_warm(void *ctx, struct datastream_settings *draft)
{
    struct edit *edit = ctx;
    int r = datastream_warm_check(edit->ds, edit->call, draft->on_demand, edit->warm_mibps.v);
    if (r == 0)
        r = room_for_warm(edit);
    if (r == 0)
        draft->warm_mibps = edit->warm_mibps.v;
    return r;
}

int datastream_warm_show(struct kn_api_call *call, struct datastream_stream *stream,
                         const struct datastream_WarmThroughputObject **ret)
{
    KN_CLEANUP(datastream_settings_unrefp)
    struct datastream_settings *settings = datastream_stream_settings(stream);
    KN_CLEANUP(datastream_shards_unrefp)
    struct datastream_shards *shards = datastream_stream_shards(stream);
    struct datastream_WarmThroughputObject *warm = kn_arena_alloc(call->arena, sizeof(*warm));
    if (!warm)
        return -ENOMEM;
    *warm = (struct datastream_WarmThroughputObject){
        .TargetMiBps = {true, settings->warm_mibps            },
        .CurrentMiBps = {true, (int64_t) shards->map.open_count}, /* a shard takes one */
    };
    *ret = warm;
    return 0;
}

int datastream_op_UpdateStreamWarmThroughput(
    struct datastream *ds, const struct datastream_UpdateStreamWarmThroughput_in *in,
    struct datastream_UpdateStreamWarmThroughput_out *out, struct kn_api_call *call)
{
    struct edit edit = {.ds = ds, .call = call, .warm_mibps = in->WarmThroughputMiBps};
    KN_CLEANUP(datastream_stream_unrefp) struct datastream_stream *stream = NULL;
    int r = run(&edit, in->StreamName, in->StreamARN, change_warm, &stream);
    if (r < 0)
        return r;
    out->StreamName = kn_arena_str(call->arena, stream->name);
    out->StreamARN = datastream_arn(call, stream->name);
    r = datastream_warm_show(call, stream, &out->WarmThroughput);
    return r == 0 && out->StreamName.ptr && out->StreamARN.ptr ? 0 : -ENOMEM;
}

/* --- records ---------------------------------------------------------------------------------- */
static int change_record_size(void *ctx, struct datastream_settings *draft)
{
    struct edit *edit = ctx;
    draft->record_kib_max = edit->record_kib_max;
    return 0;
}

int datastream_op_UpdateMaxRecordSize(struct datastream *ds,
                                      const struct datastream_UpdateMaxRecordSize_in *in,
                                      struct datastream_UpdateMaxRecordSize_out *out KN_UNUSED,
                                      struct kn_api_call *call)
{
    struct edit edit = {.ds = ds, .call = call, .record_kib_max = in->MaxRecordSizeInKiB.v};
    return run(&edit, (struct kn_str){NULL, 0}, in->StreamARN, change_record_size, NULL);
}

static int change_distribution(void *ctx, struct datastream_settings *draft)
{
    struct edit *edit = ctx;
    if (!draft->on_demand)
        return kn_api_fault(edit->call, "InvalidArgumentException",
                            "RecordDistributionStrategy is for streams in on-demand mode.");
    draft->spread = edit->spread;
    return 0;
}

int datastream_op_UpdateStreamRecordDistributionStrategy(
    struct datastream *ds, const struct datastream_UpdateStreamRecordDistributionStrategy_in *in,
    struct datastream_UpdateStreamRecordDistributionStrategy_out *out KN_UNUSED,
    struct kn_api_call *call)
{
    struct edit edit = {
        .ds = ds,
        .call = call,
        .at_once = true,
        .spread = in->RecordDistributionStrategy == DATASTREAM_RecordDistributionStrategy_AUTO,
    };
    return run(&edit, (struct kn_str){NULL, 0}, in->StreamARN, change_distribution, NULL);
}
