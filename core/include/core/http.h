/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one handler interface over HTTP/1.1, HTTP/2 and the console's libmicrohttpd.
 *
 * Threading law: a request lives on one loop thread from its first byte to gone(). Every callback
 * runs there, never two at once, and never blocks (more than 1 ms of work goes through
 * kn_http_offload). Functions are for that thread only, except those marked ANY.
 *
 * Life: head() once, then data()* and end() as the body arrives, pull() whenever the peer can take
 * bytes of a streamed answer, wake() after a wake-up, and gone() exactly once, always last.
 */
#ifndef CORE_HTTP_H
#define CORE_HTTP_H

#include <sys/types.h>

#include "core/arena.h"
#include "core/gate.h"

struct kn_http_req; /* valid until gone() returns */

/* Names a request from any thread; a stale one is harmless. */
struct kn_http_ref {
    uint64_t v;
};

struct kn_http_header {
    struct kn_str name; /* lower case on requests */
    struct kn_str value;
};

/* Results of pull() besides a count of bytes. */
enum {
    KN_HTTP_WAIT = -1,
    KN_HTTP_EOF = -2,
    KN_HTTP_FAIL = -3
};

enum kn_http_why {
    KN_HTTP_DONE,      /* answered completely, body read */
    KN_HTTP_PEER_GONE, /* the peer closed */
    KN_HTTP_TIMEOUT,
    KN_HTTP_RESET,
    KN_HTTP_SHUTDOWN,
    KN_HTTP_ERROR,
};

/* Bits of wake(). Handlers may use the lower 16 for their own kn_http_wake calls. */
enum {
    KN_HTTP_WAKE_JOB = 1u << 16,      /* the offloaded job has returned */
    KN_HTTP_WAKE_DEADLINE = 1u << 17, /* kn_http_deadline has passed */
    KN_HTTP_WAKE_GATE = 1u << 18,     /* the gate has moved; the wait is over */
    KN_HTTP_WAKE_SHUTDOWN = 1u << 19, /* the server drains: finish soon */
};

struct kn_http_ops {
    /* Headers are here. *ctx is the handler's own on entry; store the request's own there. May
     * answer at once. Return 0 to go on; any other value aborts the connection. */
    int (*head)(struct kn_http_req *req, void **ctx);
    /* Next body bytes: returns how many were taken; fewer than len pauses the upload until
     * kn_http_resume_body; -1 aborts. NULL: body is collected or refused. */
    ssize_t (*data)(struct kn_http_req *req, void *ctx, const void *ptr, size_t len);
    /* The body that was to be collected is larger than it may be: answers. NULL: 413, no body. */
    void (*too_large)(struct kn_http_req *req, void *ctx);
    void (*end)(struct kn_http_req *req, void *ctx); /* upload (or collected body) complete */
    /* Next bytes of a streamed answer into dst: a count, KN_HTTP_WAIT, _EOF or _FAIL. On HTTP/1.1
     * what one call returns leaves as exactly one chunk, flushed at once. */
    ssize_t (*pull)(struct kn_http_req *req, void *ctx, void *dst, size_t cap);
    void (*wake)(struct kn_http_req *req, void *ctx, uint32_t bits);
    void (*gone)(struct kn_http_req *req, void *ctx, enum kn_http_why why);
};

/* --- the request ------------------------------------------------------------------------- */
struct kn_str kn_http_method(struct kn_http_req *req);
struct kn_str kn_http_path(struct kn_http_req *req);  /* raw, as sent, without the query */
struct kn_str kn_http_query(struct kn_http_req *req); /* raw, without '?'; may be empty */
/* lowercase name; ptr is NULL when absent. HTTP/2's :authority is also found as "host". */
struct kn_str kn_http_header(struct kn_http_req *req, const char *lowercase);
size_t kn_http_headers(struct kn_http_req *req,
                       const struct kn_http_header **ret); /* all, in order */
bool kn_http_is_tls(struct kn_http_req *req);
bool kn_http_is_h2(struct kn_http_req *req);
bool kn_http_is_loopback(struct kn_http_req *req);   /* the peer's address is */
struct kn_str kn_http_peer(struct kn_http_req *req); /* "127.0.0.1:4711" */
/* The common name in the certificate that the client has proved to hold; ptr NULL: none was asked
 * for (kn_tls_demand_clients), or it has no such name. */
struct kn_str kn_http_client_name(struct kn_http_req *req);
/* From now on the peer's machine is asked each second whether it is there, while nothing comes from
 * it (TCP's keep-alive). */
void kn_http_watch_peer(struct kn_http_req *req);
/* Does a watched one answer? False: nothing was heard of it for two seconds, so that what it has
 * sent may be on its way. True where nobody can say: a Unix socket, libmicrohttpd. */
bool kn_http_peer_answers(struct kn_http_req *req);
struct kn_arena *kn_http_arena(struct kn_http_req *req); /* lives until gone() */

/* Finds and percent-decodes a query parameter into the arena. -ENOENT absent, -EINVAL malformed. */
int kn_http_query_param(struct kn_http_req *req, const char *name, struct kn_str *ret) KN_MUSTUSE;
/* Percent-decodes a part of the path into the arena. -EINVAL malformed. */
int kn_http_decode(struct kn_http_req *req, struct kn_str text, struct kn_str *ret) KN_MUSTUSE;

