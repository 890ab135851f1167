/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames to Matroska fragments, as AWS's producers write them: one header (EBML, Segment of unknown
 * size, Info, Tracks), then a Cluster of unknown size for each fragment, opened by a key frame,
 * with ABSOLUTE timecodes in milliseconds. Fragments wait here until the server has PERSISTED them,
 * so a new connection sends again what the last one could not finish.
 */
#ifndef DEMO_CAMERA_MUXER_H
#define DEMO_CAMERA_MUXER_H

#include "core/buf.h"

enum {
    MUXER_FRAGMENTS_MAX = 128,
    MUXER_FRAGMENT_BYTES_MAX = 32 << 20
};

struct muxer_track {
    bool audio;
    const char *codec_id; /* "V_MPEG4/ISO/AVC" */
    struct kn_bytes codec_private;
    unsigned width, height; /* video */
    double sampling_hz;     /* audio */
    unsigned channels;
};

struct muxer_fragment {
    uint64_t timecode; /* of its Cluster, ms since 1970 */
    struct kn_buf bytes;
    bool complete;
};

struct muxer {
    struct kn_buf header;
    struct muxer_fragment fragments[MUXER_FRAGMENTS_MAX]; /* a ring */
    size_t first, count;
    uint64_t last_time_ms; /* of the newest frame */
    uint64_t made;         /* fragments begun */
    unsigned seen;         /* tracks with a frame in the newest one, a bit each */
    uint64_t dropped;      /* fragments given up because the server was away too long */
};

void muxer_init(struct muxer *m);
void muxer_done(struct muxer *m);
int muxer_header(struct muxer *m, const struct muxer_track *tracks, size_t count);
/* Frames of both tracks, merged by time. Those before the first key frame are not used. */
int muxer_frame(struct muxer *m, unsigned track, bool opens_fragment, uint64_t time_ms,
                struct kn_bytes frame);
/* Ends the open fragment with the tag that closes it on the server's side at once. */
int muxer_end(struct muxer *m);
/* Forgets fragments up to this timecode. */
void muxer_persisted(struct muxer *m, uint64_t timecode);
struct muxer_fragment *muxer_at(struct muxer *m, size_t index); /* 0: the oldest */

#endif
