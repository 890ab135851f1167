/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cameras as the console has them: shown, set, removed, and looked at before they are set. Who may
 * do what is the caller's to judge. docs/cameras.md, docs/console.md.
 */
#ifndef INGEST_CAMERA_H
#define INGEST_CAMERA_H

#include "core/json.h"
#include "ingest/ingest.h"
#include "storage/stream.h"

enum {
    INGEST_PROBES_AT_ONCE = 4,
    INGEST_PROBE_SECONDS = 5,
    INGEST_PROBE_ID_BYTES = 33, /* text */
};

/* How a camera is reached, as a person says it; ptr NULL or empty: not said. */
struct ingest_camera_wish {
    struct kn_str url; /* as it is shown: the one that is set, with its query */
    struct kn_str user;
    struct kn_str password;  /* ptr NULL: the one it has, if the address is the same */
    struct kn_str transport; /* "auto", "tcp", "udp", "http" */
};

/* The members of a JSON object: how the stream's camera is reached and does; never its password.
 * -ENOENT: the stream has none. */
int ingest_camera_write(struct ingest *ingest, const struct storage_stream *stream,
                        struct kn_json_writer *w) KN_MUSTUSE;
/* "CONNECTING", "RECORDING", "WAITING", "RESTING"; NULL: the stream has no camera. */
const char *ingest_camera_state(struct ingest *ingest, const struct storage_stream *stream);

/* Makes or changes it; a stream that is not there is made, to keep retention_hours. Blocks.
 * -EINVAL: err says why, to whoever wished; -EDQUOT: there are too many streams or cameras; -EBUSY:
 * the stream is being deleted; -ENOTSUP: there are no cameras here. */
int ingest_camera_connect(struct ingest *ingest, struct kn_str stream,
                          const struct ingest_camera_wish *wish, uint32_t retention_hours,
                          struct kn_err *err) KN_MUSTUSE;
int ingest_camera_disconnect(struct ingest *ingest, const struct storage_stream *stream)
    KN_MUSTUSE; /* -ENOENT */

/* Looks at a camera for INGEST_PROBE_SECONDS, by a process of its own. stream: whose password a
 * wish without one means; may be of none. owner: who may read it. -EINVAL: err says why; -EBUSY:
 * INGEST_PROBES_AT_ONCE run; -ENOTSUP. */
int ingest_probe_start(struct ingest *ingest, struct kn_str stream,
                       const struct ingest_camera_wish *wish, struct kn_str owner,
                       char ret_id[INGEST_PROBE_ID_BYTES], struct kn_err *err) KN_MUSTUSE;
/* -EAGAIN: it still looks; -ENOENT; otherwise dst is what it found, one JSON object. */
int ingest_probe_read(struct ingest *ingest, struct kn_str id, struct kn_str owner,
                      struct kn_buf *dst) KN_MUSTUSE;
/* Nobody waits for it any more: its process is ended and its place free when this returns. -ENOENT.
 */
int ingest_probe_cancel(struct ingest *ingest, struct kn_str id, struct kn_str owner) KN_MUSTUSE;

#endif
