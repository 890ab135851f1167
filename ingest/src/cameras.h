/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cameras whose video is fetched: their settings, on disk and in memory, and the processes that
 * talk to them. A stream has at most one camera. docs/cameras.md.
 *
 * A process has many cameras; one whose process has died twice under it gets a process of its own,
 * so that a camera that kills the code that reads it ends by itself.
 */
#ifndef INGEST_SRC_CAMERAS_H
#define INGEST_SRC_CAMERAS_H

#include "camera_settings.h"
#include "camera_status.h"

#include "ingest/ingest.h"

struct ingest_cameras;

/* One camera, copied out. */
struct ingest_camera_view {
    struct storage_id stream;
    char name[STORAGE_STREAM_NAME_BYTES_MAX + 1];
    struct ingest_camera_settings settings;
    struct ingest_camera_status status;
    double kbit_per_s; /* of late */
};

int ingest_cameras_new(struct storage *storage, const struct ingest_conf *conf,
                       struct kn_clock *clock, struct ingest_cameras **ret) KN_MUSTUSE;
void ingest_cameras_free(struct ingest_cameras *cameras);

/* Durable when they return; both block. put: makes or changes; times are filled in. -EDQUOT: there
 * are too many; -ENOTSUP: cameras were not started. */
int ingest_cameras_put(struct ingest_cameras *cameras, const struct storage_stream *stream,
                       struct ingest_camera_settings *settings) KN_MUSTUSE;
int ingest_cameras_remove(struct ingest_cameras *cameras, const struct storage_stream *stream)
    KN_MUSTUSE; /* -ENOENT */
/* The first whose name is after the one given. -ENOENT. Any thread, never blocks for long. */
int ingest_cameras_next(struct ingest_cameras *cameras, struct kn_str after,
                        struct ingest_camera_view *ret) KN_MUSTUSE;
int ingest_cameras_get(struct ingest_cameras *cameras, const struct storage_stream *stream,
                       struct ingest_camera_view *ret) KN_MUSTUSE; /* -ENOENT */

int ingest_cameras_run(struct ingest_cameras *cameras, const struct ingest_cameras_conf *conf,
                       struct kn_err *err) KN_MUSTUSE;
void ingest_cameras_end(struct ingest_cameras *cameras);

#endif
