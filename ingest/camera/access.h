/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may do what by the RTSP listener: an access key, its id as user and its secret as password,
 * by Basic or Digest (RFC 7616, 7617; RTSP: RFC 2326, D.1). A push needs PutMedia on the stream,
 * a viewer GetMedia. The server is asked, and tells what shows that a password is right, not the
 * password (server/src/rtsp_access.h).
 *
 * A connection is asked once for each stream and action; OPTIONS is free.
 */
#ifndef INGEST_CAMERA_ACCESS_H
#define INGEST_CAMERA_ACCESS_H

#include "peer.h"

/* What else must be so before an ANNOUNCE or DESCRIBE is obeyed, which may ready things for it.
 * GST_RTSP_STS_OK, or what is answered. On the connection's thread. */
typedef GstRTSPStatusCode camera_admit_fn(void *ctx, GstRTSPContext *rtsp,
                                          struct camera_peer *peer);

/* open: nobody is asked for a key (--no-auth). socket_path is borrowed. */
GstRTSPAuth *camera_access_new(const char *socket_path, bool open, camera_admit_fn *admit,
                               void *ctx);

#endif
