/* SPDX-License-Identifier: Apache-2.0 */
/* SubscribeToShard: what is asked for is checked here; the answer is a subscription. */
#include "position.h"
#include "shard_id.h"
#include "state.h"
#include "subscription.h"

#include <errno.h>
#include <stdlib.h>

KN_DEFINE_CLEANUP(struct datastream_subscription *, datastream_subscription_free)

static int in_use(const struct datastream_subscription *s)
{
    char id[DATASTREAM_SHARD_ID_BYTES];
    datastream_shard_id_format((int32_t) s->shard.index, id);
    return kn_api_fault(
        s->call, "ResourceInUseException",
        "Another active subscription exists for this consumer: %s:" KN_STR_FMT ":%s:" KN_STR_FMT,
        s->call->identity->account, KN_STR_ARG(s->stream->name), id, KN_STR_ARG(s->consumer->name));
}

static void measure(const struct datastream_subscription *s, bool taken)
{
    const struct datastream_sample samples[] = {
        {DATASTREAM_SUBSCRIBE_SUCCESS,  taken },
        {DATASTREAM_SUBSCRIBE_EXCEEDED, !taken},
    };
    datastream_measure_consumer(s->ds, s->consumer, samples, KN_ARRAY_LEN(samples));
}

static int take_seat(struct datastream_subscription *s)
{
    s->seat = (struct datastream_seat){.shard = s->shard.index,
                                       .since_ns = kn_mono_ns(s->ds->clock),
                                       .is_remembered = s->ds->conf->aws_limits,
                                       .ref = kn_http_ref_of(s->call->req)};
    int r = datastream_seat_take(s->consumer, &s->seat,
                                 (int64_t) s->ds->conf->subscription_takeover_ms);
    if (r == 0 || r == -EBUSY)
        measure(s, r == 0);
    if (r == -EBUSY)
        return in_use(s);
    return r == -ENOENT ? kn_api_fault(s->call, "ResourceNotFoundException",
                                       "Consumer " KN_STR_FMT " under stream " KN_STR_FMT
                                       " and account %s not found.",
                                       KN_STR_ARG(s->consumer->name), KN_STR_ARG(s->stream->name),
                                       s->call->identity->account)
                        : r;
}

static int check_state(const struct datastream_subscription *s)
{
    if (datastream_consumer_state(s->ds, s->consumer) == DATASTREAM_ACTIVE)
        return 0;
    return kn_api_fault(s->call, "ResourceInUseException",
                        "Consumer " KN_STR_FMT
                        " with creation timestamp %lld under stream " KN_STR_FMT
                        " and account %s is not in ACTIVE status.",
                        KN_STR_ARG(s->consumer->name), (long long) (s->consumer->created_ms / 1000),
                        KN_STR_ARG(s->stream->name), s->call->identity->account);
}

/* The log, and where in it to begin. -EAGAIN: on a worker. */
static int find_start(struct datastream_subscription *s,
                      const struct datastream_StartingPosition *start)
{
    const struct datastream_position position = {.operation = "SubscribeToShard",
                                                 .type = start->Type,
                                                 .sequence = start->SequenceNumber,
                                                 .timestamp = start->Timestamp};
    bool nowait = !s->call->on_worker;
    int r = datastream_log_get(s->ds, s->stream, s->shard.index, nowait, &s->log);
    if (r == 0)
        r = datastream_position_find(s->call, s->stream, &s->shard, s->log, &position, nowait,
                                     &s->position);
    return r == -ENOENT ? datastream_not_found(s->call, s->stream->name) : r;
}

int datastream_op_SubscribeToShard(struct datastream *ds,
                                   const struct datastream_SubscribeToShard_in *in,
                                   struct datastream_SubscribeToShard_out *out KN_UNUSED,
                                   struct kn_api_call *call)
{
    KN_CLEANUP(datastream_subscription_freep)
    struct datastream_subscription *s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->ds = ds;
    s->call = call;
    int r = datastream_consumer_of(ds, call, in->ConsumerARN, &s->stream, &s->consumer);
    if (r == 0)
        r = check_state(s);
    if (r == 0)
        r = datastream_position_shard(call, s->stream, in->ShardId, &s->shard);
    if (r == 0)
        r = find_start(s, in->StartingPosition);
    if (r == -EAGAIN)
        return kn_api_defer(call, KN_HTTP_READS);
    if (r == 0 && in->DryRun.v)
        return datastream_dry_run(call);
    if (r == 0)
        r = datastream_fan_join(ds->fans, s->log, &s->fan);
    if (r == 0)
        r = datastream_fan_event_initial(&s->event);
    if (r == 0)
        r = take_seat(s);
    if (r < 0)
        return r;
    datastream_subscription_start(KN_MOVE(s));
    return 0;
}
