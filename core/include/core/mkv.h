/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matroska: an incremental parser that accepts any split of the bytes, the track table of a header,
 * and the few writers we need. Portable C11; never recurses; never trusts a size.
 * Sources: RFC 8794 (EBML), RFC 9559 (Matroska), and what AWS's producers send.
 */
#ifndef CORE_MKV_H
#define CORE_MKV_H

#include "core/buf.h"
#include "core/err.h"

enum {
    KN_MKV_TRACKS_MAX = 8, /* that we describe; ingest's own limit is lower */
    KN_MKV_CODEC_PRIVATE_BYTES_MAX = 1 << 20,
    KN_MKV_HEADER_BYTES_MAX = 4 << 20, /* everything before the first Cluster */
};

enum kn_mkv_id {
    KN_MKV_EBML = 0x1A45DFA3,
    KN_MKV_VOID = 0xEC,
    KN_MKV_CRC32 = 0xBF,
    KN_MKV_SEGMENT = 0x18538067,
    KN_MKV_SEEK_HEAD = 0x114D9B74,
    KN_MKV_INFO = 0x1549A966,
    KN_MKV_TIMESTAMP_SCALE = 0x2AD7B1,
    KN_MKV_TRACKS = 0x1654AE6B,
    KN_MKV_TAGS = 0x1254C367,
    KN_MKV_TAG = 0x7373,
    KN_MKV_TARGETS = 0x63C0,
    KN_MKV_SIMPLE_TAG = 0x67C8,
    KN_MKV_TAG_NAME = 0x45A3,
    KN_MKV_TAG_STRING = 0x4487,
    KN_MKV_CUES = 0x1C53BB6B,
    KN_MKV_CHAPTERS = 0x1043A770,
    KN_MKV_ATTACHMENTS = 0x1941A469,
    KN_MKV_CLUSTER = 0x1F43B675,
    KN_MKV_TIMESTAMP = 0xE7,
    KN_MKV_SIMPLE_BLOCK = 0xA3,
    KN_MKV_BLOCK_GROUP = 0xA0,
    KN_MKV_BLOCK = 0xA1,
};

enum kn_mkv_track_type {
    KN_MKV_VIDEO = 1,
    KN_MKV_AUDIO = 2,
    KN_MKV_OTHER = 0
};

struct kn_mkv_track {
    uint64_t number;
    enum kn_mkv_track_type type;
    char codec_id[64];             /* NUL padding removed: "V_MPEG4/ISO/AVC" */
    struct kn_bytes codec_private; /* view into the header; may be empty */
    uint32_t pixel_width, pixel_height;
    double sampling_hz;
    uint32_t channels;
    uint64_t default_duration_ns; /* 0: not said */
};

struct kn_mkv_header {           /* what comes before the first Cluster, in words */
    uint64_t timestamp_scale_ns; /* 1,000,000 when not said */
    unsigned track_count;
    struct kn_mkv_track tracks[KN_MKV_TRACKS_MAX];
    struct kn_str doc_type;
};

/* Reads a whole header (EBML, Segment, Info, Tracks …). Views point into bytes. err names element
 * and offset. -EBADMSG, -EMSGSIZE. Any thread. */
int kn_mkv_header_parse(struct kn_bytes bytes, struct kn_mkv_header *ret, struct kn_err *err)
    KN_MUSTUSE;

/* --- writing ------------------------------------------------------------------------------ */
enum {
    KN_MKV_SIZE_UNKNOWN_BYTES = 8
};
int kn_mkv_write_id(struct kn_buf *out, uint32_t id);
/* size_bytes: width of the size field, 1 to 8, or 0 for the shortest. */
int kn_mkv_write_size(struct kn_buf *out, uint64_t size, unsigned size_bytes);
int kn_mkv_write_size_unknown(struct kn_buf *out, unsigned size_bytes);
int kn_mkv_write_uint(struct kn_buf *out, uint32_t id, uint64_t value);
int kn_mkv_write_string(struct kn_buf *out, uint32_t id, struct kn_str value);
int kn_mkv_write_bytes(struct kn_buf *out, uint32_t id, struct kn_bytes value);
/* One SimpleTag, all size fields 4 bytes wide, as the KVS service writes them. */
int kn_mkv_write_simple_tag(struct kn_buf *out, struct kn_str name, struct kn_str value);
/* A Void of exactly total_bytes (2 or more), header included: only its header is written. */
int kn_mkv_write_void_header(struct kn_buf *out, uint64_t total_bytes);

/* --- one element's head -------------------------------------------------------------------- */
struct kn_mkv_element {
    uint32_t id;
    uint64_t size; /* payload bytes; UINT64_MAX when unknown */
    unsigned head_bytes;
};
/* -ENODATA: more bytes are needed (12 always suffice); -EBADMSG: not EBML. */
int kn_mkv_element_read(struct kn_bytes bytes, struct kn_mkv_element *ret) KN_MUSTUSE;

#endif
