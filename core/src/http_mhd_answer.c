/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers through libmicrohttpd. It takes an answer only with the head or after the whole body, so
 * what a handler says is kept as a response object until then. A streamed answer is read by a
 * callback: WAIT suspends the connection, a wake-up resumes it.
 */
#include "http_mhd.h"

#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

static struct kn_mhd_req *req_of(struct kn_http_req *base)
{
    return KN_CONTAINER_OF(base, struct kn_mhd_req, base);
}

static void suspend(struct kn_http_req *base) /* under the mailbox's lock */
{
    struct kn_mhd_req *req = req_of(base);
    if (atomic_load(&req->mhd->closing))
        return;
    req->asleep = true;
    req->suspended = true;
    MHD_suspend_connection(req->connection);
}

static void
sleep_on(struct kn_http_req *base) /* under the mailbox's lock, which the wait gives up */
{
    kn_cond_wait(&req_of(base)->mhd->told, &base->box->lock);
}

void kn_mhd_wait_job(struct kn_mhd_req *req)
{
    req->base.aborted = true; /* no wake() for it any more */
    while (req->base.job.running) {
        uint32_t bits = kn_http_mailbox_take_bits(req->base.box, req->base.ref, sleep_on);
        kn_http_req_wake(&req->base, bits);
    }
}

bool kn_mhd_wait(struct kn_mhd_req *req)
{
    if (!req->left)
        kn_mhd_watch_socket(req, true); /* before sleeping: it may have left already */
    req->asleep = false;
    uint32_t bits = kn_http_mailbox_take_bits(req->base.box, req->base.ref, suspend);
    if (!bits)
        return !req->asleep;
    kn_mhd_watch_socket(req, false);
    if (bits & KN_HTTP_WAKE_LEFT)
        req->left = true;
    kn_http_req_wake(&req->base, bits & ~KN_HTTP_WAKE_LEFT);
    return true;
}

/* --- responses --------------------------------------------------------------------------- */
static void keep_response(struct kn_mhd_req *req, struct MHD_Response *response, int status,
                          const struct kn_http_header *headers, size_t header_count)
{
    struct kn_arena *arena = kn_http_arena(&req->base);
    if (!response) {
        req->base.aborted = true;
        return;
    }
    for (size_t i = 0; i < header_count; i++) {
        struct kn_str name = kn_arena_str(arena, headers[i].name);
        struct kn_str value = kn_arena_str(arena, headers[i].value);
        if (name.ptr && value.ptr) /* it refuses values with line ends itself */
            (void) MHD_add_response_header(response, name.ptr, value.ptr);
    }
    if (req->base.close_after)
        (void) MHD_add_response_header(response, "Connection", "close");
    req->response = response;
    req->status = status;
    kn_metric_add(req->mhd->listener->requests[status / 100 % 6], 1);
}

static void mhd_reply(struct kn_http_req *base, int status, const struct kn_http_header *headers,
                      size_t header_count, struct kn_bytes body)
{
    static uint8_t nothing;
    void *copy = malloc(body.len ? body.len : 1);
    if (!copy) {
        base->aborted = true;
        return;
    }
    memcpy(copy, body.len ? body.ptr : &nothing, body.len ? body.len : 1);
    struct MHD_Response *response =
        MHD_create_response_from_buffer(body.len, copy, MHD_RESPMEM_MUST_FREE);
    if (!response)
        free(copy);
    keep_response(req_of(base), response, status, headers, header_count);
}

ssize_t kn_mhd_pull(void *ctx, uint64_t pos, char *dst, size_t cap)
{
    struct kn_mhd_req *req = ctx;
    (void) pos;
    for (;;) {
        if (req->base.aborted || req->left || atomic_load(&req->mhd->closing))
            return MHD_CONTENT_READER_END_WITH_ERROR;
        ssize_t n = req->base.pull_waits ? KN_HTTP_WAIT : kn_http_req_pull(&req->base, dst, cap);
        if (n > 0)
            return n;
        if (n == KN_HTTP_EOF)
            return MHD_CONTENT_READER_END_OF_STREAM;
        if (n == KN_HTTP_FAIL)
            return MHD_CONTENT_READER_END_WITH_ERROR;
        if (!kn_mhd_wait(req))
            return 0; /* suspended; called again once resumed */
    }
}

static void mhd_reply_stream(struct kn_http_req *base, int status,
                             const struct kn_http_header *headers, size_t header_count,
                             uint64_t length)
{
    uint64_t size = length == KN_HTTP_LENGTH_UNKNOWN ? MHD_SIZE_UNKNOWN : length;
    struct MHD_Response *response = MHD_create_response_from_callback(
        size, KN_MHD_BLOCK_BYTES, kn_mhd_pull, req_of(base), NULL);
    keep_response(req_of(base), response, status, headers, header_count);
}

static void mhd_reply_file(struct kn_http_req *base, int status,
                           const struct kn_http_header *headers, size_t header_count,
                           const struct kn_http_file *file)
{
    int fd = dup(file->fd); /* the response closes its own */
    struct MHD_Response *response =
        fd < 0 ? NULL : MHD_create_response_from_fd_at_offset64(file->len, fd, file->off);
    if (!response && fd >= 0)
        close(fd);
    keep_response(req_of(base), response, status, headers, header_count);
}

/* --- the rest of the table --------------------------------------------------------------- */
static void mhd_touch(struct kn_http_req *base)
{
    (void) base; /* its callbacks run from libmicrohttpd's, which look at the marks afterwards */
}

static void mhd_deadline(struct kn_http_req *base, int64_t in_ms)
{
    kn_mhd_watch_deadline(req_of(base), in_ms);
}

static void mhd_gate_wait(struct kn_http_req *base, struct kn_gate *gate, uint64_t seen)
{
    struct kn_mhd_req *req = req_of(base);
    if (base->gate)
        kn_gate_leave(base->gate, &req->gate_waiter);
    base->gate = NULL;
    if (!gate || base->gone)
        return;
    if (kn_gate_join(gate, &req->gate_waiter, seen))
        base->gate = gate;
    else
        kn_http_wake(base->ref, KN_HTTP_WAKE_GATE);
}

const struct kn_http_backend kn_mhd_backend = {
    .reply = mhd_reply,
    .reply_stream = mhd_reply_stream,
    .reply_file = mhd_reply_file,
    .touch = mhd_touch,
    .deadline = mhd_deadline,
    .gate_wait = mhd_gate_wait,
};
