/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a source says, uploaded: frames through the muxer into a PutMedia request; a new header
 * begins a new one. Sound that stops is left out of the header from the next key frame on, since
 * players wait for sound that is announced; when it comes again it is there from a key frame on.
 * Pictures that stop are left out too, and fragments of sound alone follow, until a key frame
 * comes.
 *
 * Its owner's lock guards it: the functions are called with the lock held, on any thread, and
 * failed is called so too.
 */
#ifndef INGEST_CAMERA_RECORDING_H
#define INGEST_CAMERA_RECORDING_H

#include "muxer.h"
#include "upload.h"

struct camera_recording {
    const char *socket_path, *stream;
    GMutex *lock;
    void (*failed)(void *owner, const char *said); /* may come more than once */
    void *owner;
    struct camera_upload upload;
    guint watch; /* of what the server says; on the main loop */
    struct camera_muxer muxer;
    struct kn_buf head;
    struct kn_mkv_header header; /* codec data lies in privates, one after the other */
    struct kn_buf privates;
    int64_t time_ms;                         /* of the last frame of a picture or sound */
    int64_t alone_ms[KN_MKV_TRACKS_MAX + 1]; /* so long others went on without this track */
    int64_t apart_ms[KN_MKV_TRACKS_MAX + 1]; /* and between its last two frames */
    unsigned silent;                         /* tracks that are left out, by their number's bit */
    uint64_t frames, bytes, lost, persisted;
    int64_t last_frame_ms, persisted_ms;
};

/* lock, failed and owner are to be set; texts are borrowed. */
void camera_recording_init(struct camera_recording *r, const char *socket_path, const char *stream);
void camera_recording_header(struct camera_recording *r, const struct kn_mkv_header *header);
void camera_recording_frame(struct camera_recording *r, const struct camera_frame *frame);
/* The upload ends in order; a header begins another one. */
void camera_recording_close(struct camera_recording *r);
uint64_t camera_recording_persisted(const struct camera_recording *r); /* fragments */
bool camera_recording_is_silent(const struct camera_recording *r, uint64_t track);
void camera_recording_done(struct camera_recording *r);

#endif
