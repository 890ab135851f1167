/* SPDX-License-Identifier: Apache-2.0 */
/* The frame table of a fragment, 2 to 4 bytes a frame: built block by block, decoded whole. */
#ifndef STORAGE_SRC_FRAMES_H
#define STORAGE_SRC_FRAMES_H

#include "storage/fragment.h"

enum {
    STORAGE_FRAME_SLOTS = 4,
    STORAGE_FRAME_TABLE_BYTES_MAX = 12 << 20
};

struct storage_frame_slot { /* what the next frame of a track is compared with */
    uint8_t track;
    int32_t time, step;
    uint32_t gap;
};

struct storage_frame_coder {
    uint32_t end; /* of the last payload */
    uint32_t count;
    uint8_t slot_count, next_slot;
    struct storage_frame_slot slots[STORAGE_FRAME_SLOTS];
};

/* Appends a frame; offsets must rise. -EINVAL it overlaps the last one; -EMSGSIZE; -ENOMEM. */
int storage_frame_encode(struct storage_frame_coder *coder, const struct storage_frame *frame,
                         struct kn_buf *out) KN_MUSTUSE;
/* -EBADMSG: the bytes are not a table of count frames within fragment_bytes. */
int storage_frames_decode(struct kn_bytes table, uint32_t count, uint64_t fragment_bytes,
                          struct storage_frames **ret) KN_MUSTUSE;

#endif
