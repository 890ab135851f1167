/* SPDX-License-Identifier: Apache-2.0 */
/* How a camera does, as the process that talks to it says: one JSON object a packet. */
#ifndef INGEST_SRC_CAMERA_STATUS_H
#define INGEST_SRC_CAMERA_STATUS_H

#include "core/mkv.h"
#include "storage/stream.h"

enum {
    INGEST_CAMERA_SAID_BYTES = 400,
    INGEST_CAMERA_TRACKS_MAX = 4,
};

enum ingest_camera_state {
    INGEST_CAMERA_CONNECTING,
    INGEST_CAMERA_RECORDING,
    INGEST_CAMERA_WAITING, /* something went wrong; it is tried again */
    INGEST_CAMERA_RESTING, /* by its schedule; no process says so */
};

struct ingest_camera_track {
    char codec[64]; /* Matroska's id */
    uint64_t width, height, hz, channels;
};

struct ingest_camera_status {
    enum ingest_camera_state state;
    char fault[32], said[INGEST_CAMERA_SAID_BYTES]; /* of the last failure; empty: none yet */
    char silent[16];                                /* "pictures" or "sound", which do not come */
    char left_out[200];                             /* what it offers and is not stored */
    int64_t fault_ms, since_ms, last_frame_ms, persisted_ms; /* wall time; 0: never */
    uint64_t frames, bytes, lost, cuts, reconnects, persisted;
    char clock[16];         /* whose time frames have: "camera", "arrival", or empty */
    uint64_t clock_known;   /* 0: the camera says nothing of its time */
    int64_t clock_ahead_ms; /* its clock, of ours */
    uint64_t clock_steps, damaged;
    struct ingest_camera_track tracks[INGEST_CAMERA_TRACKS_MAX];
    size_t track_count;
};

/* stream: room for STORAGE_STREAM_NAME_BYTES_MAX + 1. -EBADMSG. */
int ingest_camera_status_read(struct kn_bytes packet, char *stream,
                              struct ingest_camera_status *ret) KN_MUSTUSE;
#endif
