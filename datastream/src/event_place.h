/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a video stream's events stand in a data stream. They have one partition key, the video
 * stream's name, so at any time one shard owns them, and their order is the shard's. How far they
 * have come says that shard, or the one it came from: the sequence committed with the last record.
 */
#ifndef DATASTREAM_SRC_EVENT_PLACE_H
#define DATASTREAM_SRC_EVENT_PLACE_H

#include "datastream_internal.h"
#include "log.h"

struct datastream_event_place {
    struct datastream_stream *target; /* references */
    struct storage_shard *shard;
    uint32_t index;     /* of the shard */
    uint64_t sent_seq;  /* of the last fragment whose event is there; 0: none */
    int64_t created_ms; /* of the data stream */
};
void datastream_event_place_done(struct datastream_event_place *place); /* accepts a zeroed one */

/* -ENOENT: there is no such data stream, or it is being deleted. Blocks. */
int datastream_event_place_find(struct datastream *ds, struct kn_str data_stream,
                                struct kn_str partition_key, const struct storage_id *source,
                                struct datastream_event_place *ret) KN_MUSTUSE;

/* Whether the data stream is still there. Never blocks. */
bool datastream_event_place_exists(struct datastream *ds,
                                   const struct datastream_event_place *place);
/* Whether the shard still owns the partition key. Within datastream_stream_write_begin. */
bool datastream_event_place_holds(const struct datastream_event_place *place,
                                  const struct datastream_shard_map *map,
                                  struct kn_str partition_key);

/* Before shards that are in one map are left out of the next: what sources they have recorded is
 * passed on to their children. Blocks. */
int datastream_event_pass_on(struct storage *storage, const struct datastream_stream *stream,
                             const struct datastream_shard_map *now,
                             const struct datastream_shard_map *next) KN_MUSTUSE;

#endif
