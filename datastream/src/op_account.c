/* SPDX-License-Identifier: Apache-2.0 */
/* The account: its limits, how much of them is used, and its commitment. */
#include "datastream_internal.h"

#include <errno.h>

struct used {
    int64_t shards, on_demand;
};

static int add(void *ctx, struct datastream_stream *stream)
{
    struct used *used = ctx;
    KN_CLEANUP(datastream_settings_unrefp)
    struct datastream_settings *settings = datastream_stream_settings(stream);
    KN_CLEANUP(datastream_shards_unrefp)
    struct datastream_shards *shards = datastream_stream_shards(stream);
    used->shards += (int64_t) shards->map.open_count;
    used->on_demand += settings->on_demand;
    return 0;
}

int datastream_op_DescribeLimits(struct datastream *ds,
                                 const struct datastream_DescribeLimits_in *in KN_UNUSED,
                                 struct datastream_DescribeLimits_out *out,
                                 struct kn_api_call *call KN_UNUSED)
{
    struct used used = {0};
    (void) datastream_stream_each(ds->streams, add, &used);
    *out = (struct datastream_DescribeLimits_out){
        .ShardLimit = {true, DATASTREAM_ACCOUNT_SHARDS_MAX},
        .OpenShardCount = {true, kn_min_i64(used.shards,        DATASTREAM_ACCOUNT_SHARDS_MAX)},
        .OnDemandStreamCount = {true,    used.on_demand                             },
        .OnDemandStreamCountLimit = {true,    DATASTREAM_STREAMS_MAX},
        .ChannelCount = {true,    0                             },
        .ChannelCountLimit = {true,    0},
    };
    return 0;
}

/* --- commitment ---------------------------------------------------------------------------------
 */
static int show(struct kn_api_call *call, const struct datastream_commitment *commitment,
                int64_t now_ms,
                const struct datastream_MinimumThroughputBillingCommitmentOutput **ret)
{
    struct datastream_MinimumThroughputBillingCommitmentOutput *shown =
        kn_arena_alloc(call->arena, sizeof(*shown));
    if (!shown)
        return -ENOMEM;
    bool holds = datastream_commitment_holds(commitment, now_ms);
    *shown = (struct datastream_MinimumThroughputBillingCommitmentOutput){
        .Status = DATASTREAM_MinimumThroughputBillingCommitmentOutputStatus_DISABLED,
        .StartedAt = {commitment->started_ms > 0,       commitment->started_ms                               },
        .EndedAt = {commitment->end_ms > 0 && !holds, commitment->end_ms                                   },
        .EarliestAllowedEndAt = {holds,                            commitment->started_ms + DATASTREAM_COMMITMENT_MS_MIN},
    };
    if (holds)
        shown->Status =
            commitment->end_ms
                ? DATASTREAM_MinimumThroughputBillingCommitmentOutputStatus_ENABLED_UNTIL_EARLIEST_ALLOWED_END
                : DATASTREAM_MinimumThroughputBillingCommitmentOutputStatus_ENABLED;
    *ret = shown;
    return 0;
}

int datastream_op_DescribeAccountSettings(
    struct datastream *ds, const struct datastream_DescribeAccountSettings_in *in KN_UNUSED,
    struct datastream_DescribeAccountSettings_out *out, struct kn_api_call *call)
{
    struct datastream_commitment commitment = datastream_account_commitment(&ds->account);
    return show(call, &commitment, kn_wall_ms(ds->clock), &out->MinimumThroughputBillingCommitment);
}

int datastream_op_UpdateAccountSettings(struct datastream *ds,
                                        const struct datastream_UpdateAccountSettings_in *in,
                                        struct datastream_UpdateAccountSettings_out *out,
                                        struct kn_api_call *call)
{
    int64_t now_ms = kn_wall_ms(ds->clock);
    struct datastream_commitment commitment;
    int r = datastream_account_commit(
        &ds->account,
        in->MinimumThroughputBillingCommitment->Status ==
            DATASTREAM_MinimumThroughputBillingCommitmentInputStatus_ENABLED,
        now_ms, &commitment);
    return r < 0 ? r : show(call, &commitment, now_ms, &out->MinimumThroughputBillingCommitment);
}
