/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream's request. nghttp2 has checked the fields' form (RFC 9113 8.2: lower case, no control
 * bytes, no hop-by-hop headers, pseudo-headers first and once); what HTTP/1.1 readers of the same
 * request could see differently is checked here: target, and :authority against host.
 */
#include "http_h1_parse.h"
#include "http_h2.h"

#include <errno.h>

static struct kn_h2_req *take_spare(struct kn_http_loop *loop)
{
    struct kn_h2_req *req = loop->h2_spares;
    if (!req)
        return calloc(1, sizeof(*req));
    loop->h2_spares = req->next_spare;
    loop->h2_spare_count--;
    struct kn_buf head = req->head, out = req->out;
    struct kn_http_header *headers = req->headers;
    size_t header_max = req->header_max;
    *req =
        (struct kn_h2_req){.head = head, .out = out, .headers = headers, .header_max = header_max};
    return req;
}

static void req_free(struct kn_h2_req *req)
{
    kn_buf_done(&req->head);
    kn_buf_done(&req->out);
    free(req->headers);
    free(req);
}

static void give_spare(struct kn_http_loop *loop, struct kn_h2_req *req)
{
    bool small = req->head.cap <= 4096 && req->out.cap <= 16384 && req->header_max <= 64;
    kn_buf_done(&req->in);
    if (!small || loop->h2_spare_count >= KN_H2_SPARES) {
        req_free(req);
        return;
    }
    kn_buf_clear(&req->head);
    kn_buf_clear(&req->out);
    req->next_spare = loop->h2_spares;
    loop->h2_spares = req;
    loop->h2_spare_count++;
}

void kn_h2_spares_done(struct kn_http_loop *loop)
{
    while (loop->h2_spares) {
        struct kn_h2_req *req = loop->h2_spares;
        loop->h2_spares = req->next_spare;
        req_free(req);
    }
}

struct kn_h2_req *kn_h2_req_new(struct kn_http_conn *conn, int32_t id)
{
    struct kn_http_loop *loop = conn->loop;
    struct kn_h2_req *req = take_spare(loop);
    if (!req)
        return NULL;
    struct kn_http_req *base = &req->base;
    kn_http_req_init(base, &kn_h2_backend, conn->listener->ops, conn->listener->ctx);
    req->conn = conn;
    req->loop = loop;
    req->id = id;
    req->since_ns = loop->now_ns;
    req->host_at = SIZE_MAX;
    req->head.max = 2 * loop->conf->head_bytes_max;
    req->out.max = KN_HTTP_OUT_BYTES_MAX;
    kn_buf_init(&req->in, 2 * KN_H2_STREAM_WINDOW_BYTES);
    base->box = loop->box;
    base->workers = loop->workers;
    base->timer.fire = kn_http_loop_deadline_fired;
    base->is_tls = conn->ssl != NULL;
    base->is_loopback = conn->is_loopback;
    int r = kn_http_timers_reserve(&loop->timers, 1);
    if (r == 0 && kn_http_mailbox_add(loop->box, base, NULL, &base->ref) < 0) {
        kn_http_timers_give_back(&loop->timers, 1);
        r = -ENOMEM;
    }
    if (r < 0) {
        give_spare(loop, req);
        return NULL;
    }
    kn_http_req_client(base, conn->client_name);
    loop->request_count++;
    struct kn_h2 *h2 = conn->h2;
    req->next = h2->requests;
    req->at = &h2->requests;
    if (req->next)
        req->next->at = &req->next;
    h2->requests = req;
    h2->request_count++;
    return req;
}

static void leave_conn(struct kn_h2_req *req)
{
    struct kn_h2 *h2 = req->conn->h2;
    *req->at = req->next;
    if (req->next)
        req->next->at = req->at;
    for (struct kn_h2_req **at = &h2->touched; req->is_touched && *at; at = &(*at)->touched_next) {
        if (*at != req)
            continue;
        *at = req->touched_next;
        break;
    }
    h2->request_count--;
    h2->since_ns = req->loop->now_ns;
    req->conn = NULL;
}

