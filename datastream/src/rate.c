/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source: AWS's developer guide, "Quotas and limits": a shard takes 1,000 records and 1 MiB a
 * second, with room for a burst of 10 MiB since records may be that large, and gives 2 MiB a second
 * in five calls to all who poll it.
 */
#include "rate.h"

#include "datastream_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "core/metrics.h"

static const struct kn_rate bytes_in = {1 << 20, 10 << 20}, records_in = {1000, 1000},
                            bytes_out = {2 << 20, 2 << 20}, gets = {5, 5}, iterators = {5, 5};
static const int64_t day_ms = INT64_C(24) * 60 * 60 * 1000;
static const size_t day_max[DATASTREAM_DAY_CALLS] = {
    [DATASTREAM_DAY_MODE] = 2,
    [DATASTREAM_DAY_SCALE] = 10,
    [DATASTREAM_DAY_ENCRYPT] = DATASTREAM_DAY_CALLS_MAX,
    [DATASTREAM_DAY_DECRYPT] = DATASTREAM_DAY_CALLS_MAX,
};

static struct kn_metric_family exceeded = {
    .kind = KN_COUNTER,
    .name = "kinema_throughput_exceeded_total",
    .help = "Records put, and calls that read, that limits = aws refused: AWS's "
            "WriteProvisionedThroughputExceeded and ReadProvisionedThroughputExceeded.",
    .labels = {"of"},
};

static bool refuse(const char *of)
{
    struct kn_str value = kn_str_from(of);
    kn_metric_add(kn_metric_series(&exceeded, &value), 1);
    return false;
}

struct datastream_shard_rate {
    uint32_t shard;
    struct kn_bucket bytes_in, records_in, bytes_out, gets, iterators;
};

void datastream_rates_init(struct datastream_rates *rates)
{
    kn_lock_init(&rates->lock);
}

void datastream_rates_done(struct datastream_rates *rates)
{
    free(rates->shards);
    free(rates->days);
    kn_lock_done(&rates->lock);
}

static int reserve_locked(struct datastream_rates *rates)
{
    if (rates->count < rates->cap)
        return 0;
    size_t cap = rates->cap ? rates->cap * 2 : 4;
    struct datastream_shard_rate *shards = realloc(rates->shards, cap * sizeof(*shards));
    if (!shards)
        return -ENOMEM;
    rates->shards = shards;
    rates->cap = cap;
    return 0;
}

/* Made when first asked for; NULL: no memory, and everything passes. */
static struct datastream_shard_rate *of_locked(struct datastream_rates *rates, uint32_t shard)
{
    size_t at = KN_BISECT(i, 0, rates->count, rates->shards[i].shard < shard);
    if (at < rates->count && rates->shards[at].shard == shard)
        return &rates->shards[at];
    if (reserve_locked(rates) < 0)
        return NULL;
    memmove(rates->shards + at + 1, rates->shards + at,
            (rates->count - at) * sizeof(*rates->shards));
    rates->shards[at] = (struct datastream_shard_rate){.shard = shard};
    rates->count++;
    return &rates->shards[at];
}

bool datastream_rate_put(struct datastream *ds, struct datastream_stream *stream, uint32_t shard,
                         size_t bytes)
{
    if (!ds->conf->aws_limits)
        return true;
    int64_t now_ns = kn_mono_ns(ds->clock);
    KN_LOCKED(&stream->rates.lock);
    struct datastream_shard_rate *rate = of_locked(&stream->rates, shard);
    if (!rate)
        return true;
    struct kn_bucket records_before = rate->records_in;
    if (!kn_bucket_take(&rate->records_in, &records_in, 1, now_ns))
        return refuse("write");
    if (kn_bucket_take(&rate->bytes_in, &bytes_in, bytes, now_ns))
        return true;
    rate->records_in = records_before;
    return refuse("write");
}

void datastream_rate_refused_too(const struct datastream *ds)
{
    if (ds->conf->aws_limits)
        refuse("write");
}

bool datastream_rate_iterator(struct datastream *ds, struct datastream_stream *stream,
                              uint32_t shard)
{
    if (!ds->conf->aws_limits)
        return true;
    KN_LOCKED(&stream->rates.lock);
    struct datastream_shard_rate *rate = of_locked(&stream->rates, shard);
    return !rate || kn_bucket_take(&rate->iterators, &iterators, 1, kn_mono_ns(ds->clock)) ||
           refuse("read");
}

bool datastream_rate_get(struct datastream *ds, struct datastream_stream *stream, uint32_t shard)
{
    if (!ds->conf->aws_limits)
        return true;
    int64_t now_ns = kn_mono_ns(ds->clock);
    KN_LOCKED(&stream->rates.lock);
    struct datastream_shard_rate *rate = of_locked(&stream->rates, shard);
    return !rate ||
           (kn_bucket_is_open(&rate->bytes_out, &bytes_out, now_ns) &&
            kn_bucket_take(&rate->gets, &gets, 1, now_ns)) ||
           refuse("read");
}

/* A page of 10 MiB shuts the shard for as long as that takes at 2 MiB a second. */
void datastream_rate_got(struct datastream *ds, struct datastream_stream *stream, uint32_t shard,
                         size_t bytes)
{
    if (!ds->conf->aws_limits)
        return;
    KN_LOCKED(&stream->rates.lock);
    struct datastream_shard_rate *rate = of_locked(&stream->rates, shard);
    if (rate)
        kn_bucket_owe(&rate->bytes_out, &bytes_out, bytes, kn_mono_ns(ds->clock));
}

bool datastream_rate_day(struct datastream *ds, struct datastream_stream *stream,
                         enum datastream_day_call call)
{
    if (!ds->conf->aws_limits)
        return true;
    int64_t now_ms = kn_wall_ms(ds->clock);
    KN_LOCKED(&stream->rates.lock);
    if (!stream->rates.days)
        stream->rates.days = calloc(DATASTREAM_DAY_CALLS, sizeof(*stream->rates.days));
    if (!stream->rates.days)
        return true;
    struct datastream_day *day = &stream->rates.days[call];
    int64_t oldest_ms = day->at_ms[day->next];
    if (oldest_ms && now_ms - oldest_ms < day_ms)
        return false;
    day->at_ms[day->next] = now_ms;
    day->next = (day->next + 1) % day_max[call];
    return true;
}

int datastream_day_exceeded(struct kn_api_call *call, const struct datastream_stream *stream,
                            enum datastream_day_call day_call)
{
    return kn_api_fault(call, "LimitExceededException",
                        "Rate exceeded for stream " KN_STR_FMT
                        " under account %s: %zu calls in 24 hours.",
                        KN_STR_ARG(stream->name), call->identity->account, day_max[day_call]);
}

uint64_t datastream_rate_subscription(const struct datastream *ds)
{
    uint64_t rate = ds->conf->subscription_bytes_per_s;
    return rate == 0 && ds->conf->aws_limits ? DATASTREAM_SUBSCRIPTION_BYTES_PER_S : rate;
}
