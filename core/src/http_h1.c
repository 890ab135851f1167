/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP/1.1 side of a connection (RFC 9112): heads, bodies, keep-alive and pipelining. Reading
 * the body and writing the answer are independent of one another, since a PutMedia upload is
 * acknowledged while it is still arriving (contracts/kvs-producer.md 4).
 */
#include "http_h1.h"

#include "http_conn.h"
#include "http_h1_req.h"

#include <errno.h>

/* --- the end of a request ---------------------------------------------------------------- */
static void request_over(struct kn_http_conn *conn, struct kn_h1_req *req, bool keep)
{
    struct kn_h1 *h1 = &conn->h1;
    kn_h1_req_end(req, KN_HTTP_DONE);
    conn->finish = !keep;
    conn->clean_end = h1->phase != KN_H1_BODY;
    h1->phase = KN_H1_HEAD;
    h1->reused = true;
    h1->left = false;
    h1->head_begun = false;
    h1->scan = 0;
    h1->since_ns = conn->loop->now_ns;
}

/* Looks at the marks that callbacks left. True: the request is over. */
static bool settle(struct kn_http_conn *conn)
{
    struct kn_h1_req *req = conn->h1.req;
    if (!req)
        return true;
    struct kn_http_req *base = &req->base;
    if (base->aborted) {
        kn_http_conn_close(conn, KN_HTTP_ERROR);
        return true;
    }
    if (!base->answer_complete || base->end_due)
        return false;
    if (base->body_complete) {
        request_over(conn, req, req->keep_alive && !base->close_after && !conn->loop->draining);
        return true;
    }
    if (conn->h1.phase == KN_H1_BODY && base->answer != KN_HTTP_STREAM && req->keep_alive)
        return false;               /* a short rest is read and dropped */
    request_over(conn, req, false); /* answered before the upload has ended */
    return true;
}

/* --- input ------------------------------------------------------------------------------- */
static void body_done(struct kn_http_conn *conn)
{
    conn->h1.phase = KN_H1_WAIT;
    kn_http_req_end(&conn->h1.req->base);
}

/* How the body comes, then head(), then what follows from its answer. */
static void request_begin(struct kn_http_conn *conn, const struct kn_h1_head *head)
{
    struct kn_h1 *h1 = &conn->h1;
    struct kn_h1_req *req = h1->req;
    bool has_body = head->chunked || head->length > 0;
    h1->chunked_body = head->chunked;
    h1->chunked = (struct kn_h1_chunked){0};
    h1->length_left = head->length;
    h1->phase = has_body ? KN_H1_BODY : KN_H1_WAIT;
    req->continue_due = head->expect_100 && has_body && !head->minor_0;
    conn->read_mark_ns = h1->since_ns = conn->loop->now_ns;

    if (kn_http_req_head(&req->base) < 0)
        return;
    bool unanswered = req->base.answer == KN_HTTP_UNANSWERED;
    if (unanswered && req->base.collecting && head->length > req->base.body.max) {
        if (!kn_http_req_too_large(&req->base)) {
            kn_h1_refuse(conn, 413);
            return;
        }
        unanswered = false;
    }
    if (unanswered || req->base.answer == KN_HTTP_STREAM)
        kn_h1_continue(req);
    if (!has_body)
        body_done(conn);
}

