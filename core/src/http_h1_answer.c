/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing HTTP/1.1. Small answers are gathered in the connection's output and leave in one write;
 * large ones go from the caller's memory; a streamed answer is pulled straight into the output, one
 * chunk a pull, for as long as the socket takes it. So what waits for a slow peer is one buffer.
 */
#include "http_h1_req.h"
#include "http_io.h"
#include "http_status.h"
#include "http_unsent.h"

#include <errno.h>

#include "core/log.h"

enum {
    HEAD_BYTES_MAX = 32 << 10,  /* of an answer */
    HEAD_LINES_BYTES = 160,     /* of its first two lines */
    BODY_COPIED_MAX = 16 << 10, /* longer ones go from the caller's memory */
    PULL_BYTES_MAX = 0xffff,    /* at most four digits of chunk size */
    PULL_BYTES_MIN = 8 << 10,   /* less room than this is not offered */
    STAGE_BYTES_MIN = 64 << 10, /* shorter answers are gathered in the output */
    CHUNK_HEAD_BYTES = 6,       /* "ffff\r\n" */
    CHUNK_TAIL_BYTES = 2,
    TURN_BYTES_MAX = 1 << 20, /* of one connection, then the others have their turn */
};

enum framing {
    FRAMING_NONE,
    FRAMING_LENGTH,
    FRAMING_CHUNKED,
    FRAMING_CLOSE
};

static void append_text(struct kn_http_conn *conn, const char *text)
{
    kn_http_conn_append(conn, text, strlen(text));
}

static void append_header(struct kn_http_conn *conn, struct kn_str name, struct kn_str value)
{
    if (!kn_h1_value_is_valid(name) ||
        !kn_h1_value_is_valid(value)) { /* would split the answer in two */
        kn_log_warn("http_header_dropped", "name=%s", kn_log_quote(name));
        return;
    }
    if (!kn_http_conn_room(conn, name.len + value.len + 4))
        return;
    struct kn_buf *out = &conn->out;
    (void) kn_buf_append_str(out, name);
    (void) kn_buf_append(out, ": ", 2);
    (void) kn_buf_append_str(out, value);
    (void) kn_buf_append(out, "\r\n", 2);
}

struct answer_head {
    int status;
    const struct kn_http_header *headers;
    size_t header_count;
    enum framing framing;
    uint64_t length;
    bool close;
};

static void append_head(struct kn_http_conn *conn, const struct answer_head *a)
{
    if (kn_http_conn_room(conn, HEAD_LINES_BYTES)) {
        (void) kn_buf_append_text(&conn->out, "HTTP/1.1 ");
        (void) kn_buf_append_decimal(&conn->out, (uint64_t) a->status);
        (void) kn_buf_append_byte(&conn->out, ' ');
        (void) kn_buf_append_text(&conn->out, kn_http_status_text(a->status));
        (void) kn_buf_append_text(&conn->out, "\r\ndate: ");
        (void) kn_buf_append_text(&conn->out, kn_http_loop_date(conn->loop));
        (void) kn_buf_append_text(&conn->out, "\r\n");
    }
    for (size_t i = 0; i < a->header_count; i++)
        append_header(conn, a->headers[i].name, a->headers[i].value);
    if (a->framing == FRAMING_LENGTH) {
        append_text(conn, "content-length: ");
        if (kn_http_conn_room(conn, HEAD_LINES_BYTES))
            (void) kn_buf_append_decimal(&conn->out, a->length);
        append_text(conn, "\r\n");
    } else if (a->framing == FRAMING_CHUNKED) {
        append_text(conn, "transfer-encoding: chunked\r\n");
    }
    append_text(conn, a->close ? "connection: close\r\n\r\n" : "\r\n");
    kn_metric_add(conn->listener->requests[a->status / 100 % 6], 1);
}

void kn_h1_continue(struct kn_h1_req *req)
{
    if (!req->continue_due || !req->conn)
        return;
    req->continue_due = false;
    append_text(req->conn, "HTTP/1.1 100 Continue\r\n\r\n");
}

