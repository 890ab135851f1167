/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ONVIF's metadata behind rtspsrc, which has no depayloader for it: RTP packets become documents,
 * as rtp.c makes them.
 */
#ifndef INGEST_CAMERA_DOCUMENT_H
#define INGEST_CAMERA_DOCUMENT_H

#include <gst/gst.h>

#include "core/mkv.h"

struct camera_documents;
bool camera_documents_are_of(const GstStructure *rtp);
struct camera_documents *camera_documents_new(const GstStructure *rtp); /* NULL: not that way */
struct kn_mkv_track camera_documents_track(const struct camera_documents *documents);
/* Of one thread. A packet in; a document out if this was the last one of it, else NULL. */
GstSample *camera_documents_take(struct camera_documents *documents, GstSample *packet);
uint64_t camera_documents_damaged(const struct camera_documents *documents); /* of any thread */
void camera_documents_free(struct camera_documents *documents);

#endif
