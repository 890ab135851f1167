/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers on HTTP/2. nghttp2 asks for the next piece of a body when frame, stream window and
 * connection window have room, and so the pull is the back-pressure; a stream whose handler has
 * nothing now is deferred and resumed by its wake-up.
 */
#include "http_h1_parse.h"
#include "http_h2.h"
#include "http_status.h"
#include "http_unsent.h"

#include <errno.h>
#include <unistd.h>

#include "core/log.h"

enum {
    ANSWER_HEADERS_MAX = 64
};

static struct kn_h2_req *req_of(struct kn_http_req *base)
{
    return KN_CONTAINER_OF(base, struct kn_h2_req, base);
}

static nghttp2_nv field(struct kn_str name, struct kn_str value)
{
    union { /* nghttp2 copies, and does not write there */
        const char *in;
        uint8_t *out;
    } n = {.in = name.ptr}, v = {.in = value.ptr};
    return (nghttp2_nv){n.out, v.out, name.len, value.len, NGHTTP2_NV_FLAG_NONE};
}

/* --- bodies ------------------------------------------------------------------------------ */
static ssize_t read_whole(struct kn_h2_req *req, uint8_t *dst, size_t cap, uint32_t *flags)
{
    size_t n = kn_min_u64(cap, req->out.len - req->out_at);
    if (n > 0)
        memcpy(dst, req->out.ptr + req->out_at, n);
    req->out_at += n;
    if (req->out_at == req->out.len)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t) n;
}

static ssize_t read_file(struct kn_h2_req *req, uint8_t *dst, size_t cap, uint32_t *flags)
{
    struct kn_http_file *file = &req->base.file;
    size_t want = kn_min_u64(cap, file->len);
    ssize_t n = pread(file->fd, dst, want, (off_t) file->off);
    if (n <= 0)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* shorter than promised: RST_STREAM */
    file->off += (uint64_t) n;
    file->len -= (uint64_t) n;
    if (file->len == 0)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return n;
}

static ssize_t read_stream(struct kn_h2_req *req, uint8_t *dst, size_t cap, uint32_t *flags)
{
    struct kn_http_req *base = &req->base;
    bool known = base->length_left != KN_HTTP_LENGTH_UNKNOWN;
    ssize_t n = kn_http_req_pull(base, dst, kn_min_u64(cap, base->length_left));
    if (n == KN_HTTP_WAIT) {
        req->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (n == KN_HTTP_FAIL || (n == KN_HTTP_EOF && known))
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (n == KN_HTTP_EOF) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        return 0;
    }
    if (known) {
        base->length_left -= (uint64_t) n;
        if (base->length_left == 0)
            *flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    return n;
}

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *dst, size_t cap,
                         uint32_t *flags, nghttp2_data_source *source, void *user_data)
{
    struct kn_h2_req *req = source->ptr;
    (void) session;
    (void) id;
    (void) user_data;
    ssize_t n = req->base.answer == KN_HTTP_STREAM ? read_stream(req, dst, cap, flags)
                : req->base.answer == KN_HTTP_FILE ? read_file(req, dst, cap, flags)
                                                   : read_whole(req, dst, cap, flags);
    if (n > 0)
        req->conn->h2->sent_ns = req->loop->now_ns;
    if (*flags & NGHTTP2_DATA_FLAG_EOF)
        req->base.answer_complete = true;
    return n;
}

/* --- heads ------------------------------------------------------------------------------- */
struct answer {
    int status;
    const struct kn_http_header *headers;
    size_t header_count;
    bool has_length;
    uint64_t length;
};

