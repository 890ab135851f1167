/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP/2 side of a connection (RFC 9113) over nghttp2. Window updates are sent for bytes the
 * handlers have taken, not for bytes received, so a slow handler holds its peer back. Frames that
 * move no request forward are counted in a leaky bucket: resets, pings and settings in a flood
 * (CVE-2023-44487 and its kind) end the connection.
 */
#include "http_h2.h"

#include <errno.h>

#include "core/log.h"

/* --- the body ---------------------------------------------------------------------------- */
static void consume(struct kn_h2_req *req, size_t n)
{
    if (n > 0 && req->conn)
        (void) nghttp2_session_consume(req->conn->h2->session, req->id, n);
}

/* What the handler took of these bytes; the rest goes to `in`. */
static void offer(struct kn_h2_req *req, const uint8_t *ptr, size_t len)
{
    ssize_t n = req->base.paused || req->in.len > 0 ? 0 : kn_http_req_data(&req->base, ptr, len);
    if (n == -EMSGSIZE) {
        kn_h2_refuse(req, 413);
        n = (ssize_t) len;
    } else if (n < 0) {
        kn_h2_touch(req); /* aborted */
        n = (ssize_t) len;
    }
    consume(req, (size_t) n);
    if ((size_t) n < len && kn_buf_append(&req->in, ptr + n, len - (size_t) n) < 0)
        req->base.aborted = true;
}

static void body_maybe_done(struct kn_h2_req *req)
{
    if (req->peer_ended && req->in.len == 0 && !req->base.body_complete && !req->base.aborted)
        kn_http_req_end(&req->base);
}

static void offer_kept(struct kn_h2_req *req)
{
    if (req->in.len == 0 || req->base.paused)
        return;
    struct kn_buf in = req->in; /* offer() may keep a rest again */
    kn_buf_init(&req->in, in.max);
    offer(req, in.ptr, in.len);
    kn_buf_done(&in);
}

/* --- nghttp2's callbacks ----------------------------------------------------------------- */
static struct kn_h2_req *stream_of(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

/* The peer asks, and does not take the answers. */
static bool owes_reading(const struct kn_h2 *h2)
{
    size_t bytes = 0;
    for (const struct kn_h2_req *req = h2->requests; req; req = req->next)
        bytes += req->out.len - req->out_at;
    return bytes > KN_H2_ANSWER_BYTES_MAX;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
    struct kn_http_conn *conn = ctx;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    bool refused = conn->loop->draining || owes_reading(conn->h2);
    struct kn_h2_req *req = refused ? NULL : kn_h2_req_new(conn, frame->hd.stream_id);
    if (!req)
        return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                         NGHTTP2_REFUSED_STREAM);
    (void) nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, req);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *ctx)
{
    (void) flags;
    (void) ctx;
    struct kn_h2_req *req = stream_of(session, frame->hd.stream_id);
    if (req && !req->begun && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        kn_h2_req_header(req, (struct kn_str){(const char *) name, name_len},
                         (struct kn_str){(const char *) value, value_len});
    return 0;
}

static void request_begin(struct kn_h2_req *req, bool has_body)
{
    int status = kn_h2_req_read_head(req);
    req->peer_ended = !has_body;
    if (status) {
        kn_h2_refuse(req, status);
        return;
    }
    req->begun = true;
    req->continue_due = req->continue_due && has_body;
    req->conn->read_mark_ns = req->since_ns = req->loop->now_ns;
    if (kn_http_req_head(&req->base) < 0) {
        kn_h2_touch(req);
        return;
    }
    if (req->base.answer == KN_HTTP_UNANSWERED || req->base.answer == KN_HTTP_STREAM)
        kn_h2_continue(req);
    body_maybe_done(req);
}

/* False when the peer sends too many frames that move nothing. */
static bool count_idle_frame(struct kn_h2 *h2)
{
    int64_t now_ns = h2->conn->loop->now_ns;
    double passed = (double) (now_ns - h2->idle_frames_ns) / 1e9 * KN_H2_IDLE_FRAMES_PER_S;
    h2->idle_frames_ns = now_ns;
    h2->idle_frames = h2->idle_frames > passed ? h2->idle_frames - passed : 0;
    h2->idle_frames += 1;
    return h2->idle_frames <= KN_H2_IDLE_FRAMES;
}

static bool is_idle_frame(const nghttp2_frame *frame)
{
    switch (frame->hd.type) {
    case NGHTTP2_RST_STREAM:
    case NGHTTP2_PING:
    case NGHTTP2_SETTINGS:
    case NGHTTP2_PRIORITY:
        return true;
    case NGHTTP2_DATA:
        return frame->hd.length == 0 && !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
    default:
        return false; /* window updates follow our own output */
    }
}

static int end_flood(struct kn_http_conn *conn, const nghttp2_frame *frame)
{
    kn_log_warn("http2_flood", "peer=%.*s frame=%u", (int) conn->peer_len, conn->peer,
                frame->hd.type);
    kn_metric_add(conn->listener->parse_errors, 1);
    return nghttp2_session_terminate_session(conn->h2->session, NGHTTP2_ENHANCE_YOUR_CALM);
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
    struct kn_http_conn *conn = ctx;
    if (is_idle_frame(frame) && !count_idle_frame(conn->h2))
        return end_flood(conn, frame);
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    struct kn_h2_req *req = stream_of(session, frame->hd.stream_id);
    if (!req)
        return 0;
    bool last = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        request_begin(req, !last);
    } else if (last) {
        req->peer_ended = true;
        body_maybe_done(req);
    }
    return 0;
}

