/* SPDX-License-Identifier: Apache-2.0 */
/* See request.h. */
#include "request.h"

#include "http_unsent.h"

#include <poll.h>

#include "core/thread.h"

enum {
    PULL_BYTES = 4096,
    PULLS_MAX = 10000
};

static struct fuzz_request *of(struct kn_http_req *base)
{
    return KN_CONTAINER_OF(base, struct fuzz_request, base);
}

static void check_headers(const struct kn_http_header *headers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        kn_assert(headers[i].name.len > 0);
        for (size_t k = 0; k < headers[i].name.len; k++)
            kn_assert(headers[i].name.ptr[k] > ' ' && headers[i].name.ptr[k] != ':');
    }
}

static void reply(struct kn_http_req *base, int status, const struct kn_http_header *headers,
                  size_t header_count, struct kn_bytes body)
{
    check_headers(headers, header_count);
    of(base)->status = status;
    of(base)->answer_bytes = body.len;
    base->answer_complete = true;
}

static void reply_stream(struct kn_http_req *base, int status, const struct kn_http_header *headers,
                         size_t header_count, uint64_t length)
{
    check_headers(headers, header_count);
    of(base)->status = status;
    of(base)->streams = length > 0;
}

static void reply_file(struct kn_http_req *base, int status, const struct kn_http_header *headers,
                       size_t header_count, const struct kn_http_file *file)
{
    check_headers(headers, header_count);
    of(base)->status = status;
    of(base)->answer_bytes = (size_t) file->len;
    base->answer_complete = true;
}

static void touch(struct kn_http_req *base)
{
    (void) base;
}

static void deadline(struct kn_http_req *base, int64_t in_ms)
{
    (void) base;
    (void) in_ms;
}

static void gate_wait(struct kn_http_req *base, struct kn_gate *gate, uint64_t seen)
{
    (void) base;
    (void) gate;
    (void) seen;
}

static const struct kn_http_backend backend = {.duplex = true,
                                               .reply = reply,
                                               .reply_stream = reply_stream,
                                               .reply_file = reply_file,
                                               .touch = touch,
                                               .deadline = deadline,
                                               .gate_wait = gate_wait};

static void wait_job(struct fuzz_request *req)
{
    while (req->base.job.running) {
        struct pollfd word = {.fd = req->base.box->event_fd, .events = POLLIN};
        (void) poll(&word, 1, 1000);
        for (struct kn_http_slot *slot = kn_http_mailbox_take(req->base.box); slot;) {
            struct kn_http_slot *next = slot->next_taken;
            uint32_t bits = slot->taken_bits;
            slot->taken_bits = 0;
            if (slot->req && bits)
                kn_http_req_wake(slot->req, bits);
            slot = next;
        }
    }
}

static void read_stream(struct fuzz_request *req)
{
    static uint8_t bytes[PULL_BYTES];
    for (int i = 0; i < PULLS_MAX && !req->base.aborted; i++) {
        ssize_t n = kn_http_req_pull(&req->base, bytes, sizeof bytes);
        if (n > 0)
            req->answer_bytes += (size_t) n;
        else if (n == KN_HTTP_WAIT && req->base.job.running)
            wait_job(req);
        else
            return;
    }
}

void fuzz_request_ask(struct fuzz_request *req, const struct kn_http_ops *ops, void *ctx,
                      struct kn_bytes body)
{
    static struct kn_http_mailbox *box;
    static struct kn_http_workers workers;
    static struct kn_http_unsent unsent;
    struct kn_http_req asked = req->base;
    if (!box) {
        kn_assert(kn_http_mailbox_open(&box) == 0);
        for (unsigned i = 0; i < KN_HTTP_LANES; i++)
            kn_assert(kn_pool_new("fuzz", 1, 16, &workers.lanes[i]) == 0);
        const struct kn_http_conf conf = {.unsent_bytes_max = 1 << 30}; /* of no matter here */
        kn_http_unsent_init(&unsent, &conf, NULL);
        workers.unsent = &unsent;
    }
    kn_http_req_init(&req->base, &backend, ops, ctx);
    req->base.method = asked.method;
    req->base.path = asked.path;
    req->base.query = asked.query.ptr ? asked.query : KN_STR("");
    req->base.headers = asked.headers;
    req->base.header_count = asked.header_count;
    req->base.is_loopback = asked.is_loopback;
    req->base.peer = KN_STR("192.0.2.1:4711");
    req->base.box = box;
    req->base.workers = &workers;
    req->base.file.fd = -1;
    kn_assert(kn_http_mailbox_add(box, &req->base, NULL, &req->base.ref) == 0);
    if (kn_http_req_head(&req->base) == 0) {
        if (body.len == 0 || kn_http_req_data(&req->base, body.ptr, body.len) >= 0)
            kn_http_req_end(&req->base);
        wait_job(req);
        kn_assert(req->status >= 200 || body.len > 0);
        if (req->streams)
            read_stream(req);
    }
    req->base.aborted = true;
    wait_job(req);
    kn_assert(kn_http_req_gone(&req->base, KN_HTTP_DONE));
    kn_buf_done(&req->base.body);
}
