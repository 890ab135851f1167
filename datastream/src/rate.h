/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AWS's limits of throughput, of a shard and of a day, under `limits = aws`; else everything passes
 * and nothing is kept. How often operations may be called is in their files, and kept by the API
 * engine.
 */
#ifndef DATASTREAM_SRC_RATE_H
#define DATASTREAM_SRC_RATE_H

#include "core/bucket.h"
#include "core/thread.h"

struct datastream;
struct datastream_stream;

enum {
    DATASTREAM_SUBSCRIPTION_BYTES_PER_S = 2 << 20, /* of a consumer, of each shard */
    DATASTREAM_DAY_CALLS_MAX = 25,
};

enum datastream_day_call { /* so many in any 24 hours of a stream */
    DATASTREAM_DAY_MODE,   /* 2 */
    DATASTREAM_DAY_SCALE,  /* 10 */
    DATASTREAM_DAY_ENCRYPT,
    DATASTREAM_DAY_DECRYPT, /* 25 each */
    DATASTREAM_DAY_CALLS,
};

struct datastream_rates { /* of a stream; zeroed, then init */
    struct kn_lock lock;  /* a leaf: what follows */
    size_t count, cap;
    struct datastream_shard_rate *shards; /* by rising index */
    struct datastream_day {
        int64_t at_ms[DATASTREAM_DAY_CALLS_MAX]; /* a ring, the oldest at next */
        size_t next;
    } * days; /* DATASTREAM_DAY_CALLS of them, or NULL: none yet */
};
void datastream_rates_init(struct datastream_rates *rates);
void datastream_rates_done(struct datastream_rates *rates);

/* May a record of so many bytes come in? It has then. Any thread, never blocks; so are all. */
bool datastream_rate_put(struct datastream *ds, struct datastream_stream *stream, uint32_t shard,
                         size_t bytes);
/* It may not, since one before it in the call could not. */
void datastream_rate_refused_too(const struct datastream *ds);
/* May GetShardIterator, or GetRecords, be called? It has been then. */
bool datastream_rate_iterator(struct datastream *ds, struct datastream_stream *stream,
                              uint32_t shard);
bool datastream_rate_get(struct datastream *ds, struct datastream_stream *stream, uint32_t shard);
/* So many bytes went out. */
void datastream_rate_got(struct datastream *ds, struct datastream_stream *stream, uint32_t shard,
                         size_t bytes);
/* May it be called once more today? It has been then. */
bool datastream_rate_day(struct datastream *ds, struct datastream_stream *stream,
                         enum datastream_day_call call);
/* Bytes a second that a subscription gets; 0: any. */
uint64_t datastream_rate_subscription(const struct datastream *ds);

#endif