static size_t feed_head(struct kn_http_conn *conn, uint8_t *bytes, size_t len)
{
    struct kn_h1 *h1 = &conn->h1;
    char *buf = (char *) bytes;
    if (!h1->head_begun) {
        if (!h1->reused && h1->since_ns == 0)
            h1->since_ns = conn->phase_ns;
        else
            h1->since_ns = conn->loop->now_ns;
        h1->head_begun = true;
    }
    /* RFC 9112 2.2: an empty line before the request line is to be overlooked; one of them is. */
    size_t skip = len >= 2 && memcmp(buf, "\r\n", 2) == 0 ? 2 : 0;
    size_t scan = h1->scan > skip ? h1->scan - skip : 0;
    if (len == 1 && buf[0] == '\r')
        return 0;
    ssize_t n = kn_h1_head_find(buf + skip, len - skip, &scan);
    h1->scan = scan + skip;
    if (n < 0) {
        kn_h1_refuse(conn, 400);
        return len;
    }
    size_t head_len = n > 0 ? (size_t) n : len - skip;
    if (head_len > conn->loop->conf->head_bytes_max) {
        kn_h1_refuse(conn, 431);
        return len;
    }
    if (n == 0)
        return 0;
    struct kn_h1_head head;
    int status = kn_h1_head_parse(buf + skip, head_len, conn->loop->headers,
                                  conn->loop->conf->headers_max, &head);
    if (status) {
        kn_h1_refuse(conn, status);
        return len;
    }
    h1->scan = 0;
    h1->head_begun = false;
    h1->req = kn_h1_req_new(conn, buf + skip, head_len, &head);
    if (!h1->req)
        kn_h1_refuse(conn, 503);
    else
        request_begin(conn, &head);
    return skip + head_len;
}

/* What came of body bytes offered: how many were taken; -1 when the request is over by that. */
static ssize_t offer(struct kn_http_conn *conn, const uint8_t *ptr, size_t len)
{
    ssize_t n = kn_http_req_data(&conn->h1.req->base, ptr, len);
    if (n == -EMSGSIZE)
        kn_h1_refuse(conn, 413);
    return n < 0 ? -1 : n;
}

static size_t feed_length_body(struct kn_http_conn *conn, const uint8_t *buf, size_t len)
{
    struct kn_h1 *h1 = &conn->h1;
    ssize_t n = offer(conn, buf, (size_t) kn_min_u64(len, h1->length_left));
    if (n < 0)
        return len;
    h1->length_left -= (uint64_t) n;
    if (h1->length_left == 0)
        body_done(conn);
    return (size_t) n;
}

static size_t feed_chunked_body(struct kn_http_conn *conn, const uint8_t *buf, size_t len)
{
    struct kn_h1 *h1 = &conn->h1;
    struct kn_bytes in = {buf, len}, data;
    while (!h1->req->base.paused) {
        if (kn_h1_chunked_next(&h1->chunked, &in, &data) < 0) {
            kn_h1_refuse(conn, 400);
            return len;
        }
        if (h1->chunked.state == KN_H1_END) {
            body_done(conn);
            break;
        }
        if (data.len == 0)
            break;
        ssize_t n = offer(conn, data.ptr, data.len);
        if (n < 0)
            return len;
        kn_h1_chunked_took(&h1->chunked, &in, (size_t) n);
    }
    return len - in.len;
}

static size_t feed_once(struct kn_http_conn *conn, uint8_t *buf, size_t len)
{
    struct kn_h1 *h1 = &conn->h1;
    if (h1->phase == KN_H1_HEAD)
        return feed_head(conn, buf, len);
    if (h1->phase == KN_H1_BODY && !h1->req->base.paused)
        return h1->chunked_body ? feed_chunked_body(conn, buf, len)
                                : feed_length_body(conn, buf, len);
    return 0;
}

static bool h1_wants_input(struct kn_http_conn *conn)
{
    const struct kn_h1 *h1 = &conn->h1;
    if (h1->phase == KN_H1_HEAD)
        return kn_http_conn_out_left(conn) < KN_HTTP_OUT_STALL_BYTES;
    return h1->phase == KN_H1_BODY && !h1->req->base.paused;
}

static size_t h1_feed(struct kn_http_conn *conn, uint8_t *buf, size_t len)
{
    size_t used = 0;
    while (used < len && !conn->finish && h1_wants_input(conn)) {
        size_t n = feed_once(conn, buf + used, len - used);
        used += n;
        bool over = settle(conn);
        if (conn->phase != KN_HTTP_SERVING || (n == 0 && !over))
            break;
        if (n == 0 && conn->h1.phase == KN_H1_HEAD)
            break;
    }
    return used;
}

