/* SPDX-License-Identifier: Apache-2.0 */
#include "api_fixture.h"

#include "demo_api.h"

#include <errno.h>

#include "core/sigv4.h"

/* --- the module under the engine ------------------------------------------------------------- */
int demo_op_Echo(struct demo *module, const struct demo_Echo_in *in, struct demo_Echo_out *out,
                 struct kn_api_call *call)
{
    (void) module;
    switch (in->Kind) {
    case DEMO_Echo_Kind_FAULT:
        return kn_api_fault(call, "SessionExpiredException", "gone \"%s\"", "for ever");
    case DEMO_Echo_Kind_ENOENT:
        return -ENOENT;
    case DEMO_Echo_Kind_EIO:
        return -EIO;
    case DEMO_Echo_Kind_ENOSPC:
        return -ENOSPC;
    case DEMO_Echo_Kind_ABSENT:
    case DEMO_Echo_Kind_ECHO:
        break;
    }
    *out = (struct demo_Echo_out){
        .StreamName = in->StreamName,
        .Text = in->Text,
        .Blob = in->Blob,
        .Small = in->Small,
        .Long = in->Long,
        .When = in->When,
        .Ratio = in->Ratio,
        .Flag = in->Flag,
        .Colour = in->Colour,
        .Outer = in->Outer,
        .Names = in->Names,
        .Numbers = in->Numbers,
        .Colours = in->Colours,
        .Tags = in->Tags,
    };
    return 0;
}

int demo_op_Wait(struct demo *module, const struct demo_Wait_in *in, struct demo_Wait_out *out,
                 struct kn_api_call *call)
{
    assert_ok(kn_str_copy(module->seen_name, sizeof module->seen_name, in->Name));
    out->Name = kn_arena_str(call->arena, in->Name);
    return 0;
}

int demo_op_Change(struct demo *module, const struct demo_Change_in *in,
                   struct demo_Change_out *out, struct kn_api_call *call)
{
    (void) module;
    out->Name = kn_arena_str(call->arena, in->Name);
    return 0;
}

static int taken_head(struct kn_http_req *taken, void **ctx)
{
    struct kn_http_header headers[KN_API_STREAM_HEADERS];
    struct kn_api_call *call = *ctx;
    size_t count = kn_api_stream_headers(call, "video/webm", headers);
    kn_http_reply(taken, 200, headers, count, kn_bytes_of(KN_STR("taken")));
    return 0;
}

struct demo demo;

static void taken_gone(struct kn_http_req *taken, void *ctx, enum kn_http_why why)
{
    (void) taken;
    (void) ctx;
    (void) why;
    demo.gone++;
}

static const struct kn_http_ops taken_ops = {.head = taken_head, .gone = taken_gone};

int demo_op_Upload(struct demo *module, const struct demo_Upload_in *in,
                   struct demo_Upload_out *out, struct kn_api_call *call)
{
    (void) out;
    if (in->Kind == DEMO_Upload_Kind_BUSY)
        return -EAGAIN;
    module->taken++;
    kn_api_take(call, &taken_ops, call);
    return 0;
}

/* --- keys ------------------------------------------------------------------------------------ */
static struct kn_key keys[] = {
    {.id = KN_STR_INIT("ADMIN"),
     .secret = KN_STR_INIT("s1"),
     .grants = {{KN_STR_INIT("*"), KN_STR_INIT("*")}},
     .grant_count = 1                            },
    {.id = KN_STR_INIT("CAMERA"),
     .secret = KN_STR_INIT("s2"),
     .grants = {{KN_STR_INIT("KinesisVideo:e*"), KN_STR_INIT("cam-*")}},
     .grant_count = 1                            },
    {.id = KN_STR_INIT("TEMP"),
     .secret = KN_STR_INIT("s3"),
     .session_token = KN_STR_INIT("token"),
     .expires_ms = INT64_MAX,
     .grants = {{KN_STR_INIT("*"), KN_STR_INIT("*")}},
     .grant_count = 1},
    {.id = KN_STR_INIT("OLD"),
     .secret = KN_STR_INIT("s4"),
     .expires_ms = 1,
     .grants = {{KN_STR_INIT("*"), KN_STR_INIT("*")}},
     .grant_count = 1},
    {.id = KN_STR_INIT("DATA"),
     .secret = KN_STR_INIT("s6"),
     .grants = {{KN_STR_INIT("kinesis:*"), KN_STR_INIT("ord-*")}},
     .grant_count = 1},
    {.id = KN_STR_INIT("SLOW"),
     .secret = KN_STR_INIT("s5"),
     .grants = {{KN_STR_INIT("*"), KN_STR_INIT("*")}},
     .grant_count = 1},
};
int key_refs;

