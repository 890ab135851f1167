/* SPDX-License-Identifier: Apache-2.0 */
/* The server's local socket, kinema.sock: whoever may open it needs no signature. */
#ifndef INGEST_CAMERA_DOOR_H
#define INGEST_CAMERA_DOOR_H

#include "core/buf.h"

/* A descriptor that does not block; -errno: the server is not there. */
int camera_door_connect(const char *socket_path) KN_MUSTUSE;
/* A POST of JSON whose answer comes until the connection ends (HTTP/1.0). A descriptor on which
 * recv waits for patience_ms at most; head and body of the answer are to be read from it. */
int camera_door_post(const char *socket_path, const char *path, struct kn_bytes body,
                     unsigned patience_ms) KN_MUSTUSE;
/* Reads on until the head is whole and takes it out, so that in holds what has come of the body.
 * The status, or -errno. */
int camera_door_head(int fd, struct kn_buf *in) KN_MUSTUSE;
/* All of it: the status; the body in answer. */
int camera_door_call(const char *socket_path, const char *path, struct kn_bytes body,
                     struct kn_buf *answer) KN_MUSTUSE;

#endif
