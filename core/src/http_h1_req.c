/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The request object of HTTP/1.1. It and the memory its head is copied to come from a pool of the
 * loop, so a keep-alive connection's steady state allocates nothing. The head is copied once, out
 * of the loop's read buffer: that is what keeps an idle or parked connection small.
 */
#include "http_h1_req.h"

#include <errno.h>

static struct kn_h1_req *take_spare(struct kn_http_loop *loop)
{
    struct kn_h1_req *req = loop->h1_spares;
    if (req) {
        loop->h1_spares = req->next_spare;
        loop->h1_spare_count--;
        return req;
    }
    req = malloc(sizeof(*req));
    if (!req)
        return NULL;
    req->block = malloc(KN_H1_BLOCK_BYTES);
    if (!req->block) {
        free(req);
        return NULL;
    }
    return req;
}

static void give_spare(struct kn_h1_req *req)
{
    struct kn_http_loop *loop = req->loop;
    if (!req->large && loop->h1_spare_count < KN_HTTP_REQ_SPARES) {
        req->next_spare = loop->h1_spares;
        loop->h1_spares = req;
        loop->h1_spare_count++;
        return;
    }
    free(req->block);
    free(req);
}

void kn_http_h1_spares_done(struct kn_http_loop *loop)
{
    while (loop->h1_spares) {
        struct kn_h1_req *req = loop->h1_spares;
        loop->h1_spares = req->next_spare;
        free(req->block);
        free(req);
    }
}

static struct kn_str moved(struct kn_str view, const char *from, size_t len, const char *to)
{
    bool inside = view.ptr >= from && view.ptr <= from + len;
    return inside ? (struct kn_str){to + (view.ptr - from), view.len} : view;
}

static void move_head(struct kn_h1_req *req, const char *buf, size_t len,
                      const struct kn_h1_head *head)
{
    struct kn_http_header *headers = (struct kn_http_header *) (void *) req->block;
    char *text = (char *) (headers + head->header_count);
    memcpy(text, buf, len);
    for (size_t i = 0; i < head->header_count; i++) {
        headers[i].name = moved(head->headers[i].name, buf, len, text);
        headers[i].value = moved(head->headers[i].value, buf, len, text);
    }
    req->base.headers = headers;
    req->base.header_count = head->header_count;
    req->base.method = moved(head->method, buf, len, text);
    req->base.path = moved(head->path, buf, len, text);
    req->base.query = moved(head->query, buf, len, text);
    memcpy(text + len, req->conn->peer, req->conn->peer_len); /* the request may outlive it */
    req->base.peer = (struct kn_str){text + len, req->conn->peer_len};
}

struct kn_h1_req *kn_h1_req_new(struct kn_http_conn *conn, const char *buf, size_t len,
                                const struct kn_h1_head *head)
{
    struct kn_http_loop *loop = conn->loop;
    struct kn_h1_req *req = take_spare(loop);
    if (!req)
        return NULL;
    uint8_t *block = req->block;
    *req =
        (struct kn_h1_req){.conn = conn, .loop = loop, .listener = conn->listener, .block = block};
    size_t need = head->header_count * sizeof(struct kn_http_header) + len + conn->peer_len;
    if (need > KN_H1_BLOCK_BYTES) {
        if (!(block = malloc(need))) {
            give_spare(req);
            return NULL;
        }
        free(req->block);
        req->block = block;
        req->large = true;
    }
    struct kn_http_req *base = &req->base;
    kn_http_req_init(base, &kn_h1_backend, conn->listener->ops, conn->listener->ctx);
    base->box = loop->box;
    base->workers = loop->workers;
    base->timer.fire = kn_http_loop_deadline_fired;
    if (kn_http_timers_reserve(&loop->timers, 1) < 0) {
        give_spare(req);
        return NULL;
    }
    if (kn_http_mailbox_add(loop->box, base, NULL, &base->ref) < 0) {
        kn_http_timers_give_back(&loop->timers, 1);
        give_spare(req);
        return NULL;
    }
    move_head(req, buf, len, head);
    base->is_head = kn_str_eq(base->method, KN_STR("HEAD"));
    base->is_tls = conn->ssl != NULL;
    base->is_loopback = conn->is_loopback;
    kn_http_req_client(base, conn->client_name);
    req->minor_0 = head->minor_0;
    req->keep_alive = !head->close && (!head->minor_0 || head->keep_alive);
    loop->request_count++;
    return req;
}

static void req_free(struct kn_h1_req *req)
{
    kn_http_loop_give_buf(req->loop, &req->base.body);
    req->loop->request_count--;
    kn_http_timers_give_back(&req->loop->timers, 1);
    give_spare(req);
}

void kn_h1_req_end(struct kn_h1_req *req, enum kn_http_why why)
{
    if (req->conn) {
        kn_http_pace_allow(req->conn, 0);
        req->conn->h1.req = NULL;
        req->conn = NULL;
    }
    if (kn_http_req_gone(&req->base, why))
        req_free(req);
}
