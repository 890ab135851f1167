/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_http.h"

#include <errno.h>

void fake_http_init(struct kn_http_req *req, const char *method, const char *path)
{
    *req = (struct kn_http_req){.method = kn_str_from(method), .path = kn_str_from(path)};
    kn_buf_init(&req->answer, 1 << 24);
    kn_buf_init(&req->answer_headers, 1 << 16);
}

void fake_http_done(struct kn_http_req *req)
{
    kn_buf_done(&req->answer);
    kn_buf_done(&req->answer_headers);
    if (req->arena_used)
        kn_arena_done(&req->arena);
}

void fake_http_header(struct kn_http_req *req, const char *name, struct kn_str value)
{
    kn_assert(req->header_count < FAKE_HTTP_HEADERS_MAX);
    req->headers[req->header_count++] = (struct kn_http_header){kn_str_from(name), value};
}

static void end(struct kn_http_req *req)
{
    unsigned owner = req->owner_count - 1;
    if (req->owners[owner]->end && !req->answered)
        req->owners[owner]->end(req, req->ctxs[owner]);
}

void fake_http_start(struct kn_http_req *req, const struct kn_http_ops *ops, void *ctx)
{
    req->owners[0] = ops;
    req->ctxs[0] = ctx;
    req->owner_count = 1;
    int error = ops->head(req, &req->ctxs[0]);
    kn_assert(error == 0);
    if (req->collecting && !req->answered) {
        req->body_complete = true;
        end(req);
    }
}

bool fake_http_run_job(struct kn_http_req *req)
{
    void (*job)(void *arg) = req->job;
    if (!job)
        return false;
    job(req->job_arg);
    req->job = NULL;
    unsigned owner = req->owner_count - 1;
    req->owners[owner]->wake(req, req->ctxs[owner], KN_HTTP_WAKE_JOB);
    return true;
}

bool fake_http_run_wake(struct kn_http_req *req)
{
    uint32_t bits = req->woken;
    req->woken = 0;
    if (!bits || !req->owner_count)
        return false;
    unsigned owner = req->owner_count - 1;
    req->owners[owner]->wake(req, req->ctxs[owner], bits);
    return true;
}

void fake_http_gone(struct kn_http_req *req, enum kn_http_why why)
{
    while (req->owner_count) {
        unsigned owner = --req->owner_count;
        if (req->owners[owner]->gone)
            req->owners[owner]->gone(req, req->ctxs[owner], why);
    }
}

bool fake_http_answer_has(const struct kn_http_req *req, const char *header)
{
    return req->answer_headers.len &&
           memmem(req->answer_headers.ptr, req->answer_headers.len, header, strlen(header));
}

/* --- what core/http.h promises --------------------------------------------------------------- */
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
    for (size_t i = 0; i < req->header_count; i++)
        if (kn_str_eq(req->headers[i].name, kn_str_from(lowercase)))
            return req->headers[i].value;
    return (struct kn_str){NULL, 0};
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

bool kn_http_is_loopback(struct kn_http_req *req)
{
    return !req->is_remote;
}

struct kn_str kn_http_peer(struct kn_http_req *req)
{
    (void) req;
    return KN_STR("127.0.0.1:4711");
}

struct kn_http_ref kn_http_ref_of(struct kn_http_req *req)
{
    return (struct kn_http_ref){(uint64_t) (uintptr_t) req};
}

void kn_http_wake(struct kn_http_ref ref, uint32_t bits)
{
    ((struct kn_http_req *) (uintptr_t) ref.v)->woken |= bits;
}

void kn_http_collect(struct kn_http_req *req, size_t max)
{
    kn_assert(req->body.len <= max);
    req->collecting = true;
}

struct kn_bytes kn_http_body(struct kn_http_req *req)
{
    return req->body;
}

void kn_http_reply(struct kn_http_req *req, int status, const struct kn_http_header *headers,
                   size_t header_count, struct kn_bytes body)
{
    kn_assert(!req->answered);
    req->answered = true;
    req->status = status;
    for (size_t i = 0; i < header_count; i++)
        (void) kn_buf_printf(&req->answer_headers, KN_STR_FMT ": " KN_STR_FMT "\n",
                             KN_STR_ARG(headers[i].name), KN_STR_ARG(headers[i].value));
    (void) kn_buf_append(&req->answer, body.ptr, body.len);
}

void kn_http_close_after(struct kn_http_req *req)
{
    req->close_after = true;
}

int kn_http_offload(struct kn_http_req *req, enum kn_http_lane lane, void (*job)(void *arg),
                    void *arg)
{
    kn_assert(!req->job);
    if (req->pool_full)
        return -EAGAIN;
    req->job = job;
    req->job_lane = lane;
    req->job_arg = arg;
    return 0;
}

int kn_http_hand_over(struct kn_http_req *req, const struct kn_http_ops *ops, void *ctx)
{
    kn_assert(req->owner_count < FAKE_HTTP_OWNERS_MAX);
    req->owners[req->owner_count] = ops;
    req->ctxs[req->owner_count] = ctx;
    req->owner_count++;
    return ops->head(req, &req->ctxs[req->owner_count - 1]);
}

/* --- streams: fake_call.h has them ------------------------------------------------------------ */
void kn_http_reply_stream(struct kn_http_req *req KN_UNUSED, int status KN_UNUSED,
                          const struct kn_http_header *headers KN_UNUSED,
                          size_t header_count KN_UNUSED, uint64_t length KN_UNUSED)
{
    kn_assert(false);
}

void kn_http_deadline(struct kn_http_req *req KN_UNUSED, int64_t in_ms KN_UNUSED)
{
    kn_assert(false);
}

void kn_http_gate_wait(struct kn_http_req *req KN_UNUSED, struct kn_gate *gate KN_UNUSED,
                       uint64_t seen KN_UNUSED)
{
    kn_assert(false);
}

int kn_http_hold(struct kn_http_req *req KN_UNUSED, size_t bytes KN_UNUSED)
{
    return 0;
}

void kn_http_unhold(struct kn_http_req *req KN_UNUSED)
{
}
