/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API engine: who asks, what they may do, and which web pages may ask at all.
 */
#include "api_fixture.h"

#include <errno.h>

/* --- who asks --------------------------------------------------------------------------------- */
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

/* --- browsers --------------------------------------------------------------------------------- */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_OF(a_signed_call_passes_and_a_bad_one_does_not),
        TEST_OF(a_key_that_must_be_looked_up_is_looked_up_on_a_worker),
        TEST_OF(temporary_keys_need_their_token_and_die),
        TEST_OF(a_header_that_carries_meaning_must_be_signed),
        TEST_OF(a_key_may_do_what_it_was_made_for),
        TEST_OF(a_signature_without_a_body_is_used_once_over_plain_http_from_afar),
        TEST_OF(a_preflight_is_answered_where_calls_are_signed),
        TEST_OF(without_keys_only_our_own_pages_may_call),
        TEST_OF(grants_are_globs_over_actions_and_names),
    };
    return cmocka_run_group_tests(tests, NULL, api_fixture_done);
}