/* RFC 9113 8.1: answered whole, the rest of the upload is not wanted. */
static int reset_unwanted(struct kn_h2_req *req)
{
    return nghttp2_submit_rst_stream(req->conn->h2->session, NGHTTP2_FLAG_NONE, req->id,
                                     NGHTTP2_NO_ERROR);
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t len, void *ctx)
{
    (void) flags;
    (void) ctx;
    struct kn_h2_req *req = stream_of(session, id);
    if (req && req->begun && !req->base.aborted && !req->answer_sent) {
        offer(req, data, len);
        return 0;
    }
    (void) nghttp2_session_consume(session, id, len);
    if (!req || !req->answer_sent)
        return 0;
    req->lingered_bytes += len;
    return req->lingered_bytes > KN_HTTP_DRAIN_BYTES_MAX ? reset_unwanted(req) : 0;
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
    struct kn_http_conn *conn = ctx;
    /* A peer can make us reset its streams as cheaply as it resets them itself (CVE-2025-8671). */
    if (frame->hd.type == NGHTTP2_RST_STREAM && frame->rst_stream.error_code != NGHTTP2_NO_ERROR &&
        !count_idle_frame(conn->h2))
        return end_flood(conn, frame);
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    struct kn_h2_req *req = stream_of(session, frame->hd.stream_id);
    if (!req || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        return 0;
    req->answer_sent = true;
    if (!req->peer_ended) { /* curl takes a reset for an error, so a short rest may still come */
        req->linger_until_ns = req->loop->now_ns + KN_HTTP_DRAIN_MS * INT64_C(1000000);
        kn_http_loop_deadline(req->loop, &req->base, KN_HTTP_DRAIN_MS + 1);
    }
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *ctx)
{
    (void) ctx;
    struct kn_h2_req *req = stream_of(session, id);
    if (!req)
        return 0;
    (void) nghttp2_session_set_stream_user_data(session, id, NULL);
    enum kn_http_why why = req->answer_sent && code == NGHTTP2_NO_ERROR ? KN_HTTP_DONE
                           : req->base.aborted                          ? KN_HTTP_ERROR
                                                                        : KN_HTTP_RESET;
    kn_h2_req_end(req, why);
    return 0;
}

/* --- opening and closing ----------------------------------------------------------------- */
static int new_session(struct kn_h2 *h2)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        return -ENOMEM;
    if (nghttp2_option_new(&option) != 0) {
        nghttp2_session_callbacks_del(callbacks);
        return -ENOMEM;
    }
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_max_outbound_ack(option, KN_H2_ACKS_MAX);
    int r = nghttp2_session_server_new2(&h2->session, callbacks, h2->conn, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    return r == 0 ? 0 : -ENOMEM;
}

int kn_h2_open(struct kn_http_conn *conn)
{
    struct kn_h2 *h2 = calloc(1, sizeof(*h2));
    if (!h2)
        return -ENOMEM;
    h2->conn = conn;
    h2->since_ns = h2->sent_ns = h2->idle_frames_ns = conn->loop->now_ns;
    const struct kn_http_conf *conf = conn->loop->conf;
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, (uint32_t) conf->h2_streams_max},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,    KN_H2_STREAM_WINDOW_BYTES      },
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,   (uint32_t) conf->head_bytes_max},
    };
    int r = new_session(h2);
    if (r == 0 && (nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, settings,
                                           KN_ARRAY_LEN(settings)) != 0 ||
                   nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, 0,
                                                         KN_H2_CONN_WINDOW_BYTES) != 0))
        r = -ENOMEM;
    if (r < 0) {
        nghttp2_session_del(h2->session);
        free(h2);
        return r;
    }
    conn->h2 = h2;
    return 0;
}

void kn_h2_close(struct kn_http_conn *conn)
{
    if (!conn->h2)
        return;
    nghttp2_session_del(conn->h2->session);
    free(conn->h2);
    conn->h2 = NULL;
}

/* --- the connection's table -------------------------------------------------------------- */
static bool h2_wants_input(struct kn_http_conn *conn)
{
    return conn->h2 && nghttp2_session_want_read(conn->h2->session) &&
           kn_http_conn_out_left(conn) < KN_HTTP_OUT_STALL_BYTES;
}

static size_t h2_feed(struct kn_http_conn *conn, uint8_t *buf, size_t len)
{
    ssize_t n = nghttp2_session_mem_recv(conn->h2->session, buf, len);
    if (n < 0) { /* a bad preface, or a flood: what is still to be said is said, then it ends */
        kn_metric_add(conn->listener->parse_errors, 1);
        conn->finish = true;
        return len;
    }
    return (size_t) n;
}

