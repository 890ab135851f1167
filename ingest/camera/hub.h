/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors that the main thread waits for: one epoll under GLib's main loop, which asks the
 * kernel anew about every descriptor of its own each time it wakes. All functions belong to the
 * main thread.
 */
#ifndef INGEST_CAMERA_HUB_H
#define INGEST_CAMERA_HUB_H

#include <glib.h>

struct hub_watch;
typedef void hub_fn(void *ctx, unsigned events); /* of EPOLLIN … */

struct hub_watch *hub_add(int fd, unsigned events, hub_fn *fn, void *ctx);
void hub_change(struct hub_watch *watch, unsigned events);
/* Before the descriptor is closed. Takes NULL; also from within a call. */
void hub_remove(struct hub_watch *watch);

#endif
