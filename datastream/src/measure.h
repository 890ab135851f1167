/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What calls and records leave behind for the metrics of datastream/metrics.h. Each call adds all
 * its samples at once, under a lock of the stream's or the consumer's own; nothing is kept of a
 * figure that never had a sample, and of a shard only while enhanced monitoring asks for it.
 */
#ifndef DATASTREAM_SRC_MEASURE_H
#define DATASTREAM_SRC_MEASURE_H

#include "core/history.h"
#include "core/metrics.h"
#include "core/thread.h"
#include "datastream/metrics.h"

struct datastream_stream;
struct datastream_consumer;

enum datastream_measure { /* rows of datastream_metric_rows */
    DATASTREAM_INCOMING_BYTES,
    DATASTREAM_INCOMING_RECORDS,
    DATASTREAM_PUT_RECORD_BYTES,
    DATASTREAM_PUT_RECORD_LATENCY,
    DATASTREAM_PUT_RECORD_SUCCESS,
    DATASTREAM_PUT_RECORDS_BYTES,
    DATASTREAM_PUT_RECORDS_LATENCY,
    DATASTREAM_PUT_RECORDS_SUCCESS,
    DATASTREAM_PUT_RECORDS_TOTAL,
    DATASTREAM_PUT_RECORDS_SUCCESSFUL,
    DATASTREAM_PUT_RECORDS_FAILED,
    DATASTREAM_PUT_RECORDS_THROTTLED,
    DATASTREAM_WRITE_EXCEEDED,
    DATASTREAM_GET_RECORDS_BYTES,
    DATASTREAM_GET_RECORDS_RECORDS,
    DATASTREAM_GET_RECORDS_LATENCY,
    DATASTREAM_GET_RECORDS_SUCCESS,
    DATASTREAM_GET_RECORDS_AGE,
    DATASTREAM_READ_EXCEEDED,
    DATASTREAM_STREAM_MEASURES,

    DATASTREAM_SUBSCRIBE_EXCEEDED = DATASTREAM_STREAM_MEASURES, /* of a consumer */
    DATASTREAM_SUBSCRIBE_SUCCESS,
    DATASTREAM_EVENT_BYTES,
    DATASTREAM_EVENT_RECORDS,
    DATASTREAM_EVENT_BEHIND,
    DATASTREAM_EVENT_SUCCESS,
    DATASTREAM_CONSUMER_MEASURES_END,

    DATASTREAM_SHARD_INCOMING_BYTES = DATASTREAM_CONSUMER_MEASURES_END, /* of a shard, in the */
    DATASTREAM_SHARD_INCOMING_RECORDS, /* order of the bits of enum datastream_metric */
    DATASTREAM_SHARD_OUTGOING_BYTES,
    DATASTREAM_SHARD_OUTGOING_RECORDS,
    DATASTREAM_SHARD_WRITE_EXCEEDED,
    DATASTREAM_SHARD_READ_EXCEEDED,
    DATASTREAM_SHARD_AGE,
    DATASTREAM_MEASURES_END,
};

enum {
    DATASTREAM_CONSUMER_MEASURES = DATASTREAM_CONSUMER_MEASURES_END - DATASTREAM_STREAM_MEASURES,
    DATASTREAM_SHARD_MEASURES = DATASTREAM_MEASURES_END - DATASTREAM_CONSUMER_MEASURES_END,
    DATASTREAM_MEASURED_MAX = 20000, /* shards and consumers with figures of their own, of all */
};

struct datastream_measuring { /* of all streams; zeroed, then max_bytes of the budget */
    struct kn_history_budget budget;
    _Atomic size_t measured; /* shards and consumers */
};

struct datastream_series { /* of one figure of one stream, consumer or shard */
    double sum;            /* of all samples since the first, as count */
    uint64_t count;
    struct kn_history history;
};

struct datastream_shard_measures {
    uint32_t shard;
    struct datastream_series *series[DATASTREAM_SHARD_MEASURES];
};

struct datastream_measures {          /* of a stream or a consumer; zeroed, then init */
    struct datastream_measuring *all; /* NULL: no sample yet */
    struct kn_lock lock;              /* a leaf: what follows */
    bool is_counted, is_refused;      /* a consumer, in all->measured; there were too many */
    struct datastream_series *series[DATASTREAM_STREAM_MEASURES]; /* NULL: no sample yet */

    _Atomic int64_t shard_metrics; /* of enum datastream_metric: which are on; of a stream */
    size_t shard_count, shard_cap;
    struct datastream_shard_measures *shards; /* by rising index; those that had a sample */
};
static_assert((int) DATASTREAM_CONSUMER_MEASURES <= (int) DATASTREAM_STREAM_MEASURES, "they fit");

void datastream_measures_init(struct datastream_measures *measures, int64_t shard_metrics);
void datastream_measures_done(struct datastream_measures *measures);
/* Enhanced monitoring has been changed: what it no longer asks for is forgotten. */
void datastream_measures_follow(struct datastream_measures *measures, int64_t shard_metrics);

struct datastream_sample {
    enum datastream_measure measure;
    double value;
};
/* Any thread, never block. */
void datastream_measure_stream(struct datastream *ds, struct datastream_stream *stream,
                               const struct datastream_sample *samples, size_t count);
void datastream_measure_consumer(struct datastream *ds, struct datastream_consumer *consumer,
                                 const struct datastream_sample *samples, size_t count);
/* Those whose metric is on for the stream's shards. */
void datastream_measure_shard(struct datastream *ds, struct datastream_stream *stream,
                              uint32_t shard, const struct datastream_sample *samples,
                              size_t count);
/* Records came in by no call: fragment events. */
void datastream_measure_incoming(struct datastream *ds, struct datastream_stream *stream,
                                 uint32_t shard, size_t records, size_t bytes);

/* Each minute: what lies too far back is forgotten, and shards that are no more. */
void datastream_measures_age(struct datastream *ds, struct datastream_stream *stream);
/* All there is, as /metrics has it; a kn_metric_collect_fn whose ctx is the struct datastream. */
void datastream_measures_write(void *ds, struct kn_buf *out);

#endif
