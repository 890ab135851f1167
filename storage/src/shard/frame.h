/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A frame: the records of one batch with a header before them, in journals and segments alike. The
 * header's checksum is seeded with the identity of its file, so that what an earlier use of the
 * same blocks has left is not believed. Bytes: docs/format-shard.md.
 */
#ifndef STORAGE_SRC_SHARD_FRAME_H
#define STORAGE_SRC_SHARD_FRAME_H

#include "storage/shard.h"

enum {
    STORAGE_SHARD_FRAME_BYTES = 72,
    STORAGE_SHARD_RECORD_HEAD_BYTES = 8,
    STORAGE_SHARD_RECORD_SOURCE_BYTES = 24,
};

struct storage_shard_frame {
    struct storage_id shard;
    uint64_t at; /* its own place in the file */
    uint64_t first_index;
    int64_t arrival_ms;
    uint32_t payload_bytes, payload_crc, count;
    uint64_t data_bytes; /* of keys and data */
    uint32_t flushed;    /* journals: so much of the file was acknowledged before it was written */
    uint8_t kind;
};

uint32_t storage_shard_frame_seed(const uint8_t id[16], uint64_t generation);
void storage_shard_frame_encode(const struct storage_shard_frame *frame, uint32_t seed,
                                uint8_t dst[STORAGE_SHARD_FRAME_BYTES]);
/* -ENODATA: no frame of this file is at this place. The payload is not looked at. */
int storage_shard_frame_decode(const uint8_t src[STORAGE_SHARD_FRAME_BYTES], uint32_t seed,
                               uint64_t at, struct storage_shard_frame *ret) KN_MUSTUSE;

/* Behind damage: the first place in src, whose first byte is at file offset `at`, where the header
 * of a frame of this file lies. -ENODATA: nowhere; all but the last STORAGE_SHARD_FRAME_BYTES - 1
 * bytes need not be looked at again. */
int storage_shard_frame_seek(struct kn_bytes src, uint32_t seed, uint64_t at,
                             struct storage_shard_frame *ret) KN_MUSTUSE;

struct storage_shard_record_view {
    struct kn_str key; /* ptr NULL: none */
    struct kn_bytes data;
    uint8_t tag;
    bool has_source;
    struct storage_shard_source source;
};
/* The next record of a payload; -EBADMSG. */
int storage_shard_record_next(struct kn_reader *in, struct storage_shard_record_view *ret)
    KN_MUSTUSE;

#endif
