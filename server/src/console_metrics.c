/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metrics of a data stream over time, asked for as CloudWatch's GetMetricStatistics is: the
 * parameters, statistics and members of datapoints have its names. Source of these: AWS's API
 * reference of CloudWatch, GetMetricStatistics. Times are milliseconds, as all of the console's.
 */
#include "console_call.h"

#include <errno.h>

#include "datastream/metrics.h"

enum {
    MINUTE_MS = 60 * 1000,
    SPAN_MS = 60 * MINUTE_MS,             /* asked for when StartTime is not given */
    BUCKETS_MAX = KN_HISTORY_MINUTES + 2, /* the first and the last may be cut */
};

static const char action[] = "kinesis:DescribeStreamSummary";

enum statistic {
    SAMPLE_COUNT,
    AVERAGE,
    SUM,
    MINIMUM,
    MAXIMUM,
    STATISTICS,
};
static const char *const statistics[] = {
    [SAMPLE_COUNT] = "SampleCount", [AVERAGE] = "Average", [SUM] = "Sum",
    [MINIMUM] = "Minimum",          [MAXIMUM] = "Maximum",
};

struct question {
    struct datastream_metric_query query;
    unsigned wanted; /* bits of enum statistic */
    size_t count;    /* of buckets */
};

static int bad(struct console_call *call, const char *text)
{
    console_fail(call, 400, "bad_request", "%s", text);
    return -EINVAL;
}

/* --- what is asked for ------------------------------------------------------------------------ */
static int read_metric(struct console_call *call, struct question *q)
{
    struct kn_str name = console_query_find(call, "MetricName");
    q->query.stream = call->name;
    q->query.shard = console_query_find(call, "ShardId");
    q->query.consumer = console_query_find(call, "ConsumerName");
    if (q->query.shard.ptr && q->query.consumer.ptr)
        return bad(call, "ShardId and ConsumerName: no metric has both");
    q->query.row = datastream_metric_find(name, q->query.shard.ptr ? DATASTREAM_OF_SHARD
                                                                   : DATASTREAM_OF_STREAM);
    if (!q->query.row && !q->query.shard.ptr)
        q->query.row = datastream_metric_find(name, DATASTREAM_OF_CONSUMER);
    if (!q->query.row)
        return bad(call, q->query.shard.ptr ? "MetricName: shards have no metric of that name"
                                            : "MetricName: there is no metric of that name");
    if (q->query.consumer.ptr && q->query.row->level != DATASTREAM_OF_CONSUMER)
        return bad(call, "ConsumerName: this metric is not of a consumer");
    return 0;
}

static int read_statistics(struct console_call *call, struct question *q)
{
    struct kn_str rest = console_query_find(call, "Statistics");
    if (!rest.ptr)
        q->wanted = (1u << STATISTICS) - 1;
    while (rest.len > 0) {
        struct kn_str name;
        size_t at = 0;
        rest = kn_str_cut(rest, ',', &name);
        while (at < STATISTICS && !kn_str_eq(name, kn_str_from(statistics[at])))
            at++;
        if (at == STATISTICS)
            return bad(call, "Statistics wants some of SampleCount, Average, Sum, Minimum and "
                             "Maximum, with commas between them");
        q->wanted |= 1u << at;
    }
    return q->wanted ? 0 : bad(call, "Statistics is empty");
}