/* --- the body ---------------------------------------------------------------------------- */
/* In head(): gather the body, up to max bytes (past it: 413 and close), then call end(). */
void kn_http_collect(struct kn_http_req *req, size_t max);
struct kn_bytes kn_http_body(struct kn_http_req *req); /* after end() */
void kn_http_resume_body(struct kn_http_req *req);     /* data() may be called again */

/* Not 0: small pieces of the body may be taken together, calm_ms from now or http_pace_ms later,
 * whichever is longer; sooner when many bytes have come. 0, as it begins: each as it comes. On the
 * loop; may be said again at any time. */
void kn_http_pace_body(struct kn_http_req *req, uint32_t calm_ms);

/* --- the answer -------------------------------------------------------------------------- */
/* Whole answer; header and body bytes are copied. date, content-length and connection are added. */
void kn_http_reply(struct kn_http_req *req, int status, const struct kn_http_header *headers,
                   size_t header_count, struct kn_bytes body);
/* Answer of unknown length (or of `length` bytes when it is not KN_HTTP_LENGTH_UNKNOWN): pull()
 * follows. May be called in head() or data(): acks then flow while the body still arrives. */
#define KN_HTTP_LENGTH_UNKNOWN UINT64_MAX
void kn_http_reply_stream(struct kn_http_req *req, int status, const struct kn_http_header *headers,
                          size_t header_count, uint64_t length);
/* Part of a file, sent by sendfile where possible. Only ranges known to be in memory belong here;
 * fd must stay open until release(arg). */
struct kn_http_file {
    int fd;
    uint64_t off, len;
    void (*release)(void *arg);
    void *arg;
};
void kn_http_reply_file(struct kn_http_req *req, int status, const struct kn_http_header *headers,
                        size_t header_count, const struct kn_http_file *file);
/* How much of its answer the request's owner holds in memory, from now on until it says otherwise,
 * until kn_http_reply or gone(): counted in http_unsent_bytes_max. -EAGAIN: too many answers wait
 * to be taken, and this is as it was before; refuse it so that the caller asks again, or try later.
 * Fewer is never refused, nor is a little. On a worker too, while it has the request. */
int kn_http_hold(struct kn_http_req *req, size_t bytes) KN_MUSTUSE;
void kn_http_unhold(struct kn_http_req *req); /* nothing any more */
void kn_http_abort(struct kn_http_req *req);  /* HTTP/1.1: close; HTTP/2: RST_STREAM */
/* Close the connection after this answer. */
void kn_http_close_after(struct kn_http_req *req);

/* --- waiting ----------------------------------------------------------------------------- */
struct kn_http_ref kn_http_ref_of(struct kn_http_req *req);
void kn_http_wake(struct kn_http_ref ref, uint32_t bits); /* ANY. bits are OR-ed, one wake() a turn;
                                                             then pull() is tried again */
/* ANY. The same, but it may come with the loop's next look at paced bodies (http_pace_ms): many
 * that are woken for little wake the loop once. */
void kn_http_wake_soon(struct kn_http_ref ref, uint32_t bits);
void kn_http_resume_answer(struct kn_http_req *req); /* pull() is tried again; on the loop */
void kn_http_deadline(struct kn_http_req *req, int64_t in_ms); /* one a request; < 0 clears it */
/* Wakes with KN_HTTP_WAKE_GATE once the gate's value differs from seen (at once if it does). One
 * gate a request. The gate must outlive the request or the wait be ended with gate = NULL. */
void kn_http_gate_wait(struct kn_http_req *req, struct kn_gate *gate, uint64_t seen);
/* Runs job(arg) on a worker of the lane, then wake(KN_HTTP_WAKE_JOB) on the loop. One at a time a
 * request; gone() is not called before the job has returned. -EAGAIN when the lane's queue is full.
 * A job that waits for a flush belongs on the lane of changes: those who read never stand behind
 * it, however slow the disk. What shows the state of the server, from memory alone, is a glance: it
 * stands behind neither, since one looks when these are slow. */
enum kn_http_lane {
    KN_HTTP_READS,
    KN_HTTP_CHANGES,
    KN_HTTP_GLANCES,
    KN_HTTP_LANES,
};
int kn_http_offload(struct kn_http_req *req, enum kn_http_lane lane, void (*job)(void *arg),
                    void *arg) KN_MUSTUSE;

/* --- composing --------------------------------------------------------------------------- */
/* From inside head(), end() or wake(): from now on the request belongs to these ops, whose head()
 * is called at once with *ctx = ctx. The former owner's gone() is still called, after the new
 * one's. Each owner sees a whole life: if the body was complete already, the new one's end()
 * follows its head(); a paused body flows again. The result is that of the new head(): return it
 * from head(); from end() or wake() the request has been aborted already when it is not 0. */
int kn_http_hand_over(struct kn_http_req *req, const struct kn_http_ops *ops, void *ctx) KN_MUSTUSE;

struct kn_http_router; /* a set of exact routes and a fallback; is itself a handler */
int kn_http_router_new(struct kn_http_router **ret) KN_MUSTUSE;
void kn_http_router_free(struct kn_http_router *router);
/* path is exact, or a prefix when it ends in '*'. A known path with another method: 405. Before
 * serving starts only. */
int kn_http_router_add(struct kn_http_router *router, const char *method, const char *path,
                       const struct kn_http_ops *ops, void *ctx) KN_MUSTUSE;
void kn_http_router_fallback(struct kn_http_router *router, const struct kn_http_ops *ops,
                             void *ctx);
extern const struct kn_http_ops kn_http_router_ops; /* ctx: struct kn_http_router * */

#endif