static void submit(struct kn_h2_req *req, const struct answer *a, bool has_body)
{
    nghttp2_nv fields[ANSWER_HEADERS_MAX + 3];
    char status[16], length[24];
    size_t n = 0;
    struct kn_http_loop *loop = req->loop;
    int len = snprintf(status, sizeof(status), "%d", a->status);
    fields[n++] = field(KN_STR(":status"), (struct kn_str){status, (size_t) len});
    fields[n++] = field(KN_STR("date"), kn_str_from(kn_http_loop_date(loop)));
    for (size_t i = 0; i < a->header_count && n < ANSWER_HEADERS_MAX; i++) {
        const struct kn_http_header *h = &a->headers[i];
        if (kn_str_eq_nocase(h->name, KN_STR("connection")))
            continue;
        if (!kn_h1_value_is_valid(h->value)) {
            kn_log_warn("http_header_dropped", "name=%s", kn_log_quote(h->name));
            continue;
        }
        char *name = kn_arena_copy(kn_http_arena(&req->base), h->name.ptr, h->name.len);
        if (!name)
            continue;
        for (size_t c = 0; c < h->name.len; c++) /* RFC 9113 8.2: names in lower case */
            if (name[c] >= 'A' && name[c] <= 'Z')
                name[c] = (char) (name[c] | 0x20);
        fields[n++] = field((struct kn_str){name, h->name.len}, h->value);
    }
    if (a->has_length && kn_http_status_has_body(a->status)) {
        len = snprintf(length, sizeof(length), "%" PRIu64, a->length);
        fields[n++] = field(KN_STR("content-length"), (struct kn_str){length, (size_t) len});
    }
    bool body = has_body && !req->base.is_head && kn_http_status_has_body(a->status);
    nghttp2_data_provider provider = {.source.ptr = req, .read_callback = read_body};
    if (nghttp2_submit_response(req->conn->h2->session, req->id, fields, n,
                                body ? &provider : NULL) != 0)
        req->base.aborted = true;
    if (!body)
        req->base.answer_complete = true;
    else
        req->conn->h2->sent_ns = loop->now_ns; /* from now on its peer is waited for */
    kn_metric_add(req->conn->listener->requests[a->status / 100 % 6], 1);
}

void kn_h2_continue(struct kn_h2_req *req)
{
    if (!req->continue_due || !req->conn)
        return;
    req->continue_due = false;
    const nghttp2_nv status = field(KN_STR(":status"), KN_STR("100"));
    if (nghttp2_submit_headers(req->conn->h2->session, NGHTTP2_FLAG_NONE, req->id, NULL, &status, 1,
                               NULL) != 0)
        req->base.aborted = true;
}

static void h2_reply(struct kn_http_req *base, int status, const struct kn_http_header *headers,
                     size_t header_count, struct kn_bytes body)
{
    struct kn_h2_req *req = req_of(base);
    const struct answer a = {status, headers, header_count, true, body.len};
    if (!base->is_head && kn_buf_append(&req->out, body.ptr, body.len) < 0) {
        base->aborted = true;
        return;
    }
    kn_http_unsent_count(req->conn);
    kn_http_unhold(base);
    submit(req, &a, body.len > 0);
}

static void h2_reply_stream(struct kn_http_req *base, int status,
                            const struct kn_http_header *headers, size_t header_count,
                            uint64_t length)
{
    struct kn_h2_req *req = req_of(base);
    const struct answer a = {status, headers, header_count, length != KN_HTTP_LENGTH_UNKNOWN,
                             length};
    kn_h2_continue(req); /* rules.md 37: before the first byte of a streamed answer */
    submit(req, &a, length > 0);
}

static void h2_reply_file(struct kn_http_req *base, int status,
                          const struct kn_http_header *headers, size_t header_count,
                          const struct kn_http_file *file)
{
    const struct answer a = {status, headers, header_count, true, file->len};
    submit(req_of(base), &a, file->len > 0);
}

void kn_h2_refuse(struct kn_h2_req *req, int status)
{
    kn_metric_add(req->conn->listener->parse_errors, 1);
    kn_http_reply(&req->base, status, NULL, 0, (struct kn_bytes){0});
}

/* --- the rest of the table --------------------------------------------------------------- */
void kn_h2_touch(struct kn_h2_req *req)
{
    if (!req->conn)
        return;
    if (!req->is_touched) {
        req->is_touched = true;
        req->touched_next = req->conn->h2->touched;
        req->conn->h2->touched = req;
    }
    kn_http_conn_queue(req->conn);
}

static void h2_touch(struct kn_http_req *base)
{
    struct kn_h2_req *req = req_of(base);
    if (req->conn)
        kn_h2_touch(req);
    else if (base->gone && !base->job.running) /* it only waited for its job */
        kn_h2_req_end(req, base->why);
}

static void h2_deadline(struct kn_http_req *base, int64_t in_ms)
{
    kn_http_loop_deadline(req_of(base)->loop, base, in_ms);
}

static void h2_gate_wait(struct kn_http_req *base, struct kn_gate *gate, uint64_t seen)
{
    kn_http_loop_gate_wait(req_of(base)->loop, base, gate, seen);
}

static int h2_socket(struct kn_http_req *base)
{
    const struct kn_h2_req *req = req_of(base);
    return req->conn ? req->conn->fd : -1;
}

const struct kn_http_backend kn_h2_backend = {
    .h2 = true,
    .duplex = true,
    .reply = h2_reply,
    .reply_stream = h2_reply_stream,
    .reply_file = h2_reply_file,
    .touch = h2_touch,
    .deadline = h2_deadline,
    .gate_wait = h2_gate_wait,
    .socket = h2_socket,
};
