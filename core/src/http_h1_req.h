/* SPDX-License-Identifier: Apache-2.0 */
/* A request on an HTTP/1.1 connection, and how its answer is written. */
#ifndef CORE_SRC_HTTP_H1_REQ_H
#define CORE_SRC_HTTP_H1_REQ_H

#include "http_conn.h"
#include "http_req.h"

enum {
    KN_H1_BLOCK_BYTES = 4096
};

struct kn_h1_req {
    struct kn_http_req base;
    struct kn_http_conn *conn; /* NULL: closed, waiting for its job */
    struct kn_http_loop *loop;
    struct kn_http_listener *listener;
    uint8_t *block; /* the head's bytes and the header table; pooled when it fits */
    bool large;     /* the block is not of the pool's size */
    bool minor_0, keep_alive, continue_due;
    bool answer_chunked;
    struct kn_h1_req *next_spare;
};

extern const struct kn_http_backend kn_h1_backend;

/* From the head just read; the views are moved into memory of the request's own. NULL: no memory.
 */
struct kn_h1_req *kn_h1_req_new(struct kn_http_conn *conn, const char *buf, size_t len,
                                const struct kn_h1_head *head);
/* gone(), and freed; later when a job runs. */
void kn_h1_req_end(struct kn_h1_req *req, enum kn_http_why why);

/* http_h1_answer.c */
void kn_h1_continue(struct kn_h1_req *req); /* 100, when it is due */
/* An answer of the engine's own, and the end of the connection. Works without a request. */
void kn_h1_refuse(struct kn_http_conn *conn, int status);
/* Moves the answer on as far as the socket takes it. */
void kn_h1_produce(struct kn_http_conn *conn);

#endif
