/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API engine on a small module of its own (tests/unit/api_demo): every stage, every kind of
 * answer, and which thread does what.
 */
#include "demo_api.h"
#include "fake_http.h"
#include "test.h"

#include <errno.h>

#include "core/clock.h"
#include "core/sigv4.h"

/* --- the module under the engine ------------------------------------------------------------- */
struct demo {
    int taken, gone;
    char seen_name[64];
};

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

static int taken_head(struct kn_http_req *req, void **ctx)
{
    struct kn_http_header headers[KN_API_STREAM_HEADERS];
    struct kn_api_call *call = *ctx;
    size_t count = kn_api_stream_headers(call, "video/webm", headers);
    kn_http_reply(req, 200, headers, count, kn_bytes_of(KN_STR("taken")));
    return 0;
}

static struct demo demo;

static void taken_gone(struct kn_http_req *req, void *ctx, enum kn_http_why why)
{
    (void) req;
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
    {.id = KN_STR_INIT("SLOW"),
     .secret = KN_STR_INIT("s5"),
     .grants = {{KN_STR_INIT("*"), KN_STR_INIT("*")}},
     .grant_count = 1},
};
static int key_refs;

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

static struct kn_keyring keyring = {find, find_blocking, unref};

/* --- fixture ---------------------------------------------------------------------------------- */
static const struct kn_api_identity identity = {"aws", "us-east-1", "000000000000"};
static struct kn_fake_clock fake_clock;
static struct kn_api *api;
static struct kn_http_req req;
static struct kn_buf authorization;
static char amz_date[KN_TIME_TEXT_BYTES];

static void open_engine(bool with_keys)
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

static void make_request(const char *path, const char *body)
{
    fake_http_done(&req);
    fake_http_init(&req, "POST", path);
    fake_http_header(&req, "host", KN_STR("localhost:4566"));
    req.body = kn_bytes_of(kn_str_from(body));
}

