/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The logs of a stream's shards: opened when they are first asked for, kept open with the stream,
 * under names that follow from the stream's id and the shard's index.
 */
#ifndef DATASTREAM_SRC_LOG_H
#define DATASTREAM_SRC_LOG_H

#include "core/thread.h"
#include "storage/shard.h"

struct datastream;
struct datastream_stream;

struct datastream_logs { /* of a stream; zeroed, then init */
    struct kn_lock lock; /* before the stream's own: what follows */
    bool gone;           /* the stream is; none is opened any more */
    size_t count, cap;
    struct datastream_log {
        uint32_t shard;
        struct storage_shard *log;  /* a reference */
        int64_t read_ms, behind_ms; /* when it was last read, 0: not yet; how far behind that was */
    } * items;                      /* by rising index of the shard */
};
void datastream_logs_init(struct datastream_logs *logs);
void datastream_logs_done(struct datastream_logs *logs);

/* The id of a shard's log: of the stream's id and the shard's index, the same for ever. */
struct storage_id datastream_log_id(const struct datastream_stream *stream, uint32_t shard);
struct storage_id datastream_log_id_of(const struct storage_id *stream, uint32_t shard);

/* A reference to the log of a shard, kept open with its stream. nowait: -EAGAIN when the disk is
 * needed (ask again on a worker). -ENOENT: the stream has no such shard, or no more. */
int datastream_log_get(struct datastream *ds, struct datastream_stream *stream, uint32_t shard,
                       bool nowait, struct storage_shard **ret) KN_MUSTUSE;
/* For many at once: the caller holds the lock, and takes references before it gives that back. On
 * its way into the processor's cache when this returns. NULL: not open. */
struct storage_shard *datastream_log_peek_locked(const struct datastream_logs *logs,
                                                 uint32_t shard);
/* A reader got records that end so far behind the shard's newest (the iterator's age). Never
 * blocks. */
void datastream_log_was_read(struct datastream_stream *stream, uint32_t shard, int64_t behind_ms,
                             int64_t now_ms);
/* false: nobody has read it since the server started. */
bool datastream_log_readers(struct datastream_stream *stream, uint32_t shard,
                            int64_t *ret_behind_ms, int64_t *ret_read_ms);
/* What the logs' rows say of retention, for those that nobody opens: before it grows and after it
 * has shrunk. Blocks. */
int datastream_logs_store_retention(struct datastream_stream *stream, struct storage_meta *meta,
                                    int64_t hours) KN_MUSTUSE;
/* What is open follows the stream's retention; at each change of settings. Never blocks. */
void datastream_logs_retain(struct datastream_stream *stream);

/* All of it goes, for ever. Idempotent. Blocks. */
int datastream_log_drop(struct datastream *ds, struct datastream_stream *stream, uint32_t shard)
    KN_MUSTUSE;
/* The stream is deleted: none is open or opened any more. */
void datastream_logs_leave(struct datastream_stream *stream);

KN_DEFINE_CLEANUP(struct storage_shard *, storage_shard_unref)

#endif
