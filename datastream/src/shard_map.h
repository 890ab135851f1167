/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shards of a stream and who owns which hash keys. The open ones cover 0 … 2^128 - 1 without
 * gap or overlap; closed ones stay until retention has passed over their last record. A map is a
 * value: a change makes a new one, which is stored in one step and then published; readers keep the
 * one they have.
 */
#ifndef DATASTREAM_SRC_SHARD_MAP_H
#define DATASTREAM_SRC_SHARD_MAP_H

#include "hash_key.h"

#include "core/buf.h"

enum {
    DATASTREAM_SHARDS_MAX = 10000,     /* open ones of a stream, as UpdateShardCount allows */
    DATASTREAM_SHARD_ROWS_MAX = 20000, /* with closed ones: what the record has room for */
    DATASTREAM_SHARD_MAP_BYTES_MAX = 1 << 20, /* of its record */
};

struct datastream_shard {
    uint32_t index; /* rises with creation, never used again */
    int64_t created_s;
    int64_t closed_ms;        /* 0: open */
    int64_t parent, adjacent; /* index, -1: none; adjacent: the second parent of a merge */
    struct datastream_hash_range range;
};

struct datastream_shard_map {
    uint32_t next_index;
    size_t count; /* of rows, by rising index */
    struct datastream_shard *rows;
    size_t open_count;
    uint32_t *open; /* places in rows, by rising start of the range */
};

void datastream_shard_map_done(struct datastream_shard_map *map); /* accepts a zeroed one */
/* count new shards of equal ranges. -ENOMEM. */
int datastream_shard_map_even(uint32_t count, int64_t now_ms, struct datastream_shard_map *ret)
    KN_MUSTUSE;

/* The hash key is asked for soon: its shard comes from memory meanwhile. */
void datastream_shard_map_fetch(const struct datastream_shard_map *map,
                                struct datastream_hash hash);
/* The open shard that owns the hash key. Never NULL for a map that has shards. */
const struct datastream_shard *datastream_shard_map_route(const struct datastream_shard_map *map,
                                                          struct datastream_hash hash);
/* NULL: there is none of that index, or no more. */
const struct datastream_shard *datastream_shard_map_find(const struct datastream_shard_map *map,
                                                         uint32_t index);

/* The changes. Each makes *ret out of map, which stays as it is. -ENOENT: no such shard; -ESTALE:
 * it is closed; -ERANGE: start is not inside its range (its first key is not, since nothing would
 * be left of it); -EDOM: the two do not adjoin; -E2BIG: too many shards; -ENOMEM. */
int datastream_shard_map_split(const struct datastream_shard_map *map, uint32_t index,
                               struct datastream_hash start, int64_t now_ms,
                               struct datastream_shard_map *ret) KN_MUSTUSE;
int datastream_shard_map_merge(const struct datastream_shard_map *map, uint32_t a, uint32_t b,
                               int64_t now_ms, struct datastream_shard_map *ret) KN_MUSTUSE;
/* Until target open shards of equal ranges are there, by splits and merges; shards between live for
 * no time. */
int datastream_shard_map_scale(const struct datastream_shard_map *map, uint32_t target,
                               int64_t now_ms, struct datastream_shard_map *ret) KN_MUSTUSE;
/* Without shards that were closed before a time. */
int datastream_shard_map_forget(const struct datastream_shard_map *map, int64_t before_ms,
                                struct datastream_shard_map *ret) KN_MUSTUSE;

/* Its record in the catalogue. encode: errors stick to dst. decode: -EBADMSG: damaged, or not a map
 * (a gap, an overlap, an index twice); -ENOMEM. */
void datastream_shard_map_encode(const struct datastream_shard_map *map, struct kn_buf *dst);
int datastream_shard_map_decode(struct kn_bytes bytes, struct datastream_shard_map *ret) KN_MUSTUSE;

#endif