/* Signs what is there so far. */
static void sign_as(const char *id, const char *secret)
{
    static struct kn_sigv4_header headers[FAKE_HTTP_HEADERS_MAX];
    const struct kn_sigv4_signer signer = {kn_str_from(id), kn_str_from(secret),
                                           KN_STR("us-east-1"), KN_STR("kinesisvideo"),
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

static void finish(void)
{
    fake_http_gone(&req, KN_HTTP_DONE);
    assert_int_equal(key_refs, 0);
}

static void run(void)
{
    fake_http_start(&req, &kn_api_ops, api);
    while (fake_http_run_job(&req))
        continue;
    finish();
}

/* A call without authentication: what most tests need. */
static void call(const char *path, const char *body)
{
    open_engine(false);
    make_request(path, body);
    run();
}

#define assert_answer(wanted_status, wanted_body)                                                  \
    do {                                                                                           \
        assert_int_equal(req.status, (wanted_status));                                             \
        assert_str_is(kn_buf_str(&req.answer), (wanted_body));                                     \
    } while (0)

static void assert_error(int status, const char *name)
{
    char type[128];
    (void) snprintf(type, sizeof type, "x-amzn-ErrorType: %s:http", name);
    if (!fake_http_answer_has(&req, type))
        fail_msg("want %s, got %d " KN_STR_FMT, name, req.status,
                 KN_STR_ARG(kn_buf_str(&req.answer_headers)));
    assert_int_equal(req.status, status);
    assert_true(fake_http_answer_has(&req, "x-amzn-RequestId: "));
}

/* --- routing -----------------------------------------------------------------------------------
 */
TEST(an_unknown_route_gets_corals_envelope)
{
    static const char *const routes[] = {"/Echo", "/echo/", "/", "/echo2", "//echo"};
    for (size_t i = 0; i < KN_ARRAY_LEN(routes); i++) {
        call(routes[i], "{}");
        assert_answer(404, "{\"Output\":{\"__type\":\"com.amazon.coral.service#"
                           "UnknownOperationException\"},\"Version\":\"1.0\"}");
        assert_false(fake_http_answer_has(&req, "x-amzn-ErrorType"));
    }
    open_engine(false);
    make_request("/echo", "{}");
    req.method = KN_STR("GET");
    run();
    assert_int_equal(req.status, 404);
}

TEST(the_same_operations_cannot_be_added_twice)
{
    open_engine(false);
    assert_int_equal(kn_api_add(api, &demo_api_service, &demo), -EEXIST);
}

/* --- decode and encode -------------------------------------------------------------------------
 */
TEST(every_type_goes_in_and_comes_out)
{
    static const char body[] =
        "{\"StreamName\":\"cam-1\",\"Text\":\"Gr\xC3\xBC\xC3\x9F Gott\",\"Blob\":\"AAEC\","
        "\"Small\":-7,\"Long\":9007199254740993,\"When\":1700000000.123,\"Ratio\":0.25,"
        "\"Flag\":false,\"Colour\":\"GREEN\",\"Outer\":{\"Point\":{\"X\":3,\"Colour\":\"RED\","
        "\"Label\":\"a\"},\"Points\":[{\"X\":0},{\"X\":10,\"Label\":\"abcd\"}]},"
        "\"Names\":[\"a\",\"b-c\"],\"Numbers\":[1,-2,3],\"Colours\":[\"GREEN\",\"RED\"],"
        "\"Tags\":{\"k\":\"v\",\"l\":\"\"}}";
    call("/echo", body);
    assert_answer(200, body);
    assert_true(fake_http_answer_has(&req, "content-type: application/json"));
}

TEST(an_empty_or_absent_object_is_enough_where_nothing_is_required)
{
    call("/echo", "{}");
    assert_answer(200, "{}");
    call("/echo", "");
    assert_answer(200, "{}");
}

TEST(null_is_absent_and_unknown_members_are_ignored)
{
    call("/echo", "{\"StreamName\":null,\"Outer\":null,\"Tags\":null,\"New\":{\"a\":[1,{}]},"
                  "\"Text\":\"x\",\"streamname\":5}");
    assert_answer(200, "{\"Text\":\"x\"}");
}

TEST(escaped_names_and_values_are_read)
{
    call("/echo", "{\"Te\\u0078t\":\"\\u00fc\\n\",\"Tags\":{\"\\u006b\":\"\\/\"}}");
    assert_answer(200, "{\"Text\":\"\xC3\xBC\\n\",\"Tags\":{\"k\":\"/\"}}");
}

TEST(a_wrong_type_is_a_serialization_error)
{
    static const char *const bodies[] = {
        "[]",
        "1",
        "{",
        "{}x",
        "{\"Text\":1}",
        "{\"Text\":true}",
        "{\"Text\":[]}",
        "{\"Blob\":\"*\"}",
        "{\"Blob\":1}",
        "{\"Small\":\"1\"}",
        "{\"Small\":1.5}",
        "{\"Small\":2147483648}",
        "{\"Long\":9223372036854775808}",
        "{\"When\":\"2026-01-01T00:00:00Z\"}",
        "{\"Flag\":1}",
        "{\"Flag\":\"true\"}",
        "{\"Colour\":1}",
        "{\"Outer\":[]}",
        "{\"Outer\":{\"Point\":1}}",
        "{\"Names\":{}}",
        "{\"Names\":[1]}",
        "{\"Names\":[null]}",
        "{\"Tags\":[]}",
        "{\"Tags\":{\"a\":1}}",
        "{\"Tags\":{\"a\":\"1\",\"a\":\"2\"}}",
        "{\"Text\":\"a\",\"Text\":\"b\"}",
        "{\"Text\":\"\xFF\"}",
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(bodies); i++) {
        call("/echo", bodies[i]);
        if (req.status != 400)
            fail_msg("%s: %d", bodies[i], req.status);
        assert_answer(400, "{\"Output\":{\"__type\":\"com.amazon.coral.service#"
                           "SerializationException\",\"Message\":null},\"Version\":\"1.0\"}");
    }
}

/* --- constraints -------------------------------------------------------------------------------
 */
static void assert_violation(const char *body, const char *message)
{
    char wanted[2048];
    call("/echo", body);
    (void) snprintf(wanted, sizeof wanted, "{\"Message\":\"%s\"}", message);
    assert_error(400, "InvalidArgumentException");
    assert_str_is(kn_buf_str(&req.answer), wanted);
}

#define ONE             "1 validation error detected: "
#define AT(value, path) "Value " value " at '" path "' failed to satisfy constraint: "
#define VIOLATION(v, p, c)                                                                         \
    ONE AT(v, p)                                                                                   \
    c

TEST(violations_speak_as_aws_does)
{
    assert_violation(
        "{\"StreamName\":\"\"}",
        "2 validation errors detected: " AT(
            "''", "streamName") "Member must satisfy regular expression pattern: "
                                "[a-zA-Z0-9_.-]+; " AT("''",
                                                       "streamName") "Member must have length "
                                                                     "greater than or equal to 1");
    assert_violation("{\"StreamName\":\"a b\"}",
                     VIOLATION("'a b'", "streamName",
                               "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"));
    assert_violation("{\"Long\":-6}", VIOLATION("'-6'", "long",
                                                "Member must have value greater than or equal to "
                                                "-5"));
    assert_violation("{\"Blob\":\"AAAAAAAAAAAA\"}",
                     VIOLATION("'java.nio.HeapByteBuffer[pos=0 lim=9 cap=9]'", "blob",
                               "Member must have length less than or equal to 8"));
    assert_violation(
        "{\"Colour\":\"BLUE\"}",
        VIOLATION("'BLUE'", "colour", "Member must satisfy enum value set: [RED, GREEN]"));
    assert_violation("{\"Outer\":{}}", VIOLATION("null", "outer.point", "Member must not be null"));
    assert_violation(
        "{\"Outer\":{\"Point\":{\"X\":11}}}",
        VIOLATION("'11'", "outer.point.x", "Member must have value less than or equal to 10"));
    assert_violation(
        "{\"Outer\":{\"Point\":{\"X\":1},\"Points\":[]}}",
        VIOLATION("'[]'", "outer.points", "Member must have length greater than or equal to 1"));
    assert_violation("{\"Outer\":{\"Point\":{\"X\":1},\"Points\":[{\"X\":1},{\"X\":-1}]}}",
                     VIOLATION("'-1'", "outer.points.2.member.x",
                               "Member must have value greater than or equal to 0"));
    assert_violation(
        "{\"Names\":[\"a\",\"b\",\"c\",\"d\"]}",
        VIOLATION("'[a, b, c]'", "names", "Member must have length less than or equal to 3"));
    assert_violation("{\"Names\":[\"a\",\"bbbb\"]}",
                     VIOLATION("'[a, bbbb]'", "names",
                               "Member must satisfy constraint: [Member must have length less "
                               "than or equal to 3, Member must have length greater than or equal "
                               "to 1, Member must satisfy regular expression pattern: "
                               "[a-zA-Z0-9_.-]+]"));
    assert_violation("{\"Colours\":[\"RED\",\"PINK\"]}",
                     VIOLATION("'[RED, PINK]'", "colours",
                               "Member must satisfy constraint: [Member must satisfy enum value "
                               "set: [RED, GREEN]]"));
    assert_violation("{\"Tags\":{}}", VIOLATION("'{}'", "tags",
                                                "Member must have length greater than or equal to "
                                                "1"));
    assert_violation("{\"Tags\":{\"\":\"v\"}}",
                     VIOLATION("'{=v}'", "tags",
                               "Map keys must satisfy constraint: [Member must have length less "
                               "than or equal to 128, Member must have length greater than or "
                               "equal to 1, Member must satisfy regular expression pattern: "
                               "^([\\\\p{L}\\\\p{Z}\\\\p{N}_.:/=+\\\\-@]*)$]"));
}

TEST(lengths_count_characters_not_bytes)
{
    call("/echo",
         "{\"Outer\":{\"Point\":{\"X\":1,\"Label\":\"\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\"}}}");
    assert_int_equal(req.status, 200);
}

/* Notes about unknown enum values point into items that move while a list grows. */
TEST(a_violation_deep_in_a_long_list_still_finds_its_text)
{
    call("/echo", "{\"Outer\":{\"Point\":{\"X\":1},\"Points\":[{\"X\":1,\"Colour\":\"PINK\"},"
                  "{\"X\":1},{\"X\":1},{\"X\":1},{\"X\":1},{\"X\":1},{\"X\":1},{\"X\":1},"
                  "{\"X\":1},{\"X\":1},{\"X\":1},{\"X\":1},{\"X\":1},{\"X\":1},{\"X\":1},"
                  "{\"X\":1},{\"X\":1},{\"X\":1}]}}");
    assert_int_equal(req.status, 400);
    assert_non_null(
        memmem(req.answer.ptr, req.answer.len, "'PINK' at 'outer.points.1.member.col", 36));
}

TEST(at_most_twenty_violations_are_told)
{
    struct kn_buf body;
    kn_buf_init(&body, 1 << 16);
    (void) kn_buf_append_text(&body, "{\"Outer\":{\"Point\":{\"X\":1},\"Points\":[{");
    for (int i = 0; i < 19; i++)
        (void) kn_buf_append_text(&body, "\"X\":-1,\"Label\":\"\"},{");
    (void) kn_buf_append_text(&body, "}]}}");
    (void) kn_buf_append_byte(&body, 0);
    call("/echo", (const char *) body.ptr);
    assert_non_null(memmem(req.answer.ptr, req.answer.len, "20 validation errors", 20));
    kn_buf_done(&body);
}

/* --- handlers ------------------------------------------------------------------------------------
 */
TEST(a_fault_carries_its_status_and_its_own_spelling)
{
    call("/echo", "{\"Kind\":\"FAULT\"}");
    assert_error(400, "SessionExpiredException");
    assert_str_is(kn_buf_str(&req.answer), "{\"message\":\"gone \\\"for ever\\\"\"}");
}

TEST(leftover_errors_become_faults_or_failures)
{
    call("/echo", "{\"Kind\":\"ENOENT\"}");
    assert_error(404, "ResourceNotFoundException");
    call("/echo", "{\"Kind\":\"EIO\"}");
    assert_error(500, "InternalFailure");
    call("/echo", "{\"Kind\":\"ENOSPC\"}");
    assert_error(503, "ServiceUnavailable");
}

TEST(a_refused_operation_validates_and_then_says_why)
{
    call("/Refused", "{\"Name\":\"x\"}");
    assert_error(403, "AccessDeniedException");
    assert_str_is(kn_buf_str(&req.answer), "{\"Message\":\"There is no such thing here.\"}");
    call("/Refused", "{}");
    assert_error(400, "InvalidArgumentException");
}

TEST(a_blocking_handler_runs_as_a_job)
{
    open_engine(false);
    make_request("/wait", "{\"Name\":\"cam\"}");
    fake_http_start(&req, &kn_api_ops, api);
    assert_false(req.answered);
    assert_string_equal(demo.seen_name, "");

    assert_true(fake_http_run_job(&req));
    assert_answer(200, "{\"Name\":\"cam\"}");
    finish();
}

TEST(a_full_pool_is_an_answer_that_clients_retry)
{
    open_engine(false);
    make_request("/wait", "{\"Name\":\"cam\"}");
    req.pool_full = true;
    run();
    assert_error(503, "ServiceUnavailable");
}

TEST(a_peer_that_leaves_during_a_job_leaks_nothing)
{
    open_engine(true);
    make_request("/wait", "{\"Name\":\"cam\"}");
    sign_as("ADMIN", "s1");
    fake_http_start(&req, &kn_api_ops, api);
    req.job(req.job_arg); /* returned, but the request is gone: no wake() */
    req.job = NULL;
    fake_http_gone(&req, KN_HTTP_PEER_GONE);
    assert_int_equal(key_refs, 0);
}

/* --- streams
 * --------------------------------------------------------------------------------------- */
TEST(an_upload_is_handed_over_at_its_head)
{
    open_engine(false);
    make_request("/upload", "");
    fake_http_header(&req, "x-amzn-stream-name", KN_STR("cam"));
    fake_http_start(&req, &kn_api_ops, api);
    assert_answer(200, "taken");
    assert_true(fake_http_answer_has(&req, "content-type: video/webm"));
    assert_true(fake_http_answer_has(&req, "x-amzn-RequestId: "));
    finish();
    assert_int_equal(demo.taken, 1);
    assert_int_equal(demo.gone, 1);
}

TEST(members_in_headers_are_typed_and_checked)
{
    static const struct {
        const char *name, *value, *error;
    } cases[] = {
        {"x-amzn-number", "0",   "InvalidArgumentException"},
        {"x-amzn-number", "10",  "InvalidArgumentException"},
        {"x-amzn-kind",   "DIG", "InvalidArgumentException"},
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        open_engine(false);
        make_request("/upload", "");
        fake_http_header(&req, "x-amzn-stream-name", KN_STR("cam"));
        fake_http_header(&req, cases[i].name, kn_str_from(cases[i].value));
        run();
        assert_error(400, cases[i].error);
        assert_true(req.close_after);
    }
    open_engine(false);
    make_request("/upload", "");
    run();
    assert_error(400, "InvalidArgumentException"); /* the name is missing */
    make_request("/upload", "");
    fake_http_header(&req, "x-amzn-number", KN_STR("one"));
    run();
    assert_int_equal(req.status, 400);
    assert_false(fake_http_answer_has(&req, "x-amzn-ErrorType"));
    make_request("/upload", "");
    fake_http_header(&req, "x-amzn-stream-name", KN_STR("a"));
    fake_http_header(&req, "x-amzn-stream-name", KN_STR("b"));
    run();
    assert_int_equal(req.status, 400);
}

TEST(an_overloaded_upload_is_answered_504)
{
    open_engine(false);
    make_request("/upload", "");
    fake_http_header(&req, "x-amzn-stream-name", KN_STR("cam"));
    fake_http_header(&req, "x-amzn-kind", KN_STR("BUSY"));
    run();
    assert_error(504, "ServiceUnavailable");
}

/* --- who asks
 * ---------------------------------------------------------------------------------------- */
static void signed_call(const char *id, const char *secret, const char *path, const char *body)
{
    open_engine(true);
    make_request(path, body);
    sign_as(id, secret);
    run();
}

TEST(a_signed_call_passes_and_a_bad_one_does_not)
{
    signed_call("ADMIN", "s1", "/echo", "{\"Text\":\"a\"}");
    assert_answer(200, "{\"Text\":\"a\"}");
    assert_true(fake_http_answer_has(&req, "access-control-allow-origin: *"));
    signed_call("ADMIN", "wrong", "/echo", "{}");
    assert_error(403, "InvalidSignatureException");
    signed_call("NOBODY", "s1", "/echo", "{}");
    assert_error(403, "UnrecognizedClientException");
    open_engine(true);
    make_request("/echo", "{}");
    run();
    assert_error(403, "MissingAuthenticationToken");
}

TEST(a_key_that_must_be_looked_up_is_looked_up_on_a_worker)
{
    open_engine(true);
    make_request("/echo", "{}");
    sign_as("SLOW", "s5");
    fake_http_start(&req, &kn_api_ops, api);
    assert_false(req.answered);
    assert_true(fake_http_run_job(&req));
    assert_int_equal(req.status, 200);
    finish();
}

TEST(temporary_keys_need_their_token_and_die)
{
    signed_call("TEMP", "s3", "/echo", "{}");
    assert_error(403, "UnrecognizedClientException");

    static const char *const tokens[] = {"token", "tokeN"};
    for (size_t i = 0; i < 2; i++) {
        open_engine(true);
        make_request("/echo", "{}");
        fake_http_header(&req, "x-amz-security-token", kn_str_from(tokens[i]));
        sign_as("TEMP", "s3");
        run();
        assert_int_equal(req.status, i == 0 ? 200 : 403);
    }
    open_engine(true); /* a long-term key ignores a token */
    make_request("/echo", "{}");
    sign_as("ADMIN", "s1");
    fake_http_header(&req, "x-amz-security-token", KN_STR("anything"));
    run();
    assert_int_equal(req.status, 200);

    signed_call("OLD", "s4", "/echo", "{}");
    assert_error(403, "ExpiredTokenException");
}

TEST(a_header_that_carries_meaning_must_be_signed)
{
    open_engine(true);
    make_request("/upload", "");
    fake_http_header(&req, "x-amzn-stream-name", KN_STR("cam"));
    sign_as("ADMIN", "s1");
    fake_http_header(&req, "x-amzn-kind", KN_STR("TAKE"));
    run();
    assert_error(403, "InvalidSignatureException");
    assert_int_equal(demo.taken, 0);
}

TEST(a_key_may_do_what_it_was_made_for)
{
#define ARN "arn:aws:kinesisvideo:us-east-1:000000000000:stream/"
    static const struct {
        const char *body;
        int status;
    } cases[] = {
        {"{\"StreamName\":\"cam-1\"}",                                 200},
        {"{\"StreamName\":\"door\"}",                                  401},
        {"{\"StreamARN\":\"" ARN "cam-1/1\"}",                         200},
        {"{\"StreamARN\":\"" ARN "door/1\"}",                          401},
        {"{\"StreamName\":\"cam-1\",\"StreamARN\":\"" ARN "door/1\"}", 401},
        {"{\"StreamName\":\"door\",\"StreamARN\":\"" ARN "cam-1/1\"}", 401},
        {"{}",                                                         401},
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        signed_call("CAMERA", "s2", "/echo", cases[i].body);
        if (req.status != cases[i].status)
            fail_msg("%s: %d", cases[i].body, req.status);
    }
    assert_error(401, "NotAuthorizedException");
    signed_call("CAMERA", "s2", "/wait", "{\"Name\":\"cam-1\"}"); /* another action */
    assert_error(403, "AccessDeniedException");
}

static int upload_from_afar(void)
{
    make_request("/upload", "");
    req.is_remote = true;
    fake_http_header(&req, "x-amzn-stream-name", KN_STR("cam"));
    sign_as("ADMIN", "s1");
    run();
    return req.status;
}

TEST(a_signature_without_a_body_is_used_once_over_plain_http_from_afar)
{
    open_engine(true);
    assert_int_equal(upload_from_afar(), 200);
    assert_int_equal(upload_from_afar(), 403);
    assert_error(403, "InvalidSignatureException");

    make_request("/upload", ""); /* on the loopback, or over TLS, nobody listens */
    fake_http_header(&req, "x-amzn-stream-name", KN_STR("cam"));
    sign_as("ADMIN", "s1");
    run();
    assert_int_equal(req.status, 200);
}

/* --- browsers
 * ------------------------------------------------------------------------------------------ */
TEST(a_preflight_is_answered_where_calls_are_signed)
{
    open_engine(true);
    make_request("/echo", "");
    req.method = KN_STR("OPTIONS");
    fake_http_header(&req, "origin", KN_STR("https://example.com"));
    fake_http_header(&req, "access-control-request-headers", KN_STR("authorization,x-amz-date"));
    run();
    assert_int_equal(req.status, 200);
    assert_true(fake_http_answer_has(&req, "access-control-allow-origin: *"));
    assert_true(fake_http_answer_has(&req, "access-control-allow-headers: authorization,x-amz-"));

    open_engine(false);
    make_request("/echo", "");
    req.method = KN_STR("OPTIONS");
    run();
    assert_int_equal(req.status, 403);
    assert_false(fake_http_answer_has(&req, "access-control-allow-origin"));
}

TEST(without_keys_only_our_own_pages_may_call)
{
    static const struct {
        const char *host, *origin;
        int status;
    } cases[] = {
        {"localhost:4566",         NULL,                    200},
        {"127.0.0.1:4566",         NULL,                    200},
        {"192.168.1.7",            NULL,                    200},
        {"[::1]:4566",             NULL,                    200},
        {"Kinema.Localhost",       NULL,                    200},
        {"nvr:4566",               NULL,                    200},
        {"CAMERA.lan",             NULL,                    200},
        {"evil.example",           NULL,                    403},
        {"localhost.evil.example", NULL,                    403},
        {"127.0.0.1.evil.example", NULL,                    403},
        {"1.2.3.4a",               NULL,                    403},
        {"",                       NULL,                    403},
        {"localhost:4566",         "http://localhost:4566", 200},
        {"localhost:4566",         "http://localhost:8080", 403},
        {"localhost:4566",         "https://evil.example",  403},
        {"localhost:4566",         "null",                  403},
        {"localhost:4566",         "",                      403},
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        open_engine(false);
        make_request("/echo", "{}");
        req.headers[0].value = kn_str_from(cases[i].host);
        if (cases[i].origin)
            fake_http_header(&req, "origin", kn_str_from(cases[i].origin));
        run();
        if (req.status != cases[i].status)
            fail_msg("host %s origin %s: %d", cases[i].host, cases[i].origin, req.status);
        assert_false(fake_http_answer_has(&req, "access-control-allow-origin"));
    }
}

/* --- small things
 * ----------------------------------------------------------------------------------------- */
TEST(an_error_outside_the_table_has_the_same_form)
{
    fake_http_done(&req);
    fake_http_init(&req, "GET", "/hls");
    kn_api_reply_error(&req, 403, "AccessDeniedException", "no \"way\"");
    assert_error(403, "AccessDeniedException");
    assert_str_is(kn_buf_str(&req.answer), "{\"Message\":\"no \\\"way\\\"\"}");
}

TEST(uuids_are_random_and_well_formed)
{
    char a[37], b[37];
    kn_api_uuid(a);
    kn_api_uuid(b);
    assert_int_equal(strlen(a), 36);
    assert_int_equal(a[14], '4');
    assert_non_null(strchr("89ab", a[19]));
    assert_string_not_equal(a, b);
}

TEST(arns_are_taken_apart)
{
    static const char *const bad[] = {
        "",
        "arn",
        "arn:aws:kinesisvideo:r:1:stream/x",
        "arn:aws:kinesisvideo:r:1:stream//1",
        "arn:aws:kinesisvideo:r:1:stream/x/1a",
        "arn:aws:kinesisvideo:r:1:stream/x/-1",
        "arn:aws:kinesisvideo:r:1:stream/x/99999999999999999999",
        "x:aws:k:r:1:stream/x/1",
    };
    struct kn_api_arn arn;
    assert_ok(
        kn_api_arn_parse(KN_STR("arn:aws:kinesisvideo:r:1:stream/c.a-m_1/1700000000000"), &arn));
    assert_str_is(arn.name, "c.a-m_1");
    assert_str_is(arn.region, "r");
    assert_str_is(arn.account, "1");
    assert_str_is(arn.type, "stream");
    assert_int_equal(arn.created_ms, 1700000000000);
    for (size_t i = 0; i < KN_ARRAY_LEN(bad); i++)
        assert_int_equal(kn_api_arn_parse(kn_str_from(bad[i]), &arn), -EINVAL);
}

TEST(grants_are_globs_over_actions_and_names)
{
    struct kn_key key = {
        .grants = {{KN_STR_INIT("kinesisvideo:Get*"), KN_STR_INIT("cam-?")},
                   {KN_STR_INIT("kinesisvideo:ListStreams"), KN_STR_INIT("*")}},
        .grant_count = 2
    };
    assert_true(kn_key_allows(&key, KN_STR("kinesisvideo:GetMedia"), KN_STR("cam-1")));
    assert_true(kn_key_allows(&key, KN_STR("KINESISVIDEO:getmedia"), KN_STR("cam-1")));
    assert_false(kn_key_allows(&key, KN_STR("kinesisvideo:GetMedia"), KN_STR("cam-12")));
    assert_false(kn_key_allows(&key, KN_STR("kinesisvideo:GetMedia"), KN_STR("Cam-1")));
    assert_false(kn_key_allows(&key, KN_STR("kinesisvideo:GetMedia"), KN_STR("")));
    assert_false(kn_key_allows(&key, KN_STR("kinesisvideo:PutMedia"), KN_STR("cam-1")));
    assert_true(kn_key_allows(&key, KN_STR("kinesisvideo:ListStreams"), KN_STR("")));
    key.grant_count = 0;
    assert_false(kn_key_allows(&key, KN_STR("kinesisvideo:ListStreams"), KN_STR("")));
}

static int done(void **state)
{
    (void) state;
    kn_api_free(api);
    fake_http_done(&req);
    kn_buf_done(&authorization);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_OF(an_unknown_route_gets_corals_envelope),
        TEST_OF(the_same_operations_cannot_be_added_twice),
        TEST_OF(every_type_goes_in_and_comes_out),
        TEST_OF(an_empty_or_absent_object_is_enough_where_nothing_is_required),
        TEST_OF(null_is_absent_and_unknown_members_are_ignored),
        TEST_OF(escaped_names_and_values_are_read),
        TEST_OF(a_wrong_type_is_a_serialization_error),
        TEST_OF(violations_speak_as_aws_does),
        TEST_OF(lengths_count_characters_not_bytes),
        TEST_OF(a_violation_deep_in_a_long_list_still_finds_its_text),
        TEST_OF(at_most_twenty_violations_are_told),
        TEST_OF(a_fault_carries_its_status_and_its_own_spelling),
        TEST_OF(leftover_errors_become_faults_or_failures),
        TEST_OF(a_refused_operation_validates_and_then_says_why),
        TEST_OF(a_blocking_handler_runs_as_a_job),
        TEST_OF(a_full_pool_is_an_answer_that_clients_retry),
        TEST_OF(a_peer_that_leaves_during_a_job_leaks_nothing),
        TEST_OF(an_upload_is_handed_over_at_its_head),
        TEST_OF(members_in_headers_are_typed_and_checked),
        TEST_OF(an_overloaded_upload_is_answered_504),
        TEST_OF(a_signed_call_passes_and_a_bad_one_does_not),
        TEST_OF(a_key_that_must_be_looked_up_is_looked_up_on_a_worker),
        TEST_OF(temporary_keys_need_their_token_and_die),
        TEST_OF(a_header_that_carries_meaning_must_be_signed),
        TEST_OF(a_key_may_do_what_it_was_made_for),
        TEST_OF(a_signature_without_a_body_is_used_once_over_plain_http_from_afar),
        TEST_OF(a_preflight_is_answered_where_calls_are_signed),
        TEST_OF(without_keys_only_our_own_pages_may_call),
        TEST_OF(an_error_outside_the_table_has_the_same_form),
        TEST_OF(uuids_are_random_and_well_formed),
        TEST_OF(arns_are_taken_apart),
        TEST_OF(grants_are_globs_over_actions_and_names),
    };
    return cmocka_run_group_tests(tests, NULL, done);
}
