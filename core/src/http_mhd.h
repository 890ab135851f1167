/* SPDX-License-Identifier: Apache-2.0 */
/* The console's listener: libmicrohttpd, and a helper thread for what it does not do. */
#ifndef CORE_SRC_HTTP_MHD_H
#define CORE_SRC_HTTP_MHD_H

#include "http_req.h"
#include "http_server_impl.h"

#include <microhttpd.h>

#define KN_HTTP_WAKE_LEFT (1u << 30) /* the peer closed while the request was parked */

enum {
    KN_MHD_CONNECTION_BYTES = 64 << 10, /* libmicrohttpd's pool, and so the limit of a head */
    KN_MHD_IDLE_S = 60,
    KN_MHD_BLOCK_BYTES = 64 << 10, /* of a streamed answer: one pull */
};

/* Deadlines, and a watch on the sockets of suspended connections, which libmicrohttpd does not look
 * at (design/http-layer.md 5.2). */
struct kn_mhd_watch {
    pthread_t thread;
    bool started;
    struct kn_clock *clock;
    int epoll_fd, event_fd;
    struct kn_lock lock; /* guards timers and stopping; taken before the mailbox's lock */
    struct kn_http_timers timers;
    bool stopping;
};

struct kn_http_mhd {
    struct MHD_Daemon *daemon;
    struct kn_http_listener *listener;
    const struct kn_http_workers *workers;
    struct kn_http_mailbox *box;
    struct kn_mhd_watch watch;
    struct kn_lock lock; /* guards requests and live */
    struct kn_cond none_left;
    struct kn_cond told; /* with the mailbox's lock: a wake-up came */
    struct kn_mhd_req *requests;
    _Atomic bool closing; /* requests still open are to be given up */
};

struct kn_mhd_req {
    struct kn_http_req base;
    struct kn_http_mhd *mhd;
    struct MHD_Connection *connection;
    struct MHD_Response *response; /* made by the handler, not yet queued */
    int status;
    bool begun;     /* head() was called */
    bool queued;    /* libmicrohttpd has the answer */
    bool suspended; /* guarded by the mailbox's lock */
    bool asleep;    /* what the last look for wake-ups did; the connection's thread only */
    bool watched;   /* its socket is in the helper's epoll */
    bool left;      /* the peer closed while it was parked */
    int fd;
    struct kn_gate_waiter gate_waiter;
    char peer[64];
    struct kn_str uri;
    struct kn_mhd_req *next, **at; /* in mhd->requests */
};

extern const struct kn_http_backend kn_mhd_backend;

/* http_mhd_req.c */
struct kn_mhd_req *kn_mhd_req_new(struct kn_http_mhd *mhd, struct MHD_Connection *connection,
                                  const char *uri);
void kn_mhd_req_free(struct kn_mhd_req *req);
/* Fills method, path, query, headers; returns 0, or the status to refuse the request with. */
int kn_mhd_req_read_head(struct kn_mhd_req *req, const char *method, const char *version);

/* http_mhd_answer.c */
ssize_t kn_mhd_pull(void *ctx, uint64_t pos, char *dst, size_t cap);
/* Delivers wake-ups; with none, suspends the connection. False: suspended. */
bool kn_mhd_wait(struct kn_mhd_req *req);
void kn_mhd_wait_job(struct kn_mhd_req *req); /* blocks until an offloaded job has returned */

/* http_mhd_watch.c */
int kn_mhd_watch_start(struct kn_mhd_watch *watch, struct kn_clock *clock) KN_MUSTUSE;
void kn_mhd_watch_stop(struct kn_mhd_watch *watch);
void kn_mhd_watch_socket(struct kn_mhd_req *req, bool on);
void kn_mhd_watch_deadline(struct kn_mhd_req *req, int64_t in_ms);

#endif
