/* SPDX-License-Identifier: Apache-2.0 */
/* A camera that pushes: what it announces becomes a source (source.h), and is uploaded as what
 * other cameras send is (recording.h). */
#ifndef INGEST_CAMERA_PUSH_H
#define INGEST_CAMERA_PUSH_H

#include "listener.h"

/* Of an ANNOUNCE that was let in: the factory for its media in ret. GST_RTSP_STS_OK, or what is to
 * be answered. */
GstRTSPStatusCode camera_push_prepare(struct camera_listener *listener, GstRTSPContext *rtsp,
                                      struct camera_peer *peer, GstRTSPMediaFactory **ret);
/* Before a session is torn down: what is still on its way by UDP comes, as long as something does,
 * for two seconds at most. Any media; waits. */
void camera_push_let_arrive(GstRTSPMedia *media);
/* Each second: who is silent for too long is hung up on. */
void camera_push_check_all(struct camera_listener *listener);
/* The process ends: uploads end in order. */
void camera_push_end_all(struct camera_listener *listener);

#endif
