/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames become Matroska as PutMedia takes it: a header, then a cluster a fragment. A fragment
 * begins at a key frame; one that grows too long, because the camera sends none, is cut where it
 * is, since the server would refuse it whole.
 */
#ifndef INGEST_CAMERA_MUXER_H
#define INGEST_CAMERA_MUXER_H

#include "source.h"

enum {
    CAMERA_FRAGMENT_MS_LEAST = 900,        /* several key frames within this share a fragment */
    CAMERA_FRAGMENT_MS_SOUND = 2000,       /* of a camera without pictures */
    CAMERA_FRAGMENT_MS_MOST = 15000,       /* PutMedia: 20 s … */
    CAMERA_FRAGMENT_MS_UNSEEN = 17000,     /* … likewise, by sound while no picture comes */
    CAMERA_FRAGMENT_BYTES_MOST = 40 << 20, /* and 50 MB */
    CAMERA_METADATA_BYTES_MOST = 4 << 20,  /* of a fragment … */
    CAMERA_METADATA_FRAMES_MOST = 2000,    /* … which has a limit of frames too */
    CAMERA_METADATA_AHEAD_MS = 1000,       /* of what was recorded last */
};

struct camera_muxer {
    bool video;    /* fragments begin at key frames of a picture */
    bool open;     /* a fragment has begun */
    bool starving; /* waits for a key frame */
    int64_t start_ms, last_ms;
    int64_t sound_ms[KN_MKV_TRACKS_MAX + 1]; /* of the last frame of a track of sound */
    uint64_t bytes;                          /* of the fragment */
    uint64_t cuts;                           /* fragments that were cut without a key frame */
    unsigned metadata; /* tracks that are neither picture nor sound, by their number's bit */
    uint64_t metadata_bytes, metadata_frames; /* of the fragment */
};

/* Appends the header to out; what follows starts with a key frame. */
int camera_muxer_header(struct camera_muxer *m, const struct kn_mkv_header *header,
                        struct kn_buf *out) KN_MUSTUSE;
/* Appends what comes before the frame's bytes: perhaps a cluster, and a block's head. 0:
 * frame.bytes are to follow; -EAGAIN: the frame is left out, since no fragment is open; -EMSGSIZE:
 * likewise, since there is too much metadata. Metadata goes where pictures and sound are: it never
 * begins a fragment, and no time of theirs depends on it. */
int camera_muxer_frame(struct camera_muxer *m, const struct camera_frame *frame, struct kn_buf *out)
    KN_MUSTUSE;
bool camera_muxer_is_metadata(const struct camera_muxer *m, unsigned track);
/* Frames were lost: what follows starts with a key frame. */
void camera_muxer_lost(struct camera_muxer *m);

#endif
