/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segments: the records of one shard in files, written by checkpoints. The catalogue's row says how
 * many bytes of one count; what lies behind is of a checkpoint that did not end. A segment's first
 * index is where the one before it ends, so that there is no index between two.
 */
#ifndef STORAGE_SRC_SHARD_SEGMENT_H
#define STORAGE_SRC_SHARD_SEGMENT_H

#include "shards.h"

enum {
    STORAGE_SEGMENT_HEAD_BYTES = 64,
};

/* Where readers find a frame: one entry each 64 KiB. */
struct storage_segment_mark {
    uint64_t index;
    int64_t arrival_ms;
    uint64_t at;
};

/* A segment as it was when it was opened, for reading. */
struct storage_segment {
    struct storage_segment *next, *prev; /* guarded by segments_lock: by last use */
    _Atomic uint32_t refs;               /* the cache holds one */
    struct storage_id shard;
    struct storage_segment_row row;
    struct kn_file *file;
    uint32_t seed;
    struct storage_segment_mark *marks;
    size_t mark_count, mark_cap;
};

int storage_segment_folder(const struct storage_shards *shards, const struct storage_id *shard,
                           char dst[STORAGE_SHARD_PATH_BYTES]) KN_MUSTUSE;
int storage_segment_path(const struct storage_shards *shards, const struct storage_id *shard,
                         uint64_t first, char dst[STORAGE_SHARD_PATH_BYTES]) KN_MUSTUSE;
uint32_t storage_segment_seed(const struct storage_segment_row *row);
void storage_segment_head(const struct storage_id *shard, const struct storage_segment_row *row,
                          uint8_t dst[STORAGE_SEGMENT_HEAD_BYTES]);

/* Records from segments; the page has been started. count 0: all of a segment is behind retention,
 * go on at next. -EAGAIN under nowait; -EBADMSG damage. */
int storage_segment_read(struct storage_shard *shard, const struct storage_shard_read *read,
                         struct storage_page *page) KN_MUSTUSE;
int storage_segment_find(struct storage_shard *shard, int64_t ms, bool nowait, uint64_t *ret_index)
    KN_MUSTUSE;
/* Cached segments of a shard, or all of them (NULL). */
void storage_segments_forget(struct storage_shards *shards, const struct storage_id *shard);

#endif