static void h2_eof(struct kn_http_conn *conn)
{
    if (conn->eof)
        conn->failed = true; /* no request outlives the connection; a half-close has no use here */
}

/* What the handlers left behind since the last turn. */
static void settle(struct kn_h2 *h2)
{
    while (h2->touched) {
        struct kn_h2_req *req = h2->touched;
        h2->touched = req->touched_next;
        req->is_touched = false;
        req->base.resumed = false;
        if (!req->base.aborted) {
            offer_kept(req);
            body_maybe_done(req);
        }
        if (req->base.aborted) {
            (void) nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, req->id,
                                             NGHTTP2_INTERNAL_ERROR);
            continue;
        }
        if (req->answer_sent && !req->peer_ended && req->loop->now_ns >= req->linger_until_ns)
            (void) reset_unwanted(req);
        if (req->deferred && !req->base.pull_waits) {
            req->deferred = false;
            h2->sent_ns = req->loop->now_ns;
            (void) nghttp2_session_resume_data(h2->session, req->id);
        }
    }
}

static void h2_produce(struct kn_http_conn *conn)
{
    struct kn_h2 *h2 = conn->h2;
    settle(h2);
    while (conn->writable && !conn->failed) {
        const uint8_t *ptr;
        ssize_t n = 0;
        while (kn_http_conn_out_left(conn) < KN_HTTP_OUT_STALL_BYTES &&
               (n = nghttp2_session_mem_send(h2->session, &ptr)) > 0)
            kn_http_conn_append(conn, ptr, (size_t) n);
        if (n < 0)
            conn->failed = true;
        if (kn_http_conn_out_left(conn) == 0 || !kn_http_conn_flush(conn))
            break;
    }
    if (h2->touched)
        kn_http_conn_queue(conn);
    bool over = !nghttp2_session_want_read(h2->session) && !nghttp2_session_want_write(h2->session);
    if (over || (h2->draining && h2->request_count == 0)) {
        conn->finish = true;
        conn->clean_end = true;
    }
}

static bool waits_for_window(const struct kn_h2_req *req)
{
    return req->base.answer != KN_HTTP_UNANSWERED && !req->answer_sent && !req->deferred;
}

bool kn_h2_waits_for_window(const struct kn_h2 *h2)
{
    for (const struct kn_h2_req *req = h2->requests; req; req = req->next)
        if (waits_for_window(req))
            return true;
    return false;
}

static int64_t h2_read_due_ns(struct kn_http_conn *conn)
{
    const struct kn_http_conf *conf = conn->loop->conf;
    const struct kn_h2 *h2 = conn->h2;
    if (h2->request_count == 0)
        return kn_max_i64(h2->since_ns, conn->read_mark_ns) +
               (int64_t) conf->idle_timeout_ms * 1000000;
    int64_t due_ns = INT64_MAX;
    for (const struct kn_h2_req *req = h2->requests; req; req = req->next) {
        bool in_head = !req->begun && req->base.answer == KN_HTTP_UNANSWERED;
        if (in_head || (req->base.collecting && !req->peer_ended)) {
            uint64_t ms = in_head ? conf->head_timeout_ms : conf->gather_timeout_ms;
            due_ns = kn_min_i64(due_ns, req->since_ns + (int64_t) ms * 1000000);
        }
        if (!req->peer_ended && !req->base.paused)
            due_ns =
                kn_min_i64(due_ns, conn->read_mark_ns + (int64_t) conf->body_timeout_ms * 1000000);
        if (waits_for_window(req))
            due_ns = kn_min_i64(due_ns, h2->sent_ns + (int64_t) conf->write_timeout_ms * 1000000);
    }
    return due_ns;
}

static void h2_timed_out(struct kn_http_conn *conn)
{
    if (conn->h2->request_count > 0) {
        kn_http_conn_close(conn, KN_HTTP_TIMEOUT);
        return;
    }
    (void) nghttp2_session_terminate_session(conn->h2->session, NGHTTP2_NO_ERROR);
}

static void h2_gone(struct kn_http_conn *conn, enum kn_http_why why)
{
    struct kn_h2 *h2 = conn->h2;
    while (h2 && h2->requests)
        kn_h2_req_end(h2->requests, why);
    kn_h2_close(conn);
}

static void h2_drain(struct kn_http_conn *conn)
{
    struct kn_h2 *h2 = conn->h2;
    h2->draining = true;
    (void) nghttp2_submit_goaway(h2->session, NGHTTP2_FLAG_NONE,
                                 nghttp2_session_get_last_proc_stream_id(h2->session),
                                 NGHTTP2_NO_ERROR, NULL, 0);
    for (struct kn_h2_req *req = h2->requests; req; req = req->next)
        kn_http_wake(req->base.ref, KN_HTTP_WAKE_SHUTDOWN);
}

const struct kn_http_proto kn_h2_proto = {
    .wants_input = h2_wants_input,
    .feed = h2_feed,
    .eof = h2_eof,
    .produce = h2_produce,
    .read_due_ns = h2_read_due_ns,
    .timed_out = h2_timed_out,
    .gone = h2_gone,
    .drain = h2_drain,
};
