/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a signed request claims: the Authorization header or the X-Amz-… query, taken apart. Nothing
 * here is believed yet; only the form is checked, and everything ambiguous (two of anything, both
 * ways at once) is refused. Portable C11.
 * Source: AWS General Reference, "Add the signature to the request"; names of the errors:
 * docs/protocols/sigv4.md.
 */
#include "sigv4_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"

static int refuse(struct kn_sigv4_fault *fault, int status, const char *name, const char *fmt, ...)
    KN_PRINTF(4, 5);

static int refuse(struct kn_sigv4_fault *fault, int status, const char *name, const char *fmt, ...)
{
    va_list args;
    *fault = (struct kn_sigv4_fault){.status = status, .name = name};
    va_start(args, fmt);
    (void) vsnprintf(fault->message, sizeof fault->message, fmt, args); /* cut is fine */
    va_end(args);
    return -EACCES;
}

#define INCOMPLETE(fault, ...) refuse(fault, 400, "IncompleteSignature", __VA_ARGS__)
#define INVALID(fault, ...)    refuse(fault, 403, "InvalidSignatureException", __VA_ARGS__)

/* A header that must not be there twice; ptr NULL when it is not there at all. */
static int single(const struct kn_sigv4_request *req, struct kn_str name, struct kn_str *ret,
                  struct kn_sigv4_fault *fault)
{
    const struct kn_sigv4_header *header = kn_sigv4_find(req, name, 0);
    if (header && kn_sigv4_find(req, name, 1))
        return INCOMPLETE(fault, "The header '" KN_STR_FMT "' is there twice.", KN_STR_ARG(name));
    *ret = header ? kn_str_trim(header->value) : (struct kn_str){NULL, 0};
    return 0;
}

/* --- Credential, SignedHeaders, Signature: the same in both forms ----------------------------- */
static int parse_credential(struct kn_str credential, struct kn_sigv4_auth *auth,
                            struct kn_sigv4_fault *fault)
{
    struct kn_str rest, terminator;
    rest = kn_str_cut(credential, '/', &auth->key_id);
    auth->scope = rest;
    rest = kn_str_cut(rest, '/', &auth->date);
    rest = kn_str_cut(rest, '/', &auth->region);
    rest = kn_str_cut(rest, '/', &auth->service);
    bool more = kn_str_cut(rest, '/', &terminator).ptr != NULL;
    if (!rest.ptr || more || !auth->key_id.len || !auth->region.len ||
        !kn_str_eq(terminator, KN_STR("aws4_request")))
        return INCOMPLETE(fault, "Credential must have exactly 5 slash-delimited elements, e.g. "
                                 "keyid/date/region/service/aws4_request.");
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return kn_str_cmp_nocase(*(const struct kn_str *) a, *(const struct kn_str *) b);
}

static bool has_double(struct kn_str *names, size_t count)
{
    qsort(names, count, sizeof *names, compare_names);
    for (size_t i = 1; i < count; i++)
        if (compare_names(&names[i - 1], &names[i]) == 0)
            return true;
    return false;
}

static int check_signed_headers(struct kn_str list, struct kn_sigv4_fault *fault)
{
    struct kn_str rest = list, name, names[KN_SIGV4_SIGNED_HEADERS_MAX];
    size_t count = 0;
    bool host = false, bad = false;
    while (rest.ptr && !bad) {
        rest = kn_str_cut(rest, ';', &name);
        bad = name.len == 0 || count == KN_SIGV4_SIGNED_HEADERS_MAX;
        if (!bad)
            names[count++] = name;
        host |= kn_str_eq(name, KN_STR("host")) || kn_str_eq(name, KN_STR(":authority"));
    }
    if (bad || has_double(names, count))
        return INCOMPLETE(fault, "SignedHeaders must be up to %d distinct header names.",
                          KN_SIGV4_SIGNED_HEADERS_MAX);
    if (!host)
        return INVALID(fault, "'Host' or ':authority' must be a 'SignedHeader' in the AWS "
                              "Authorization.");
    return 0;
}

