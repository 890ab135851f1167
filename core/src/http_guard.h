/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What strangers may hold. A connection without a request in progress is idle; when there are as
 * many connections as may be, the one idle longest makes room for a newcomer. Bytes of unfinished
 * requests are counted over all connections; when they are too many, who holds more than a little
 * is refused. All functions: the loop's thread.
 */
#ifndef CORE_SRC_HTTP_GUARD_H
#define CORE_SRC_HTTP_GUARD_H

#include "http_conn.h"

enum {
    KN_HTTP_HELD_BYTES_FREE = 16 << 10, /* of one connection: never refused for these */
};

/* After a connection was run: is it idle, what does it hold? May refuse its request. */
void kn_http_guard_update(struct kn_http_conn *conn);
/* It is being closed. */
void kn_http_guard_leave(struct kn_http_conn *conn);
/* Closes the connection of this loop that has been idle longest. False: none is idle. */
bool kn_http_guard_make_room(struct kn_http_loop *loop);

#endif
