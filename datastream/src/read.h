/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a shard: how its records and the shards after it are shown. */
#ifndef DATASTREAM_SRC_READ_H
#define DATASTREAM_SRC_READ_H

#include "datastream_internal.h"

enum {
    DATASTREAM_READ_RECORDS_MAX = 10000, /* of one GetRecords */
    DATASTREAM_READ_BYTES_MAX = 10 << 20,
};

/* The records of a page, which must live as long as they are needed. -ENOMEM. */
int datastream_records_show(struct kn_arena *arena, const struct datastream_shard *shard,
                            const struct storage_page *page, struct datastream_Record_list *ret)
    KN_MUSTUSE;
/* How far behind the newest record a reader is that has got this page, and no more. */
int64_t datastream_millis_behind(const struct storage_page *page,
                                 const struct storage_shard_ends *ends, int64_t now_ms);
/* The shards that follow a closed one; unset: there are none any more. -ENOMEM. */
int datastream_children_show(struct kn_api_call *call, const struct datastream_shard_map *map,
                             uint32_t shard, struct datastream_ChildShard_list *ret) KN_MUSTUSE;

#endif
