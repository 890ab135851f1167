/* SPDX-License-Identifier: Apache-2.0 */
/* The listener's server of gst-rtsp-server, whose descriptions name each track by a whole URL. */
#ifndef INGEST_CAMERA_DESCRIBE_H
#define INGEST_CAMERA_DESCRIBE_H

#include <gst/rtsp-server/rtsp-server.h>

/* The base URL of a description has the query of the request, and players join it and a relative
 * track to "…/yard?start=…/stream=0", whose path names no track. */
GstRTSPServer *camera_server_new(void);

#endif
