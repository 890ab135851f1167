/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/2 on a connection: nghttp2 keeps the protocol, a request is a stream. The loop's thread. */
#ifndef CORE_SRC_HTTP_H2_H
#define CORE_SRC_HTTP_H2_H

#include "http_conn.h"
#include "http_req.h"

#include <nghttp2/nghttp2.h>

enum {
    KN_H2_STREAM_WINDOW_BYTES = 1 << 20,
    KN_H2_CONN_WINDOW_BYTES = 4 << 20,
    KN_H2_ACKS_MAX = 200,          /* answers to PING and SETTINGS that may wait to go out */
    KN_H2_IDLE_FRAMES = 2000,      /* frames that move no request: allowed in a burst, */
    KN_H2_IDLE_FRAMES_PER_S = 200, /* and in the long run (rapid reset, ping, settings floods) */
    KN_H2_SPARES = 256,
    KN_H2_ANSWER_BYTES_MAX = 32 << 20, /* whole answers a peer has not taken: no new request then */
};

struct kn_h2 {
    nghttp2_session *session;
    struct kn_http_conn *conn;
    struct kn_h2_req *requests; /* all open streams */
    size_t request_count;
    struct kn_h2_req *touched; /* their handlers left marks */
    int64_t since_ns;          /* when the last request ended */
    int64_t sent_ns;    /* when body bytes last went into a frame, or waiting for that began */
    double idle_frames; /* a leaky bucket */
    int64_t idle_frames_ns;
    bool draining;
};

struct kn_h2_req {
    struct kn_http_req base;
    struct kn_http_conn *conn; /* NULL: closed, waiting for its job */
    struct kn_http_loop *loop;
    int32_t id;
    int refused; /* status to refuse it with, found while its head came */
    bool begun;  /* head() was called */
    bool is_touched, deferred, continue_due;
    bool peer_ended;         /* END_STREAM came; the rest of the body may still be in `in` */
    bool answer_sent;        /* END_STREAM went */
    int64_t since_ns;        /* reading the head, then the body, since */
    int64_t linger_until_ns; /* and an upload that still goes on is dropped until then */
    size_t lingered_bytes;
    struct kn_buf head; /* names and values, each ending in NUL; kept for the next request */
    struct kn_http_header *headers;
    size_t header_count, header_max;
    size_t host_at;    /* index of host, SIZE_MAX: not yet seen */
    struct kn_buf in;  /* body bytes the handler did not take */
    struct kn_buf out; /* a whole answer's body */
    size_t out_at;
    struct kn_h2_req *next, **at;
    struct kn_h2_req *touched_next;
    struct kn_h2_req *next_spare;
};

extern const struct kn_http_proto kn_h2_proto;
extern const struct kn_http_backend kn_h2_backend;

int kn_h2_open(struct kn_http_conn *conn) KN_MUSTUSE;
void kn_h2_close(struct kn_http_conn *conn);
bool kn_h2_waits_for_window(const struct kn_h2 *h2); /* body bytes wait for the peer */

/* http_h2_req.c */
struct kn_h2_req *kn_h2_req_new(struct kn_http_conn *conn, int32_t id);
void kn_h2_req_end(struct kn_h2_req *req, enum kn_http_why why);
/* One header field of the head. */
void kn_h2_req_header(struct kn_h2_req *req, struct kn_str name, struct kn_str value);
/* The head is complete: 0, or the status to refuse it with. */
int kn_h2_req_read_head(struct kn_h2_req *req);
void kn_h2_spares_done(struct kn_http_loop *loop);

/* http_h2_answer.c */
void kn_h2_refuse(struct kn_h2_req *req, int status);
void kn_h2_continue(struct kn_h2_req *req);
void kn_h2_touch(struct kn_h2_req *req);

#endif
