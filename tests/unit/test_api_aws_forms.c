/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands before an awsJson operation: methods, content types, targets, signatures, in AWS's
 * order and odd forms; who may do what; CORS.
 */
#include "wire_fixture.h"

#include <errno.h>

static void send(const char *type, const char *operation, const char *body)
{
    open_wire(true);
    make_call(type, operation, kn_bytes_of(kn_str_from(body)));
    run();
}

static void assert_xml(int status, const char *name, const char *message)
{
    char want[512];
    if (message)
        (void) snprintf(want, sizeof want, "<%s>\n  <Message>%s</Message>\n</%s>\n", name, message,
                        name);
    else
        (void) snprintf(want, sizeof want, "<%s/>\n", name);
    assert_answer(status, want);
    assert_true(fake_http_answer_has(&req, "x-amzn-RequestId: "));
    assert_false(fake_http_answer_has(&req, "content-type"));
}

static const char undetermined[] = "Unable to determine service/operation name to be authorized";

/* --- forms ------------------------------------------------------------------------------------ */
TEST(other_methods_get_xml)
{
    static const char *const methods[] = {"GET", "PUT", "DELETE", "OPTIONS"};
    for (size_t i = 0; i < KN_ARRAY_LEN(methods); i++) {
        open_wire(false);
        make_call(JSON_TYPE, "Echo", kn_bytes_of(KN_STR("{}")));
        req.method = kn_str_from(methods[i]);
        run();
        assert_xml(403, "AccessDeniedException", undetermined);
    }
}

TEST(an_empty_body_is_the_first_thing_to_be_missed)
{
    send(JSON_TYPE, "Echo", "");
    assert_answer(400, "{\"__type\":\"SerializationException\"}");
    send(JSON_TYPE, "Nobody", "");
    assert_answer(400, "{\"__type\":\"UnknownOperationException\"}");
    send(JSON_TYPE, NULL, "");
    assert_answer(400, "{\"__type\":\"UnknownOperationException\"}");
    send(NULL, NULL, ""); /* without a type the answer is CBOR */
    assert_int_equal(req.answer.ptr[0], 0xA1);
    assert_true(fake_http_answer_has(&req, "content-type: " CBOR_TYPE "\n"));
}

TEST(other_content_types_get_xml)
{
    static const char *const types[] = {"application/x-amz-json-1.0", "text/plain", NULL};
    for (size_t i = 0; i < KN_ARRAY_LEN(types); i++) {
        send(types[i], NULL, "{}");
        assert_xml(403, "MissingAuthenticationTokenException", "Missing Authentication Token");
        open_wire(false);
        make_call(types[i], NULL, kn_bytes_of(KN_STR("{}")));
        run();
        assert_xml(403, "AccessDeniedException", undetermined);
        open_wire(false);
        make_call(types[i], "Echo", kn_bytes_of(KN_STR("{}")));
        run();
        assert_xml(404, "UnknownOperationException", NULL);
    }
}

TEST(application_json_gets_corals_envelope)
{
    send("application/json", "Echo", "{}");
    assert_answer(404, "{\"Output\":{\"__type\":\"com.amazon.coral.service#"
                       "UnknownOperationException\"},\"Version\":\"1.0\"}");
    assert_true(fake_http_answer_has(&req, "content-type: application/json\n"));
    send("application/json", "Echo", "hello");
    assert_answer(400, "{\"Output\":{\"__type\":\"com.amazon.coral.service#"
                       "SerializationException\"},\"Version\":\"1.0\"}");
}

TEST(a_content_type_may_have_parameters_and_any_case)
{
    open_wire(false);
    make_call("Application/X-AMZ-json-1.1; charset=UTF-8", "Echo", kn_bytes_of(KN_STR("{}")));
    run();
    assert_answer(200, "{}");
}

TEST(an_unknown_target_is_told_before_the_signature_and_after_the_form)
{
    send(JSON_TYPE, "Nobody", "{}");
    assert_answer(400, "{\"__type\":\"UnknownOperationException\"}");
    send(JSON_TYPE, NULL, "{}");
    assert_answer(400, "{\"__type\":\"UnknownOperationException\"}");
    send(JSON_TYPE, "Nobody", "hello");
    assert_answer(400, "{\"__type\":\"SerializationException\"}");
    open_wire(false);
    make_call(JSON_TYPE, NULL, kn_bytes_of(KN_STR("{}")));
    fake_http_header(&req, "x-amz-target", KN_STR("/echo")); /* a route is no target */
    run();
    assert_answer(400, "{\"__type\":\"UnknownOperationException\"}");
}

