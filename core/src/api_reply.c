/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers exactly as the SDKs read them: `x-amzn-ErrorType: <name>:<url>` (both SDKs cut at the
 * colon), `x-amzn-RequestId`, {"Message": …}; coral's envelope for what never reached an operation.
 * Sources: captured answers of the real service, and botocore and the JS SDK tried against a mock.
 */
#include "api_private.h"

#include <stdarg.h>
#include <stdio.h>

#include "core/crypto.h"
#include "core/json.h"

static const char error_type_url[] = "https://kinesisvideo.amazonaws.com/doc/2017-09-30/";
enum {
    HEADERS_MAX = KN_API_STREAM_HEADERS,
    ERROR_TYPE_BYTES_MAX = 256
};

struct headers {
    struct kn_http_header list[HEADERS_MAX];
    size_t count;
};

static void add(struct headers *h, const char *name, const char *value)
{
    kn_assert(h->count < HEADERS_MAX);
    h->list[h->count++] = (struct kn_http_header){kn_str_from(name), kn_str_from(value)};
}

static void add_cors(struct headers *h)
{
    add(h, "access-control-allow-origin", "*");
    add(h, "access-control-expose-headers", "x-amzn-RequestId,x-amzn-ErrorType,Date");
}

void kn_api_uuid(char dst[37])
{
    static const uint8_t groups[] = {4, 2, 2, 2, 6};
    uint8_t b[16];
    struct kn_bytes left = {b, sizeof b};
    kn_random_name(b, sizeof b);
    b[6] = (uint8_t) ((b[6] & 0x0F) | 0x40); /* RFC 9562, version 4 */
    b[8] = (uint8_t) ((b[8] & 0x3F) | 0x80);
    for (size_t i = 0; i < KN_ARRAY_LEN(groups); i++) {
        if (i)
            *dst++ = '-';
        kn_hex_encode((struct kn_bytes){left.ptr, groups[i]}, dst);
        dst += 2 * groups[i];
        left = kn_bytes_skip(left, groups[i]);
    }
}

size_t kn_api_stream_headers(struct kn_api_call *call, const char *content_type,
                             struct kn_http_header dst[KN_API_STREAM_HEADERS])
{
    struct headers h = {.count = 0};
    if (kn_api_is_aws(call->state))
        return kn_api_aws_headers(call->state, content_type, call->state->id_2, dst);
    add(&h, "x-amzn-RequestId", call->request_id);
    add(&h, "content-type", content_type);
    if (call->state->api->conf.keyring)
        add_cors(&h);
    memcpy(dst, h.list, h.count * sizeof h.list[0]);
    return h.count;
}

/* --- faults ----------------------------------------------------------------------------------- */
/* The same faults of signatures have two names. */
static const char *aws_name(const char *name)
{
    static const char *const names[][2] = {
        {"IncompleteSignature",        "IncompleteSignatureException"       },
        {"MissingAuthenticationToken", "MissingAuthenticationTokenException"},
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(names); i++)
        if (kn_str_eq(kn_str_from(name), kn_str_from(names[i][0])))
            return names[i][1];
    return name;
}

int kn_api_raise(struct kn_api_call_state *state, int status, const char *name, const char *fmt,
                 ...)
{
    char text[KN_API_MESSAGE_BYTES_MAX];
    const struct kn_api_fault_row *row = kn_api_fault_find(state->entry->op, name);
    va_list args;
    va_start(args, fmt);
    (void) vsnprintf(text, sizeof text, fmt, args); /* cut is fine */
    va_end(args);
    bool aws = kn_api_is_aws(state);
    state->raised = (struct kn_api_raised){
        .status = aws && status > 400 && status < 404 ? 400 : status,
        .name = aws ? aws_name(name) : name,
        .message_member = row   ? row->message_member
                          : aws ? "message"
                                : "Message",
        .message = kn_arena_str(&state->arena, kn_str_from(text)),
    };
    return -EACCES;
}

static void write_message(struct kn_buf *body, const char *member, struct kn_str message)
{
    struct kn_json_writer w;
    kn_json_writer_init(&w, body);
    kn_json_object_begin(&w);
    kn_json_key(&w, member);
    kn_json_str(&w, message);
    kn_json_object_end(&w);
}