/* Whether the connection can serve another request after this answer. */
static bool can_keep(struct kn_h1_req *req)
{
    const struct kn_h1 *h1 = &req->conn->h1;
    if (!req->keep_alive || req->base.close_after || req->loop->draining)
        return false;
    if (req->base.body_complete || h1->phase != KN_H1_BODY)
        return true;
    return !req->continue_due && !h1->chunked_body && h1->length_left <= KN_HTTP_DISCARD_BYTES_MAX;
}

static void answer_begin(struct kn_http_req *base, struct answer_head *a)
{
    struct kn_h1_req *req = KN_CONTAINER_OF(base, struct kn_h1_req, base);
    if (!kn_http_status_has_body(a->status))
        a->framing = FRAMING_NONE;
    if (a->framing == FRAMING_CHUNKED && req->minor_0)
        a->framing = FRAMING_CLOSE;
    /* An upload may go on beside a stream, so there the rest of it is looked at in the end. */
    bool keep = base->answer == KN_HTTP_STREAM
                    ? req->keep_alive && !base->close_after && !req->loop->draining
                    : can_keep(req);
    if (a->framing == FRAMING_CLOSE)
        keep = false;
    req->keep_alive = keep;
    req->answer_chunked = a->framing == FRAMING_CHUNKED;
    a->close = !keep;
    append_head(req->conn, a);
}

static void h1_reply(struct kn_http_req *base, int status, const struct kn_http_header *headers,
                     size_t header_count, struct kn_bytes body)
{
    struct kn_h1_req *req = KN_CONTAINER_OF(base, struct kn_h1_req, base);
    struct answer_head a = {status, headers, header_count, FRAMING_LENGTH, body.len, false};
    answer_begin(base, &a);
    if (!base->is_head && a.framing == FRAMING_LENGTH) {
        if (body.len <= BODY_COPIED_MAX)
            kn_http_conn_append(req->conn, body.ptr, body.len);
        else
            kn_http_conn_write_through(req->conn, body.ptr, body.len);
    }
    kn_http_unsent_count(req->conn);
    kn_http_unhold(base);
    base->answer_complete = true;
}

static void h1_reply_stream(struct kn_http_req *base, int status,
                            const struct kn_http_header *headers, size_t header_count,
                            uint64_t length)
{
    struct kn_h1_req *req = KN_CONTAINER_OF(base, struct kn_h1_req, base);
    bool known = length != KN_HTTP_LENGTH_UNKNOWN;
    kn_h1_continue(req); /* rules.md 37: before the first byte of a streamed answer */
    struct answer_head a = {status, headers, header_count, known ? FRAMING_LENGTH : FRAMING_CHUNKED,
                            length, false};
    answer_begin(base, &a);
    base->answer_complete = base->is_head || a.framing == FRAMING_NONE || (known && length == 0);
}

static void h1_reply_file(struct kn_http_req *base, int status,
                          const struct kn_http_header *headers, size_t header_count,
                          const struct kn_http_file *file)
{
    struct answer_head a = {status, headers, header_count, FRAMING_LENGTH, file->len, false};
    answer_begin(base, &a);
    base->answer_complete = base->is_head || a.framing == FRAMING_NONE || file->len == 0;
    if (base->answer_complete)
        kn_http_req_release_file(base);
}

void kn_h1_refuse(struct kn_http_conn *conn, int status)
{
    struct kn_h1_req *req = conn->h1.req;
    kn_metric_add(conn->listener->parse_errors, 1);
    if (!req || req->base.answer == KN_HTTP_UNANSWERED) {
        struct answer_head a = {status, NULL, 0, FRAMING_LENGTH, 0, true};
        append_head(conn, &a);
    }
    conn->finish = true;
    conn->clean_end = false;
    conn->h1.phase = KN_H1_HEAD;
    if (req)
        kn_h1_req_end(req, status == 408 ? KN_HTTP_TIMEOUT : KN_HTTP_ERROR);
}

