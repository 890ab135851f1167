/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metrics of data streams under the names that CloudWatch has for them (namespace AWS/Kinesis):
 * per stream, per registered consumer and, where enhanced monitoring is on, per shard.
 * docs/metrics.md.
 */
#ifndef DATASTREAM_METRICS_H
#define DATASTREAM_METRICS_H

#include "core/history.h"
#include "datastream/datastream.h"

enum datastream_metric_level {
    DATASTREAM_OF_STREAM,   /* dimension StreamName */
    DATASTREAM_OF_CONSUMER, /* StreamName and ConsumerName */
    DATASTREAM_OF_SHARD,    /* StreamName and ShardId */
};

enum datastream_metric_kind { /* how /metrics shows it */
    DATASTREAM_AS_TOTAL,      /* a counter of the samples' sum */
    DATASTREAM_AS_SECONDS,    /* sum and count of samples, which are milliseconds */
    DATASTREAM_AS_AGE,        /* a gauge: the largest of the newest minute, in seconds */
};

struct datastream_metric_row {
    const char *name;   /* CloudWatch's */
    const char *unit;   /* likewise */
    const char *series; /* on /metrics */
    const char *help;
    enum datastream_metric_level level;
    enum datastream_metric_kind kind;
};
extern const struct datastream_metric_row datastream_metric_rows[];
extern const size_t datastream_metric_row_count;

/* NULL: there is none of that name on that level. */
const struct datastream_metric_row *datastream_metric_find(struct kn_str name,
                                                           enum datastream_metric_level level);

struct datastream_metric_query {
    const struct datastream_metric_row *row;
    struct kn_str stream;
    struct kn_str consumer; /* ptr NULL: all of the stream's together */
    struct kn_str shard;    /* ptr NULL: the metric is not of a shard */
    uint32_t from, period;  /* minutes: where the first bucket begins, how long each is */
};
/* Fills count buckets. Any thread, never blocks. -ENOENT: no such stream, consumer or shard. */
int datastream_metric_read(struct datastream *ds, const struct datastream_metric_query *query,
                           struct kn_history_bucket *buckets, size_t count) KN_MUSTUSE;

#endif
