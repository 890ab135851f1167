/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where reading a shard begins: what GetShardIterator and SubscribeToShard may ask for, as the
 * index of the log's record to be read first.
 *
 * @source AWS API reference, GetShardIterator and StartingPosition; wording of the faults as in
 *         recordings of the AWS service
 */
#ifndef DATASTREAM_SRC_POSITION_H
#define DATASTREAM_SRC_POSITION_H

#include "datastream_internal.h"

struct datastream_position {
    const char *operation; /* named in faults */
    enum datastream_ShardIteratorType type;
    struct kn_str sequence;      /* ptr NULL: none was given */
    struct kn_api_i64 timestamp; /* ms */
};

/* The shard of a stream by the id that a client gives: a copy of its row. Raises
 * ResourceNotFoundException. */
int datastream_position_shard(struct kn_api_call *call, struct datastream_stream *stream,
                              struct kn_str shard_id, struct datastream_shard *ret) KN_MUSTUSE;
/* Raises InvalidArgumentException. nowait: -EAGAIN when the disk is needed. */
int datastream_position_find(struct kn_api_call *call, const struct datastream_stream *stream,
                             const struct datastream_shard *shard, struct storage_shard *log,
                             const struct datastream_position *position, bool nowait, uint64_t *ret)
    KN_MUSTUSE;

#endif
