/* SPDX-License-Identifier: Apache-2.0 */
/* The list of idle connections, longest idle first, and the count of bytes held; see http_guard.h.
 */
#include "http_guard.h"

#include "http_h1_req.h"
#include "http_h2.h"
#include "http_server_impl.h"

#include <stdatomic.h>

#include "core/log.h"

/* --- idle connections -------------------------------------------------------------------- */
static void unlink_idle(struct kn_http_conn *conn)
{
    struct kn_http_loop *loop = conn->loop;
    if (!conn->is_idle)
        return;
    conn->is_idle = false;
    *(conn->idle_prev ? &conn->idle_prev->idle_next : &loop->idle_first) = conn->idle_next;
    *(conn->idle_next ? &conn->idle_next->idle_prev : &loop->idle_last) = conn->idle_prev;
}

static void link_idle(struct kn_http_conn *conn, int64_t since_ns)
{
    struct kn_http_loop *loop = conn->loop;
    conn->is_idle = true;
    conn->idle_since_ns = since_ns;
    conn->idle_next = NULL;
    conn->idle_prev = loop->idle_last;
    *(loop->idle_last ? &loop->idle_last->idle_next : &loop->idle_first) = conn;
    loop->idle_last = conn;
}

/* When it became idle; INT64_MIN: a request is in progress. */
static int64_t idle_since_ns(const struct kn_http_conn *conn)
{
    if (conn->phase != KN_HTTP_SERVING || !conn->proto)
        return conn->phase_ns;
    if (conn->h2)
        return conn->h2->request_count == 0 ? conn->h2->since_ns : INT64_MIN;
    if (conn->h1.req)
        return INT64_MIN;
    return conn->h1.reused ? conn->h1.since_ns : conn->phase_ns;
}

bool kn_http_guard_make_room(struct kn_http_loop *loop)
{
    struct kn_http_conn *conn = loop->idle_first;
    if (!conn)
        return false;
    kn_metric_add(conn->listener->evicted, 1);
    kn_http_conn_close(conn, KN_HTTP_TIMEOUT);
    return true;
}

/* --- bytes held -------------------------------------------------------------------------- */
static size_t held_by_request(const struct kn_http_req *req)
{
    return req->collecting ? req->body.cap : 0;
}

/* Of requests that are not complete yet. What a handler put off is the server's own doing. */
static size_t held_bytes(const struct kn_http_conn *conn)
{
    size_t held = conn->h1.req && conn->h1.req->base.paused ? 0 : conn->in.cap;
    if (conn->h1.req)
        held += held_by_request(&conn->h1.req->base);
    for (const struct kn_h2_req *req = conn->h2 ? conn->h2->requests : NULL; req; req = req->next)
        held += sizeof(*req) + req->head.cap + req->header_max * sizeof(*req->headers) +
                (req->base.paused ? 0 : req->in.cap) + held_by_request(&req->base);
    return held;
}

static bool count(struct kn_http_conn *conn, size_t held)
{
    struct kn_http_server *server = conn->loop->server;
    int64_t more = (int64_t) held - (int64_t) conn->held_bytes;
    conn->held_bytes = held;
    int64_t all = atomic_fetch_add(&server->held_bytes, more) + more;
    return more <= 0 || all <= (int64_t) server->conf.held_bytes_max;
}

static void refuse(struct kn_http_conn *conn)
{
    kn_log_warn("http_held_too_much", "peer=%.*s bytes=%zu", (int) conn->peer_len, conn->peer,
                conn->held_bytes);
    if (conn->h2) {
        kn_metric_add(conn->listener->parse_errors, 1);
        (void) nghttp2_session_terminate_session(conn->h2->session, NGHTTP2_ENHANCE_YOUR_CALM);
        conn->finish = true; /* what is still to be said is said, then it ends */
    } else if (conn->phase == KN_HTTP_SERVING && !conn->finish) {
        kn_h1_refuse(conn, 503);
    }
    kn_http_conn_queue(conn);
}

void kn_http_guard_update(struct kn_http_conn *conn)
{
    int64_t since_ns = idle_since_ns(conn);
    if (since_ns == INT64_MIN) {
        unlink_idle(conn);
    } else if (!conn->is_idle || conn->idle_since_ns != since_ns) {
        unlink_idle(conn);
        link_idle(conn, since_ns);
    }
    size_t held = held_bytes(conn);
    if (held != conn->held_bytes && !count(conn, held) && held > KN_HTTP_HELD_BYTES_FREE)
        refuse(conn);
}

void kn_http_guard_leave(struct kn_http_conn *conn)
{
    unlink_idle(conn);
    (void) count(conn, 0);
}