static int check_parts(struct kn_sigv4_auth *auth, struct kn_str credential,
                       struct kn_sigv4_fault *fault)
{
    int error = parse_credential(credential, auth, fault);
    if (error)
        return error;
    error = check_signed_headers(auth->signed_headers, fault);
    if (error)
        return error;
    if (kn_time_parse_amz(auth->amz_date, &auth->amz_date_ms) < 0)
        return INCOMPLETE(fault, "X-Amz-Date must be in ISO 8601 basic format, as in "
                                 "20260102T030405Z.");
    if (auth->signature.len != 64)
        return INVALID(fault, "The signature must be 64 hexadecimal digits.");
    return 0;
}

/* --- Authorization header --------------------------------------------------------------------- */
static int parse_fields(struct kn_str fields, struct kn_sigv4_auth *auth,
                        struct kn_str *ret_credential, struct kn_sigv4_fault *fault)
{
    struct kn_str rest = fields, field, key;
    while (rest.ptr) {
        rest = kn_str_cut(rest, ',', &field);
        struct kn_str value = kn_str_cut(kn_str_trim(field), '=', &key);
        struct kn_str *slot = kn_str_eq(key, KN_STR("Credential"))      ? ret_credential
                              : kn_str_eq(key, KN_STR("SignedHeaders")) ? &auth->signed_headers
                              : kn_str_eq(key, KN_STR("Signature"))     ? &auth->signature
                                                                        : NULL;
        if (!slot || !value.ptr || slot->ptr)
            return INCOMPLETE(fault, "Authorization must consist of Credential=…, "
                                     "SignedHeaders=… and Signature=…, each once.");
        *slot = value;
    }
    return 0;
}

static int parse_header(const struct kn_sigv4_request *req, struct kn_str authorization,
                        struct kn_sigv4_auth *auth, struct kn_sigv4_fault *fault)
{
    struct kn_str algorithm, credential = {0};
    struct kn_str fields = kn_str_cut(authorization, ' ', &algorithm);
    if (!kn_str_eq(algorithm, KN_STR("AWS4-HMAC-SHA256")) || !fields.ptr)
        return INCOMPLETE(fault, "Authorization must begin with AWS4-HMAC-SHA256.");
    int error = parse_fields(fields, auth, &credential, fault);
    if (!error)
        error = single(req, KN_STR("x-amz-date"), &auth->amz_date, fault);
    if (!error && !auth->amz_date.ptr)
        error = single(req, KN_STR("date"), &auth->amz_date, fault);
    if (!error)
        error = single(req, KN_STR("x-amz-security-token"), &auth->security_token, fault);
    if (error)
        return error;
    if (!credential.ptr || !auth->signed_headers.ptr || !auth->signature.ptr || !auth->amz_date.ptr)
        return INCOMPLETE(fault, "Authorization header requires%s%s%s%s",
                          credential.ptr ? "" : " 'Credential' parameter.",
                          auth->signature.ptr ? "" : " 'Signature' parameter.",
                          auth->signed_headers.ptr ? "" : " 'SignedHeaders' parameter.",
                          auth->amz_date.ptr ? "" : " existence of an 'X-Amz-Date' header.");
    return check_parts(auth, credential, fault);
}

/* --- presigned query -------------------------------------------------------------------------- */
enum {
    ALGORITHM,
    CREDENTIAL,
    DATE,
    EXPIRES,
    SIGNED_HEADERS,
    SIGNATURE,
    TOKEN,
    PAYLOAD,
    PARAMS
};
static const char *const param_names[PARAMS] = {
    "X-Amz-Algorithm",     "X-Amz-Credential", "X-Amz-Date",           "X-Amz-Expires",
    "X-Amz-SignedHeaders", "X-Amz-Signature",  "X-Amz-Security-Token", "X-Amz-Content-Sha256",
};