/* {"Output":{"__type":"com.amazon.coral.service#…"},"Version":"1.0"} */
void kn_api_write_envelope(struct kn_buf *body, const char *name, bool null_message)
{
    struct kn_json_writer w;
    char type[128];
    (void) snprintf(type, sizeof type, "com.amazon.coral.service#%s", name);
    kn_json_writer_init(&w, body);
    kn_json_object_begin(&w);
    kn_json_key(&w, "Output");
    kn_json_object_begin(&w);
    kn_json_key(&w, "__type");
    kn_json_text(&w, type);
    if (null_message) {
        kn_json_key(&w, "Message");
        kn_json_null(&w);
    }
    kn_json_object_end(&w);
    kn_json_key(&w, "Version");
    kn_json_text(&w, "1.0");
    kn_json_object_end(&w);
}

void kn_api_reply_fault(struct kn_api_call_state *state)
{
    struct kn_http_req *req = state->call.req;
    const struct kn_api_raised *raised = &state->raised;
    char type[ERROR_TYPE_BYTES_MAX];
    struct headers h = {.count = 0};
    KN_CLEANUP(kn_buf_done) struct kn_buf body;
    kn_buf_init(&body, KN_API_FAULT_BYTES_MAX);
    (void) snprintf(type, sizeof type, "%s:%s", raised->name, error_type_url);
    add(&h, "x-amzn-RequestId", state->call.request_id);
    add(&h, "content-type", "application/json");
    if (raised->envelope) {
        kn_api_write_envelope(&body, raised->name, true);
    } else {
        add(&h, "x-amzn-ErrorType", type);
        write_message(&body, raised->message_member, raised->message);
    }
    if (state->api->conf.keyring)
        add_cors(&h);
    if (state->entry->op->input_stream)
        kn_http_close_after(req); /* the upload is not going to be read */
    kn_http_reply(req, raised->status, h.list, h.count, kn_buf_bytes(&body));
}

void kn_api_reply_answer(struct kn_api_call_state *state)
{
    struct headers h = {.count = 0};
    add(&h, "x-amzn-RequestId", state->call.request_id);
    add(&h, "content-type", kn_api_rest_json.content_type);
    if (state->api->conf.keyring)
        add_cors(&h);
    kn_http_reply(state->call.req, 200, h.list, h.count, kn_buf_bytes(&state->answer));
}

/* --- without an operation --------------------------------------------------------------------- */
void kn_api_reply_unknown(struct kn_http_req *req, bool cors)
{
    char id[37];
    struct headers h = {.count = 0};
    KN_CLEANUP(kn_buf_done) struct kn_buf body;
    kn_buf_init(&body, KN_API_MESSAGE_BYTES_MAX);
    kn_api_uuid(id);
    add(&h, "x-amzn-RequestId", id);
    add(&h, "content-type", "application/json");
    if (cors)
        add_cors(&h);
    kn_api_write_envelope(&body, "UnknownOperationException", false);
    kn_http_reply(req, 404, h.list, h.count, kn_buf_bytes(&body));
}

static bool is_header_list(struct kn_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_' || c == ',' || c == ' '))
            return false;
    }
    return s.len;
}

void kn_api_reply_preflight(struct kn_http_req *req, bool allowed)
{
    struct kn_str wanted = kn_http_header(req, "access-control-request-headers");
    struct headers h = {.count = 0};
    if (allowed) {
        add(&h, "access-control-allow-origin", "*");
        add(&h, "access-control-allow-methods", "POST, GET, OPTIONS");
        add(&h, "access-control-allow-headers", "*");
        add(&h, "access-control-max-age", "86400");
        if (is_header_list(wanted)) /* a star does not cover Authorization */
            h.list[2].value = wanted;
    }
    kn_http_reply(req, allowed ? 200 : 403, h.list, h.count, (struct kn_bytes){NULL, 0});
}

void kn_api_reply_error(struct kn_http_req *req, int status, const char *name, const char *message)
{
    char id[37], type[ERROR_TYPE_BYTES_MAX];
    struct headers h = {.count = 0};
    KN_CLEANUP(kn_buf_done) struct kn_buf body;
    kn_buf_init(&body, KN_API_FAULT_BYTES_MAX);
    kn_api_uuid(id);
    (void) snprintf(type, sizeof type, "%s:%s", name, error_type_url);
    add(&h, "x-amzn-RequestId", id);
    add(&h, "content-type", "application/json");
    add(&h, "x-amzn-ErrorType", type);
    add_cors(&h);
    write_message(&body, "Message", kn_str_from(message));
    kn_http_reply(req, status, h.list, h.count, kn_buf_bytes(&body));
}
