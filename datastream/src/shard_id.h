/* SPDX-License-Identifier: Apache-2.0 */
/* Names of shards: "shardId-000000000000" and what clients may write instead. */
#ifndef DATASTREAM_SRC_SHARD_ID_H
#define DATASTREAM_SRC_SHARD_ID_H

#include "core/bytes.h"
#include "core/err.h"

enum {
    DATASTREAM_SHARD_ID_BYTES = 21,
    DATASTREAM_SHARD_INDEX_MAX = INT32_MAX
};

/* "shardId-" and twelve digits; a negative index, which only a sequence number can hold, as AWS
 * shows it: "shardId--02147483648". Returns the length. */
size_t datastream_shard_id_format(int32_t index, char dst[DATASTREAM_SHARD_ID_BYTES]);
/* Any text before the first '-' counts as the prefix, and a bare number will do, as with AWS.
 * -EINVAL: no number of at most 2^31 - 1. */
int datastream_shard_id_parse(struct kn_str text, uint32_t *ret) KN_MUSTUSE;

#endif