static int decode_to_arena(struct kn_str raw, struct kn_arena *arena, struct kn_str *ret)
{
    KN_CLEANUP(kn_buf_done) struct kn_buf plain;
    kn_buf_init(&plain, KN_SIGV4_CANONICAL_BYTES_MAX);
    if (kn_sigv4_decode(raw, &plain) < 0)
        return -EINVAL;
    *ret = kn_arena_str(arena, kn_buf_str(&plain));
    return plain.error || !ret->ptr ? -ENOMEM : 0;
}

static int read_params(struct kn_str query, struct kn_arena *arena, struct kn_str params[PARAMS],
                       struct kn_sigv4_fault *fault)
{
    struct kn_str rest = query, field, name;
    size_t count = 0;
    while (rest.ptr) {
        rest = kn_str_cut(rest, '&', &field);
        if (++count > KN_SIGV4_QUERY_PARAMS_MAX)
            return INCOMPLETE(fault, "The query has more than %d parameters.",
                              KN_SIGV4_QUERY_PARAMS_MAX);
        struct kn_str value = kn_str_cut(field, '=', &name);
        for (size_t i = 0; i < PARAMS; i++) {
            if (!kn_str_eq_nocase(name, kn_str_from(param_names[i])))
                continue;
            if (params[i].ptr)
                return INCOMPLETE(fault, "'%s' is there twice.", param_names[i]);
            int error = decode_to_arena(value, arena, &params[i]);
            if (error == -EINVAL)
                return INCOMPLETE(fault, "'%s' is not percent-encoded rightly.", param_names[i]);
            if (error)
                return error;
        }
    }
    return 0;
}

static int parse_query(struct kn_str params[PARAMS], struct kn_sigv4_auth *auth,
                       struct kn_sigv4_fault *fault)
{
    for (size_t i = 0; i < TOKEN; i++)
        if (!params[i].ptr)
            return INCOMPLETE(fault, "AWS query-string parameters must include '%s'.",
                              param_names[i]);
    if (!kn_str_eq(params[ALGORITHM], KN_STR("AWS4-HMAC-SHA256")))
        return INCOMPLETE(fault, "X-Amz-Algorithm must be AWS4-HMAC-SHA256.");
    uint64_t expires_s;
    if (kn_str_to_u64(params[EXPIRES], KN_SIGV4_EXPIRES_S_MAX, &expires_s) < 0 || expires_s < 1)
        return INCOMPLETE(fault, "X-Amz-Expires must be 1 to %d seconds.", KN_SIGV4_EXPIRES_S_MAX);
    auth->presigned = true;
    auth->expires_s = (int64_t) expires_s;
    auth->amz_date = params[DATE];
    auth->signed_headers = params[SIGNED_HEADERS];
    auth->signature = params[SIGNATURE];
    auth->security_token = params[TOKEN];
    return check_parts(auth, params[CREDENTIAL], fault);
}

static int read_payload(const struct kn_sigv4_request *req, const struct kn_str *params,
                        struct kn_sigv4_auth *auth, struct kn_sigv4_fault *fault)
{
    int error = single(req, KN_STR("x-amz-content-sha256"), &auth->payload, fault);
    if (error)
        return error;
    if (!auth->payload.ptr)
        auth->payload = params[PAYLOAD];
    return 0;
}

int kn_sigv4_parse(const struct kn_sigv4_request *req, struct kn_arena *arena,
                   struct kn_sigv4_auth *ret, struct kn_sigv4_fault *fault)
{
    struct kn_sigv4_auth auth = {0};
    struct kn_str authorization = {0}, host = {0}, params[PARAMS] = {0};
    int error = single(req, KN_STR("authorization"), &authorization, fault);
    if (!error)
        error = single(req, KN_STR("host"), &host, fault);
    if (!error)
        error = read_params(req->query, arena, params, fault);
    if (!error)
        error = read_payload(req, params, &auth, fault);
    if (error)
        return error;

