/* SPDX-License-Identifier: Apache-2.0 */
/* How a Matroska track becomes RTP: the elements from frames to packets, and the caps of its
 * frames. The other direction is track.h. */
#ifndef INGEST_CAMERA_SEND_TRACK_H
#define INGEST_CAMERA_SEND_TRACK_H

#include <gst/gst.h>

#include "core/mkv.h"

/* A pipeline description that takes frames and gives RTP, without its last element's properties;
 * NULL: this codec is not sent. */
const char *camera_send_chain(const struct kn_mkv_track *track);
/* The payload type: RFC 3551's where there is one, else 96 + index. */
unsigned camera_send_payload(const struct kn_mkv_track *track, unsigned index);
/* Caps of the track's frames, looking at one of them: H.264 and H.265 come with lengths before the
 * NAL units, or with start codes, whatever the header says. NULL: they cannot be told. */
GstCaps *camera_send_caps(const struct kn_mkv_track *track, struct kn_bytes frame);
/* Parameter sets with start codes that the header holds: to be sent before each key frame. */
bool camera_send_private_first(const struct kn_mkv_track *track);

#endif
