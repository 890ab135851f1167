/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Marks: places of frames in a segment, one each 64 KiB, by which readers find an index or a time
 * without walking the file. Of a segment that grows they are in memory; behind the bytes of a
 * sealed one they are on disk. That is a cache: without it, or when it is damaged, the file is
 * walked.
 */
#ifndef STORAGE_SRC_SHARD_MARKS_H
#define STORAGE_SRC_SHARD_MARKS_H

#include "frame.h"

#include "core/buf.h"

enum {
    STORAGE_MARK_EVERY_BYTES = 64 << 10,
};

struct storage_mark {
    uint64_t index;
    int64_t arrival_ms;
    uint64_t at;
};

struct storage_marks {
    struct storage_mark *items;
    size_t count, cap;
};

/* Frames come in order; most leave no mark. */
int storage_marks_add(struct storage_marks *marks, const struct storage_shard_frame *frame)
    KN_MUSTUSE;
/* Where to begin so as to meet the first frame with this index or later, and that time or later; 0:
 * at the first frame. *ret_next (may be NULL): the mark behind it, untouched if there is none. */
uint64_t storage_marks_find(const struct storage_marks *marks, uint64_t index, int64_t ms,
                            struct storage_mark *ret_next);
/* A copy of those in front of a place. */
int storage_marks_copy(const struct storage_marks *marks, uint64_t end, struct storage_marks *ret)
    KN_MUSTUSE;
void storage_marks_done(struct storage_marks *marks);

/* As they lie on disk behind the `end` bytes of a segment. */
int storage_marks_encode(const struct storage_marks *marks, uint32_t seed, uint64_t end,
                         struct kn_buf *dst) KN_MUSTUSE;
size_t storage_marks_bytes_max(uint64_t end); /* of them */
/* -ENODATA: these are none, or not those of this segment. */
int storage_marks_decode(struct kn_bytes src, uint32_t seed, uint64_t end,
                         struct storage_marks *ret) KN_MUSTUSE;

#endif
