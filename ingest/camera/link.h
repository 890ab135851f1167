/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection to a camera, TCP or TLS in it: bytes in and out, on the main thread, to which all
 * functions belong. A camera that sends faster than it can be read takes one turn among the others.
 */
#ifndef INGEST_CAMERA_LINK_H
#define INGEST_CAMERA_LINK_H

#include "source.h"

#include "core/buf.h"

enum {
    CAMERA_LINK_TURN_BYTES = 128 << 10, /* that are read before others are */
    CAMERA_LINK_REST_BYTES_MAX = 128 << 10,
};

struct camera_link;
struct camera_link_ops {
    void (*open)(void *ctx); /* it can be written to */
    /* How much of it was whole; what was not comes again, with what follows it. */
    size_t (*bytes)(void *ctx, struct kn_bytes bytes);
    /* The last call. */
    void (*lost)(void *ctx, enum camera_fault fault, const char *said);
};

/* authority: "host:port", or "host" with this port. Whatever certificate it shows is taken. */
struct camera_link *camera_link_open(const char *authority, unsigned port, bool tls,
                                     const struct camera_link_ops *ops, void *ctx);
/* What is to be sent is appended to this, and flushed. */
struct kn_buf *camera_link_out(struct camera_link *link);
void camera_link_flush(struct camera_link *link);
/* At once, also from within a call of ops; none comes afterwards. */
void camera_link_close(struct camera_link *link);
void camera_link_free(struct camera_link *link); /* not from within */

#endif