/* What lies outside of what is remembered is cut off. */
static int read_times(struct console_call *call, struct question *q)
{
    int64_t start_ms, end_ms, period_s, now_ms = kn_wall_ms(call->console->conf.clock);
    if (console_query_i64(call, "EndTime", now_ms, &end_ms) < 0)
        return -EINVAL;
    if (end_ms <= 0)
        return bad(call, "EndTime lies before 1970");
    if (console_query_i64(call, "StartTime", kn_max_i64(0, end_ms - SPAN_MS), &start_ms) < 0 ||
        console_query_i64(call, "Period", 60, &period_s) < 0)
        return -EINVAL;
    if (period_s < 60 || period_s % 60 || period_s > KN_HISTORY_MINUTES * 60)
        return bad(call, "Period wants a multiple of 60, at most 10800: seconds");
    if (start_ms < 0 || start_ms >= end_ms)
        return bad(call, "StartTime must be before EndTime");
    start_ms = kn_max_i64(start_ms, now_ms - (int64_t) KN_HISTORY_MINUTES * MINUTE_MS);
    end_ms = kn_min_i64(end_ms, now_ms + MINUTE_MS);
    start_ms = kn_min_i64(start_ms, end_ms); /* then no bucket is left */
    uint32_t period = (uint32_t) period_s / 60;
    q->query.period = period;
    q->query.from = (uint32_t) (start_ms / MINUTE_MS) / period * period;
    int64_t end = (end_ms + MINUTE_MS - 1) / MINUTE_MS; /* the first minute that is not wanted */
    q->count = end <= q->query.from ? 0 : (size_t) (end - q->query.from + period - 1) / period;
    kn_assert(q->count <= BUCKETS_MAX);
    return 0;
}

/* --- the answer ------------------------------------------------------------------------------- */
static double value_of(const struct kn_history_bucket *bucket, enum statistic what)
{
    switch (what) {
    case SAMPLE_COUNT:
        return bucket->count;
    case AVERAGE:
        return bucket->sum / bucket->count;
    case SUM:
        return bucket->sum;
    case MINIMUM:
        return bucket->min;
    case MAXIMUM:
    case STATISTICS:
        return bucket->max;
    }
    return 0;
}

static void write_datapoint(struct kn_json_writer *w, const struct question *q,
                            const struct kn_history_bucket *bucket)
{
    kn_json_object_begin(w);
    kn_json_key(w, "Timestamp");
    kn_json_i64(w, (int64_t) bucket->minute * MINUTE_MS);
    for (unsigned i = 0; i < STATISTICS; i++) {
        if (!(q->wanted & (1u << i)))
            continue;
        kn_json_key(w, statistics[i]);
        kn_json_double(w, value_of(bucket, (enum statistic) i));
    }
    kn_json_key(w, "Unit");
    kn_json_text(w, q->query.row->unit);
    kn_json_object_end(w);
}

static void write_answer(struct console_call *call, const struct question *q,
                         const struct kn_history_bucket *buckets)
{
    struct kn_json_writer *w = &call->json;
    kn_json_object_begin(w);
    kn_json_key(w, "nowMs");
    kn_json_i64(w, kn_wall_ms(call->console->conf.clock));
    kn_json_key(w, "Label");
    kn_json_text(w, q->query.row->name);
    kn_json_key(w, "Datapoints");
    kn_json_array_begin(w);
    for (size_t i = 0; i < q->count; i++)
        if (buckets[i].count > 0)
            write_datapoint(w, q, &buckets[i]);
    kn_json_array_end(w);
    kn_json_object_end(w);
}

/* ?MetricName=&ShardId=&ConsumerName=&StartTime=&EndTime=&Period=&Statistics= */
void console_run_data_metrics(struct console_call *call)
{
    struct question q = {0};
    struct kn_history_bucket buckets[BUCKETS_MAX];
    if (read_metric(call, &q) < 0 || read_statistics(call, &q) < 0 || read_times(call, &q) < 0)
        return;
    int r = console_allows(call, action, call->name)
                ? datastream_metric_read(call->console->conf.datastream, &q.query, buckets, q.count)
                : -ENOENT;
    if (r == -ENOENT)
        console_fail(call, 404, "no_such_stream",
                     "there is no data stream " KN_STR_FMT ", or no such shard or consumer of it, "
                     "that you may see",
                     KN_STR_ARG(call->name));
    else if (r < 0)
        console_fail(call, 500, "internal", "the metrics cannot be read: %s", kn_errname(r));
    else
        write_answer(call, &q, buckets);
}
