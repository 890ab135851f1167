/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands before an awsJson operation: content types, targets and the claims of a signature, in
 * the order and the odd forms in which Kinesis refuses them: method, empty body, content type, form
 * of the body, operation, signature. The form of the body is looked at only where it can change the
 * answer; otherwise decoding finds it, and a body is not read twice.
 * Source: recordings of the real service in kinesalite's public tests.
 */
#include "api_private.h"

static struct kn_str content_type(const struct kn_api_call_state *state)
{
    struct kn_str type;
    (void) kn_str_cut(kn_http_header(state->call.req, "content-type"), ';', &type);
    return kn_str_trim(type);
}

static bool is_type(struct kn_str type, const struct kn_api_codec *codec)
{
    return kn_str_eq_nocase(type, kn_str_from(codec->content_type));
}

/* --- claims ----------------------------------------------------------------------------------- */
/* A parameter of the query as it was sent; ptr NULL: it is not there. */
static struct kn_str query_param(struct kn_str query, struct kn_str name)
{
    struct kn_str rest = query, field, key;
    while (rest.ptr) {
        rest = kn_str_cut(rest, '&', &field);
        struct kn_str value = kn_str_cut(field, '=', &key);
        if (kn_str_eq(key, name))
            return value.ptr ? value : KN_STR("");
    }
    return (struct kn_str){NULL, 0};
}

/* What Authorization must have, in the order in which its lack is told. */
static const struct kn_str fields[] = {KN_STR_INIT("Credential"), KN_STR_INIT("Signature"),
                                       KN_STR_INIT("SignedHeaders")};

/* A bit for each of the fields that is there, however they are separated. */
static unsigned fields_of(struct kn_str authorization)
{
    unsigned found = 0;
    struct kn_str rest, word, key;
    rest = kn_str_cut(authorization, ' ', &word);
    while (rest.ptr && rest.len) {
        size_t len = 0;
        while (len < rest.len && rest.ptr[len] != ' ' && rest.ptr[len] != ',')
            len++;
        if (kn_str_cut((struct kn_str){rest.ptr, len}, '=', &key).len)
            for (unsigned i = 0; i < KN_ARRAY_LEN(fields); i++)
                found |= (unsigned) kn_str_eq(key, fields[i]) << i;
        rest = kn_str_skip(rest, len < rest.len ? len + 1 : len);
    }
    return found;
}

static bool is_unsigned(const struct kn_api_call_state *state)
{
    struct kn_http_req *req = state->call.req;
    return !kn_http_header(req, "authorization").ptr &&
           !query_param(kn_http_query(req), KN_STR("X-Amz-Algorithm")).ptr;
}

static int check_header(struct kn_api_call_state *state, struct kn_str authorization)
{
    struct kn_http_req *req = state->call.req;
    unsigned found = fields_of(authorization);
    KN_CLEANUP(kn_buf_done) struct kn_buf text;
    kn_buf_init(&text, KN_API_MESSAGE_BYTES_MAX);
    for (size_t i = 0; i < KN_ARRAY_LEN(fields); i++)
        if (!(found & 1u << i))
            (void) kn_buf_printf(&text,
                                 "Authorization header requires '" KN_STR_FMT "' parameter. ",
                                 KN_STR_ARG(fields[i]));
    if (!kn_http_header(req, "x-amz-date").ptr && !kn_http_header(req, "date").ptr)
        (void) kn_buf_append_text(&text, "Authorization header requires existence of either a "
                                         "'X-Amz-Date' or a 'Date' header. ");
    if (!text.len)
        return 0;
    return kn_api_raise(state, 400, "IncompleteSignatureException",
                        KN_STR_FMT "Authorization=" KN_STR_FMT, KN_STR_ARG(kn_buf_str(&text)),
                        KN_STR_ARG(authorization));
}

