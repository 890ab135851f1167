/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of awsJson 1.1 and CBOR, exactly as Kinesis gives them: errors are an object of `__type`
 * and `message`, in the request's own content type; XML and coral's envelope for requests of other
 * types; an operation without members answers nothing at all. CORS where there is an Origin.
 * Sources: recordings of the real service in kinesalite's public tests; botocore, the JS SDK and
 * what the Java SDK reads (its order: header, `:exception-type`, `__type`).
 */
#include "api_private.h"

#include "core/crypto.h"

enum {
    ID_2_BYTES = 72 /* random; of no meaning to anybody */
};

size_t kn_api_aws_headers(struct kn_api_call_state *state, const char *type,
                          char id_2[KN_API_ID_2_TEXT],
                          struct kn_http_header dst[KN_API_STREAM_HEADERS])
{
    uint8_t random[ID_2_BYTES];
    size_t count = 0;
    static_assert(ID_2_BYTES / 3 * 4 < KN_API_ID_2_TEXT, "with a NUL");
    kn_random_name(random, sizeof random);
    kn_base64_write((struct kn_bytes){random, sizeof random}, id_2);
    id_2[ID_2_BYTES / 3 * 4] = 0;
    dst[count++] =
        (struct kn_http_header){KN_STR("x-amzn-RequestId"), kn_str_from(state->call.request_id)};
    dst[count++] = (struct kn_http_header){KN_STR("x-amz-id-2"), kn_str_from(id_2)};
    if (type)
        dst[count++] = (struct kn_http_header){KN_STR("content-type"), kn_str_from(type)};
    if (state->api->conf.keyring && kn_http_header(state->call.req, "origin").ptr) {
        dst[count++] = (struct kn_http_header){KN_STR("access-control-allow-origin"), KN_STR("*")};
        dst[count++] = (struct kn_http_header){
            KN_STR("access-control-expose-headers"),
            KN_STR("x-amzn-RequestId,x-amzn-ErrorType,x-amz-request-id,x-amz-id-2,"
                   "x-amzn-ErrorMessage,Date")};
    }
    return count;
}

static void append_escaped(struct kn_buf *dst, struct kn_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '<')
            (void) kn_buf_append_text(dst, "&lt;"); /* errors stick in dst */
        else if (s.ptr[i] == '&')
            (void) kn_buf_append_text(dst, "&amp;");
        else
            (void) kn_buf_append_byte(dst, (uint8_t) s.ptr[i]);
    }
}

static void write_xml(const struct kn_api_raised *raised, struct kn_buf *dst)
{
    if (raised->bare) {
        (void) kn_buf_printf(dst, "<%s/>\n", raised->name);
        return;
    }
    (void) kn_buf_printf(dst, "<%s>\n  <Message>", raised->name);
    append_escaped(dst, raised->message);
    (void) kn_buf_printf(dst, "</Message>\n</%s>\n", raised->name);
}

static const char *write_fault(const struct kn_api_call_state *state, struct kn_buf *dst)
{
    const struct kn_api_raised *raised = &state->raised;
    if (raised->xml) {
        write_xml(raised, dst);
        return NULL;
    }
    if (raised->envelope) {
        kn_api_write_envelope(dst, raised->name, false);
        return "application/json";
    }
    bool told = !raised->bare && !kn_str_eq(kn_str_from(raised->name), KN_STR("InternalFailure"));
    state->codec->fault(raised->name, told ? raised->message_member : NULL, raised->message, dst);
    return state->codec->content_type;
}

void kn_api_reply_aws(struct kn_api_call_state *state)
{
    char id_2[KN_API_ID_2_TEXT];
    struct kn_http_header headers[KN_API_STREAM_HEADERS];
    KN_CLEANUP(kn_buf_done) struct kn_buf fault;
    const char *type = state->codec->content_type;
    kn_buf_init(&fault, KN_API_FAULT_BYTES_MAX);
    bool failed = state->raised.name;
    if (failed)
        type = write_fault(state, &fault);
    size_t count = kn_api_aws_headers(state, type, id_2, headers);
    kn_http_reply(state->call.req, failed ? state->raised.status : 200, headers, count,
                  kn_buf_bytes(failed ? &fault : &state->answer));
}
