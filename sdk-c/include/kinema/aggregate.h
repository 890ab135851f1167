/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file aggregate.h
 * Aggregated records: many user records in one record of a Kinesis data stream, as the Kinesis
 * Producer Library puts them and the Kinesis Client Library takes them apart.
 *
 * On the wire: F3 89 9A C2, a Protocol Buffers message AggregatedRecord, the MD5 of that message.
 * Source: "KPL Aggregated Record Format", awslabs/amazon-kinesis-producer, aggregation-format.md
 *
 * Strict C11, no globals. A builder belongs to one thread at a time. Results are 0 or a negative
 * errno value.
 */
#ifndef KINEMA_AGGREGATE_H
#define KINEMA_AGGREGATE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define KINEMA_API __attribute__((visibility("default")))
#else
#define KINEMA_API
#endif

enum {
    KINEMA_AGGREGATE_KEY_BYTES_MAX = 1024,    /* of a partition key: 256 characters of UTF-8 */
    KINEMA_AGGREGATE_BYTES_DEFAULT = 1 << 20, /**< what AWS takes of one record by default */
    KINEMA_AGGREGATE_BYTES_MAX = 10 << 20     /* what a stream can be set to take */
};

/* --- making them ------------------------------------------------------------------------------ */
struct kinema_aggregate; /**< a builder */

/** bytes_max: of the whole record, its own partition key included, as AWS counts; 0:
 * KINEMA_AGGREGATE_BYTES_DEFAULT. -EINVAL: out of range; -ENOMEM. */
KINEMA_API int kinema_aggregate_new(size_t bytes_max, struct kinema_aggregate **ret);
KINEMA_API void kinema_aggregate_free(struct kinema_aggregate *aggregate); /**< accepts NULL */

/** Adds a copy of a user record. explicit_hash_key: decimal digits, or NULL. -ENOSPC: it does not
 * fit any more: finish, put, clear, and add it again; -EMSGSIZE: it does not fit into an empty one
 * either: put it by itself; -EINVAL: an empty or too long key, or a hash key that is not digits of
 * less than 2^128; -ENOMEM. Nothing is added unless 0 is returned. */
KINEMA_API int kinema_aggregate_add(struct kinema_aggregate *aggregate, const char *partition_key,
                                    const char *explicit_hash_key, const void *data, size_t len);
/** User records that are in it. */
KINEMA_API size_t kinema_aggregate_count(const struct kinema_aggregate *aggregate);
/** Of the record as it stands. */
KINEMA_API size_t kinema_aggregate_bytes(const struct kinema_aggregate *aggregate);

/** What is to be put: by PutRecord's Data, PartitionKey and ExplicitHashKey (NULL: none), those of
 * the first user record. Valid until the builder is used again. */
struct kinema_aggregate_record {
    const uint8_t *data;           /**< PutRecord's Data */
    size_t len;                    /**< bytes of it */
    const char *partition_key;     /**< PutRecord's PartitionKey */
    const char *explicit_hash_key; /**< NULL: none */
};
/** -ENODATA: nothing was added; -ENOMEM. */
KINEMA_API int kinema_aggregate_finish(struct kinema_aggregate *aggregate,
                                       struct kinema_aggregate_record *ret);
KINEMA_API void kinema_aggregate_clear(struct kinema_aggregate *aggregate); /**< for the next one */

/* --- taking them apart ------------------------------------------------------------------------ */
/** A view into the record that is being taken apart; keys are not NUL-terminated. */
struct kinema_user_record {
    const char *partition_key;     /**< not NUL-terminated */
    size_t partition_key_len;      /**< bytes of it */
    const char *explicit_hash_key; /**< NULL: none */
    size_t explicit_hash_key_len;  /**< bytes of it */
    const uint8_t *data;           /**< of the user's record */
    size_t len;                    /**< bytes of it */
    uint64_t index;                /**< within the record: the KCL's subsequence number */
};
/** A value other than 0 ends the walk and is returned. */
typedef int kinema_user_record_fn(void *ctx, const struct kinema_user_record *record);

/** Calls each for every user record of a stream's record, in order. What is no aggregated record,
 * or one that is damaged (its digest or its message is wrong), is one user record by itself, as the
 * KCL sees it: partition_key, which may be NULL, then is its key. -ENOMEM: nothing was given out.
 */
KINEMA_API int kinema_deaggregate(const void *data, size_t len, const char *partition_key,
                                  kinema_user_record_fn *each, void *ctx);
KINEMA_API int kinema_is_aggregated(const void *data, size_t len); /**< whole and undamaged: 1 */

#ifdef __cplusplus
}
#endif
#endif
