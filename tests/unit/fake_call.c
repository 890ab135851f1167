/* SPDX-License-Identifier: Apache-2.0 */
/* See fake_call.h. */
#include "fake_call.h"

#include "test.h"

#include <string.h>

enum {
    FAKE_ARENA_BYTES_MAX = 4 << 20,
    FAKE_BODY_BYTES_MAX = 256 << 20
};

void fake_call_init(struct fake_call *fake, struct kn_clock *clock)
{
    static const struct kn_api_identity identity = {"aws", "us-east-1", "000000000000"};

    *fake = (struct fake_call){
        .req = {.deadline_ms = -1, .method = KN_STR("POST")         },
        .call = { .identity = &identity,
                .clock = clock,
                .request_id = "00000000-0000-0000-0000-000000000000"},
    };
    kn_arena_init(&fake->req.arena, FAKE_ARENA_BYTES_MAX);
    kn_buf_init(&fake->req.body, FAKE_BODY_BYTES_MAX);
    fake->call.req = &fake->req;
    fake->call.arena = &fake->req.arena;
    fake->call.state = &fake->state;
}

void fake_call_done(struct fake_call *fake)
{
    assert_null(fake->req.job);
    if (fake->req.ops && fake->req.ops->gone)
        fake->req.ops->gone(&fake->req, fake->req.ctx, KN_HTTP_DONE);
    kn_buf_done(&fake->req.body);
    kn_arena_done(&fake->req.arena);
}

void fake_call_header(struct fake_call *fake, const char *lowercase, const char *value)
{
    assert_true(fake->req.header_count < FAKE_CALL_HEADERS_MAX);
    fake->req.headers[fake->req.header_count++] =
        (struct kn_http_header){kn_str_from(lowercase), kn_str_from(value)};
}

void fake_call_start(struct fake_call *fake)
{
    assert_non_null(fake->state.taken);
    fake->req.ops = fake->state.taken;
    fake->req.ctx = fake->state.taken_ctx;
    assert_int_equal(fake->req.ops->head(&fake->req, &fake->req.ctx), 0);
}

ssize_t fake_call_pull(struct fake_call *fake, size_t cap)
{
    uint8_t *dst = malloc(cap);
    ssize_t n;

    assert_non_null(dst);
    assert_true(fake->req.streaming);
    fake->req.pulls++;
    n = fake->req.ops->pull(&fake->req, fake->req.ctx, dst, cap);
    assert_true(n != 0 && n <= (ssize_t) cap);
    if (n > 0)
        assert_int_equal(kn_buf_append(&fake->req.body, dst, (size_t) n), 0);
    free(dst);
    return n;
}

bool fake_call_has_job(const struct fake_call *fake)
{
    return fake->req.job != NULL;
}

void fake_call_job(struct fake_call *fake)
{
    void (*job)(void *arg) = fake->req.job;

    assert_non_null(job);
    job(fake->req.job_arg);
    fake->req.job = NULL;
    fake->req.jobs++;
    fake_call_wake(fake, KN_HTTP_WAKE_JOB);
}

ssize_t fake_call_run(struct fake_call *fake, size_t cap)
{
    for (;;) {
        ssize_t n = fake_call_pull(fake, cap);

        if (n == KN_HTTP_WAIT && fake_call_has_job(fake))
            fake_call_job(fake);
        else if (n < 0)
            return n;
    }
}

bool fake_call_gate(struct fake_call *fake)
{
    if (!fake->req.gate || kn_gate_value(fake->req.gate) == fake->req.seen)
        return false;
    fake->req.gate = NULL;
    fake_call_wake(fake, KN_HTTP_WAKE_GATE);
    return true;
}

void fake_call_wake(struct fake_call *fake, uint32_t bits)
{
    if (fake->req.ops->wake)
        fake->req.ops->wake(&fake->req, fake->req.ctx, bits);
}

/* --- core/http.h ------------------------------------------------------------------------------ */

struct kn_str kn_http_header(struct kn_http_req *req, const char *lowercase)
{
    for (size_t i = 0; i < req->header_count; i++)
        if (kn_str_eq(req->headers[i].name, kn_str_from(lowercase)))
            return req->headers[i].value;
    return (struct kn_str){0};
}

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

struct kn_arena *kn_http_arena(struct kn_http_req *req)
{
    return &req->arena;
}

struct kn_bytes kn_http_body(struct kn_http_req *req)
{
    return req->request_body;
}

