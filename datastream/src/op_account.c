/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The account: its limits, how much of them is used, and its commitment.
 * Source of AWS's limits: its developer guide, "Quotas and limits"; of the texts: recordings of the
 * service in the public tests of kinesalite.
 */
#include "state.h"

#include <errno.h>

enum {
    AWS_ON_DEMAND_MAX = 50,
    AWS_CREATING_MAX = 5,
};

struct used {
    const struct datastream *ds;
    int64_t shards, on_demand, creating;
};

static int64_t shards_max(const struct datastream *ds)
{
    static const struct {
        struct kn_str region;
        int64_t shards;
    } rows[] = {
        {KN_STR_INIT("us-east-1"),      20000},
        {KN_STR_INIT("us-west-2"),      20000},
        {KN_STR_INIT("eu-west-1"),      20000},
        {KN_STR_INIT("us-east-2"),      6000 },
        {KN_STR_INIT("eu-central-1"),   6000 },
        {KN_STR_INIT("eu-west-2"),      6000 },
        {KN_STR_INIT("ap-south-1"),     6000 },
        {KN_STR_INIT("ap-northeast-1"), 6000 },
        {KN_STR_INIT("ap-southeast-1"), 6000 },
        {KN_STR_INIT("ap-southeast-2"), 6000 },
    };
    if (!ds->conf->aws_limits)
        return DATASTREAM_ACCOUNT_SHARDS_MAX;
    for (size_t i = 0; i < KN_ARRAY_LEN(rows); i++) {
        if (kn_str_eq(rows[i].region, kn_str_from(ds->identity->region)))
            return rows[i].shards;
    }
    return 1000;
}

static int64_t on_demand_max(const struct datastream *ds)
{
    return ds->conf->aws_limits ? AWS_ON_DEMAND_MAX : DATASTREAM_STREAMS_MAX;
}

static int add(void *ctx, struct datastream_stream *stream)
{
    struct used *used = ctx;
    KN_CLEANUP(datastream_settings_unrefp)
    struct datastream_settings *settings = datastream_stream_settings(stream);
    KN_CLEANUP(datastream_shards_unrefp)
    struct datastream_shards *shards = datastream_stream_shards(stream);
    used->shards += (int64_t) shards->map.open_count;
    used->on_demand += settings->on_demand;
    used->creating += datastream_state_of(used->ds, settings) == DATASTREAM_CREATING;
    return 0;
}

static struct used count(struct datastream *ds)
{
    struct used used = {.ds = ds};
    (void) datastream_stream_each(ds->streams, add, &used);
    return used;
}

int datastream_room_for_shards(struct datastream *ds, struct kn_api_call *call, size_t more)
{
    struct used used = count(ds);
    int64_t max = shards_max(ds);
    if (used.shards + (int64_t) more <= max)
        return 0;
    return kn_api_fault(call, "LimitExceededException",
                        "This request would exceed the shard limit for the account %s in %s. "
                        "Current shard count for the account: %lld. Limit: %lld. Number of "
                        "additional shards that would have resulted from this request: %zu. Refer "
                        "to the AWS Service Limits page "
                        "(https://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) "
                        "for current limits and how to request higher limits.",
                        call->identity->account, call->identity->region, (long long) used.shards,
                        (long long) max, more);
}

int datastream_room_for_on_demand(struct datastream *ds, struct kn_api_call *call)
{
    struct used used = count(ds);
    if (used.on_demand < on_demand_max(ds))
        return 0;
    return kn_api_fault(call, "LimitExceededException",
                        "The account %s has %lld streams in on-demand mode, the most it can have.",
                        call->identity->account, (long long) used.on_demand);
}

int datastream_room_for_stream(struct datastream *ds, struct kn_api_call *call)
{
    if (!ds->conf->aws_limits || count(ds).creating < AWS_CREATING_MAX)
        return 0;
    return kn_api_fault(call, "LimitExceededException",
                        "At most %d streams of account %s can be in state CREATING.",
                        AWS_CREATING_MAX, call->identity->account);
}

int datastream_op_DescribeLimits(struct datastream *ds,
                                 const struct datastream_DescribeLimits_in *in KN_UNUSED,
                                 struct datastream_DescribeLimits_out *out,
                                 struct kn_api_call *call KN_UNUSED)
{
    struct used used = count(ds);
    *out = (struct datastream_DescribeLimits_out){
        .ShardLimit = {true, shards_max(ds)        },
        .OpenShardCount = {true, kn_min_i64(used.shards, DATASTREAM_ACCOUNT_SHARDS_MAX)},
        .OnDemandStreamCount = {true,    used.on_demand                      },
        .OnDemandStreamCountLimit = {true,    on_demand_max(ds)},
        .ChannelCount = {true,    0                      },
        .ChannelCountLimit = {true,    0},
    };
    return 0;
}

/* --- commitment ------------------------------------------------------------------------------- */
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
