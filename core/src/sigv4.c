/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The signature itself: string to sign, HMAC chain, verifying and making. Verifying tries the few
 * canonical forms that real clients use for the same request (see sigv4_private.h); each binds the
 * bytes that were sent, so accepting several weakens nothing. Comparison is in constant time.
 * Portable C11.
 * Source: AWS General Reference, "Calculate the signature".
 */
#include "core/sigv4.h"

#include "sigv4_private.h"

#include <stdio.h>

#include "core/clock.h"
#include "core/crypto.h"

enum {
    HEX_BYTES = KN_SHA256_HEX_BYTES - 1
};
static const char algorithm[] = "AWS4-HMAC-SHA256";

void kn_sigv4_key(struct kn_str secret, struct kn_str date, struct kn_str region,
                  struct kn_str service, uint8_t ret[KN_SIGV4_KEY_BYTES])
{
    const struct kn_str steps[] = {date, region, service, KN_STR("aws4_request")};
    KN_CLEANUP(kn_buf_done) struct kn_buf first;
    kn_buf_init(&first, secret.len + 4);
    (void) kn_buf_append_text(&first, "AWS4");
    (void) kn_buf_append_str(&first, secret);
    kn_assert(!first.error); /* a few bytes; nothing sensible is left to do without them */
    struct kn_bytes key = kn_buf_bytes(&first);
    for (size_t i = 0; i < KN_ARRAY_LEN(steps); i++) {
        uint8_t mac[KN_SIGV4_KEY_BYTES];
        kn_hmac_sha256(key, kn_bytes_of(steps[i]), mac);
        memcpy(ret, mac, sizeof mac);
        key = (struct kn_bytes){ret, KN_SIGV4_KEY_BYTES};
    }
    memset(first.ptr, 0, first.len);
}

static void sign_text(struct kn_bytes canonical, struct kn_str amz_date, struct kn_str scope,
                      const uint8_t key[KN_SIGV4_KEY_BYTES], char ret_hex[KN_SHA256_HEX_BYTES])
{
    uint8_t digest[KN_SHA256_BYTES];
    char hex[KN_SHA256_HEX_BYTES];
    KN_CLEANUP(kn_buf_done) struct kn_buf text;
    kn_sha256(canonical, digest);
    kn_hex_encode((struct kn_bytes){digest, sizeof digest}, hex);
    kn_buf_init(&text, KN_SIGV4_CANONICAL_BYTES_MAX);
    (void) kn_buf_reserve(&text, sizeof algorithm + amz_date.len + scope.len + sizeof hex + 1);
    (void) kn_buf_append_text(&text, algorithm);
    (void) kn_buf_append_byte(&text, '\n');
    (void) kn_buf_append_str(&text, amz_date);
    (void) kn_buf_append_byte(&text, '\n');
    (void) kn_buf_append_str(&text, scope);
    (void) kn_buf_append_byte(&text, '\n');
    (void) kn_buf_append_text(&text, hex);
    kn_assert(!text.error);
    kn_hmac_sha256((struct kn_bytes){key, KN_SIGV4_KEY_BYTES}, kn_buf_bytes(&text), digest);
    kn_hex_encode((struct kn_bytes){digest, sizeof digest}, ret_hex);
}

static void hex_digest(struct kn_bytes body, char ret[KN_SHA256_HEX_BYTES])
{
    uint8_t digest[KN_SHA256_BYTES];
    kn_sha256(body, digest);
    kn_hex_encode((struct kn_bytes){digest, sizeof digest}, ret);
}

static int invalid(struct kn_sigv4_fault *fault, const char *message)
{
    *fault = (struct kn_sigv4_fault){.status = 403, .name = "InvalidSignatureException"};
    int error = kn_str_copy(fault->message, sizeof fault->message, kn_str_from(message));
    kn_assert(!error);
    return -EACCES;
}

/* The same text twice is not tried twice. */
static bool is_new_form(const struct kn_sigv4_request *req, const struct kn_sigv4_form *form)
{
    if (form->token_left_out && !req->query.len)
        return false;
    if (form->path == KN_SIGV4_PATH_NORMAL)
        return true;
    KN_CLEANUP(kn_buf_done) struct kn_buf normal, other;
    kn_buf_init(&normal, KN_SIGV4_CANONICAL_BYTES_MAX);
    kn_buf_init(&other, KN_SIGV4_CANONICAL_BYTES_MAX);
    kn_sigv4_canonical_path(req->path, KN_SIGV4_PATH_NORMAL, &normal);
    kn_sigv4_canonical_path(req->path, form->path, &other);
    return !kn_str_eq(kn_buf_str(&normal), kn_buf_str(&other));
}

