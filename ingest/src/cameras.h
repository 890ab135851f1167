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

#include "camera_record.h"
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
    int64_t heard_ms;  /* wall time of the last status; 0: none yet */
    int64_t next_ms;   /* of a resting one: when its next window begins; 0: never */
    bool in_sync;      /* what is wanted of it has been said to the process that talks to it */
    int error;         /* why there is no such process; 0: there is, or will be */
};

int ingest_cameras_new(struct storage *storage, const struct ingest_conf *conf,
                       struct kn_clock *clock, struct ingest_cameras **ret) KN_MUSTUSE;
void ingest_cameras_free(struct ingest_cameras *cameras);

/* Below this folder files may be played as cameras; NULL: none may, or cameras were not started.
 * Lives as long as the cameras. Any thread. */
const char *ingest_cameras_files(struct ingest_cameras *cameras);

/* Makes the camera, or changes it: the draft is what there is, or empty. Not 0: passed through. */
typedef int ingest_camera_edit_fn(void *ctx, struct ingest_camera_settings *draft);
/* Durable when they return; all block. edit: times are filled in. -EDQUOT: there are too many;
 * -ENOTSUP: cameras were not started. */
int ingest_cameras_edit(struct ingest_cameras *cameras, const struct storage_stream *stream,
                        ingest_camera_edit_fn *edit, void *ctx) KN_MUSTUSE;
/* Within an edit that names a secret: its source is what that says. -ENOENT: there is no such
 * secret; -EBADMSG: it cannot be read. */
int ingest_cameras_resolve(struct ingest_cameras *cameras, struct ingest_camera_settings *settings)
    KN_MUSTUSE;
int ingest_cameras_remove(struct ingest_cameras *cameras, const struct storage_stream *stream)
    KN_MUSTUSE; /* -ENOENT */
/* The first whose name is after the one given. -ENOENT. Any thread, never blocks for long. */
int ingest_cameras_next(struct ingest_cameras *cameras, struct kn_str after,
                        struct ingest_camera_view *ret) KN_MUSTUSE;
int ingest_cameras_get(struct ingest_cameras *cameras, const struct storage_stream *stream,
                       struct ingest_camera_view *ret) KN_MUSTUSE; /* -ENOENT */

/* Secrets: sources under a name of their own, for cameras that are said to have one. All block.
 * put: makes or changes, also the cameras that have it; -EDQUOT: there are too many. remove:
 * -ENOENT; -EBUSY: a camera has it. get and list: as of records. */
int ingest_cameras_secret_put(struct ingest_cameras *cameras, struct kn_str name,
                              const struct ingest_camera_source *source) KN_MUSTUSE;
int ingest_cameras_secret_remove(struct ingest_cameras *cameras, struct kn_str name) KN_MUSTUSE;
int ingest_cameras_secret_list(struct ingest_cameras *cameras, struct kn_str after, size_t most,
                               ingest_camera_secret_fn *each, void *ctx) KN_MUSTUSE;

int ingest_cameras_run(struct ingest_cameras *cameras, const struct ingest_cameras_conf *conf,
                       struct kn_err *err) KN_MUSTUSE;
void ingest_cameras_end(struct ingest_cameras *cameras);

#endif