TEST(the_routes_of_other_protocols_are_left_alone)
{
    open_wire(false);
    make_request("/echo", "{}");
    run();
    assert_answer(200, "{}");
    make_request("/Wire_20260101.Echo", "{}");
    run();
    assert_int_equal(req.status, 404);
    assert_true(fake_http_answer_has(&req, "content-type: application/json\n"));
}

/* --- signatures ------------------------------------------------------------------------------- */
static void send_with(const char *authorization, const char *query, const char *body)
{
    open_wire(true);
    make_call(JSON_TYPE, "Echo", kn_bytes_of(kn_str_from(body)));
    if (authorization)
        fake_http_header(&req, "authorization", kn_str_from(authorization));
    if (query)
        req.query = kn_str_from(query);
    run();
}

static void assert_fault(const char *type, const char *message)
{
    char want[1024];
    (void) snprintf(want, sizeof want, "{\"__type\":\"%s\",\"message\":\"%s\"}", type, message);
    assert_answer(400, want);
}

#define LACKS(what) "Authorization header requires '" what "' parameter. "
#define NO_DATE                                                                                    \
    "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
#define QUERY(what) "AWS query-string parameters must include '" what "'. "

TEST(claims_that_are_missing_are_told_one_by_one)
{
    send_with(NULL, NULL, "{}");
    assert_fault("MissingAuthenticationTokenException", "Missing Authentication Token");
    send_with(NULL, "X-Amz-Credential=a&X-Amz-Signature=b", "{}");
    assert_fault("MissingAuthenticationTokenException", "Missing Authentication Token");
    send_with("X", NULL, "{}");
    assert_fault("IncompleteSignatureException", LACKS("Credential") LACKS("Signature") LACKS(
                                                     "SignedHeaders") NO_DATE "Authorization=X");
    send_with("AWS4- Signature=b,Credential=a", NULL, "{}");
    assert_fault("IncompleteSignatureException",
                 LACKS("SignedHeaders") NO_DATE "Authorization=AWS4- Signature=b,Credential=a");
    send_with("AWS4- Signature=b, SignedHeaders=c Credential=", NULL, "{}");
    assert_fault("IncompleteSignatureException", LACKS("Credential") NO_DATE
                 "Authorization=AWS4- Signature=b, SignedHeaders=c Credential=");
    send_with("X", "X-Amz-Algorithm", "{}");
    assert_fault("InvalidSignatureException",
                 "Found both 'X-Amz-Algorithm' as a query-string param "
                 "and 'Authorization' as HTTP header.");
    send_with(NULL, "X-Amz-Algorithm&X-Amz-Date=d", "{}");
    assert_fault("IncompleteSignatureException",
                 QUERY("X-Amz-Algorithm") QUERY("X-Amz-Credential") QUERY("X-Amz-Signature")
                     QUERY("X-Amz-SignedHeaders") "Re-examine the query-string parameters.");
}

TEST(a_malformed_body_outranks_a_missing_signature)
{
    send_with(NULL, NULL, "hello");
    assert_answer(400, "{\"__type\":\"SerializationException\"}");
    send_with("X", NULL, "{");
    assert_answer(400, "{\"__type\":\"SerializationException\"}");
}

static void send_as(const char *id, const char *secret, const char *operation, const char *body)
{
    open_wire(true);
    make_call(JSON_TYPE, operation, kn_bytes_of(kn_str_from(body)));
    sign_for_wire(id, secret);
    run();
}

TEST(a_wrong_signature_is_400_here)
{
    send_as("ADMIN", "wrong", "Echo", "{}");
    assert_int_equal(req.status, 400);
    assert_non_null(memmem(req.answer.ptr, req.answer.len, "InvalidSignatureException", 25));
    send_as("NOBODY", "s1", "Echo", "{}");
    assert_int_equal(req.status, 400);
    assert_non_null(memmem(req.answer.ptr, req.answer.len, "UnrecognizedClientException", 27));
    send_as("ADMIN", "s1", "Echo", "{}");
    assert_answer(200, "{}");
}

/* --- who may do what -------------------------------------------------------------------------- */
#define DATA_ARN "arn:aws:kinesis:us-east-1:000000000000:stream/"