static int check_query(struct kn_api_call_state *state)
{
    static const struct kn_str params[] = {
        KN_STR_INIT("X-Amz-Algorithm"), KN_STR_INIT("X-Amz-Credential"),
        KN_STR_INIT("X-Amz-Signature"), KN_STR_INIT("X-Amz-SignedHeaders"),
        KN_STR_INIT("X-Amz-Date")};
    struct kn_str query = kn_http_query(state->call.req);
    KN_CLEANUP(kn_buf_done) struct kn_buf text;
    kn_buf_init(&text, KN_API_MESSAGE_BYTES_MAX);
    for (size_t i = 0; i < KN_ARRAY_LEN(params); i++)
        if (!query_param(query, params[i]).len)
            (void) kn_buf_printf(&text,
                                 "AWS query-string parameters must include '" KN_STR_FMT "'. ",
                                 KN_STR_ARG(params[i]));
    if (!text.len)
        return 0;
    return kn_api_raise(state, 400, "IncompleteSignatureException",
                        KN_STR_FMT "Re-examine the query-string parameters.",
                        KN_STR_ARG(kn_buf_str(&text)));
}

int kn_api_front_claims(struct kn_api_call_state *state)
{
    struct kn_http_req *req = state->call.req;
    struct kn_str authorization = kn_http_header(req, "authorization");
    bool in_query = query_param(kn_http_query(req), KN_STR("X-Amz-Algorithm")).ptr;
    if (authorization.ptr && in_query)
        return kn_api_raise(state, 400, "InvalidSignatureException",
                            "Found both 'X-Amz-Algorithm' as a query-string param and "
                            "'Authorization' as HTTP header.");
    if (is_unsigned(state))
        return kn_api_raise(state, 400, "MissingAuthenticationTokenException",
                            "Missing Authentication Token");
    return in_query ? check_query(state) : check_header(state, authorization);
}

/* --- forms ------------------------------------------------------------------------------------ */
static int raise_xml(struct kn_api_call_state *state)
{
    bool missing = state->api->conf.keyring && is_unsigned(state);
    (void) kn_api_raise(
        state, 403, missing ? "MissingAuthenticationTokenException" : "AccessDeniedException", "%s",
        missing ? "Missing Authentication Token"
                : "Unable to determine service/operation name to be authorized");
    state->raised.status = 403;
    state->raised.xml = true;
    return -EACCES;
}

static int raise_bare(struct kn_api_call_state *state, int status, const char *name)
{
    (void) kn_api_raise(state, status, name, "%s", "");
    state->raised.bare = true;
    return -EACCES;
}

static bool is_malformed(const struct kn_api_call_state *state)
{
    return state->codec->check(kn_http_body(state->call.req)) < 0;
}

int kn_api_front_begin(struct kn_api_call_state *state)
{
    if (is_type(content_type(state), &kn_api_aws_cbor))
        state->codec = &kn_api_aws_cbor;
    return kn_str_eq(kn_http_method(state->call.req), KN_STR("POST")) ? 0 : raise_xml(state);
}

/* A content type of other protocols. */
static int refuse_type(struct kn_api_call_state *state, struct kn_str type)
{
    struct kn_str service,
        operation = kn_str_cut(kn_http_header(state->call.req, "x-amz-target"), '.', &service);
    if (kn_str_eq_nocase(type, KN_STR("application/json"))) {
        if (is_malformed(state))
            (void) raise_bare(state, 400, "SerializationException");
        else
            (void) raise_bare(state, 404, "UnknownOperationException");
        state->raised.envelope = true;
        return -EACCES;
    }
    if (!service.len || !operation.len || (state->api->conf.keyring && is_unsigned(state)))
        return raise_xml(state);
    (void) raise_bare(state, 404, "UnknownOperationException");
    state->raised.xml = true;
    return -EACCES;
}

int kn_api_front_body(struct kn_api_call_state *state)
{
    struct kn_str type = content_type(state);
    bool unknown = state->entry == &state->api->unknown;
    if (!kn_http_body(state->call.req).len) {
        if (!is_type(type, &kn_api_aws_json))
            state->codec = &kn_api_aws_cbor;
        return raise_bare(state, 400,
                          unknown ? "UnknownOperationException" : "SerializationException");
    }
    if (!is_type(type, &kn_api_aws_json) && !is_type(type, &kn_api_aws_cbor))
        return refuse_type(state, type);
    if (unknown)
        return raise_bare(state, 400,
                          is_malformed(state) ? "SerializationException"
                                              : "UnknownOperationException");
    return 0;
}

void kn_api_front_failed(struct kn_api_call_state *state)
{
    if (!state->raised.xml && !state->raised.envelope && !state->raised.bare && is_malformed(state))
        (void) raise_bare(state, 400, "SerializationException");
}
