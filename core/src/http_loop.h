/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One event loop: a thread, its sockets, its deadlines, its buffers. A turn is: mailbox, epoll
 * events, due timers, then each connection that has something to do is run once.
 */
#ifndef CORE_SRC_HTTP_LOOP_H
#define CORE_SRC_HTTP_LOOP_H

#include "http_mailbox.h"
#include "http_pace.h"
#include "http_timer.h"

#include "core/http_server.h"
#include "core/metrics.h"

enum {
    KN_HTTP_READ_BYTES = 128 << 10,     /* asked of the kernel at once */
    KN_HTTP_READ_BUF_BYTES = 384 << 10, /* with what a connection had left over before it */
    KN_HTTP_OUT_BUF_BYTES = 80 << 10,   /* a pooled output buffer */
    KN_HTTP_STAGE_BYTES = 1 << 20,      /* of a long answer at once */
    KN_HTTP_STAGE_HEAD_BYTES = 4 << 10, /* and its head before it */
    KN_HTTP_OUT_BYTES_MAX = 256 << 20,  /* a whole answer that had to be copied */
    KN_HTTP_SPARES = 64,                /* pooled output buffers kept */
    KN_HTTP_SPARES_FIRST = 4,           /* of them touched before serving */
    KN_HTTP_GATE_BUCKETS = 256,
    KN_HTTP_LISTENERS_MAX = 16,
    KN_HTTP_REQ_SPARES = 256,
};

struct kn_http_conn;
struct kn_http_loop;

/* What an epoll event belongs to. */
struct kn_http_watch {
    void (*event)(struct kn_http_watch *watch, uint32_t events);
};

struct kn_http_listener {
    char name[32];
    char address[64]; /* empty: a socket in the file system */
    struct kn_tls *tls;
    bool h2;
    const struct kn_http_ops *ops;
    void *ctx;
    int *fds; /* one a loop */
    struct kn_metric *connections, *bytes_in, *bytes_out, *parse_errors, *refused, *evicted;
    struct kn_metric *requests[6]; /* by the first digit of the status */
};

struct kn_http_acceptor { /* a listener on one loop */
    struct kn_http_watch watch;
    struct kn_http_listener *listener;
    struct kn_http_loop *loop;
    struct kn_http_timer retry; /* after running out of descriptors */
    int fd;
};

struct kn_http_spare {
    uint8_t *ptr;
    size_t cap;
};

/* All requests of one loop that wait for one gate. */
struct kn_http_loop_gate {
    struct kn_gate_waiter waiter;
    struct kn_http_mail mail;
    struct kn_gate *gate;
    struct kn_http_loop *loop;
    struct kn_http_req *waiting;
    struct kn_http_loop_gate *next; /* in the bucket, or among the spare ones */
};

struct kn_http_loop {
    unsigned index;
    struct kn_http_server *server;
    const struct kn_http_conf *conf;
    struct kn_clock *clock;
    const struct kn_http_workers *workers;
    struct kn_http_mailbox *box;
    struct kn_http_watch box_watch;
    int epoll_fd;
    pthread_t thread;
    bool started;

    int64_t now_ns; /* of this turn */
    struct kn_http_timers timers;
    struct kn_http_pacer pacer;
    struct kn_http_acceptor acceptors[KN_HTTP_LISTENERS_MAX];
    unsigned acceptor_count;

    struct kn_http_conn *conns;                    /* all of them */
    struct kn_http_conn *run, **run_end;           /* to be run this turn */
    struct kn_http_conn *dead;                     /* to be freed at the end of the turn */
    struct kn_http_conn *idle_first, *idle_last;   /* without a request, longest idle first */
    struct kn_http_conn *still_first, *still_last; /* whose peers take nothing, longest first */
    _Atomic int64_t still_since_ns;                /* the first one; INT64_MAX: there is none */
    struct kn_http_mail room_mail;                 /* somebody wants them closed */
    size_t request_count;                          /* not yet gone, also without a connection */

    struct kn_http_mail stop_mail;
    _Atomic int64_t drain_ms; /* set before stop_mail is posted */
    bool draining;            /* no new requests; answers close */
    bool closing;             /* what is left was closed */
    struct kn_http_timer drain_timer;

    struct kn_http_loop_gate *gates[KN_HTTP_GATE_BUCKETS];
    struct kn_http_loop_gate *gate_spares;

    uint8_t *read_buf;
    uint8_t *stage;        /* head and bytes of a long answer; of use within one call only */
    struct kn_buf records; /* TLS records on their way into a socket; likewise */
    struct kn_http_spare spares[KN_HTTP_SPARES];
    unsigned spare_count;
    struct kn_http_header *headers; /* room for headers_max, for the head being read */
    struct kn_h1_req *h1_spares;
    unsigned h1_spare_count;
    struct kn_h2_req *h2_spares;
    unsigned h2_spare_count;
    char date[KN_TIME_TEXT_BYTES];
    int64_t date_s;
};

int kn_http_loop_open(struct kn_http_loop *loop)
    KN_MUSTUSE; /* server, conf, clock, index are set */
void kn_http_loop_close(struct kn_http_loop *loop);
int kn_http_loop_start(struct kn_http_loop *loop) KN_MUSTUSE;
void kn_http_loop_stop(struct kn_http_loop *loop,
                       int64_t drain_ms); /* any thread; returns at once */

/* On the loop's thread. */
const char *kn_http_loop_date(struct kn_http_loop *loop);
struct kn_buf kn_http_loop_take_buf(struct kn_http_loop *loop);
void kn_http_loop_give_buf(struct kn_http_loop *loop, struct kn_buf *buf);
uint8_t *kn_http_loop_stage(struct kn_http_loop *loop); /* made at first use; NULL: no memory */

/* Backend functions shared by HTTP/1.1 and HTTP/2. */
void kn_http_loop_gate_wait(struct kn_http_loop *loop, struct kn_http_req *req,
                            struct kn_gate *gate, uint64_t seen);
void kn_http_loop_deadline(struct kn_http_loop *loop, struct kn_http_req *req, int64_t in_ms);
void kn_http_loop_deadline_fired(struct kn_http_timer *timer); /* fire of kn_http_req.timer */
void kn_http_loop_gates_done(struct kn_http_loop *loop);

/* http_listen.c */
void kn_http_acceptor_start(struct kn_http_acceptor *acceptor);
void kn_http_acceptor_stop(struct kn_http_acceptor *acceptor);

#endif
