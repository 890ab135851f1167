/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who asks: the claims of the signature, the key they name, the signature itself. Finding a key may
 * need a thread that can block, so this is two halves around a lookup. Everything a handler will
 * believe must be signed: the body (or, for uploads, that it is not), the host, and each header
 * that carries a member. Errors: docs/protocols/sigv4.md.
 */
#include "api_private.h"

#include "core/keyring.h"

static int load_request(struct kn_api_call_state *state)
{
    struct kn_http_req *req = state->call.req;
    const struct kn_http_header *headers;
    size_t count = kn_http_headers(req, &headers);
    struct kn_sigv4_header *copy = kn_arena_alloc(&state->arena, (count + 1) * sizeof *copy);
    if (!copy)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        copy[i] = (struct kn_sigv4_header){headers[i].name, headers[i].value};
    bool stream = state->entry->op->input_stream;
    state->signed_req = (struct kn_sigv4_request){
        .method = kn_http_method(req),
        .path = kn_http_path(req),
        .query = kn_http_query(req),
        .headers = copy,
        .header_count = count,
        .body = stream ? (struct kn_bytes){NULL, 0}
             : kn_http_body(req),
        .body_unread = stream,
    };
    return 0;
}

static int raise_sigv4(struct kn_api_call_state *state, int error,
                       const struct kn_sigv4_fault *fault)
{
    if (error == -EACCES)
        return kn_api_raise(state, fault->status, fault->name, "%s", fault->message);
    kn_api_raise_errno(state, error);
    return -EACCES;
}

static bool is_secure(const struct kn_api_call_state *state)
{
    return kn_http_is_tls(state->call.req) || kn_http_is_loopback(state->call.req);
}

static int check_members_signed(struct kn_api_call_state *state)
{
    const struct kn_api_structure *in = state->entry->op->in;
    for (size_t i = 0; i < in->row_count; i++) {
        const char *header = in->rows[i].header;
        if (header && kn_http_header(state->call.req, header).ptr &&
            !kn_sigv4_covers(&state->auth, kn_str_from(header)))
            return kn_api_raise(state, 403, "InvalidSignatureException",
                                "'%s' must be a 'SignedHeader' in the AWS Authorization.", header);
    }
    return 0;
}

static int find_key(struct kn_api_call_state *state, bool may_block)
{
    struct kn_keyring *ring = state->api->conf.keyring;
    const struct kn_sigv4_auth *auth = &state->auth;
    if (ring->find_issued && auth->security_token.len)
        return ring->find_issued(ring, auth->key_id, auth->security_token, may_block, &state->key);
    return may_block ? ring->find_blocking(ring, auth->key_id, &state->key)
                     : ring->find(ring, auth->key_id, &state->key);
}

int kn_api_auth_begin(struct kn_api_call_state *state)
{
    const struct kn_api_conf *conf = &state->api->conf;
    struct kn_sigv4_fault fault = {0};
    int error = load_request(state);
    if (!error)
        error = kn_sigv4_parse(&state->signed_req, &state->arena, &state->auth, &fault);
    if (error)
        return raise_sigv4(state, error, &fault);
    const struct kn_sigv4_policy policy = {
        .service = state->entry->op->service,
        .pinned_region = conf->pinned_region,
        .now_ms = kn_wall_ms(conf->clock),
        .skew_ms = conf->skew_ms,
        .unsigned_payload = is_secure(state) || conf->allow_unsigned_payload_plain,
    };
    error = kn_sigv4_check(&state->signed_req, &state->auth, &policy, &fault);
    if (error)
        return raise_sigv4(state, error, &fault);
    error = check_members_signed(state);
    if (error)
        return error;
    state->key_result = find_key(state, false);
    return state->key_result == -EAGAIN ? -EAGAIN : 0;
}

void kn_api_auth_find_blocking(struct kn_api_call_state *state)
{
    state->key_result = find_key(state, true);
}

/* A long-term key needs no token and ignores one; a temporary one needs its own (rules.md 38). */
static int check_key(struct kn_api_call_state *state)
{
    const struct kn_key *key = state->key;
    struct kn_str token = state->auth.security_token;
    if (key->session_token.len &&
        !kn_bytes_eq_const_time(kn_bytes_of(key->session_token), kn_bytes_of(token)))
        return kn_api_raise(state, 403, "UnrecognizedClientException",
                            "The security token included in the request is invalid.");
    if (key->expires_ms && key->expires_ms <= kn_wall_ms(state->api->conf.clock))
        return kn_api_raise(state, 403, "ExpiredTokenException",
                            "The security token included in the request is expired");
    return 0;
}

/* A signature without a body, overheard on the way, must not carry another body. */
static int check_replay(struct kn_api_call_state *state)
{
    const struct kn_api_conf *conf = &state->api->conf;
    const struct kn_sigv4_auth *auth = &state->auth;
    bool body_free =
        state->signed_req.body_unread || kn_str_eq(auth->payload, KN_STR("UNSIGNED-PAYLOAD"));
    if (!body_free || is_secure(state))
        return 0;
    int64_t lifetime_ms = auth->presigned ? auth->expires_s * 1000 : conf->skew_ms;
    int error = kn_api_replay_add(state->api->replay, auth->signature, kn_wall_ms(conf->clock),
                                  auth->amz_date_ms + lifetime_ms);
    if (error == -EEXIST)
        return kn_api_raise(state, 403, "InvalidSignatureException",
                            "This signature has been used before; over plain HTTP it covers no "
                            "body and is accepted once.");
    if (error) {
        kn_api_raise_errno(state, -EAGAIN);
        return -EACCES;
    }
    return 0;
}

int kn_api_auth_finish(struct kn_api_call_state *state)
{
    struct kn_sigv4_fault fault = {0};
    uint8_t key[KN_SIGV4_KEY_BYTES];
    if (state->key_result == -ENOENT)
        return kn_api_raise(state, 403, "UnrecognizedClientException",
                            "The security token included in the request is invalid.");
    if (state->key_result < 0) {
        kn_api_raise_errno(state, state->key_result);
        return -EACCES;
    }
    kn_api_signing_key(state->api->signing_keys, state->key, &state->auth, key);
    int error = kn_sigv4_verify(&state->signed_req, &state->auth, key, &fault);
    if (error)
        return raise_sigv4(state, error, &fault);
    state->call.key = state->key;
    error = check_key(state);
    return error ? error : check_replay(state);
}