/* --- streams and files ------------------------------------------------------------------- */
/* Puts the chunk's size before the n bytes at out.len + CHUNK_HEAD_BYTES, and its end behind. */
static void frame_chunk(struct kn_buf *out, size_t n)
{
    char head[CHUNK_HEAD_BYTES];
    size_t len = 0;
    kn_assert(n > 0 && n <= PULL_BYTES_MAX);
    for (unsigned shift = 16; shift > 0; shift -= 4) {
        if (n >> (shift - 4))
            head[len++] = "0123456789abcdef"[n >> (shift - 4) & 15];
    }
    head[len++] = '\r';
    head[len++] = '\n';
    uint8_t *at = out->ptr + out->len;
    memcpy(at, head, len);
    if (len < CHUNK_HEAD_BYTES) /* only short chunks move */
        memmove(at + len, at + CHUNK_HEAD_BYTES, n);
    memcpy(at + len + n, "\r\n", 2);
    out->len += len + n + 2;
}

static void stream_ended(struct kn_h1_req *req)
{
    bool cut = req->base.length_left != KN_HTTP_LENGTH_UNKNOWN && req->base.length_left > 0;
    if (cut) { /* fewer bytes than promised: only the connection's end can say so */
        req->base.aborted = true;
        return;
    }
    if (req->answer_chunked)
        append_text(req->conn, "0\r\n\r\n");
    req->base.answer_complete = true;
}

/* What a pull has said: what is not a count of bytes is dealt with and becomes 0. */
static size_t pulled(struct kn_h1_req *req, ssize_t n)
{
    if (n == KN_HTTP_EOF)
        stream_ended(req);
    if (n == KN_HTTP_FAIL)
        req->base.aborted = true;
    if (n <= 0)
        return 0;
    if (req->base.length_left != KN_HTTP_LENGTH_UNKNOWN) {
        req->base.length_left -= (uint64_t) n;
        if (req->base.length_left == 0)
            req->base.answer_complete = true;
    }
    return (size_t) n;
}

/* One pull into the output. Returns bytes; 0: nothing more now. */
static size_t pull_once(struct kn_h1_req *req)
{
    struct kn_http_conn *conn = req->conn;
    size_t frame = req->answer_chunked ? CHUNK_HEAD_BYTES + CHUNK_TAIL_BYTES : 0;
    size_t head = req->answer_chunked ? CHUNK_HEAD_BYTES : 0;
    if (!kn_http_conn_room(conn, PULL_BYTES_MIN + frame))
        return 0;
    size_t cap = kn_min_u64(conn->out.cap - conn->out.len - frame, PULL_BYTES_MAX);
    cap = kn_min_u64(cap, req->base.length_left);
    uint8_t *to = conn->out.ptr + conn->out.len + head;
    size_t n = pulled(req, kn_http_req_pull(&req->base, to, cap));
    if (n == 0)
        return 0;
    if (req->answer_chunked)
        frame_chunk(&conn->out, n);
    else
        conn->out.len += n;
    return n;
}

/* One pull of about as much as the socket takes, into memory that the loop keeps for that, and from
 * there into the socket: few large pieces cost the fewest system calls and wake the peer least,
 * and a slow peer is not left with a large buffer. */
static size_t pull_staged(struct kn_h1_req *req)
{
    struct kn_http_conn *conn = req->conn;
    size_t head = kn_http_conn_out_left(conn);
    uint8_t *stage = kn_http_loop_stage(conn->loop);
    if (!stage || head > KN_HTTP_STAGE_HEAD_BYTES)
        return pull_once(req);
    size_t cap = kn_max_u64(kn_http_io_room(conn), STAGE_BYTES_MIN);
    cap = kn_min_u64(kn_min_u64(cap, KN_HTTP_STAGE_BYTES), req->base.length_left);
    size_t n = pulled(req, kn_http_req_pull(&req->base, stage + head, cap));
    if (n == 0)
        return 0;
    kn_http_conn_take_out(conn, stage);
    kn_http_conn_write_through(conn, stage, head + n);
    return n;
}

