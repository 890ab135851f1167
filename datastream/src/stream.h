/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data streams there are: in memory for lookups, which never block, and in the catalogue. A
 * change is stored first and seen by lookups once it is on disk.
 *
 * Keys: "dn/<name>" → id, the intent; "dm/<id>" shard map; "ds/<id>" settings, which make the
 * stream exist; "dx/<id>", that it is deleted. Opening removes what a crash left between two of
 * them.
 */
#ifndef DATASTREAM_SRC_STREAM_H
#define DATASTREAM_SRC_STREAM_H

#include "demand.h"
#include "log.h"
#include "measure.h"
#include "rate.h"
#include "settings.h"
#include "shard_map.h"

#include "core/thread.h"
#include "storage/meta.h"

enum {
    DATASTREAM_STREAMS_MAX = 10000,
    DATASTREAM_ACCOUNT_SHARDS_MAX = 1000000 /* open ones of all streams */
};

struct datastream_stream { /* counted */
    _Atomic unsigned refs;
    struct storage_id id; /* of this stream alone; one of the same name made later has another */
    struct kn_str name;   /* never changes */
    char name_text[DATASTREAM_NAME_BYTES_MAX + 1];

    struct kn_lock change;                  /* held over a change, which blocks */
    uint64_t settings_version, map_version; /* guarded by change: in the catalogue */

    struct kn_lock lock;                  /* a leaf: what follows */
    struct datastream_settings *settings; /* counted */
    struct datastream_shards *shards;     /* counted */
    struct kn_cond quiet;                 /* nobody writes by an older map any more */

    struct datastream_logs logs;
    struct datastream_rates rates;
    struct datastream_demand demand; /* of on-demand mode */
    struct datastream_measures measures;
};

struct datastream_shards { /* a shard map that readers share */
    _Atomic unsigned refs;
    unsigned writers; /* guarded by the stream's lock */
    struct datastream_shard_map map;
};

struct datastream_stream *datastream_stream_ref(struct datastream_stream *stream);
void datastream_stream_unref(struct datastream_stream *stream); /* accepts NULL */
/* References to what holds now. Any thread, never block. */
struct datastream_settings *datastream_stream_settings(struct datastream_stream *stream);
struct datastream_shards *datastream_stream_shards(struct datastream_stream *stream);
/* The same once nobody appends by a map before it any more: what it says is closed may be closed.
 * Waits for a change under way. */
struct datastream_shards *datastream_stream_settled_shards(struct datastream_stream *stream);
void datastream_shards_unref(struct datastream_shards *shards);

/* Whoever appends to a shard holds, from choosing it to the return of storage_shard_append, the map
 * it is chosen by: until then a change of the map waits before it closes a log, so that no append
 * comes too late for its shard. A reference; any thread. */
struct datastream_shards *datastream_stream_write_begin(struct datastream_stream *stream);
void datastream_stream_write_end(struct datastream_stream *stream,
                                 struct datastream_shards *shards);

struct datastream_streams;
/* Reads them all. meta outlives it. Blocks. -EBADMSG: a record is damaged, err names it. */
int datastream_streams_open(struct storage_meta *meta, struct datastream_streams **ret,
                            struct kn_err *err) KN_MUSTUSE;
void datastream_streams_close(struct datastream_streams *streams); /* once nobody uses it */

/* A reference; NULL: there is none. Any thread, never blocks. */
struct datastream_stream *datastream_stream_find(struct datastream_streams *streams,
                                                 struct kn_str name);
/* Names in byte order greater than after: references in out; returns how many. Never blocks. */
size_t datastream_stream_list(struct datastream_streams *streams, struct kn_str after,
                              struct datastream_stream **out, size_t cap);
/* All of them, each a reference for the call; each < 0 stops and is passed through. */
int datastream_stream_each(struct datastream_streams *streams,
                           int (*each)(void *ctx, struct datastream_stream *stream), void *ctx);
size_t datastream_stream_count(struct datastream_streams *streams);

/* Takes the map over, also when it fails. -EEXIST: the name is taken; -EDQUOT: too many. Blocks. */
int datastream_stream_create(struct datastream_streams *streams,
                             const struct datastream_settings *settings,
                             struct datastream_shard_map *map, struct datastream_stream **ret)
    KN_MUSTUSE;
/* edit alters *draft, which begins as what holds now, but for name and created_ms; it may point
 * into memory that lives until the call returns. What it returns other than 0 is passed through and
 * nothing changes. Blocks. */
typedef int datastream_edit_fn(void *ctx, struct datastream_settings *draft);
int datastream_stream_change(struct datastream_streams *streams, struct datastream_stream *stream,
                             datastream_edit_fn *edit, void *ctx) KN_MUSTUSE;
/* edit makes *ret out of map, as the functions of shard_map.h do. When it returns, nobody writes by
 * an older map any more. Blocks. */
typedef int datastream_reshard_fn(void *ctx, const struct datastream_shard_map *map,
                                  struct datastream_shard_map *ret);
int datastream_stream_reshard(struct datastream_streams *streams, struct datastream_stream *stream,
                              datastream_reshard_fn *edit, void *ctx) KN_MUSTUSE;
/* Deletes it; what its shards have in their logs goes later (deleted.h). Idempotent. Blocks. */
int datastream_stream_remove(struct datastream_streams *streams, struct datastream_stream *stream)
    KN_MUSTUSE;

#endif
