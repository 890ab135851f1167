/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The public request functions, one copy for all backends, and the order in which a request's
 * callbacks may come. Handlers only leave marks (answered, aborted, resumed); the backend looks at
 * them after the callback has returned, so no callback ever runs inside another, except a new
 * owner's head() in kn_http_hand_over.
 */
#include "http_req.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "core/thread.h"

static struct kn_http_owner *owner_of(struct kn_http_req *req)
{
    return &req->owners[req->owner_count - 1];
}

void kn_http_req_init(struct kn_http_req *req, const struct kn_http_backend *backend,
                      const struct kn_http_ops *ops, void *ctx)
{
    *req = (struct kn_http_req){.backend = backend, .owner_count = 1};
    req->owners[0] = (struct kn_http_owner){ops, ctx};
}

/* --- callbacks --------------------------------------------------------------------------- */
int kn_http_req_head(struct kn_http_req *req)
{
    unsigned at = req->owner_count - 1;
    int r = req->owners[at].ops->head(req, &req->owners[at].ctx);
    if (r != 0)
        req->aborted = true;
    return req->aborted ? -ECANCELED : 0;
}

bool kn_http_req_too_large(struct kn_http_req *req)
{
    struct kn_http_owner *owner = owner_of(req);
    if (!owner->ops->too_large)
        return false;
    owner->ops->too_large(req, owner->ctx);
    return req->answer != KN_HTTP_UNANSWERED;
}

ssize_t kn_http_req_data(struct kn_http_req *req, const void *ptr, size_t len)
{
    if (req->answer_complete || req->answer == KN_HTTP_WHOLE || req->answer == KN_HTTP_FILE)
        return (ssize_t) len; /* answered early: the rest is of no interest */
    if (req->collecting) {
        if (kn_buf_append(&req->body, ptr, len) == 0 || kn_http_req_too_large(req))
            return (ssize_t) len;
        return -EMSGSIZE;
    }
    struct kn_http_owner *owner = owner_of(req);
    if (!owner->ops->data) {
        req->paused = req->job.running; /* it may be handed over to somebody who wants it */
        return req->paused ? 0 : -EMSGSIZE;
    }
    req->in_data = true;
    ssize_t n = owner->ops->data(req, owner->ctx, ptr, len);
    req->in_data = false;
    if (n < 0)
        req->aborted = true;
    if (req->aborted)
        return -ECANCELED;
    kn_assert((size_t) n <= len);
    if ((size_t) n < len)
        req->paused = true;
    return n;
}

void kn_http_req_end(struct kn_http_req *req)
{
    req->body_complete = true;
    req->end_due = true;
    while (req->end_due && !req->aborted) {
        struct kn_http_owner *owner = owner_of(req);
        req->end_due = false; /* a hand-over inside sets it again, for the new owner */
        if (owner->ops->end && req->answer != KN_HTTP_WHOLE && req->answer != KN_HTTP_FILE)
            owner->ops->end(req, owner->ctx);
    }
}

void kn_http_req_wake(struct kn_http_req *req, uint32_t bits)
{
    bits &= ~KN_HTTP_WAKE_ANY;
    if (bits & KN_HTTP_WAKE_JOB)
        req->job.running = false;
    if (req->gone || req->aborted)
        return;
    req->pull_waits = false;
    struct kn_http_owner *owner = owner_of(req);
    if (owner->ops->wake && !req->answer_complete)
        owner->ops->wake(req, owner->ctx, bits);
    if (req->end_due && !req->aborted)
        kn_http_req_end(req);
}

ssize_t kn_http_req_pull(struct kn_http_req *req, void *dst, size_t cap)
{
    struct kn_http_owner *owner = owner_of(req);
    if (!owner->ops->pull)
        return KN_HTTP_FAIL;
    ssize_t n = owner->ops->pull(req, owner->ctx, dst, cap);
    if (req->aborted)
        return KN_HTTP_FAIL;
    if (n == 0)
        n = KN_HTTP_WAIT;
    kn_assert(n <= (ssize_t) cap);
    if (n == KN_HTTP_WAIT)
        req->pull_waits = true;
    return n;
}

void kn_http_req_release_file(struct kn_http_req *req)
{
    if (req->file.release)
        req->file.release(req->file.arg);
    req->file = (struct kn_http_file){.fd = -1};
}

