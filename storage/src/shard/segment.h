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
    STORAGE_SEGMENT_WINDOW_BYTES = 256 << 10, /* what a walk reads at a time */
};

struct storage_segment_hole { /* damaged bytes */
    uint64_t at, end;         /* end: where the next frame begins */
};

/* A segment as it was when it was opened, for reading. */
struct storage_segment {
    struct storage_segment *next, *prev; /* guarded by segments_lock: by last use */
    _Atomic uint32_t refs;               /* the cache holds one */
    struct storage_shards *shards;
    struct storage_id shard;
    struct storage_segment_row row;
    struct kn_file *file;
    uint32_t seed;
    struct storage_marks marks;
    struct kn_lock lock; /* a leaf */
    /* Guarded by lock: what has been met, and said. */
    struct storage_segment_hole *holes;
    size_t hole_count, hole_cap;
};

/* --- segment.c */
int storage_segment_folder(const struct storage_shards *shards, const struct storage_id *shard,
                           char dst[STORAGE_SHARD_PATH_BYTES]) KN_MUSTUSE;
int storage_segment_path(const struct storage_shards *shards, const struct storage_id *shard,
                         uint64_t first, char dst[STORAGE_SHARD_PATH_BYTES]) KN_MUSTUSE;
uint32_t storage_segment_seed(const struct storage_segment_row *row);
void storage_segment_head(const struct storage_id *shard, const struct storage_segment_row *row,
                          uint8_t dst[STORAGE_SEGMENT_HEAD_BYTES]);
/* -ENODATA: it is none. */
int storage_segment_head_read(struct kn_file *file, uint64_t place, struct storage_id *ret_shard,
                              uint8_t ret_id[16], uint64_t *ret_first) KN_MUSTUSE;
/* By its marks, of memory or of disk; without them it is walked. */
int storage_segment_open(struct storage_shard *shard, const struct storage_segment_row *row,
                         struct storage_segment **ret) KN_MUSTUSE;
/* Writes marks behind a sealed segment. It may fail, and is not flushed: they are a cache. */
void storage_segment_put_marks(struct storage_shards *shards, const struct storage_id *shard,
                               const struct storage_segment_row *row,
                               const struct storage_marks *marks);
void storage_segment_unref(struct storage_segment *segment);
/* The bytes at a place, as many as the file has. -EIO: the disk refuses some, and may get well;
 * what it goes on refusing reads as zeros (sick.h). */
int storage_segment_pread(struct storage_segment *segment, uint8_t *dst, size_t len, uint64_t at,
                          bool nowait, size_t *ret_len) KN_MUSTUSE;
/* The header at a place of the file. -EBADMSG: it is none of this segment's. */
int storage_segment_frame(const struct storage_segment *segment, const uint8_t *src, uint64_t at,
                          struct storage_shard_frame *ret) KN_MUSTUSE;
/* The frame here is damaged: *ret_next, the place of the next one, or where the segment ends. It is
 * said once. -EAGAIN under nowait. */
int storage_segment_pass(struct storage_segment *segment, uint64_t at, bool nowait,
                         uint64_t *ret_next) KN_MUSTUSE;

/* --- segment_cache.c: segments open for reading. A reference, or NULL */
struct storage_segment *storage_segments_find(struct storage_shards *shards,
                                              const struct storage_id *shard, uint64_t index);
/* The one that has the first record of the shard from a time on, if that can be said by what is
 * cached. oldest: index of the shard's first record. */
struct storage_segment *storage_segments_find_ms(struct storage_shards *shards,
                                                 const struct storage_id *shard, int64_t ms,
                                                 uint64_t oldest);
/* In the place of what the cache has of the same segment. */
void storage_segments_put(struct storage_shards *shards, struct storage_segment *segment);
/* Cached segments of a shard, or all of them (NULL). */
void storage_segments_forget(struct storage_shards *shards, const struct storage_id *shard);

/* --- segment_read.c */
/* Records from segments; the page has been started. count 0: go on at next (all of a segment is
 * behind retention, or damaged). -EAGAIN under nowait. */
int storage_segment_read(struct storage_shard *shard, const struct storage_shard_read *read,
                         struct storage_page *page) KN_MUSTUSE;
int storage_segment_find(struct storage_shard *shard, int64_t ms, bool nowait, uint64_t *ret_index)
    KN_MUSTUSE;

#endif
