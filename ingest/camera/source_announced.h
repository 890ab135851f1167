/* SPDX-License-Identifier: Apache-2.0 */
/* A source whose streams somebody else finds: gst-rtsp-server, for a camera that pushes; a demuxer,
 * for a file. */
#ifndef INGEST_CAMERA_SOURCE_ANNOUNCED_H
#define INGEST_CAMERA_SOURCE_ANNOUNCED_H

#include "source.h"

#include <gst/gst.h>

/* Its streams are added, each by the caps of its RTP packets, or of what a demuxer gives, and with
 * a bin to put its chain into and a name for that, or none; then it is complete. NULL: it cannot be
 * stored. The chains have been stopped before camera_source_stop is called. */
struct camera_source *camera_source_new(const struct camera_source_ops *ops, void *ctx,
                                        unsigned latency_ms, unsigned timeout_ms);
GstElement *camera_source_add(struct camera_source *source, const GstCaps *caps, GstBin *bin,
                              const char *name);
/* Running time 0 is at_ms of wall time; else it follows from when the first frame came. Before the
 * first frame. */
void camera_source_begins(struct camera_source *source, int64_t at_ms);
void camera_source_complete(struct camera_source *source);
int64_t camera_source_silent_ms(struct camera_source *source); /* since the last frame */

#endif
