/* SPDX-License-Identifier: Apache-2.0 */
/* What stands behind struct datastream, and what the operations share. */
#ifndef DATASTREAM_SRC_DATASTREAM_INTERNAL_H
#define DATASTREAM_SRC_DATASTREAM_INTERNAL_H

#include "account.h"
#include "consumer.h"
#include "datastream_api.h"
#include "stream.h"

#include "core/crypto.h"
#include "datastream/datastream.h"

struct datastream_fans;
struct datastream {
    struct storage *storage;
    const struct datastream_conf *conf;
    struct datastream_streams *streams;
    struct datastream_consumers *consumers;
    struct datastream_account account;
    bool has_account;
    struct datastream_fans *fans;         /* of subscriptions */
    uint8_t token_key[KN_AEAD_KEY_BYTES]; /* of iterators and NextTokens; of the data folder */
    const struct kn_api_identity *identity;
    struct kn_clock *clock;
    struct datastream_measuring measuring; /* what all metrics share */

    struct kn_lock lock; /* a leaf: what follows */
    struct kn_cond idle; /* nothing is pending any more */
    size_t pending;      /* calls that wait for a log */
    bool tend_soon, tend_stopping;
    struct kn_cond tend_wake;

    bool tending; /* tend.h: the thread has been started */
    pthread_t tend_thread;
};

KN_DEFINE_CLEANUP(struct datastream_stream *, datastream_stream_unref)
KN_DEFINE_CLEANUP(struct datastream_consumer *, datastream_consumer_unref)
KN_DEFINE_CLEANUP(struct datastream_settings *, datastream_settings_unref)
KN_DEFINE_CLEANUP(struct datastream_shards *, datastream_shards_unref)

/* The stream of a call, a reference: by name, by ARN, or by both, which must agree. Otherwise the
 * fault is raised, and what the handler is to return comes back. */
int datastream_find(struct datastream *ds, struct kn_api_call *call, struct kn_str name,
                    struct kn_str arn, struct datastream_stream **ret) KN_MUSTUSE;
/* The same, but it raises nothing when there is none: -ENOENT. */
int datastream_lookup(struct datastream *ds, struct kn_api_call *call, struct kn_str name,
                      struct kn_str arn, struct datastream_stream **ret) KN_MUSTUSE;
int datastream_not_found(struct kn_api_call *call, struct kn_str name); /* raises it */
/* "arn:aws:kinesis:<region>:<account>:stream/<name>"; ptr NULL: the arena is spent. */
struct kn_str datastream_arn(struct kn_api_call *call, struct kn_str name);
/* What a change of settings answered with, as a fault. */
int datastream_changed(struct kn_api_call *call, int r);
/* Removes it and all that is its own. Idempotent. Blocks. */
int datastream_stream_delete(struct datastream *ds, struct datastream_stream *stream) KN_MUSTUSE;
/* Whether the account may have so many more open shards, one more stream in on-demand mode, one
 * more that is CREATING; else
 * LimitExceededException is raised. */
int datastream_room_for_shards(struct datastream *ds, struct kn_api_call *call, size_t more)
    KN_MUSTUSE;
int datastream_room_for_on_demand(struct datastream *ds, struct kn_api_call *call) KN_MUSTUSE;
int datastream_room_for_stream(struct datastream *ds, struct kn_api_call *call) KN_MUSTUSE;
/* The fault of what datastream_rate_day refuses. */
int datastream_day_exceeded(struct kn_api_call *call, const struct datastream_stream *stream,
                            enum datastream_day_call day_call);
/* Whether these may be added (NULL: none is) to a resource that has count of them then. */
int datastream_tags_check(struct kn_api_call *call, const struct kn_api_map *added, size_t count)
    KN_MUSTUSE;

/* The consumer that an ARN means, and its stream: references. Otherwise the fault is raised. */
int datastream_consumer_of(struct datastream *ds, struct kn_api_call *call, struct kn_str arn,
                           struct datastream_stream **ret_stream, struct datastream_consumer **ret)
    KN_MUSTUSE;
/* Around work that resumes a call when a log is done: datastream_stop waits for it. Any thread. */
void datastream_pending_begin(struct datastream *ds);
void datastream_pending_end(struct datastream *ds); /* after kn_api_resume */

int datastream_no_consumer(struct kn_api_call *call, const struct datastream_stream *stream,
                           struct kn_str name); /* raises it */

/* Whether a stream of that mode may have that much warm throughput. */
int datastream_warm_check(struct datastream *ds, struct kn_api_call *call, bool on_demand,
                          int64_t warm_mibps) KN_MUSTUSE;
int datastream_warm_show(struct kn_api_call *call, struct datastream_stream *stream,
                         const struct datastream_WarmThroughputObject **ret) KN_MUSTUSE;

/* One shard as answers show it. -ENOMEM. */
int datastream_shard_show(struct kn_api_call *call, const struct datastream_shard *shard,
                          struct datastream_Shard *ret) KN_MUSTUSE;
/* "shardId-…" in the arena; ptr NULL when that is spent. */
struct kn_str datastream_shard_id_text(struct kn_api_call *call, uint32_t index);
/* Raise what they say; return what the handler is to return. */
int datastream_no_such_shard(struct kn_api_call *call, struct kn_str text, struct kn_str stream);
int datastream_dry_run(struct kn_api_call *call); /* the call would have been done */
/* The index a client's shard id means; raises ResourceNotFoundException. */
int datastream_shard_id_read(struct kn_api_call *call, const struct datastream_stream *stream,
                             struct kn_str text, uint32_t *ret) KN_MUSTUSE;

#endif
