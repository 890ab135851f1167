/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /role-aliases/<alias>/credentials over mutual TLS.
 *
 * Source: AWS IoT Core developer guide, "Authorizing direct calls to AWS services using AWS IoT
 * Core credential provider"; what Producer C reads of the answer: accessKeyId, secretAccessKey,
 * sessionToken, expiration.
 */
#include "iot.h"

#include "core/api.h"
#include "core/json.h"
#include "core/log.h"

enum {
    ANSWER_BYTES_MAX = 16 << 10
};

struct request {
    struct server_iot *iot;
    struct kn_str role, thing;
    struct kn_key *key;
    int result;
};

static int refuse(struct kn_http_req *req, int status, const char *name, const char *message)
{
    kn_log_warn("device_key_refused", "peer=" KN_STR_FMT " thing=" KN_LOG_QUOTED " said=\"%s\"",
                KN_STR_ARG(kn_http_peer(req)), kn_log_quote(kn_http_client_name(req)), message);
    kn_api_reply_error(req, status, name, message);
    return 0;
}

/* The alias in /role-aliases/<alias>/credentials. -ENOENT: another path; -EINVAL; -ENOMEM. */
static int read_alias(struct kn_http_req *req, struct kn_str *ret)
{
    const struct kn_str before = KN_STR("/role-aliases/"), after = KN_STR("/credentials");
    struct kn_str path = kn_http_path(req);
    if (!kn_str_starts_with(path, before) || !kn_str_ends_with(path, after) ||
        path.len <= before.len + after.len)
        return -ENOENT;
    path = kn_str_skip(path, before.len);
    path.len -= after.len;
    return kn_http_decode(req, path, ret);
}

static void issue(void *arg)
{
    struct request *request = arg;
    const struct storage_issue what = {.role = request->role,
                                       .thing = request->thing,
                                       .now_ms = kn_wall_ms(request->iot->clock),
                                       .lasts_ms = request->iot->key_ms};
    request->result = storage_keyring_issue(request->iot->keyring, &what, &request->key);
}

static int head(struct kn_http_req *req, void **ctx)
{
    struct server_iot *iot = *ctx;
    struct request *request = kn_arena_alloc(kn_http_arena(req), sizeof *request);
    *ctx = NULL;
    if (!request)
        return -ENOMEM;
    *request = (struct request){.iot = iot, .thing = kn_http_client_name(req)};
    int code = read_alias(req, &request->role);
    if (code == -ENOENT)
        return refuse(req, 404, "ResourceNotFoundException",
                      "There is GET /role-aliases/<alias>/credentials here, and nothing else.");
    if (!kn_str_eq(kn_http_method(req), KN_STR("GET")))
        return refuse(req, 405, "InvalidRequestException", "The method is GET.");
    if (code < 0)
        return refuse(req, 400, "InvalidRequestException", "The role alias is malformed.");
    struct kn_str said = kn_http_header(req, "x-amzn-iot-thingname");
    if (!request->thing.len || (said.ptr && !kn_str_eq(said, request->thing)))
        return refuse(req, 403, "AccessDeniedException",
                      "The thing's name is not the common name of the certificate.");
    *ctx = request;
    code = kn_http_offload(req, KN_HTTP_CHANGES, issue, request); /* it may make the tokens' key */
    if (code < 0)
        return refuse(req, 503, "ServiceUnavailableException", "Too many requests wait.");
    return 0;
}

static void answer(struct kn_http_req *req, const struct kn_key *key, struct kn_str thing)
{
    static const struct kn_http_header headers[] = {
        {KN_STR_INIT("content-type"),  KN_STR_INIT("application/json")},
        {KN_STR_INIT("cache-control"), KN_STR_INIT("no-store")        },
    };
    struct kn_json_writer w;
    struct kn_buf out;
    char when[KN_TIME_TEXT_BYTES];
    kn_time_iso8601(key->expires_ms, when);
    memcpy(when + strlen("2026-11-22T20:49:55"), "Z", 2); /* AWS says whole seconds */
    kn_buf_init(&out, ANSWER_BYTES_MAX);
    kn_json_writer_init(&w, &out);
    kn_json_object_begin(&w);
    kn_json_key(&w, "credentials");
    kn_json_object_begin(&w);
    kn_json_key(&w, "accessKeyId");
    kn_json_str(&w, key->id);
    kn_json_key(&w, "secretAccessKey");
    kn_json_str(&w, key->secret);
    kn_json_key(&w, "sessionToken");
    kn_json_str(&w, key->session_token);
    kn_json_key(&w, "expiration");
    kn_json_text(&w, when);
    kn_json_object_end(&w);
    kn_json_object_end(&w);
    if (out.error) {
        (void) refuse(req, 500, "InternalServerException", "There is no memory for the answer.");
    } else {
        kn_log_info("device_key_issued",
                    "thing=" KN_LOG_QUOTED " role=" KN_STR_FMT " key=" KN_STR_FMT " expires=%s",
                    kn_log_quote(thing), KN_STR_ARG(key->issuer), KN_STR_ARG(key->id), when);
        kn_http_reply(req, 200, headers, KN_ARRAY_LEN(headers), kn_buf_bytes(&out));
    }
    if (out.ptr)
        explicit_bzero(out.ptr, out.len);
    kn_buf_done(&out);
}

static void wake(struct kn_http_req *req, void *ctx, uint32_t bits)
{
    struct request *request = ctx;
    if (!request || !(bits & KN_HTTP_WAKE_JOB))
        return;
    if (request->result == 0)
        answer(req, request->key, request->thing);
    else if (request->result == -ENOENT)
        (void) refuse(req, 404, "ResourceNotFoundException",
                      "The role alias must be the id of an access key whose streams "
                      "name " STORAGE_THING_VARIABLE ", and there is none such.");
    else if (request->result == -EACCES)
        (void) refuse(req, 403, "AccessDeniedException", "The role's access key has expired.");
    else if (request->result == -EINVAL)
        (void) refuse(req, 403, "AccessDeniedException",
                      "The certificate's common name is no name of a thing.");
    else
        (void) refuse(req, 500, "InternalServerException", kn_errname(request->result));
}

static void gone(struct kn_http_req *req, void *ctx, enum kn_http_why why)
{
    struct request *request = ctx;
    (void) req;
    (void) why;
    if (request)
        storage_credential_free(request->key);
}

const struct kn_http_ops server_iot_ops = {.head = head, .wake = wake, .gone = gone};
