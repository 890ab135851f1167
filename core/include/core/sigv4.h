/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AWS Signature Version 4: reading and verifying a signed request, header or presigned query form,
 * and making one. Knows neither sockets nor key stores: the caller brings the request, the clock
 * and the secret. Portable C11; any thread; nothing blocks.
 *
 *   kn_sigv4_parse    what the request claims, and whether its form is right
 *   kn_sigv4_check    time, scope and payload rules
 *   (the caller finds the secret of auth.key_id)
 *   kn_sigv4_verify   the signature itself, in constant time
 *
 * Sources: AWS General Reference, "Signature Version 4 signing process"; which variants clients
 * really send: docs/protocols/sigv4.md.
 */
#ifndef CORE_SIGV4_H
#define CORE_SIGV4_H

#include "core/arena.h"
#include "core/buf.h"
#include "core/err.h"

enum {
    KN_SIGV4_KEY_BYTES = 32,
    KN_SIGV4_SIGNED_HEADERS_MAX = 100,
    KN_SIGV4_QUERY_PARAMS_MAX = 100,
    KN_SIGV4_CANONICAL_BYTES_MAX = 1 << 20,
    KN_SIGV4_EXPIRES_S_MAX = 604800, /* seven days; AWS General Reference */
    KN_SIGV4_MESSAGE_BYTES_MAX = 400,
};

struct kn_sigv4_header {
    struct kn_str name; /* any case */
    struct kn_str value;
};

struct kn_sigv4_request {
    struct kn_str method;
    struct kn_str path;  /* raw, as sent */
    struct kn_str query; /* raw, without '?' */
    const struct kn_sigv4_header *headers;
    size_t header_count;
    struct kn_bytes body;
    bool body_unread; /* a stream (PutMedia): its bytes are not signed */
};

/* What the request says of itself; views into the request or the arena. */
struct kn_sigv4_auth {
    bool presigned;
    struct kn_str key_id;
    struct kn_str scope; /* "20261122/us-east-1/kinesisvideo/aws4_request" */
    struct kn_str date, region, service;
    struct kn_str amz_date;
    int64_t amz_date_ms;
    int64_t expires_s; /* presigned */
    struct kn_str signed_headers;
    struct kn_str signature;
    struct kn_str payload;        /* x-amz-content-sha256; ptr NULL: not sent */
    struct kn_str security_token; /* ptr NULL: not sent */
};

struct kn_sigv4_policy {
    const char *service;       /* "kinesisvideo" */
    const char *pinned_region; /* NULL: any */
    int64_t now_ms;
    int64_t skew_ms;
    bool unsigned_payload; /* accept UNSIGNED-PAYLOAD */
};

/* Why a request is refused, as the answer says it. */
struct kn_sigv4_fault {
    int status;
    const char *name;
    char message[KN_SIGV4_MESSAGE_BYTES_MAX];
};

/* -EACCES with *fault filled, or -ENOMEM. */
int kn_sigv4_parse(const struct kn_sigv4_request *req, struct kn_arena *arena,
                   struct kn_sigv4_auth *ret, struct kn_sigv4_fault *fault) KN_MUSTUSE;
int kn_sigv4_check(const struct kn_sigv4_request *req, const struct kn_sigv4_auth *auth,
                   const struct kn_sigv4_policy *policy, struct kn_sigv4_fault *fault) KN_MUSTUSE;
/* key: kn_sigv4_key of the secret and the request's own scope. */
int kn_sigv4_verify(const struct kn_sigv4_request *req, const struct kn_sigv4_auth *auth,
                    const uint8_t key[KN_SIGV4_KEY_BYTES], struct kn_sigv4_fault *fault) KN_MUSTUSE;

/* Does the signature cover this header? */
bool kn_sigv4_covers(const struct kn_sigv4_auth *auth, struct kn_str header);

/* The signing key for one day, region and service. */
void kn_sigv4_key(struct kn_str secret, struct kn_str date, struct kn_str region,
                  struct kn_str service, uint8_t ret[KN_SIGV4_KEY_BYTES]);

/* --- signing ------------------------------------------------------------------------------ */
struct kn_sigv4_signer {
    struct kn_str key_id, secret, region, service;
    int64_t date_ms;
};

/* Appends the value of Authorization. Signs every header of req, which must hold host and
 * x-amz-date (kn_time_amz of date_ms). payload: ptr NULL for the digest of req->body, else the
 * text that stands for it, such as "UNSIGNED-PAYLOAD". */
int kn_sigv4_sign(const struct kn_sigv4_request *req, const struct kn_sigv4_signer *signer,
                  struct kn_str payload, struct kn_buf *dst) KN_MUSTUSE;
/* Appends a query that carries the signature: req->query, then X-Amz-… . */
int kn_sigv4_presign(const struct kn_sigv4_request *req, const struct kn_sigv4_signer *signer,
                     struct kn_str security_token, int64_t expires_s, struct kn_buf *dst)
    KN_MUSTUSE;

#endif
