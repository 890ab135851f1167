/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PutMedia request on the server's local socket, whose owner needs no signature. The worker's end
 * of "all ingest paths meet in one assembler": nothing of a fragment is decided here.
 */
#ifndef INGEST_CAMERA_UPLOAD_H
#define INGEST_CAMERA_UPLOAD_H

#include <glib.h>

#include "core/buf.h"

enum {
    CAMERA_UPLOAD_WAITING_MAX = 8 << 20, /* bytes that wait for a server that is slow */
    CAMERA_UPLOAD_LINGER_S = 30,         /* so long for those of an upload that is closed … */
    CAMERA_UPLOAD_LINGER_MAX = 32,       /* … and so many such ones; more lose what waits */
};

struct camera_upload {
    int fd; /* -1: closed */
    struct kn_buf out, in;
    bool answered;        /* its status line was read, and is 200 */
    bool taken;           /* it has its turn: a fragment was acknowledged to have begun */
    uint64_t persisted;   /* fragments */
    int64_t persisted_ms; /* timecode of the last one */
};

/* 0, or -errno: the server is not there. */
int camera_upload_open(struct camera_upload *u, const char *socket_path, const char *stream)
    KN_MUSTUSE;
/* Head and frame as one HTTP chunk, now or as soon as the server takes it. -ENOBUFS: too much waits
 * already, nothing was taken; other errors: the upload is over. Never blocks. */
int camera_upload_send(struct camera_upload *u, struct kn_bytes head, struct kn_bytes frame)
    KN_MUSTUSE;
/* Reads what the server says. 0, or -EPROTO: it has refused or ended the upload, said is why. */
int camera_upload_read(struct camera_upload *u, char *said, size_t said_cap) KN_MUSTUSE;
/* Ends the body in order: what waits is still sent by the main loop, for CAMERA_UPLOAD_LINGER_S at
 * most. */
void camera_upload_close(struct camera_upload *u);

#endif
