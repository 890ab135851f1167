/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers in memory that their peers have not taken, counted over all connections: what the engine
 * has of them, and what handlers say they hold (kn_http_hold). Past three quarters of
 * http_unsent_bytes_max no more than a little is let through; the last quarter is for what is small
 * and for buffers of streams. At either bound, the connections whose peers have taken nothing for
 * longest are closed, until half is free.
 */
#ifndef CORE_SRC_HTTP_UNSENT_H
#define CORE_SRC_HTTP_UNSENT_H

#include "http_conn.h"

enum {
    KN_HTTP_UNSENT_BYTES_FREE = 64 << 10, /* an answer of no more is always let through */
};

struct kn_http_unsent {
    _Atomic int64_t bytes;
    int64_t bytes_max;
    int64_t stall_ns; /* who took bytes since is not closed for others */
    struct kn_clock *clock;
    struct kn_http_loop *loops; /* set by the server */
    unsigned loop_count;
    struct kn_metric *held, *refused;
};

void kn_http_unsent_init(struct kn_http_unsent *unsent, const struct kn_http_conf *conf,
                         struct kn_clock *clock);
/* What the engine has of this connection's answers has changed. The loop's thread, as below. */
void kn_http_unsent_count(struct kn_http_conn *conn);
/* After a connection was run: does its peer stand still? May close it, and others. */
void kn_http_unsent_update(struct kn_http_conn *conn);
/* It is being closed. */
void kn_http_unsent_leave(struct kn_http_conn *conn);
/* Another thread wants room: deliver of kn_http_loop.room_mail. */
void kn_http_unsent_room_wanted(struct kn_http_mail *mail);

#endif
