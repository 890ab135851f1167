/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A camera that is connected to, or played (file.h). RTSP over TCP and TLS, as nearly all cameras
 * are taken, with SRTP or without, has a way of its own (direct.h), which costs a fifth of
 * GStreamer's; UDP, HTTP tunnels, and what that way does not know, are GStreamer's (source.h).
 * Functions belong to the main thread.
 */
#ifndef INGEST_CAMERA_PULL_H
#define INGEST_CAMERA_PULL_H

#include "source.h"

struct camera_pull;
struct camera_pull *camera_pull_start(const struct camera_source_conf *conf,
                                      const struct camera_source_ops *ops, void *ctx);
void camera_pull_check(struct camera_pull *pull); /* Each second or so: a camera fails that is
                                                     silent, or whose pictures stop. */
void camera_pull_facts(struct camera_pull *pull, struct camera_facts *ret);
bool camera_pull_stop_blocks(const struct camera_pull *pull); /* then it may be another thread's */
void camera_pull_stop(struct camera_pull *pull);

#endif