static void produce_stream(struct kn_h1_req *req)
{
    struct kn_http_conn *conn = req->conn;
    struct kn_http_req *base = &req->base;
    size_t sent = 0;
    while (!base->answer_complete && !base->pull_waits && !base->aborted && !conn->failed) {
        if (sent >= TURN_BYTES_MAX) {
            kn_http_conn_queue(conn);
            break;
        }
        /* What is small may wait for the next pull of this turn; what fills the buffer goes now. */
        size_t left = kn_http_conn_out_left(conn);
        if (left > 0 && conn->out.cap - conn->out.len < PULL_BYTES_MAX / 2 &&
            !kn_http_conn_flush(conn))
            break;
        if (!conn->writable || (conn->ssl && !kn_http_tls_flush(conn)))
            break;
        bool staged = !req->answer_chunked && base->length_left != KN_HTTP_LENGTH_UNKNOWN &&
                      base->length_left >= STAGE_BYTES_MIN;
        sent += staged ? pull_staged(req) : pull_once(req);
    }
    (void) kn_http_conn_flush(conn);
}

static void produce_file(struct kn_h1_req *req)
{
    struct kn_http_conn *conn = req->conn;
    struct kn_http_file *file = &req->base.file;
    uint64_t sent = 0;
    conn->more = file->len > 0; /* the head leaves with the first bytes: one packet, one wake-up */
    bool clear = kn_http_conn_flush(conn);
    conn->more = false;
    while (file->len > 0 && clear) {
        if (sent >= TURN_BYTES_MAX) {
            kn_http_conn_queue(conn);
            return;
        }
        ssize_t n = kn_http_conn_send_file(conn, file->fd, file->off, file->len);
        if (n == -EAGAIN)
            return;
        if (n < 0) {
            conn->failed = true;
            return;
        }
        file->off += (uint64_t) n;
        file->len -= (uint64_t) n;
        sent += (uint64_t) n;
        clear = kn_http_conn_flush(conn); /* TLS gathers what it sends there */
    }
    if (file->len == 0) {
        kn_http_req_release_file(&req->base);
        req->base.answer_complete = true;
    }
}

void kn_h1_produce(struct kn_http_conn *conn)
{
    struct kn_h1_req *req = conn->h1.req;
    if (!req || req->base.answer_complete)
        return;
    if (req->base.answer == KN_HTTP_STREAM)
        produce_stream(req);
    else if (req->base.answer == KN_HTTP_FILE)
        produce_file(req);
}

/* --- the backend's table ----------------------------------------------------------------- */
static void h1_touch(struct kn_http_req *base)
{
    struct kn_h1_req *req = KN_CONTAINER_OF(base, struct kn_h1_req, base);
    if (req->conn && base->resumed) { /* the peer was not the one who stalled */
        base->resumed = false;
        req->conn->read_mark_ns = req->loop->now_ns;
    }
    if (req->conn)
        kn_http_conn_queue(req->conn);
    else if (base->gone && !base->job.running) /* it only waited for its job */
        kn_h1_req_end(req, base->why);
}

static void h1_deadline(struct kn_http_req *base, int64_t in_ms)
{
    kn_http_loop_deadline(KN_CONTAINER_OF(base, struct kn_h1_req, base)->loop, base, in_ms);
}

static void h1_pace(struct kn_http_req *base, uint32_t calm_ms)
{
    struct kn_h1_req *req = KN_CONTAINER_OF(base, struct kn_h1_req, base);
    if (req->conn)
        kn_http_pace_allow(req->conn, calm_ms);
}

static void h1_gate_wait(struct kn_http_req *base, struct kn_gate *gate, uint64_t seen)
{
    kn_http_loop_gate_wait(KN_CONTAINER_OF(base, struct kn_h1_req, base)->loop, base, gate, seen);
}

static int h1_socket(struct kn_http_req *base)
{
    const struct kn_h1_req *req = KN_CONTAINER_OF(base, struct kn_h1_req, base);
    return req->conn ? req->conn->fd : -1;
}

const struct kn_http_backend kn_h1_backend = {
    .duplex = true,
    .produces = true,
    .reply = h1_reply,
    .reply_stream = h1_reply_stream,
    .reply_file = h1_reply_file,
    .touch = h1_touch,
    .deadline = h1_deadline,
    .pace = h1_pace,
    .gate_wait = h1_gate_wait,
    .socket = h1_socket,
};
