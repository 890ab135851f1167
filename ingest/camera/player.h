/* SPDX-License-Identifier: Apache-2.0 */
/* A viewer: frames of a stream, live or from a time in its archive, go out by RTP at the pace at
 * which they were recorded. Each viewer has a GetMedia of its own. */
#ifndef INGEST_CAMERA_PLAYER_H
#define INGEST_CAMERA_PLAYER_H

#include "listener.h"

/* Of a DESCRIBE that was let in: the factory for its media in ret; waits until the stream's tracks
 * are known. GST_RTSP_STS_OK, or what is to be answered. */
GstRTSPStatusCode camera_player_prepare(struct camera_listener *listener, GstRTSPContext *rtsp,
                                        struct camera_peer *peer, GstRTSPMediaFactory **ret);

#endif
