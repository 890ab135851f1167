/* SPDX-License-Identifier: Apache-2.0 */
/* The server: its loops, listeners and workers. */
#ifndef CORE_SRC_HTTP_SERVER_IMPL_H
#define CORE_SRC_HTTP_SERVER_IMPL_H

#include "http_loop.h"
#include "http_peers.h"
#include "http_req.h"
#include "http_unsent.h"

struct kn_http_server {
    struct kn_http_conf conf;
    struct kn_clock *clock;
    struct kn_http_workers workers;
    struct kn_http_peers peers;
    _Atomic int64_t held_bytes; /* of unfinished requests, over all connections */
    struct kn_http_unsent unsent;
    struct kn_http_loop *loops;
    unsigned loop_count;
    struct kn_http_listener *listeners[KN_HTTP_LISTENERS_MAX];
    unsigned listener_count;
};

/* http_listen.c */
int kn_http_listener_new(const struct kn_http_listen *listen, unsigned fd_count,
                         struct kn_http_listener **ret, uint16_t *ret_port, struct kn_err *err)
    KN_MUSTUSE;
void kn_http_listener_free(struct kn_http_listener *listener, unsigned fd_count);

#endif
