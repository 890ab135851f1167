/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the catalogue knows of shards. "w/<shard>": state, and counters; they may be behind those of
 * its newest segment, which count then.
 * "x/<shard><first>": a segment; the number is written as its complement, so that keys run from the
 * newest to the oldest and the segment of an index is the first at or behind its key.
 * "xp/<number>": a pack (pack.h).
 * "wt/<shard>": its trim point, which only grows.
 * "y/journal": the newest generation whose records are all in segments.
 */
#ifndef STORAGE_SRC_SHARD_ROWS_H
#define STORAGE_SRC_SHARD_ROWS_H

#include "storage/meta.h"
#include "storage/shard.h"

enum {
    STORAGE_SHARD_KEY_BYTES = 64,
    STORAGE_SEGMENT_ROW_BYTES = 106, /* at most */
};

struct storage_shard_row {
    bool closed;
    int64_t retention_ms; /* INT64_MAX, in the row also 0: nobody has said */
    uint64_t next;
    uint64_t give; /* no index before it is given any more: leap.c */
    int64_t newest_ms;
    uint64_t bytes, records;              /* since its birth */
    struct storage_shard_source *sources; /* malloc'd by decode */
    size_t source_count;
};

struct storage_segment_row {
    uint64_t first, next; /* next == first: an intent, there may be a file */
    int64_t first_ms, last_ms;
    uint64_t bytes;                        /* flushed; what lies behind is not looked at */
    bool sealed;                           /* nothing is added to it any more */
    uint64_t bytes_before, records_before; /* of the shard, in front of this segment */
    uint64_t data_bytes, records;          /* in it */
    uint8_t id[16];
    uint64_t pack, place; /* the pack that it lies in, and where; 0: a file of its own */
};

struct kn_bytes storage_shard_key(const struct storage_id *id, char dst[STORAGE_SHARD_KEY_BYTES]);
/* Raises what the shard's row says to what its newest segment's says: with each checkpoint only the
 * latter is written, and who removes that one last brings the shard's own up to it. */
void storage_shard_row_raise(struct storage_shard_row *row,
                             const struct storage_segment_row *segment);
/* The same where that row is still to be read; there may be none. */
int storage_shard_row_raise_to_newest(struct storage_meta *meta, const struct storage_id *shard,
                                      struct storage_shard_row *row) KN_MUSTUSE;
int storage_shard_row_encode(const struct storage_shard_row *row, struct kn_buf *dst) KN_MUSTUSE;
int storage_shard_row_decode(struct kn_bytes src, struct storage_shard_row *ret) KN_MUSTUSE;
/* -ENOENT. */
int storage_shard_row_get(struct storage_meta *meta, const struct storage_id *id,
                          struct storage_shard_row *ret, uint64_t *ret_version) KN_MUSTUSE;

/* -EBADMSG. Only what it says of the shard itself; its sources are passed over. */
int storage_shard_row_head(struct kn_bytes src, struct storage_shard_row *ret) KN_MUSTUSE;

struct kn_bytes storage_segment_key(const struct storage_id *id, uint64_t first,
                                    char dst[STORAGE_SHARD_KEY_BYTES]);
struct kn_bytes storage_segment_prefix(const struct storage_id *id,
                                       char dst[STORAGE_SHARD_KEY_BYTES]);
size_t storage_segment_row_encode(const struct storage_segment_row *row,
                                  uint8_t dst[STORAGE_SEGMENT_ROW_BYTES]);
int storage_segment_row_decode(struct kn_bytes src, struct storage_segment_row *ret) KN_MUSTUSE;
/* The segment with the greatest first index that is not above this one. -ENOENT. */
int storage_segment_row_at(struct storage_meta *meta, const struct storage_id *id, uint64_t index,
                           struct storage_segment_row *ret, uint64_t *ret_version) KN_MUSTUSE;
int storage_segment_row_oldest(struct storage_meta *meta, const struct storage_id *id,
                               struct storage_segment_row *ret) KN_MUSTUSE;

/* "wt/<shard>": what arrived before this time has been trimmed. Absent: INT64_MIN. */
int storage_trim_get(struct storage_meta *meta, const struct storage_id *id, int64_t *ret)
    KN_MUSTUSE;
struct storage_trim {
    struct storage_id id;
    int64_t ms;
    int result; /* of this one */
};
/* At most a thousand. The first error. */
int storage_trims_put(struct storage_meta *meta, struct storage_trim *trims, size_t count)
    KN_MUSTUSE;
/* Of a dropped shard. */
int storage_trim_remove(struct storage_meta *meta, const struct storage_id *id) KN_MUSTUSE;

#endif