bool kn_http_req_gone(struct kn_http_req *req, enum kn_http_why why)
{
    if (!req->gone) {
        req->gone = true;
        req->why = why;
        if (req->gate)
            req->backend->gate_wait(req, NULL, 0);
        req->backend->deadline(req, -1);
    }
    if (req->job.running)
        return false;
    kn_http_req_release_file(req);
    kn_http_unhold(req);
    while (req->owner_count > 0) {
        struct kn_http_owner *owner = owner_of(req);
        if (owner->ops->gone)
            owner->ops->gone(req, owner->ctx, req->why);
        req->owner_count--;
    }
    if (req->arena_used)
        kn_arena_done(&req->arena);
    kn_http_mailbox_remove(req->box, req->ref);
    return true;
}

/* --- the request ------------------------------------------------------------------------- */
struct kn_str kn_http_method(struct kn_http_req *req)
{
    return req->method;
}

struct kn_str kn_http_path(struct kn_http_req *req)
{
    return req->path;
}

struct kn_str kn_http_query(struct kn_http_req *req)
{
    return req->query;
}

struct kn_str kn_http_header(struct kn_http_req *req, const char *lowercase)
{
    struct kn_str name = kn_str_from(lowercase);
    for (size_t i = 0; i < req->header_count; i++)
        if (kn_str_eq(req->headers[i].name, name))
            return req->headers[i].value;
    return (struct kn_str){0};
}

size_t kn_http_headers(struct kn_http_req *req, const struct kn_http_header **ret)
{
    *ret = req->headers;
    return req->header_count;
}

bool kn_http_is_tls(struct kn_http_req *req)
{
    return req->is_tls;
}

bool kn_http_is_h2(struct kn_http_req *req)
{
    return req->backend->h2;
}

bool kn_http_is_loopback(struct kn_http_req *req)
{
    return req->is_loopback;
}

/* --- the peer's machine ----------------------------------------------------------------------
 * Linux acknowledges what comes and answers keep-alive probes without its programs: a peer that is
 * merely quiet answers, one behind a dead link does not. tcp(7). */
enum {
    ASK_S = 1,
    ASKS_MAX = 127,    /* without an answer, then the connection is over; the most there may be */
    ANSWERS_MS = 2000, /* a question, and its way there and back */
};

static int socket_of(struct kn_http_req *req)
{
    return req->backend->socket ? req->backend->socket(req) : -1;
}

void kn_http_watch_peer(struct kn_http_req *req)
{
    static const struct {
        int level, name, value;
    } options[] = {
        {SOL_SOCKET,  SO_KEEPALIVE,  1       },
        {IPPROTO_TCP, TCP_KEEPIDLE,  ASK_S   },
        {IPPROTO_TCP, TCP_KEEPINTVL, ASK_S   },
        {IPPROTO_TCP, TCP_KEEPCNT,   ASKS_MAX},
    };
    int fd = socket_of(req);
    for (size_t i = 0; fd >= 0 && i < KN_ARRAY_LEN(options); i++)
        (void) setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int));
}

bool kn_http_peer_answers(struct kn_http_req *req)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);
    int fd = socket_of(req);
    return fd < 0 || getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ||
           info.tcpi_last_ack_recv <= ANSWERS_MS;
}

void kn_http_req_client(struct kn_http_req *req, const char *name)
{
    if (name)
        req->client_name = kn_arena_str(kn_http_arena(req), kn_str_from(name));
}

struct kn_str kn_http_client_name(struct kn_http_req *req)
{
    return req->client_name;
}

struct kn_str kn_http_peer(struct kn_http_req *req)
{
    return req->peer;
}

struct kn_arena *kn_http_arena(struct kn_http_req *req)
{
    if (!req->arena_used) {
        kn_arena_init(&req->arena, KN_HTTP_ARENA_BYTES_MAX);
        req->arena_used = true;
    }
    return &req->arena;
}

/* --- the body ---------------------------------------------------------------------------- */
void kn_http_collect(struct kn_http_req *req, size_t max)
{
    req->collecting = true;
    req->body.max = max;
    if (req->paused)
        kn_http_resume_body(req);
}

