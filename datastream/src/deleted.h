/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams that are deleted and whose shards' logs are not gone yet: "dx/<id>", the map of their
 * shards, written before the first of a stream's own keys goes. Until then the stream is there, and
 * from then on it is not, whatever is cut off between.
 */
#ifndef DATASTREAM_SRC_DELETED_H
#define DATASTREAM_SRC_DELETED_H

#include "shard_map.h"

#include "storage/meta.h"

int datastream_deleted_note(struct storage_meta *meta, const struct storage_id *id,
                            const struct datastream_shard_map *map) KN_MUSTUSE;
/* 1, 0 or an error. */
int datastream_deleted_is(struct storage_meta *meta, const struct storage_id *id) KN_MUSTUSE;

/* Drops the logs of all of them; goes on until is_over says so. Blocks. */
int datastream_deleted_drop(struct storage *storage, bool (*is_over)(void *ctx), void *ctx)
    KN_MUSTUSE;

#endif
