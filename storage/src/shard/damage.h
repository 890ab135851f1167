/* SPDX-License-Identifier: Apache-2.0 */
/* Damage met in the log of a shard: each stretch of it is said once in the log and counted. */
#ifndef STORAGE_SRC_SHARD_DAMAGE_H
#define STORAGE_SRC_SHARD_DAMAGE_H

#include "storage/shard.h"

enum storage_shard_place {
    STORAGE_SHARD_IN_JOURNAL, /* number: its generation */
    STORAGE_SHARD_IN_SEGMENT, /* number: its first index */
    STORAGE_SHARD_PLACES
};

/* Bytes that are not what was written. shard: NULL, not known. bytes 0: all of it is missing. */
void storage_shard_damaged(enum storage_shard_place place, const struct storage_id *shard,
                           uint64_t number, uint64_t at, uint64_t bytes);

#endif