static int find_blocking(struct kn_keyring *ring, struct kn_str id, struct kn_key **ret)
{
    (void) ring;
    for (size_t i = 0; i < KN_ARRAY_LEN(keys); i++) {
        if (kn_str_eq(keys[i].id, id)) {
            *ret = &keys[i];
            key_refs++;
            return 0;
        }
    }
    return -ENOENT;
}

static int find(struct kn_keyring *ring, struct kn_str id, struct kn_key **ret)
{
    return kn_str_eq(id, KN_STR("SLOW")) ? -EAGAIN : find_blocking(ring, id, ret);
}

static void unref(struct kn_keyring *ring, struct kn_key *key)
{
    (void) ring;
    (void) key;
    key_refs--;
}

static struct kn_keyring keyring = {.find = find, .find_blocking = find_blocking, .unref = unref};

/* --- fixture ---------------------------------------------------------------------------------- */
static const struct kn_api_identity identity = {"aws", "us-east-1", "000000000000"};
struct kn_fake_clock fake_clock;
struct kn_api *api;
struct kn_http_req req;
static struct kn_buf authorization;
static char amz_date[KN_TIME_TEXT_BYTES];

void open_engine(bool with_keys)
{
    kn_fake_clock_init(&fake_clock, 1440938160000);
    kn_time_amz(1440938160000, amz_date);
    const struct kn_api_conf conf = {
        .identity = &identity,
        .clock = &fake_clock.clock,
        .keyring = with_keys ? &keyring : NULL,
        .skew_ms = 900000,
        .allowed_hosts = "camera.lan, nvr",
    };
    kn_api_free(api);
    demo = (struct demo){0};
    key_refs = 0;
    assert_ok(kn_api_new(&conf, &api));
    assert_ok(kn_api_add(api, &demo_api_service, &demo));
}

void make_request(const char *path, const char *body)
{
    fake_http_done(&req);
    fake_http_init(&req, "POST", path);
    fake_http_header(&req, "host", KN_STR("localhost:4566"));
    req.body = kn_bytes_of(kn_str_from(body));
}

/* Signs what is there so far. */
void sign_as(const char *id, const char *secret)
{
    sign_as_service(id, secret, "kinesisvideo");
}

void sign_as_service(const char *id, const char *secret, const char *service)
{
    static struct kn_sigv4_header headers[FAKE_HTTP_HEADERS_MAX];
    const struct kn_sigv4_signer signer = {kn_str_from(id), kn_str_from(secret),
                                           KN_STR("us-east-1"), kn_str_from(service),
                                           1440938160000};
    fake_http_header(&req, "x-amz-date", kn_str_from(amz_date));
    for (size_t i = 0; i < req.header_count; i++)
        headers[i] = (struct kn_sigv4_header){req.headers[i].name, req.headers[i].value};
    const struct kn_sigv4_request unsigned_req = {
        .method = req.method,
        .path = req.path,
        .headers = headers,
        .header_count = req.header_count,
        .body = req.body,
        .body_unread = kn_str_eq(req.path, KN_STR("/upload")),
    };
    kn_buf_done(&authorization);
    kn_buf_init(&authorization, 1 << 16);
    assert_ok(kn_sigv4_sign(&unsigned_req, &signer, (struct kn_str){NULL, 0}, &authorization));
    fake_http_header(&req, "authorization", kn_buf_str(&authorization));
}

void finish(void)
{
    fake_http_gone(&req, KN_HTTP_DONE);
    assert_int_equal(key_refs, 0);
}

void run(void)
{
    fake_http_start(&req, &kn_api_ops, api);
    while (fake_http_run_job(&req) || fake_http_run_wake(&req))
        continue;
    finish();
}

/* A call without authentication: what most tests need. */
void call(const char *path, const char *body)
{
    open_engine(false);
    make_request(path, body);
    run();
}

void assert_error(int status, const char *name)
{
    char type[128];
    (void) snprintf(type, sizeof type, "x-amzn-ErrorType: %s:http", name);
    if (!fake_http_answer_has(&req, type))
        fail_msg("want %s, got %d " KN_STR_FMT, name, req.status,
                 KN_STR_ARG(kn_buf_str(&req.answer_headers)));
    assert_int_equal(req.status, status);
    assert_true(fake_http_answer_has(&req, "x-amzn-RequestId: "));
}

int api_fixture_done(void **state)
{
    (void) state;
    kn_api_free(api);
    fake_http_done(&req);
    kn_buf_done(&authorization);
    return 0;
}
