/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API engine: routes, types, constraints, handlers and streams; which thread does what.
 */
#include "api_fixture.h"

#include <errno.h>

/* --- routing ---------------------------------------------------------------------------------- */
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

/* --- decode and encode ------------------------------------------------------------------------ */
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

/* --- constraints ------------------------------------------------------------------------------ */
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
    assert_violation("{\"StreamName\":\"\"}",
                     "2 validation errors detected: " AT(
                         "''", "streamName") "Member must satisfy regular expression pattern: "
                                             "[a-zA-Z0-9_.-]+; " AT(
                                                 "''", "streamName") "Member must have length "
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

/* --- handlers --------------------------------------------------------------------------------- */
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

TEST(what_changes_the_catalogue_runs_beside_those_who_read)
{
    open_engine(false);
    make_request("/wait", "{\"Name\":\"cam\"}");
    fake_http_start(&req, &kn_api_ops, api);
    assert_int_equal(req.job_lane, KN_HTTP_READS);
    assert_true(fake_http_run_job(&req));
    finish();

    make_request("/change", "{\"Name\":\"cam\"}");
    fake_http_start(&req, &kn_api_ops, api);
    assert_int_equal(req.job_lane, KN_HTTP_CHANGES);
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

/* --- streams ---------------------------------------------------------------------------------- */
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

/* --- small things ----------------------------------------------------------------------------- */
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
        TEST_OF(what_changes_the_catalogue_runs_beside_those_who_read),
        TEST_OF(a_full_pool_is_an_answer_that_clients_retry),
        TEST_OF(a_peer_that_leaves_during_a_job_leaks_nothing),
        TEST_OF(an_upload_is_handed_over_at_its_head),
        TEST_OF(members_in_headers_are_typed_and_checked),
        TEST_OF(an_overloaded_upload_is_answered_504),
        TEST_OF(an_error_outside_the_table_has_the_same_form),
        TEST_OF(uuids_are_random_and_well_formed),
        TEST_OF(arns_are_taken_apart),
    };
    return cmocka_run_group_tests(tests, NULL, api_fixture_done);
}
