/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matroska as GetMedia sends it, bytes in, items out: one document a fragment, clusters of unknown
 * size. Ids of the levels it enters differ, so it keeps no stack: where an element ends follows
 * from what comes next. Memory: one element, of at most the frame's ceiling, and the last Tracks.
 * @source RFC 9559; docs/protocols/reading-back.md
 */
#ifndef SDK_MKV_READER_H
#define SDK_MKV_READER_H

#include <stddef.h>
#include <stdint.h>

#include "kinema/media.h"

enum {
    MKV_TRACKS_BYTES_MAX = 4 << 20,
    MKV_TAGS_BYTES_MAX = 1 << 20,
    MKV_SMALL_BYTES_MAX = 4096, /* of elements that hold numbers */
    MKV_LACES_MAX = 256,
    MKV_BLOCK_EXTRA = 16 << 10 /* around a block's frames */
};

enum mkv_item_type {
    MKV_MORE,     /* all bytes were used, more are needed */
    MKV_DOCUMENT, /* a new one begins: tracks are forgotten */
    MKV_TRACKS,   /* ->tracks are known */
    MKV_CLUSTER,  /* time_ms */
    MKV_FRAME,    /* track, time_ms (of the cluster's clock), key, data */
    MKV_TAG       /* name, value; not NUL-terminated */
};
struct mkv_item {
    enum mkv_item_type type;
    const struct kinema_media_track *track;
    int64_t time_ms;
    int key;
    const uint8_t *data;
    size_t len;
    const char *name, *value; /* value NULL: none */
    size_t name_len, value_len;
};

struct mkv_reader {
    size_t frame_max;
    uint64_t scale_ns; /* of timecodes */
    int begun, has_cluster;
    uint64_t cluster;
    struct kinema_media_track tracks[KINEMA_MEDIA_TRACKS_MAX];
    uint64_t frame_ns[KINEMA_MEDIA_TRACKS_MAX]; /* DefaultDuration; 0: not said */
    size_t track_count;
    uint8_t *track_bytes; /* what tracks point into */
    /* the element under way */
    enum {
        MKV_AT_HEAD,
        MKV_GATHERS,
        MKV_SKIPS
    } state;
    uint8_t head[12];
    size_t head_len;
    uint32_t id;
    uint64_t left;
    uint8_t *body;
    size_t body_len, body_cap;
    /* items still to come of the last one: of Tags, or of a block's laces */
    const uint8_t *at, *end;
    const struct kinema_media_track *track;
    int64_t block_ns;
    int key;
    size_t sizes[MKV_LACES_MAX], lace_count, lace;
};

void mkv_reader_init(struct mkv_reader *reader, size_t frame_max);
void mkv_reader_done(struct mkv_reader *reader);
void mkv_reader_restart(struct mkv_reader *reader); /* a new answer begins */
/* The next item; *ret_used bytes of ptr are behind it. What it points to is good until the next
 * call. -EBADMSG: no Matroska; -EMSGSIZE: an element is larger than its bound; -ENOMEM. */
int mkv_read(struct mkv_reader *reader, const uint8_t *ptr, size_t len, size_t *ret_used,
             struct mkv_item *ret);

#endif