void kn_h2_req_end(struct kn_h2_req *req, enum kn_http_why why)
{
    if (req->conn)
        leave_conn(req);
    if (!req->begun)
        req->base.owner_count = 0; /* no handler has seen it */
    if (!kn_http_req_gone(&req->base, why))
        return;
    kn_http_loop_give_buf(req->loop, &req->base.body);
    req->loop->request_count--;
    kn_http_timers_give_back(&req->loop->timers, 1);
    give_spare(req->loop, req);
}

/* --- the head ---------------------------------------------------------------------------- */
/* Text is kept as offsets until the buffer has stopped moving. */
static struct kn_str keep(struct kn_h2_req *req, struct kn_str s)
{
    struct kn_str at = {(const char *) (uintptr_t) req->head.len, s.len};
    if (kn_buf_append_str(&req->head, s) < 0 || kn_buf_append_byte(&req->head, 0) < 0)
        req->refused = 431;
    return at;
}

static struct kn_str settled(const struct kn_h2_req *req, struct kn_str at)
{
    return (struct kn_str){(const char *) req->head.ptr + (uintptr_t) at.ptr, at.len};
}

static void add_header(struct kn_h2_req *req, struct kn_str name, struct kn_str value)
{
    if (req->header_count == req->header_max) {
        size_t max = req->header_max ? req->header_max * 2 : 32;
        struct kn_http_header *headers = realloc(req->headers, max * sizeof(*headers));
        if (!headers) {
            req->refused = 503;
            return;
        }
        req->headers = headers;
        req->header_max = max;
    }
    struct kn_http_header *h = &req->headers[req->header_count++];
    h->name = keep(req, name);
    h->value = keep(req, value);
}

static void add_host(struct kn_h2_req *req, struct kn_str value)
{
    if (req->host_at == SIZE_MAX) {
        req->host_at = req->header_count;
        add_header(req, KN_STR("host"), value);
    } else if (!kn_str_eq_nocase(settled(req, req->headers[req->host_at].value), value)) {
        req->refused = 400;
    }
}

void kn_h2_req_header(struct kn_h2_req *req, struct kn_str name, struct kn_str value)
{
    const struct kn_http_conf *conf = req->loop->conf;
    if (req->head.len + name.len + value.len > conf->head_bytes_max ||
        req->header_count >= conf->headers_max)
        req->refused = 431;
    if (req->refused)
        return;
    if (kn_str_eq(name, KN_STR(":method")))
        req->base.method = keep(req, value);
    else if (kn_str_eq(name, KN_STR(":path")))
        req->base.path = keep(req, value);
    else if (kn_str_eq(name, KN_STR(":authority")) || kn_str_eq(name, KN_STR("host")))
        add_host(req, value);
    else if (name.len > 0 && name.ptr[0] != ':')
        add_header(req, name, value);
}

int kn_h2_req_read_head(struct kn_h2_req *req)
{
    struct kn_http_req *base = &req->base;
    struct kn_str peer = keep(req, (struct kn_str){req->conn->peer, req->conn->peer_len});
    if (req->refused)
        return req->refused;
    for (size_t i = 0; i < req->header_count; i++) {
        req->headers[i].name = settled(req, req->headers[i].name);
        req->headers[i].value = settled(req, req->headers[i].value);
    }
    base->headers = req->headers;
    base->header_count = req->header_count;
    base->method = settled(req, base->method);
    base->peer = settled(req, peer);
    struct kn_str target = settled(req, base->path);
    base->is_head = kn_str_eq(base->method, KN_STR("HEAD"));
    if (req->host_at == SIZE_MAX || !kn_h1_host_is_valid(req->headers[req->host_at].value) ||
        !kn_h1_method_is_valid(base->method) || !kn_h1_target_is_valid(target) ||
        (target.ptr[0] != '/' && !kn_str_eq(target, KN_STR("*"))))
        return 400;
    base->query = kn_str_cut(target, '?', &base->path);
    if (!base->query.ptr)
        base->query = KN_STR("");
    struct kn_str expect = kn_http_header(base, "expect");
    if (expect.ptr && !kn_str_eq_nocase(expect, KN_STR("100-continue")))
        return 417;
    req->continue_due = expect.ptr != NULL;
    return 0;
}