bool kn_http_is_tls(struct kn_http_req *req KN_UNUSED)
{
    return false;
}

/* No percent-decoding: tests name plain values. */
int kn_http_query_param(struct kn_http_req *req, const char *name, struct kn_str *ret)
{
    struct kn_str rest = req->query, pair, key;

    while (rest.ptr) {
        struct kn_str value;

        rest = kn_str_cut(rest, '&', &pair);
        value = kn_str_cut(pair, '=', &key);
        if (value.ptr && kn_str_eq(key, kn_str_from(name))) {
            *ret = value;
            return 0;
        }
    }
    return -ENOENT;
}

static void answer(struct kn_http_req *req, int status, const struct kn_http_header *headers,
                   size_t header_count)
{
    assert_int_equal(req->status, 0);
    assert_true(header_count <= FAKE_CALL_HEADERS_MAX);
    req->status = status;
    req->answer_header_count = header_count;
    for (size_t i = 0; i < header_count; i++)
        req->answer_headers[i] =
            (struct kn_http_header){kn_arena_str(&req->arena, headers[i].name),
                                    kn_arena_str(&req->arena, headers[i].value)};
}

void kn_http_reply(struct kn_http_req *req, int status, const struct kn_http_header *headers,
                   size_t header_count, struct kn_bytes body)
{
    answer(req, status, headers, header_count);
    assert_int_equal(kn_buf_append(&req->body, body.ptr, body.len), 0);
}

void kn_http_reply_stream(struct kn_http_req *req, int status, const struct kn_http_header *headers,
                          size_t header_count, uint64_t length)
{
    answer(req, status, headers, header_count);
    req->streaming = true;
    req->length = length;
}

void kn_http_deadline(struct kn_http_req *req, int64_t in_ms)
{
    req->deadline_ms = in_ms;
}

void kn_http_gate_wait(struct kn_http_req *req, struct kn_gate *gate, uint64_t seen)
{
    req->gate = gate;
    req->seen = seen;
}

int kn_http_offload(struct kn_http_req *req, enum kn_http_lane lane, void (*job)(void *arg),
                    void *arg)
{
    assert_null(req->job);
    if (req->pool_full)
        return -EAGAIN;
    req->job = job;
    req->job_lane = lane;
    req->job_arg = arg;
    return 0;
}

/* --- core/api.h ------------------------------------------------------------------------------- */

int kn_api_fault(struct kn_api_call *call, const char *name, const char *fmt, ...)
{
    va_list args;

    assert_int_equal(kn_str_copy(call->state->fault, sizeof call->state->fault, kn_str_from(name)),
                     0);
    va_start(args, fmt);
    (void) vsnprintf(call->state->message, sizeof call->state->message, fmt, args);
    va_end(args);
    return -ECANCELED;
}

size_t kn_api_stream_headers(struct kn_api_call *call, const char *content_type,
                             struct kn_http_header dst[KN_API_STREAM_HEADERS])
{
    dst[0] = (struct kn_http_header){KN_STR("content-type"), kn_str_from(content_type)};
    dst[1] = (struct kn_http_header){KN_STR("x-amzn-RequestId"), kn_str_from(call->request_id)};
    return 2;
}

/* The plain cases only: the engine's own is tested with the engine. */
int kn_api_resource_name(struct kn_api_call *call, struct kn_str name, struct kn_str arn,
                         struct kn_str *ret, int64_t *ret_arn_created_ms)
{
    struct kn_str rest = arn, part = {0};

    if (!name.ptr && !arn.ptr)
        return kn_api_fault(call, "InvalidArgumentException", "neither name nor ARN");
    *ret = name;
    if (ret_arn_created_ms)
        *ret_arn_created_ms = 0;
    if (!arn.ptr)
        return 0;
    rest = kn_str_cut(rest, '/', &part);
    rest = kn_str_cut(rest, '/', ret);
    assert_true(rest.ptr != NULL);
    return ret_arn_created_ms ? kn_str_to_i64(rest, ret_arn_created_ms) : 0;
}

void kn_api_take(struct kn_api_call *call, const struct kn_http_ops *ops, void *ctx)
{
    assert_null(call->state->taken);
    call->state->taken = ops;
    call->state->taken_ctx = ctx;
}

int kn_http_hold(struct kn_http_req *req KN_UNUSED, size_t bytes KN_UNUSED)
{
    return 0;
}

void kn_http_unhold(struct kn_http_req *req KN_UNUSED)
{
}