static int try_form(const struct kn_sigv4_request *req, const struct kn_sigv4_auth *auth,
                    const uint8_t key[KN_SIGV4_KEY_BYTES], struct kn_str payload,
                    const struct kn_sigv4_form *form)
{
    char hex[KN_SHA256_HEX_BYTES];
    KN_CLEANUP(kn_buf_done) struct kn_buf text;
    kn_buf_init(&text, KN_SIGV4_CANONICAL_BYTES_MAX);
    int error = kn_sigv4_canonical(req, auth->signed_headers, payload, form, &text);
    if (error)
        return error;
    sign_text(kn_buf_bytes(&text), auth->amz_date, auth->scope, key, hex);
    struct kn_str want = {hex, HEX_BYTES};
    return kn_bytes_eq_const_time(kn_bytes_of(want), kn_bytes_of(auth->signature)) ? 0 : -EACCES;
}

int kn_sigv4_verify(const struct kn_sigv4_request *req, const struct kn_sigv4_auth *auth,
                    const uint8_t key[KN_SIGV4_KEY_BYTES], struct kn_sigv4_fault *fault)
{
    static const struct kn_sigv4_form forms[] = {
        {KN_SIGV4_PATH_NORMAL,  false},
        {KN_SIGV4_PATH_AS_SENT, false},
        {KN_SIGV4_PATH_ENCODED, false},
        {KN_SIGV4_PATH_NORMAL,  true },
    };
    char digest[KN_SHA256_HEX_BYTES];
    struct kn_str payload = {digest, HEX_BYTES};
    hex_digest(req->body_unread ? (struct kn_bytes){(const uint8_t *) "", 0} : req->body, digest);
    if (auth->payload.ptr && auth->payload.len != HEX_BYTES)
        payload = auth->payload; /* UNSIGNED-PAYLOAD; kn_sigv4_check has judged it */
    else if (auth->payload.ptr && !kn_str_eq(auth->payload, payload))
        return invalid(fault, "The provided 'x-amz-content-sha256' header does not match what was "
                              "computed.");
    for (size_t i = 0; i < KN_ARRAY_LEN(forms); i++) {
        if (forms[i].token_left_out && !(auth->presigned && auth->security_token.ptr))
            continue;
        if (!is_new_form(req, &forms[i]))
            continue;
        int error = try_form(req, auth, key, payload, &forms[i]);
        if (error == 0 || error == -ENOMEM)
            return error;
    }
    return invalid(fault, "The request signature we calculated does not match the signature you "
                          "provided. Check your AWS Secret Access Key and signing method. Consult "
                          "the service documentation for details.");
}

/* --- making one ------------------------------------------------------------------------------- */
/* Lower-case names of all headers, sorted, without doubles, joined by ';'. */
static void list_headers(const struct kn_sigv4_request *req, struct kn_buf *dst)
{
    const struct kn_sigv4_header *last = NULL;
    for (;;) {
        const struct kn_sigv4_header *next = NULL;
        for (size_t i = 0; i < req->header_count; i++) {
            const struct kn_sigv4_header *h = &req->headers[i];
            if ((!last || kn_str_cmp(h->name, last->name) > 0) &&
                (!next || kn_str_cmp(h->name, next->name) < 0))
                next = h;
        }
        if (!next)
            return;
        if (last)
            (void) kn_buf_append_byte(dst, ';');
        (void) kn_buf_append_str(dst, next->name);
        last = next;
    }
}

struct material { /* what both ways of signing compute first */
    char amz_date[KN_TIME_TEXT_BYTES];
    struct kn_buf scope, signed_headers;
    uint8_t key[KN_SIGV4_KEY_BYTES];
};

static void material_init(struct material *m, const struct kn_sigv4_request *req,
                          const struct kn_sigv4_signer *signer)
{
    struct kn_str date;
    kn_time_amz(signer->date_ms, m->amz_date);
    date = (struct kn_str){m->amz_date, 8};
    kn_sigv4_key(signer->secret, date, signer->region, signer->service, m->key);
    kn_buf_init(&m->scope, KN_SIGV4_CANONICAL_BYTES_MAX);
    kn_buf_init(&m->signed_headers, KN_SIGV4_CANONICAL_BYTES_MAX);
    (void) kn_buf_printf(&m->scope, KN_STR_FMT "/" KN_STR_FMT "/" KN_STR_FMT "/aws4_request",
                         KN_STR_ARG(date), KN_STR_ARG(signer->region), KN_STR_ARG(signer->service));
    list_headers(req, &m->signed_headers);
}

