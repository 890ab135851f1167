/* SPDX-License-Identifier: Apache-2.0 */
/* What a process that talks to cameras is told of one; ingest/camera/main.c reads it. */
#ifndef INGEST_SRC_CAMERA_ORDER_H
#define INGEST_SRC_CAMERA_ORDER_H

#include "camera_settings.h"

#include "core/json.h"

/* Of all cameras alike. Texts are borrowed. */
struct ingest_camera_order_conf {
    const char *ca_file; /* NULL: whom the machine trusts */
    const char *files;   /* files below this folder may be played; NULL: none */
    unsigned latency_ms, timeout_ms;
};

/* There is this camera, or it has changed. */
void ingest_camera_order_write(struct kn_json_writer *w,
                               const struct ingest_camera_order_conf *conf, const char *stream,
                               const struct ingest_camera_source *source);
/* It is gone, or not to be recorded for now. */
void ingest_camera_order_write_drop(struct kn_json_writer *w, const char *stream);

#endif
