/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One camera: connects, records, and when anything ends that, waits a little and begins again, for
 * as long as it is there. All functions belong to the main thread.
 */
#ifndef INGEST_CAMERA_CAMERA_H
#define INGEST_CAMERA_CAMERA_H

#include "source.h"

#include "core/json.h"

struct camera;

/* As the server says it. Texts are copied. */
struct camera_settings {
    struct kn_str stream; /* the name of the video stream, and of the camera */
    struct kn_str url, user, password;
    struct kn_str ca_file; /* empty: whom the machine trusts */
    struct kn_str files;   /* files below this folder may be played; empty: none */
    bool tls_verify;
    enum camera_transport transport;
    unsigned latency_ms, timeout_ms;
};

typedef void camera_status_fn(void *ctx, struct camera *camera); /* it has changed */

struct camera *camera_start(const struct camera_settings *settings, const char *socket_path,
                            camera_status_fn *changed, void *ctx);
/* Its upload ends at once, in order; it is freed when GStreamer has let go. */
void camera_stop(struct camera *camera);
struct kn_str camera_name(const struct camera *camera);
bool camera_has(const struct camera *camera, const struct camera_settings *settings);
/* Each second. */
void camera_tick(struct camera *camera);
/* One JSON object: what it does, since when, and what went wrong last. */
void camera_status_write(struct camera *camera, struct kn_json_writer *w);

#endif