static void h1_eof(struct kn_http_conn *conn)
{
    struct kn_h1 *h1 = &conn->h1;
    struct kn_h1_req *req = h1->req;
    if (!req) {
        bool more = !conn->eof || (conn->in.len > 0 && !conn->in_short);
        if (!more) { /* between requests, or within a head: nothing can come of it */
            conn->finish = true;
            conn->clean_end = true;
        }
        return;
    }
    if (!req->base.body_complete) {
        if (conn->eof && !req->base.paused)
            conn->failed = true; /* the rest of the body will never come */
        return;
    }
    if (!h1->left) {
        h1->left = true;
        h1->left_ns = conn->loop->now_ns;
    }
}

/* A peer that has closed its half may still read, though most have simply left. It gets a moment
 * for its answer, and longer while it takes bytes: one that has left refuses those by a reset. */
static int64_t left_due_ns(const struct kn_http_conn *conn)
{
    const struct kn_http_req *req = &conn->h1.req->base;
    if (req->answer == KN_HTTP_WHOLE || req->answer == KN_HTTP_FILE)
        return INT64_MAX; /* the write timeout watches these */
    return kn_max_i64(conn->h1.left_ns, conn->write_mark_ns) + KN_HTTP_LEFT_MS * INT64_C(1000000);
}

static int64_t h1_read_due_ns(struct kn_http_conn *conn)
{
    const struct kn_http_conf *conf = conn->loop->conf;
    const struct kn_h1 *h1 = &conn->h1;
    if (conn->finish)
        return INT64_MAX;
    if (h1->phase == KN_H1_HEAD) {
        if (!h1->reused && !h1->head_begun)
            return conn->phase_ns + (int64_t) conf->head_timeout_ms * 1000000;
        uint64_t ms = h1->head_begun ? conf->head_timeout_ms : conf->idle_timeout_ms;
        return h1->since_ns + (int64_t) ms * 1000000;
    }
    if (h1->phase == KN_H1_BODY && !h1->req->base.paused) {
        int64_t due_ns = conn->read_mark_ns + (int64_t) conf->body_timeout_ms * 1000000;
        int64_t all_ns = h1->since_ns + (int64_t) conf->gather_timeout_ms * 1000000;
        return h1->req->base.collecting ? kn_min_i64(due_ns, all_ns) : due_ns;
    }
    return h1->left ? left_due_ns(conn) : INT64_MAX;
}

static void h1_timed_out(struct kn_http_conn *conn)
{
    struct kn_h1 *h1 = &conn->h1;
    bool answered = h1->req && h1->req->base.answer != KN_HTTP_UNANSWERED;
    if (h1->phase == KN_H1_WAIT)
        kn_http_conn_close(conn, KN_HTTP_PEER_GONE);
    else if ((h1->phase == KN_H1_HEAD && !h1->head_begun) || answered)
        kn_http_conn_close(conn, KN_HTTP_TIMEOUT);
    else
        kn_h1_refuse(conn, 408);
}

static void h1_gone(struct kn_http_conn *conn, enum kn_http_why why)
{
    if (conn->h1.req)
        kn_h1_req_end(conn->h1.req, why);
}

static void h1_drain(struct kn_http_conn *conn)
{
    if (!conn->h1.req) {
        conn->finish = true;
        conn->clean_end = true;
        return;
    }
    kn_http_wake(conn->h1.req->base.ref, KN_HTTP_WAKE_SHUTDOWN);
}

static void h1_produce(struct kn_http_conn *conn)
{
    if (settle(conn) && conn->phase != KN_HTTP_SERVING)
        return;
    kn_h1_produce(conn);
    (void) settle(conn);
}

const struct kn_http_proto kn_h1_proto = {
    .wants_input = h1_wants_input,
    .feed = h1_feed,
    .eof = h1_eof,
    .produce = h1_produce,
    .read_due_ns = h1_read_due_ns,
    .timed_out = h1_timed_out,
    .gone = h1_gone,
    .drain = h1_drain,
};
