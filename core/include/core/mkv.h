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
    KN_MKV_TAGS_BYTES_MAX = 64 << 10,  /* one Tags element of a fragment */
    KN_MKV_LACES_MAX = 256,            /* frames of one block (RFC 9559, 10.3) */
    KN_MKV_LACE_HEAD_BYTES_MAX = 4096, /* the sizes before a laced block's frames */
    KN_MKV_SKIP_BYTES_MAX = 64 << 20,  /* an element of no interest, such as Cues */
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
    KN_MKV_TRACK_ENTRY = 0xAE,
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
    KN_MKV_BLOCK_DURATION = 0x9B,
    KN_MKV_REFERENCE_BLOCK = 0xFB,
};
const char *kn_mkv_name(uint32_t id); /* "SimpleBlock"; "element" for one we do not know */

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
    uint64_t tracks_offset; /* of Tracks, from the header's start */
};

/* Reads a whole header (EBML, Segment, Info, Tracks …). Views point into bytes. err names element
 * and offset. -EBADMSG; -EMSGSIZE a ceiling; -EDQUOT more than KN_MKV_TRACKS_MAX tracks. Any
 * thread. */
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
/* For those who make Matroska from frames. Header: EBML, a Segment of unknown size, Info, Tracks.
 */
int kn_mkv_write_header(struct kn_buf *out, const struct kn_mkv_header *header, struct kn_str app);
int kn_mkv_write_cluster(struct kn_buf *out,
                         uint64_t timecode); /* unknown size, and its Timestamp */
/* Only what comes before the frame's bytes. track: 1 to 126. */
int kn_mkv_write_block_head(struct kn_buf *out, unsigned track, int16_t time, bool key,
                            size_t frame_bytes);
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

/* --- metadata ------------------------------------------------------------------------------ */
struct kn_mkv_tag {
    struct kn_str name, value; /* views; trailing NUL padding removed; value may be empty */
};
struct kn_mkv_tags {
    struct kn_mkv_tag *items; /* the caller's, room for cap of them */
    size_t cap;
    size_t count;  /* SimpleTags found; may pass cap, what is beyond is only counted */
    bool targeted; /* there is a Tag, and every Tag has a Targets child */
};
/* bytes: one whole Tags element, its head included. Nested SimpleTags count too. -EBADMSG. */
int kn_mkv_tags_parse(struct kn_bytes bytes, struct kn_mkv_tags *tags, struct kn_err *err)
    KN_MUSTUSE;

/* --- the incremental parser ----------------------------------------------------------------- */
enum kn_mkv_event_kind {
    KN_MKV_EVENT_MORE,      /* all input taken, nothing to say yet */
    KN_MKV_EVENT_HEADER,    /* raw: all before the first Cluster but Tags without Targets */
    KN_MKV_EVENT_TAGS,      /* raw: the whole element; may come before HEADER */
    KN_MKV_EVENT_CLUSTER,   /* its head */
    KN_MKV_EVENT_TIMESTAMP, /* value */
    KN_MKV_EVENT_GROUP,     /* head of a BlockGroup */
    KN_MKV_EVENT_BLOCK,     /* all of a SimpleBlock or Block before its frames: see block */
    KN_MKV_EVENT_BLOCK_END,
    KN_MKV_EVENT_DURATION,  /* BlockDuration: value */
    KN_MKV_EVENT_GROUP_END, /* block.key is true now when nothing was referenced */
    KN_MKV_EVENT_OTHER,     /* head of an element whose payload passes by */
    KN_MKV_EVENT_OTHER_END,
    KN_MKV_EVENT_DATA, /* payload of the BLOCK or OTHER before it */
    KN_MKV_EVENT_CLUSTER_END,
    KN_MKV_EVENT_END, /* of the input, from kn_mkv_parser_finish */
};
struct kn_mkv_block {
    uint64_t track;
    int16_t time; /* relative to the Cluster */
    bool key;
    bool in_group;
    unsigned lace_count;        /* 1: no lacing */
    const uint32_t *lace_bytes; /* lace_count sizes; valid as long as raw */
    uint64_t frame_bytes;       /* all frames together */
};
struct kn_mkv_event {
    enum kn_mkv_event_kind kind;
    uint32_t id;
    uint64_t offset;     /* of the element (DATA: of raw) from the start of the input */
    struct kn_bytes raw; /* valid until the next call; see below */
    uint64_t size;       /* the element's payload; UINT64_MAX unknown */
    uint64_t value;
    bool in_cluster;
    struct kn_mkv_block block;
};

/* Every input byte comes out in the raw of exactly one event, in order (but for Tags before the
 * first Cluster, which leave early), so that a caller can forward what it reads untouched. Holds at
 * most the head of a block, one Tags element, and before the first Cluster the header. */
struct kn_mkv_parser;
int kn_mkv_parser_new(struct kn_mkv_parser **ret) KN_MUSTUSE;
void kn_mkv_parser_free(struct kn_mkv_parser *p);
/* The next event; *ret_taken bytes of in were used. Any split of the input gives the same events
 * but for the cuts of DATA. -EBADMSG, -EMSGSIZE, -ENOMEM: err names element and offset; then it
 * stays failed. One thread at a time. */
int kn_mkv_parser_next(struct kn_mkv_parser *p, struct kn_bytes in, size_t *ret_taken,
                       struct kn_mkv_event *ret, struct kn_err *err) KN_MUSTUSE;
/* After a DATA event only: its last len bytes were not used and will be given again. */
void kn_mkv_parser_put_back(struct kn_mkv_parser *p, size_t len);
/* No more input: CLUSTER_END if one was open, then END. -ENODATA: it ends inside an element. */
int kn_mkv_parser_finish(struct kn_mkv_parser *p, struct kn_mkv_event *ret, struct kn_err *err)
    KN_MUSTUSE;
/* Is the input so far cut at a whole element, with no Cluster of known size left incomplete? */
bool kn_mkv_parser_is_whole(const struct kn_mkv_parser *p);
/* The element being read, or at which it failed. */
uint32_t kn_mkv_parser_at(const struct kn_mkv_parser *p, uint64_t *ret_offset);

#endif
