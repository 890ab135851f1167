/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pacing: a body that comes in many small pieces, and whose handler does not mind, is read a few
 * times a second and not at each piece. Its socket then lies in a second epoll set that wakes
 * nobody; a timer looks into it. What costs most of a small frame is being woken for it.
 *
 * A handler that can say when the next byte of interest comes has its body left alone until then:
 * the socket raises no event below many bytes (SO_RCVLOWAT), and the connection's timer reads it.
 */
#ifndef CORE_SRC_HTTP_PACE_H
#define CORE_SRC_HTTP_PACE_H

#include "http_timer.h"

struct kn_http_conn;
struct kn_http_loop;

enum {
    /* More than this at one look is a bulk transfer, which fills the kernel's buffer between two
     * looks: it is read as it comes. */
    KN_HTTP_PACE_BYTES_MAX = 64 << 10,
    KN_HTTP_PACE_WATCH_MS = 200, /* how long a body must have been slow before it is paced */
    /* So much is an event also for who is left alone: half of what a socket's window holds. */
    KN_HTTP_PACE_CALM_BYTES = 32 << 10,
};

struct kn_http_pace { /* of a connection */
    bool allowed;     /* the handler does not mind */
    bool on;          /* the socket lies in the paced set */
    bool calm;        /* and raises no event for a few bytes */
    bool said;        /* the handler has said due_ns since the last run */
    int64_t due_ns;   /* when the handler wants to be called; calm: the timer's */
    uint64_t bytes;   /* read since since_ns */
    int64_t since_ns;
};

struct kn_http_pacer { /* of a loop */
    int epoll_fd;
    unsigned count; /* connections in it */
    struct kn_http_timer timer;
};

int kn_http_pacer_open(struct kn_http_loop *loop) KN_MUSTUSE;
void kn_http_pacer_close(struct kn_http_loop *loop);

void kn_http_pace_allow(struct kn_http_conn *conn, uint32_t calm_ms); /* 0: not */
/* Before each run: who was left alone is read when its time has come. */
void kn_http_pace_begin(struct kn_http_conn *conn);
/* When the connection's timer has to fire for it; INT64_MAX. */
int64_t kn_http_pace_due_ns(const struct kn_http_conn *conn);
/* After each run of the connection: which set it belongs to by now. */
void kn_http_pace_settle(struct kn_http_conn *conn);
void kn_http_pace_closed(struct kn_http_conn *conn);

#endif
