/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file consumer.h
 * Records of a Kinesis data stream, read by several workers of one application: shards are shared
 * through leases, children are read after their parents, checkpoints say how far each shard is
 * done. A worker that dies is replaced by the others; what it had not stored as done is read again:
 * every record at least once, those of a shard in order.
 *
 * Streams are AWS's protocol; leases are two operations that Kinema serves beside it
 * (docs/protocols/leases.md).
 *
 * Nothing happens but inside the caller's calls, and there is no thread: kinema_consumer_poll() is
 * to be called again and again. A consumer belongs to one thread at a time. Results are 0 or a
 * negative errno value. Call curl_global_init() once before the first one.
 */
#ifndef KINEMA_CONSUMER_H
#define KINEMA_CONSUMER_H

#include <stddef.h>
#include <stdint.h>

#include "kinema/credentials.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Bounds. */
enum {
    KINEMA_NAME_BYTES_MAX = 128,      /**< of a data stream, an application, a worker, a shard */
    KINEMA_SEQUENCE_BYTES_MAX = 128,  /**< of a sequence number: decimal digits */
    KINEMA_PAGE_BYTES_MAX = 32 << 20, /**< of one GetRecords answer; AWS's have 10 MiB of data */
    KINEMA_SHARDS_MAX = 20000         /**< of a stream */
};

/** Where reading begins, when the application is new. */
enum kinema_position {
    KINEMA_TRIM_HORIZON, /**< with the oldest record */
    KINEMA_LATEST,       /**< with what comes after the first worker began */
    KINEMA_AT_TIME       /**< with what came at start_ms or later */
};

/** One user record; pointers are good during the call only. */
struct kinema_record {
    const char *shard;             /**< its id */
    const char *sequence;          /**< of the stream's record */
    int64_t sub;                   /**< within an aggregated record, from 0; -1: it is not one */
    const char *partition_key;     /**< not NUL-terminated, as is the next */
    size_t partition_key_len;      /**< bytes of it */
    const char *explicit_hash_key; /**< NULL: none, or not known */
    size_t explicit_hash_key_len;  /**< bytes of it */
    const void *data;              /**< what was put */
    size_t len;                    /**< bytes of it */
    int64_t arrival_ms;            /**< since 1970; 0: not said */
    int64_t behind_ms;             /**< of the page it came with */
};
/** Takes a record. 0: it is done, or with own_checkpoints, taken. A negative value ends
 * kinema_consumer_poll(), which returns it; the record comes again. It may call
 * kinema_consumer_done(), _checkpoint(), _keep() and _stats(), and nothing else of this consumer.
 */
typedef int kinema_record_fn(void *ctx, const struct kinema_record *record);

/** What is told beside records. */
enum kinema_consumer_event_type {
    KINEMA_SHARD_TAKEN, /**< this worker reads it from now on; text: its checkpoint, or "" */
    KINEMA_SHARD_LOST,  /**< another worker does */
    KINEMA_SHARD_ENDED, /**< it was split, merged or removed, and all of it is done */
    KINEMA_CONSUMER_CALL_FAILED /**< text says which; tried again */
};
/** One event; pointers are good during the call only. */
struct kinema_consumer_event {
    enum kinema_consumer_event_type type; /**< what happened */
    const char *shard;                    /**< "": of none */
    const char *text;                     /**< never NULL */
    long http_status;                     /**< 0: there was none */
};
/** It calls nothing of this consumer but kinema_consumer_stats(). */
typedef void kinema_consumer_event_fn(void *ctx, const struct kinema_consumer_event *event);

/** How a consumer works; zero is a good value for everything not marked "needed". Copied. */
struct kinema_consumer_config {
    const char *stream;         /**< needed; [a-zA-Z0-9_.-]+, as are the next three */
    const char *application;    /**< needed: workers of one name share the shards */
    const char *worker;         /**< one of its own for each; NULL: host, process and chance */
    const char *region;         /**< needed */
    const char *endpoint;       /**< of data streams; NULL: AWS's of the region */
    const char *lease_endpoint; /**< of the lease operations; NULL: the same */
    const char *ca_file;        /**< certificates to trust; NULL: the system's */
    struct kinema_credential_provider *credentials; /**< needed; outlives the consumer */
    enum kinema_position start;  /**< where an application without checkpoints begins */
    int64_t start_ms;            /**< of KINEMA_AT_TIME */
    unsigned lease_ms;           /**< a worker silent for as long is taken for dead; 0: 10,000 */
    unsigned pause_ms;           /**< between reads of a shard that has nothing; 0: 250 */
    unsigned page_records;       /**< of one read at most; 0: 10,000 */
    unsigned shards_max;         /**< this worker takes at most; 0: no bound */
    int no_deaggregation;        /**< records as they are in the stream */
    int own_checkpoints;         /**< only what kinema_consumer_done() says is done */
    kinema_record_fn *on_record; /**< needed */
    kinema_consumer_event_fn *on_event; /**< NULL: nothing is told */
    void *ctx;                          /**< handed to both */
};

struct kinema_consumer;

/** Makes a consumer; nothing is sent yet. -EINVAL: the configuration; -ENOMEM. */
KINEMA_API int kinema_consumer_open(const struct kinema_consumer_config *config,
                                    struct kinema_consumer **ret);
/** Renews, takes and stores leases, and reads one page of one shard. 1: it had records; 0: nothing
 * came within timeout_ms, beyond which it waits for the answer to a call; -ENOMEM; or what
 * on_record said.
 */
KINEMA_API int kinema_consumer_poll(struct kinema_consumer *consumer, unsigned timeout_ms);
/** Renews leases if that is due: to be called during work on one record that takes longer than a
 * third of the lease time. Between records it is done anyhow. */
KINEMA_API void kinema_consumer_keep(struct kinema_consumer *consumer);
/** With own_checkpoints: everything of the shard up to and with this record is done. -ENOENT: the
 * shard is this worker's no more; -EINVAL: it was not taken yet, or was done before. */
KINEMA_API int kinema_consumer_done(struct kinema_consumer *consumer, const char *shard,
                                    const char *sequence, int64_t sub);
/** Stores what is done now; otherwise each renewal does. -EIO: not all of it could be. */
KINEMA_API int kinema_consumer_checkpoint(struct kinema_consumer *consumer);
/** Stores what is done, gives the leases back, ends. Accepts NULL. */
KINEMA_API void kinema_consumer_close(struct kinema_consumer *consumer);

/** Counters since the start, and the state of now. */
struct kinema_consumer_stats {
    uint64_t records;   /**< told to on_record */
    uint64_t pages;     /**< read, the empty ones included */
    uint64_t taken;     /**< shards, as KINEMA_SHARD_TAKEN */
    uint64_t lost;      /**< shards, as KINEMA_SHARD_LOST */
    uint64_t ended;     /**< shards, as KINEMA_SHARD_ENDED */
    uint64_t errors;    /**< failed calls */
    size_t shards;      /**< this worker reads */
    size_t shards_left; /**< of the whole application: not at their end */
    int64_t behind_ms;  /**< of the shard furthest behind; -1: not all were read yet */
};
/** Fills ret; never waits. */
KINEMA_API void kinema_consumer_stats(const struct kinema_consumer *consumer,
                                      struct kinema_consumer_stats *ret);
/** This worker's name, as it stands in the leases. */
KINEMA_API const char *kinema_consumer_worker(const struct kinema_consumer *consumer);

#ifdef __cplusplus
}
#endif
#endif
