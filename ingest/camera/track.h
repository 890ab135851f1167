/* SPDX-License-Identifier: Apache-2.0 */
/* How a stream of an RTSP camera, or of a file, becomes a Matroska track: the chain that makes
 * whole frames of it, and the track's description from what comes out of that. */
#ifndef INGEST_CAMERA_TRACK_H
#define INGEST_CAMERA_TRACK_H

#include <gst/gst.h>

#include "core/mkv.h"

struct camera_track {
    struct kn_mkv_track mkv; /* its codec_private points to private */
    struct kn_buf private;
};

/* A pipeline description to whole frames, by the caps of rtspsrc's pad, whose buffers are RTP
 * packets, or of a demuxer's; NULL: this encoding cannot be stored. */
const char *camera_track_chain(const GstStructure *caps);
bool camera_track_is_rtp(const GstStructure *caps);
bool camera_track_is_video(const GstStructure *caps);
/* How people call it: "audio", "G726". Texts live as long as caps. */
void camera_track_name(const GstStructure *caps, const char **ret_media, const char **ret_encoding);

/* 0: the track is described; -EAGAIN: the caps do not say enough yet; -EINVAL: never will. */
int camera_track_describe(struct camera_track *track, const GstCaps *caps) KN_MUSTUSE;
bool camera_track_same(const struct camera_track *a, const struct camera_track *b);
void camera_track_init(struct camera_track *track);
void camera_track_done(struct camera_track *track);

#endif
