/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all backends share of a request: who owns it, what was asked, how far body and answer are.
 * A backend (HTTP/1.1, HTTP/2, libmicrohttpd) embeds it and fills the table of what differs.
 */
#ifndef CORE_SRC_HTTP_REQ_H
#define CORE_SRC_HTTP_REQ_H

#include "http_mailbox.h"
#include "http_timer.h"

#include "core/buf.h"
#include "core/http.h"

enum {
    KN_HTTP_OWNERS_MAX = 6,             /* router, api engine, handler, and some room */
    KN_HTTP_ARENA_BYTES_MAX = 64 << 20, /* one request's small objects; bodies have own ceilings */
    KN_HTTP_DISCARD_BYTES_MAX = 16 << 10, /* rest of a body read and dropped to keep a connection */
};

struct kn_http_backend {
    bool h2, duplex;
    void (*reply)(struct kn_http_req *req, int status, const struct kn_http_header *headers,
                  size_t header_count, struct kn_bytes body);
    void (*reply_stream)(struct kn_http_req *req, int status, const struct kn_http_header *headers,
                         size_t header_count, uint64_t length);
    void (*reply_file)(struct kn_http_req *req, int status, const struct kn_http_header *headers,
                       size_t header_count, const struct kn_http_file *file);
    void (*touch)(struct kn_http_req *req); /* something changed: look at it soon */
    bool produces;                          /* after each data() it moves the answer on by itself */
    void (*deadline)(struct kn_http_req *req, int64_t in_ms);
    void (*pace)(struct kn_http_req *req, uint32_t calm_ms); /* NULL: there is nothing to pace */
    void (*gate_wait)(struct kn_http_req *req, struct kn_gate *gate, uint64_t seen);
    int (*socket)(struct kn_http_req *req); /* NULL: not to be had; -1: closed */
};

struct kn_http_owner {
    const struct kn_http_ops *ops;
    void *ctx;
};

enum kn_http_answer {
    KN_HTTP_UNANSWERED,
    KN_HTTP_WHOLE,
    KN_HTTP_STREAM,
    KN_HTTP_FILE
};

struct kn_http_unsent;
struct kn_http_workers { /* the server's, and of whoever listens beside it */
    struct kn_pool *lanes[KN_HTTP_LANES];
    struct kn_http_unsent *unsent;
};

struct kn_http_job {
    void (*run)(void *arg);
    void *arg;
    struct kn_http_ref ref;
    bool running; /* loop's thread only */
};

struct kn_http_req {
    const struct kn_http_backend *backend;
    struct kn_http_owner owners[KN_HTTP_OWNERS_MAX]; /* the last one gets the callbacks */
    unsigned owner_count;
    struct kn_http_ref ref;
    struct kn_http_mailbox *box;
    const struct kn_http_workers *workers;

    struct kn_str method, path, query, peer, client_name;
    const struct kn_http_header *headers;
    size_t header_count;
    bool is_tls, is_loopback, is_head; /* is_head: method HEAD */

    struct kn_arena arena;
    bool arena_used;

    bool collecting;
    struct kn_buf body; /* collected */
    bool body_complete; /* its last byte has been taken */
    bool end_due;       /* end() is still to be called */
    bool in_data;       /* within data() */
    bool paused;        /* data() took less than it was given */
    bool resumed;       /* since the backend last looked */

    enum kn_http_answer answer;
    bool answer_complete; /* the backend has all of it */
    bool pull_waits;      /* pull() said WAIT; cleared by a wake-up */
    struct kn_http_file file;
    uint64_t length_left; /* of a stream with a length */

    size_t unsent_bytes; /* what its handler holds of the answer: kn_http_hold */
    bool aborted;        /* by the handler */
    bool gone;           /* gone() was called or is put off until the job returns */
    enum kn_http_why why;
    bool close_after;
    struct kn_http_job job;

    struct kn_gate *gate; /* waited for */
    uint64_t gate_seen;
    struct kn_http_req *gate_next, **gate_at; /* siblings waiting for the same gate */
    struct kn_http_loop_gate *loop_gate;
    struct kn_http_timer timer; /* kn_http_deadline */
};

void kn_http_req_init(struct kn_http_req *req, const struct kn_http_backend *backend,
                      const struct kn_http_ops *ops, void *ctx);
/* Copies the name, if there is one; without memory there is none, and it is nobody. */
void kn_http_req_client(struct kn_http_req *req, const char *name);
/* The callbacks. Each returns after having seen to what the handler did inside. */
int kn_http_req_head(struct kn_http_req *req); /* 0, or -ECANCELED: abort */
/* Takes body bytes: how many; fewer: paused. -EMSGSIZE: too large or unwanted; -ECANCELED. */
ssize_t kn_http_req_data(struct kn_http_req *req, const void *ptr, size_t len);
/* The body that is collected is too large: whether the handler has answered that itself. */
bool kn_http_req_too_large(struct kn_http_req *req);
void kn_http_req_end(struct kn_http_req *req); /* last body byte taken */
void kn_http_req_wake(struct kn_http_req *req, uint32_t bits);
ssize_t kn_http_req_pull(struct kn_http_req *req, void *dst, size_t cap);
/* gone() to all owners, last first, then releases what the request holds. False: the job has not
 * returned; call kn_http_req_gone again at its wake-up. */
bool kn_http_req_gone(struct kn_http_req *req, enum kn_http_why why);
void kn_http_req_release_file(struct kn_http_req *req);

static inline bool kn_http_req_over(const struct kn_http_req *req)
{
    return req->answer_complete && req->body_complete && !req->end_due;
}

#endif
