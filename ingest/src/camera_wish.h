/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INGEST_SRC_CAMERA_WISH_H
#define INGEST_SRC_CAMERA_WISH_H

#include "camera_settings.h"

#include "ingest/camera.h"

/* What a wish comes to, with what the stream's camera (there may be no stream, and none) keeps of
 * its own. -EINVAL: err says why. source holds secrets: to be wiped. */
int ingest_camera_wished(struct ingest *ingest, const struct storage_stream *stream,
                         const struct ingest_camera_wish *wish, struct ingest_camera_source *source,
                         struct kn_err *err) KN_MUSTUSE;

#endif