static bool is_denied(const char *operation, const char *body)
{
    send_as("DATA", "s6", operation, body);
    bool denied =
        req.answer.len && memmem(req.answer.ptr, req.answer.len, "AccessDeniedException", 21);
    assert_int_equal(req.status, denied ? 400 : 200);
    return denied;
}

TEST(every_name_and_arn_must_be_allowed)
{
    assert_false(is_denied("Echo", "{\"StreamName\":\"ord-1\"}"));
    assert_false(is_denied("Echo", "{\"StreamARN\":\"" DATA_ARN "ord-1\"}"));
    assert_false(is_denied("Echo", "{\"ConsumerARN\":\"" DATA_ARN "ord-1/consumer/app:1\"}"));
    assert_true(is_denied("Echo", "{}"));
    assert_true(is_denied("Echo", "{\"StreamName\":\"pay-1\"}"));
    assert_true(is_denied("Echo", "{\"StreamARN\":\"" DATA_ARN "pay-1\"}"));
    assert_true(is_denied("Echo", "{\"StreamARN\":\"" DATA_ARN "ord-1/x\"}")); /* of no form */
    assert_true(
        is_denied("Echo", "{\"StreamName\":\"ord-1\",\"StreamARN\":\"" DATA_ARN "pay-1\"}"));
    assert_true(is_denied("Echo", "{\"StreamARN\":\"" DATA_ARN "ord-1\",\"ConsumerARN\":\"" DATA_ARN
                                  "pay-1/consumer/app:1\"}"));
}

TEST(a_stream_inside_a_token_is_asked_for_by_the_handler)
{
    assert_false(is_denied("Read", "{\"Token\":\"ord-1\"}"));
    assert_true(is_denied("Read", "{\"Token\":\"pay-1\"}"));
    assert_true(is_denied("Read", "{\"Token\":\"ord-1\",\"StreamARN\":\"" DATA_ARN "pay-1\"}"));
}

/* --- browsers --------------------------------------------------------------------------------- */
TEST(cors_is_answered_to_an_origin)
{
    open_wire(true);
    make_call(JSON_TYPE, "Echo", kn_bytes_of(KN_STR("{}")));
    fake_http_header(&req, "origin", KN_STR("https://example.org"));
    sign_for_wire("ADMIN", "s1");
    run();
    assert_answer(200, "{}");
    assert_true(fake_http_answer_has(&req, "access-control-allow-origin: *\n"));
    assert_true(fake_http_answer_has(&req, "access-control-expose-headers: x-amzn-RequestId,"));

    open_wire(true);
    make_call(NULL, NULL, kn_bytes_of(KN_STR("")));
    req.method = KN_STR("OPTIONS");
    fake_http_header(&req, "origin", KN_STR("https://example.org"));
    fake_http_header(&req, "access-control-request-headers", KN_STR("authorization, x-amz-target"));
    run();
    assert_int_equal(req.status, 200);
    assert_true(
        fake_http_answer_has(&req, "access-control-allow-headers: authorization, x-amz-target\n"));
}

TEST(without_authentication_foreign_pages_are_refused)
{
    open_wire(false);
    make_call(JSON_TYPE, "Echo", kn_bytes_of(KN_STR("{}")));
    fake_http_header(&req, "origin", KN_STR("https://example.org"));
    run();
    assert_int_equal(req.status, 400);
    assert_non_null(memmem(req.answer.ptr, req.answer.len, "AccessDeniedException", 21));
    assert_false(fake_http_answer_has(&req, "access-control"));
}

TESTS_MAIN(TEST_OF(other_methods_get_xml), TEST_OF(an_empty_body_is_the_first_thing_to_be_missed),
           TEST_OF(other_content_types_get_xml), TEST_OF(application_json_gets_corals_envelope),
           TEST_OF(a_content_type_may_have_parameters_and_any_case),
           TEST_OF(an_unknown_target_is_told_before_the_signature_and_after_the_form),
           TEST_OF(the_routes_of_other_protocols_are_left_alone),
           TEST_OF(claims_that_are_missing_are_told_one_by_one),
           TEST_OF(a_malformed_body_outranks_a_missing_signature),
           TEST_OF(a_wrong_signature_is_400_here), TEST_OF(every_name_and_arn_must_be_allowed),
           TEST_OF(a_stream_inside_a_token_is_asked_for_by_the_handler),
           TEST_OF(cors_is_answered_to_an_origin),
           TEST_OF(without_authentication_foreign_pages_are_refused))