struct kn_bytes kn_http_body(struct kn_http_req *req)
{
    return kn_buf_bytes(&req->body);
}

void kn_http_resume_body(struct kn_http_req *req)
{
    req->paused = false;
    req->resumed = true;
    req->backend->touch(req);
}

void kn_http_pace_body(struct kn_http_req *req, uint32_t calm_ms)
{
    if (req->backend->pace)
        req->backend->pace(req, calm_ms);
}

/* --- the answer -------------------------------------------------------------------------- */
void kn_http_reply(struct kn_http_req *req, int status, const struct kn_http_header *headers,
                   size_t header_count, struct kn_bytes body)
{
    if (req->answer != KN_HTTP_UNANSWERED || req->aborted || req->gone)
        return; /* the engine, or the handler itself, was first */
    req->answer = KN_HTTP_WHOLE;
    if (body.len > req->unsent_bytes && kn_http_hold(req, body.len) < 0) {
        static const struct kn_http_header again = {KN_STR_INIT("retry-after"), KN_STR_INIT("1")};
        req->backend->reply(req, 503, &again, 1, (struct kn_bytes){0});
    } else {
        req->backend->reply(req, status, headers, header_count, body);
    }
    req->backend->touch(req);
}

void kn_http_reply_stream(struct kn_http_req *req, int status, const struct kn_http_header *headers,
                          size_t header_count, uint64_t length)
{
    if (req->answer != KN_HTTP_UNANSWERED || req->aborted || req->gone)
        return;
    req->answer = KN_HTTP_STREAM;
    req->length_left = length;
    req->backend->reply_stream(req, status, headers, header_count, length);
    req->backend->touch(req);
}

void kn_http_reply_file(struct kn_http_req *req, int status, const struct kn_http_header *headers,
                        size_t header_count, const struct kn_http_file *file)
{
    if (req->answer != KN_HTTP_UNANSWERED || req->aborted || req->gone) {
        if (file->release)
            file->release(file->arg);
        return;
    }
    req->answer = KN_HTTP_FILE;
    req->file = *file;
    req->backend->reply_file(req, status, headers, header_count, file);
    req->backend->touch(req);
}

void kn_http_resume_answer(struct kn_http_req *req)
{
    req->pull_waits = false;
    if (!req->in_data || !req->backend->produces)
        req->backend->touch(req);
}

void kn_http_abort(struct kn_http_req *req)
{
    req->aborted = true;
    req->backend->touch(req);
}

void kn_http_close_after(struct kn_http_req *req)
{
    req->close_after = true;
}

/* --- waiting ----------------------------------------------------------------------------- */
struct kn_http_ref kn_http_ref_of(struct kn_http_req *req)
{
    return req->ref;
}

void kn_http_deadline(struct kn_http_req *req, int64_t in_ms)
{
    req->backend->deadline(req, in_ms);
}

void kn_http_gate_wait(struct kn_http_req *req, struct kn_gate *gate, uint64_t seen)
{
    req->backend->gate_wait(req, gate, seen);
}

static void job_main(void *arg)
{
    struct kn_http_job *job = arg;
    struct kn_http_ref ref = job->ref; /* the request may be gone once it has been woken */
    job->run(job->arg);
    kn_http_wake(ref, KN_HTTP_WAKE_JOB);
}

int kn_http_offload(struct kn_http_req *req, enum kn_http_lane lane, void (*job)(void *arg),
                    void *arg)
{
    kn_assert(!req->job.running);
    req->job = (struct kn_http_job){.run = job, .arg = arg, .ref = req->ref, .running = true};
    int r = kn_pool_run(req->workers->lanes[lane], job_main, &req->job);
    if (r < 0)
        req->job.running = false;
    return r;
}

/* --- composing --------------------------------------------------------------------------- */
int kn_http_hand_over(struct kn_http_req *req, const struct kn_http_ops *ops, void *ctx)
{
    if (req->owner_count == KN_HTTP_OWNERS_MAX)
        return -EDQUOT;
    req->owners[req->owner_count++] = (struct kn_http_owner){ops, ctx};
    req->paused = false;
    req->resumed = true;
    if (req->body_complete)
        req->end_due = true; /* the new owner sees a whole life: head(), then end() */
    int r = kn_http_req_head(req);
    req->backend->touch(req);
    return r;
}