static void material_done(struct material *m)
{
    kn_buf_done(&m->scope);
    kn_buf_done(&m->signed_headers);
    memset(m->key, 0, sizeof m->key);
}

static int compute(const struct kn_sigv4_request *req, const struct material *m,
                   struct kn_str payload, char ret_hex[KN_SHA256_HEX_BYTES])
{
    const struct kn_sigv4_form form = {KN_SIGV4_PATH_NORMAL, false};
    char digest[KN_SHA256_HEX_BYTES];
    KN_CLEANUP(kn_buf_done) struct kn_buf text;
    kn_buf_init(&text, KN_SIGV4_CANONICAL_BYTES_MAX);
    if (m->scope.error || m->signed_headers.error)
        return -ENOMEM;
    if (!payload.ptr) {
        hex_digest(req->body_unread ? (struct kn_bytes){(const uint8_t *) "", 0} : req->body,
                   digest);
        payload = (struct kn_str){digest, HEX_BYTES};
    }
    int error = kn_sigv4_canonical(req, kn_buf_str(&m->signed_headers), payload, &form, &text);
    if (!error)
        sign_text(kn_buf_bytes(&text), kn_str_from(m->amz_date), kn_buf_str(&m->scope), m->key,
                  ret_hex);
    return error;
}

int kn_sigv4_sign(const struct kn_sigv4_request *req, const struct kn_sigv4_signer *signer,
                  struct kn_str payload, struct kn_buf *dst)
{
    char hex[KN_SHA256_HEX_BYTES];
    KN_CLEANUP(material_done) struct material m;
    material_init(&m, req, signer);
    int error = compute(req, &m, payload, hex);
    if (error)
        return error;
    return kn_buf_printf(dst,
                         "%s Credential=" KN_STR_FMT "/" KN_STR_FMT ", SignedHeaders=" KN_STR_FMT
                         ", Signature=%s",
                         algorithm, KN_STR_ARG(signer->key_id), KN_STR_ARG(kn_buf_str(&m.scope)),
                         KN_STR_ARG(kn_buf_str(&m.signed_headers)), hex);
}

static void append_param(struct kn_buf *dst, const char *name, struct kn_str value)
{
    if (dst->len)
        (void) kn_buf_append_byte(dst, '&');
    (void) kn_buf_append_text(dst, name);
    (void) kn_buf_append_byte(dst, '=');
    kn_sigv4_encode(value, false, dst);
}

int kn_sigv4_presign(const struct kn_sigv4_request *req, const struct kn_sigv4_signer *signer,
                     struct kn_str security_token, int64_t expires_s, struct kn_buf *dst)
{
    char hex[KN_SHA256_HEX_BYTES], expires[24];
    KN_CLEANUP(material_done) struct material m;
    KN_CLEANUP(kn_buf_done) struct kn_buf query, credential;
    kn_assert(expires_s >= 1 && expires_s <= KN_SIGV4_EXPIRES_S_MAX);
    kn_buf_init(&query, KN_SIGV4_CANONICAL_BYTES_MAX);
    kn_buf_init(&credential, KN_SIGV4_CANONICAL_BYTES_MAX);
    material_init(&m, req, signer);
    (void) kn_buf_printf(&credential, KN_STR_FMT "/" KN_STR_FMT, KN_STR_ARG(signer->key_id),
                         KN_STR_ARG(kn_buf_str(&m.scope)));
    (void) snprintf(expires, sizeof expires, "%" PRId64, expires_s);
    (void) kn_buf_append_str(&query, req->query);
    append_param(&query, "X-Amz-Algorithm", kn_str_from(algorithm));
    append_param(&query, "X-Amz-Credential", kn_buf_str(&credential));
    append_param(&query, "X-Amz-Date", kn_str_from(m.amz_date));
    append_param(&query, "X-Amz-Expires", kn_str_from(expires));
    append_param(&query, "X-Amz-SignedHeaders", kn_buf_str(&m.signed_headers));
    if (security_token.ptr)
        append_param(&query, "X-Amz-Security-Token", security_token);
    if (query.error || credential.error)
        return -ENOMEM;

    struct kn_sigv4_request signed_req = *req;
    signed_req.query = kn_buf_str(&query);
    int error = compute(&signed_req, &m, (struct kn_str){NULL, 0}, hex);
    if (error)
        return error;
    append_param(&query, "X-Amz-Signature", (struct kn_str){hex, HEX_BYTES});
    return query.error ? query.error : kn_buf_append_str(dst, kn_buf_str(&query));
}
