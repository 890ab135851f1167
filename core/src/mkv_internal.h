/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the Matroska codec share: ids nobody else needs, values, a child iterator. */
#ifndef CORE_MKV_INTERNAL_H
#define CORE_MKV_INTERNAL_H

#include "core/mkv.h"

enum {
    MKV_DOC_TYPE = 0x4282,
    MKV_EBML_READ_VERSION = 0x42F7,
    MKV_EBML_MAX_ID_LENGTH = 0x42F2,
    MKV_EBML_MAX_SIZE_LENGTH = 0x42F3,
    MKV_TRACK_NUMBER = 0xD7,
    MKV_TRACK_UID = 0x73C5,
    MKV_TRACK_TYPE = 0x83,
    MKV_CODEC_ID = 0x86,
    MKV_CODEC_PRIVATE = 0x63A2,
    MKV_DEFAULT_DURATION = 0x23E383,
    MKV_VIDEO = 0xE0,
    MKV_PIXEL_WIDTH = 0xB0,
    MKV_PIXEL_HEIGHT = 0xBA,
    MKV_AUDIO = 0xE1,
    MKV_SAMPLING_FREQUENCY = 0xB5,
    MKV_CHANNELS = 0x9F,
    MKV_MUXING_APP = 0x4D80,
    MKV_WRITING_APP = 0x5741,
};

enum {
    MKV_HEAD_BYTES_MAX = 12,
    MKV_DEPTH_MAX = 8
};

/* "SimpleBlock (0xA3) at byte 12: …" */
int mkv_fail(struct kn_err *err, int code, uint32_t id, uint64_t offset, const char *fmt, ...)
    KN_PRINTF(5, 6);

/* A variable-size integer with its length marker removed; -ENODATA, -EBADMSG. */
int mkv_vint_read(struct kn_bytes in, uint64_t *ret, unsigned *ret_bytes) KN_MUSTUSE;

/* Payload of an unsigned integer: 0 to 8 bytes; -EBADMSG. */
int mkv_uint_value(struct kn_bytes payload, uint64_t *ret) KN_MUSTUSE;
/* Payload of a float: 0, 4 or 8 bytes; -EBADMSG. */
int mkv_float_value(struct kn_bytes payload, double *ret) KN_MUSTUSE;
/* Without the NULs that pad it at the end. */
struct kn_str mkv_string_value(struct kn_bytes payload);

/* Walks the children of one element that lies in memory. */
struct mkv_child {
    uint32_t id;
    uint64_t offset; /* of its head, in the stream */
    unsigned head_bytes;
    struct kn_bytes payload;
};
struct mkv_iter {
    struct kn_bytes left;
    uint64_t offset; /* of left.ptr in the stream */
};
struct mkv_iter mkv_iter_of(const struct mkv_child *parent);
/* 1: *ret is the next child; 0: no more; -EBADMSG. */
int mkv_iter_next(struct mkv_iter *iter, struct mkv_child *ret, struct kn_err *err) KN_MUSTUSE;

/* The sizes in front of a laced block's frames, read a byte at a time. */
struct mkv_lace {
    unsigned kind;  /* bits of the block's flags: 2 Xiph, 4 fixed, 6 EBML */
    unsigned count; /* frames; 0: not known yet */
    unsigned known; /* sizes read so far */
    unsigned vint_bytes, vint_have;
    uint64_t value;
    uint32_t bytes[KN_MKV_LACES_MAX];
};
void mkv_lace_start(struct mkv_lace *lace, unsigned kind);
/* 1: complete but for mkv_lace_finish; 0: more; -EBADMSG. */
int mkv_lace_byte(struct mkv_lace *lace, uint8_t byte) KN_MUSTUSE;
/* frame_bytes: what follows. No frame may be empty. -EBADMSG. */
int mkv_lace_finish(struct mkv_lace *lace, uint64_t frame_bytes) KN_MUSTUSE;

#endif
