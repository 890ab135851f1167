/* SPDX-License-Identifier: Apache-2.0 */
/* Kinesis Data Streams: streams, shards and their records. */
#ifndef DATASTREAM_DATASTREAM_H
#define DATASTREAM_DATASTREAM_H

#include "core/api.h"
#include "core/conf.h"
#include "storage/storage.h"

struct datastream_conf {    /* every member is a row of datastream_conf_keys */
    uint64_t consumers_max; /* of a stream */
    uint64_t stream_state_ms;
    uint64_t on_demand_load_ms, on_demand_idle_ms, on_demand_shards_max;
    uint64_t subscription_ms_max;
    uint64_t subscription_idle_ms;
    uint64_t subscription_takeover_ms;
    uint64_t subscription_bytes_per_s;
    uint64_t metric_history_bytes;
    bool aws_limits; /* no row of its own: the server's setting `limits` */ /* 0: no limit */
};
extern const struct kn_conf_key datastream_conf_keys[];
extern const size_t datastream_conf_key_count;

struct datastream;
/* Reads the streams there are. storage, conf, identity and clock outlive it. Blocks. */
int datastream_new(struct storage *storage, const struct datastream_conf *conf,
                   const struct kn_api_identity *identity, struct kn_clock *clock,
                   struct datastream **ret, struct kn_err *err) KN_MUSTUSE;
/* Logs are tended from now on, by a thread of their own; once the shards' logs have been started.
 */
int datastream_start(struct datastream *datastream, struct kn_err *err) KN_MUSTUSE;
/* Waits until every call that a log was to end has been resumed; once no call begins any more, and
 * before the API is freed. Blocks. */
void datastream_stop(struct datastream *datastream);
void datastream_free(struct datastream *datastream); /* once no call runs */

/* Generated operations; ctx is the struct datastream. */
extern const struct kn_api_service datastream_api_service;

#endif
