/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One RTSP session in one TCP connection, plain or TLS, without GStreamer: media comes interleaved
 * (RFC 2326, 10.12), and is read, put together and given on by the main thread, to which all
 * functions belong. What it cannot do, GStreamer is left to: see pull.h.
 */
#ifndef INGEST_CAMERA_DIRECT_H
#define INGEST_CAMERA_DIRECT_H

#include "source.h"

struct camera_direct;
struct camera_direct_ops {
    struct camera_source_ops to;
    /* In place of failed: the camera is there, and offers what only GStreamer can take. */
    void (*unable)(void *ctx);
};

struct camera_direct *camera_direct_start(const struct camera_source_conf *conf,
                                          const struct camera_direct_ops *ops, void *ctx);
/* To be called each second or so. */
void camera_direct_check(struct camera_direct *direct);
void camera_direct_facts(const struct camera_direct *direct, struct camera_facts *ret);
/* At once, but not from within a call of ops. */
void camera_direct_stop(struct camera_direct *direct);

#endif
