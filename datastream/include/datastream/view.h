/* SPDX-License-Identifier: Apache-2.0 */
/* Data streams as a page shows them: plain values, and records of a shard. Any thread; all block.
 */
#ifndef DATASTREAM_VIEW_H
#define DATASTREAM_VIEW_H

#include "datastream/datastream.h"
#include "storage/shard.h"

enum {
    DATASTREAM_VIEW_NAME_BYTES = 129,  /* 128 characters and a NUL */
    DATASTREAM_VIEW_SHARD_BYTES = 21,  /* "shardId-", twelve digits, a NUL */
    DATASTREAM_VIEW_NUMBER_BYTES = 58, /* a sequence number's digits and a NUL */
    DATASTREAM_VIEW_KEY_BYTES = 40     /* a hash key's digits and a NUL */
};

struct datastream_view {
    char name[DATASTREAM_VIEW_NAME_BYTES];
    int64_t created_ms, retention_hours;
    bool on_demand, encrypted, deleting;
    size_t shards, open_shards;
    uint64_t records, bytes;       /* kept */
    uint64_t records_in, bytes_in; /* since its shards were made */
    int64_t newest_ms;             /* 0: no record yet */
};
/* Streams whose names follow after, by name; returns how many. */
size_t datastream_view_list(struct datastream *ds, struct kn_str after, struct datastream_view *out,
                            size_t cap);
/* -ENOENT. */
int datastream_view_get(struct datastream *ds, struct kn_str name, struct datastream_view *ret)
    KN_MUSTUSE;

struct datastream_shard_view {
    uint32_t index;
    char id[DATASTREAM_VIEW_SHARD_BYTES];
    int64_t parent, adjacent;      /* indexes, -1: none */
    int64_t created_ms, closed_ms; /* 0: open */
    char first_key[DATASTREAM_VIEW_KEY_BYTES], last_key[DATASTREAM_VIEW_KEY_BYTES];
    double from, to; /* its keys, as a part of all: 0 … 1 */
    struct storage_shard_ends ends;
    int64_t read_ms, behind_ms; /* when it was last read, 0: not yet; how far behind that was */
};
/* Shards of a stream by index, from one index on. *ret_count ≤ cap. -ENOENT. */
int datastream_view_shards(struct datastream *ds, struct kn_str name, uint32_t from,
                           struct datastream_shard_view *out, size_t cap, size_t *ret_count)
    KN_MUSTUSE;

/* Records of a shard as storage_shard_read gives them; free the page. from UINT64_MAX: its newest.
 * -ENOENT: no such stream or shard. */
int datastream_view_records(struct datastream *ds, struct kn_str name, uint32_t shard,
                            const struct storage_shard_read *read,
                            struct datastream_shard_view *ret, struct storage_page *ret_page)
    KN_MUSTUSE;
/* A record's sequence number; returns its length. */
size_t datastream_view_number(const struct datastream_shard_view *shard,
                              const struct storage_shard_record *record,
                              char dst[DATASTREAM_VIEW_NUMBER_BYTES]);

#endif