    bool in_query = params[ALGORITHM].ptr || params[SIGNATURE].ptr || params[CREDENTIAL].ptr;
    if (authorization.ptr && in_query)
        return INVALID(fault, "Found both 'X-Amz-Algorithm' as a query-string param and "
                              "'Authorization' as HTTP header.");
    if (!authorization.ptr && !in_query)
        return refuse(fault, 403, "MissingAuthenticationToken", "Missing Authentication Token");
    error = in_query ? parse_query(params, &auth, fault)
                     : parse_header(req, authorization, &auth, fault);
    if (!error)
        *ret = auth;
    return error;
}

/* --- rules ------------------------------------------------------------------------------------ */
static int check_time(const struct kn_sigv4_auth *auth, const struct kn_sigv4_policy *policy,
                      struct kn_sigv4_fault *fault)
{
    char now[KN_TIME_TEXT_BYTES], bound[KN_TIME_TEXT_BYTES];
    int64_t skew_min = policy->skew_ms / 60000;
    int64_t lifetime_ms = auth->presigned ? auth->expires_s * 1000 : policy->skew_ms;
    int64_t ahead_ms = auth->amz_date_ms - policy->now_ms;
    if (ahead_ms <= policy->skew_ms && -ahead_ms <= lifetime_ms)
        return 0;
    kn_time_amz(policy->now_ms, now);
    if (ahead_ms > policy->skew_ms) {
        kn_time_amz(policy->now_ms + policy->skew_ms, bound);
        return INVALID(fault,
                       "Signature not yet current: " KN_STR_FMT " is still later than %s "
                       "(%s + %" PRId64 " min.)",
                       KN_STR_ARG(auth->amz_date), bound, now, skew_min);
    }
    kn_time_amz(policy->now_ms - lifetime_ms, bound);
    return INVALID(fault,
                   "Signature expired: " KN_STR_FMT " is now earlier than %s "
                   "(%s - %" PRId64 " min.)",
                   KN_STR_ARG(auth->amz_date), bound, now, lifetime_ms / 60000);
}

static int check_payload(const struct kn_sigv4_request *req, const struct kn_sigv4_auth *auth,
                         const struct kn_sigv4_policy *policy, struct kn_sigv4_fault *fault)
{
    struct kn_str payload = auth->payload;
    if (!payload.ptr || payload.len == 64)
        return 0; /* kn_sigv4_verify compares a digest with the body */
    if (!kn_str_eq(payload, KN_STR("UNSIGNED-PAYLOAD")))
        return INVALID(fault, "x-amz-content-sha256 must be UNSIGNED-PAYLOAD or a SHA-256 in "
                              "hexadecimal digits.");
    if (!policy->unsigned_payload && !req->body_unread)
        return INVALID(fault, "UNSIGNED-PAYLOAD is accepted over TLS or on the loopback only.");
    return 0;
}

int kn_sigv4_check(const struct kn_sigv4_request *req, const struct kn_sigv4_auth *auth,
                   const struct kn_sigv4_policy *policy, struct kn_sigv4_fault *fault)
{
    if (!kn_str_eq(auth->service, kn_str_from(policy->service)))
        return INVALID(fault, "Credential should be scoped to correct service: '%s'.",
                       policy->service);
    if (policy->pinned_region && !kn_str_eq(auth->region, kn_str_from(policy->pinned_region)))
        return INVALID(fault,
                       "Credential should be scoped to a valid region, not '" KN_STR_FMT "'.",
                       KN_STR_ARG(auth->region));
    if (auth->date.len != 8 || !kn_str_starts_with(auth->amz_date, auth->date))
        return INVALID(fault, "Date in Credential scope does not match YYYYMMDD from ISO-8601 "
                              "version of date from HTTP.");
    int error = check_time(auth, policy, fault);
    return error ? error : check_payload(req, auth, policy, fault);
}

bool kn_sigv4_covers(const struct kn_sigv4_auth *auth, struct kn_str header)
{
    struct kn_str rest = auth->signed_headers, name;
    while (rest.ptr) {
        rest = kn_str_cut(rest, ';', &name);
        if (kn_str_eq_nocase(name, header))
            return true;
    }
    return false;
}
