/* SPDX-License-Identifier: Apache-2.0 */
/*
 * awsJson 1.1 and CBOR through the engine: every type in and out, what AWS says to wrong types and
 * broken constraints, errors, and answers that come later.
 */
#include "wire_fixture.h"

#include <errno.h>

#include "core/crypto.h"

static void assert_cbor(int status, const char *hex)
{
    char got[4096];
    assert_int_equal(req.status, status);
    assert_true(req.answer.len * 2 < sizeof got);
    kn_hex_encode(kn_buf_bytes(&req.answer), got);
    assert_string_equal(got, hex);
    assert_true(fake_http_answer_has(&req, "content-type: " CBOR_TYPE "\n"));
}

static void assert_fault(const char *type, const char *message)
{
    char want[4096];
    (void) snprintf(want, sizeof want, "{\"__type\":\"%s\",\"message\":\"%s\"}", type, message);
    assert_answer(400, want);
    assert_true(fake_http_answer_has(&req, "content-type: " JSON_TYPE "\n"));
}

/* --- types ------------------------------------------------------------------------------------ */
TEST(every_type_goes_in_and_comes_out_as_json)
{
    static const char body[] =
        "{\"StreamName\":\"orders\",\"Text\":\"Gr\xC3\xBC\xC3\x9F\",\"Blob\":\"AAEC\","
        "\"View\":\"/+8=\",\"Small\":-7,\"Long\":9007199254740993,\"When\":1600000000.123,"
        "\"Ratio\":0.25,\"Flag\":false,\"Colour\":\"GREEN\",\"Point\":{\"X\":3,\"Colour\":\"RED\"},"
        "\"Records\":[{\"Data\":\"\",\"Key\":\"a\"},{\"Data\":\"AAECAw==\",\"Key\":\"bc\"}],"
        "\"Numbers\":[1,-2,3],\"Names\":[\"a\",\"b\"],\"Tags\":{\"k\":\"v\",\"l\":\"\"}}";
    json_call("Echo", body);
    assert_answer(200, body);
    assert_true(fake_http_answer_has(&req, "content-type: " JSON_TYPE "\n"));
    assert_true(fake_http_answer_has(&req, "x-amzn-RequestId: "));
    assert_true(fake_http_answer_has(&req, "x-amz-id-2: "));
    assert_false(fake_http_answer_has(&req, "x-amzn-ErrorType"));
    assert_false(fake_http_answer_has(&req, "access-control"));
}

#define ALL_CBOR                                                                                   \
    "a8"                                                                                           \
    "6454657874"                                                                                   \
    "6161" /* Text: "a" */                                                                         \
    "64426c6f62"                                                                                   \
    "43000102" /* Blob */                                                                          \
    "6456696577"                                                                                   \
    "42ffef" /* View */                                                                            \
    "65536d616c6c"                                                                                 \
    "26" /* Small: -7 */                                                                           \
    "645768656e"                                                                                   \
    "c11b00000174876e807b" /* When: tag 1, 1600000000123 */                                        \
    "65526174696f"                                                                                 \
    "fb3fd0000000000000" /* Ratio: 0.25 */                                                         \
    "64466c6167"                                                                                   \
    "f5"                                                                                           \
    "675265636f726473"                                                                             \
    "81a2"                                                                                         \
    "6444617461"                                                                                   \
    "41aa"                                                                                         \
    "634b6579"                                                                                     \
    "6162"

TEST(every_type_goes_in_and_comes_out_as_cbor)
{
    cbor_call("Echo", ALL_CBOR);
    assert_cbor(200, ALL_CBOR);
}

TEST(cbor_of_indefinite_length_is_answered_definite)
{
    cbor_call("Echo", "bf6454657874"
                      "7f61616162ff"
                      "6456696577"
                      "5f41ff41efff"
                      "674e756d62657273"
                      "9f0102ff"
                      "ff");
    assert_cbor(200, "a3"
                     "6454657874"
                     "626162"
                     "6456696577"
                     "42ffef"
                     "674e756d62657273"
                     "820102");
}

TEST(a_time_in_cbor_may_be_any_kind_of_number)
{
    cbor_call("Echo", "a1645768656e"
                      "c11b00000174876e807b");
    assert_cbor(200, "a1645768656e"
                     "c11b00000174876e807b");
    cbor_call("Echo", "a1645768656e"
                      "1b00000174876e807b");
    assert_cbor(200, "a1645768656e"
                     "c11b00000174876e807b");
    cbor_call("Echo", "a1645768656e"
                      "c1fb42774876e807b000"); /* 1600000000123.0: milliseconds */
    assert_cbor(200, "a1645768656e"
                     "c11b00000174876e807b");
    cbor_call("Echo", "a1645768656e"
                      "c1fb41d7d7840007df3b"); /* 1600000000.123: seconds */
    assert_cbor(200, "a1645768656e"
                     "c11b00000174876e807b");
}

TEST(a_blob_in_cbor_may_be_base64_text)
{
    cbor_call("Echo", "a2"
                      "6456696577"
                      "6441414543"
                      "64426c6f62"
                      "6441414543");
    assert_cbor(200, "a2"
                     "64426c6f62"
                     "43000102"
                     "6456696577"
                     "43000102");
}

TEST(escaped_base64_is_read_too)
{
    json_call("Echo", "{\"View\":\"\\/+8=\",\"Blob\":\"\\/\\u002b8=\"}");
    assert_answer(200, "{\"Blob\":\"/+8=\",\"View\":\"/+8=\"}");
}

TEST(unknown_members_and_nulls_are_ignored)
{
    json_call("Echo", "{\"StreamId\":5,\"Text\":\"x\",\"Small\":null,\"New\":[{\"a\":[]}]}");
    assert_answer(200, "{\"Text\":\"x\"}");
    cbor_call("Echo", "a3"
                      "634e6577"
                      "8105"
                      "6454657874"
                      "6178"
                      "65536d616c6c"
                      "f6");
    assert_cbor(200, "a1"
                     "6454657874"
                     "6178");
}

TEST(members_may_come_in_any_order)
{
    json_call("Echo", "{\"Tags\":{\"a\":\"b\"},\"Text\":\"x\",\"Small\":1,\"Blob\":\"\"}");
    assert_answer(200, "{\"Text\":\"x\",\"Blob\":\"\",\"Small\":1,\"Tags\":{\"a\":\"b\"}}");
}

TEST(numbers_are_cut_as_kinesis_cuts_them)
{
    json_call("Echo", "{\"Small\":2147483648,\"Long\":1.9}");
    assert_answer(200, "{\"Small\":2147483647,\"Long\":1}");
    json_call("Echo", "{\"Small\":-1.5}");
    assert_answer(200, "{\"Small\":-2}");
    json_call("Echo", "{\"Long\":1e300}");
    assert_answer(200, "{\"Long\":9223372036854775807}");
    json_call("Echo", "{\"Flag\":\"yes\"}");
    assert_answer(200, "{\"Flag\":true}");
}

TEST(an_operation_without_members_answers_nothing)
{
    json_call("Fail", "{\"Errno\":0}");
    assert_answer(200, "");
    assert_true(fake_http_answer_has(&req, "content-type: " JSON_TYPE "\n"));
    cbor_call("Fail", "a1"
                      "654572726e6f"
                      "00");
    assert_cbor(200, "");
}

/* --- wrong types ------------------------------------------------------------------------------ */
TEST(a_wrong_type_is_told_in_awss_words)
{
    static const char number[] = "class com.amazon.coral.value.json.numbers.TruncatingBigNumber";
    static const struct {
        const char *body, *message;
        bool starts_with_number;
    } rows[] = {
        {"{\"Text\":1}",                 " can not be converted to an String",                         true },
        {"{\"Text\":true}",              "class java.lang.Boolean can not be converted to an String",  false},
        {"{\"Text\":[]}",                "Start of list found where not expected",                     false},
        {"{\"Text\":{}}",                "Start of structure or map found where not expected.",        false},
        {"{\"Colour\":1}",               " can not be converted to an String",                         true },
        {"{\"Small\":\"1\"}",            "class java.lang.String can not be converted to an Integer",  false},
        {"{\"Small\":true}",             "class java.lang.Boolean can not be converted to an Integer", false},
        {"{\"Long\":\"1\"}",             "class java.lang.String can not be converted to an Long",     false},
        {"{\"When\":\"2026\"}",
         "class java.lang.String can not be converted to milliseconds since epoch",                    false},
        {"{\"Flag\":1}",                 " can not be converted to an Boolean",                        true },
        {"{\"Flag\":\"maybe\"}",         "'MAYBE' can not be converted to an Boolean",                 false},
        {"{\"Blob\":1}",                 " can not be converted to a Blob",                            true },
        {"{\"View\":false}",             "class java.lang.Boolean can not be converted to a Blob",     false},
        {"{\"View\":\"abc\"}",
         "'abc' can not be converted to a Blob: Base64 encoded length is expected a multiple of 4 "
         "bytes but found: 3",                                                                         false},
        {"{\"View\":\"a$cd\"}",
         "'a$cd' can not be converted to a Blob: Invalid Base64 character: '$'",                       false},
        {"{\"Blob\":\"=abc\"}",
         "'=abc' can not be converted to a Blob: Invalid Base64 character: '='",                       false},
        {"{\"Blob\":\"AAF=\"}",
         "'AAF=' can not be converted to a Blob: Invalid last non-pad Base64 character dectected",     false},
        {"{\"Point\":1}",                "Expected null",                                              false},
        {"{\"Point\":[]}",               "Start of list found where not expected",                     false},
        {"{\"Numbers\":1}",              "Expected list or null",                                      false},
        {"{\"Numbers\":{}}",             "Start of structure or map found where not expected.",        false},
        {"{\"Tags\":\"x\"}",             "Expected map or null",                                       false},
        {"{\"Tags\":[]}",                "Start of list found where not expected",                     false},
        {"{\"Tags\":{\"a\":1}}",         " can not be converted to an String",                         true },
        {"{\"Records\":[{\"Data\":1}]}", " can not be converted to a Blob",                            true },
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(rows); i++) {
        char want[512];
        (void) snprintf(want, sizeof want,
                        "{\"__type\":\"SerializationException\",\"Message\":\"%s%s\"}",
                        rows[i].starts_with_number ? number : "", rows[i].message);
        json_call("Echo", rows[i].body);
        if (!kn_str_eq(kn_buf_str(&req.answer), kn_str_from(want)))
            fail_msg("%s: " KN_STR_FMT, rows[i].body, KN_STR_ARG(kn_buf_str(&req.answer)));
        assert_int_equal(req.status, 400);
    }
}

TEST(a_malformed_body_is_told_without_words)
{
    static const char *const bodies[] = {"hello",
                                         "{",
                                         "1",
                                         "[1]",
                                         "{}x",
                                         "{\"Text\":\"\xFF\"}",
                                         "{\"Text\":\"a\",\"Text\":\"b\"}",
                                         "{\"Numbers\":[null]}"};
    for (size_t i = 0; i < KN_ARRAY_LEN(bodies); i++) {
        json_call("Echo", bodies[i]);
        assert_answer(400, "{\"__type\":\"SerializationException\"}");
    }
    cbor_call("Echo", "a16454657874");
    assert_cbor(400, "a1"
                     "665f5f74797065"
                     "7653657269616c697a6174696f6e457863657074696f6e");
}

/* --- constraints ------------------------------------------------------------------------------ */
#define AT(value, path) "Value " value " at '" path "' failed to satisfy constraint: "

TEST(violations_are_validation_exceptions)
{
    json_call("Echo", "{\"StreamName\":\"\"}");
    assert_fault("ValidationException",
                 "2 validation errors detected: " AT(
                     "''", "streamName") "Member must satisfy regular expression pattern: "
                                         "[a-zA-Z0-9_.-]+; " AT(
                                             "''", "streamName") "Member must have length "
                                                                 "greater than or equal to 1");
    json_call("Echo", "{\"Records\":[{\"Key\":\"\"},{\"Data\":\"AAECAwQFBgcI\",\"Key\":\"a\"}]}");
    assert_fault(
        "ValidationException",
        "3 validation errors detected: " AT(
            "null",
            "records.1."
            "member.data") "Member must not be null; " AT("''",
                                                          "records.1.member.key") "Member must "
                                                                                  "have length "
                                                                                  "greater than or "
                                                                                  "equal to "
                                                                                  "1; " AT(
                                                                                      "'java.nio."
                                                                                      "HeapByteBuff"
                                                                                      "er[pos=0 "
                                                                                      "lim=9 "
                                                                                      "cap=9]'",
                                                                                      "records.2."
                                                                                      "member."
                                                                                      "data") "Memb"
                                                                                              "er "
                                                                                              "must"
                                                                                              " "
                                                                                              "have"
                                                                                              " len"
                                                                                              "gth "
                                                                                              "less"
                                                                                              " tha"
                                                                                              "n "
                                                                                              "or "
                                                                                              "equa"
                                                                                              "l "
                                                                                              "to "
                                                                                              "8");
    json_call("Echo", "{\"Records\":[]}");
    assert_fault("ValidationException",
                 "1 validation error detected: " AT(
                     "'[]'", "records") "Member must have length greater than or equal to 1");
}

TEST(a_list_of_structures_is_shown_as_java_shows_it)
{
    json_call("Echo", "{\"Records\":[{\"Data\":\"\",\"Key\":\"a\"},{\"Data\":\"\",\"Key\":\"a\"},"
                      "{\"Data\":\"\",\"Key\":\"a\"},{\"Data\":\"\",\"Key\":\"a\"}]}");
    assert_int_equal(req.status, 400);
    assert_non_null(memmem(req.answer.ptr, req.answer.len,
                           "'[com.amazonaws.kinesis.v20131202.Record@c965e310, com.amaz", 58));
}

TEST(ten_violations_are_told)
{
    char body[512] = "{\"Records\":[", *at = body + strlen(body);
    for (int i = 0; i < 3; i++)
        at += snprintf(at, 40, "%s{\"Key\":\"12345\"}", i ? "," : "");
    (void) snprintf(at, 300,
                    "],\"Colour\":\"BLUE\",\"Long\":-9,\"StreamName\":\"\",\"Tags\":{},"
                    "\"Blob\":\"AAECAwQFBgcI\"}");
    json_call("Echo", body);
    assert_int_equal(req.status, 400);
    assert_non_null(memmem(req.answer.ptr, req.answer.len, "10 validation errors detected: ", 31));
}

/* --- errors ----------------------------------------------------------------------------------- */
TEST(operating_errors_become_faults_that_are_declared)
{
    char body[40];
    (void) snprintf(body, sizeof body, "{\"Errno\":%d}", ENOENT);
    json_call("Fail", body);
    assert_fault("ResourceNotFoundException", "The requested stream is not found or not active.");
    (void) snprintf(body, sizeof body, "{\"Errno\":%d}", EDQUOT);
    json_call("Fail", body);
    assert_fault("LimitExceededException", "A limit of this server is reached.");
    (void) snprintf(body, sizeof body, "{\"Errno\":%d}", EIO);
    json_call("Fail", body);
    assert_answer(500, "{\"__type\":\"InternalFailure\"}");
    (void) snprintf(body, sizeof body, "{\"Errno\":%d}", EAGAIN);
    json_call("Fail", body);
    assert_int_equal(req.status, 503);
}

TEST(planned_and_refused_operations_check_their_input_first)
{
    json_call("Plan", "{}");
    assert_fault("ValidationException",
                 "1 validation error detected: " AT("null", "name") "Member must not be null");
    json_call("Plan", "{\"Name\":\"x\"}");
    assert_fault("UnknownOperationException", "This server does not have the operation yet.");
    json_call("Refuse", "{}");
    assert_fault("InvalidArgumentException", "Not here.");
}

/* --- answers that come later ------------------------------------------------------------------ */
static void begin_later(const char *body)
{
    open_wire(false);
    make_call(JSON_TYPE, "Later", kn_bytes_of(kn_str_from(body)));
    fake_http_start(&req, &kn_api_ops, api);
}

TEST(a_suspended_call_is_answered_when_it_is_resumed)
{
    begin_later("{\"How\":\"LATER\"}");
    assert_false(fake_http_run_wake(&req) || req.answered);
    wire.later_out->Text = KN_STR("later");
    kn_api_resume(wire.later, 0);
    assert_false(req.answered); /* the loop does it */
    assert_true(fake_http_run_wake(&req));
    assert_answer(200, "{\"Text\":\"later\"}");
    finish();
}

TEST(a_call_may_be_resumed_before_its_handler_returns)
{
    begin_later("{\"How\":\"AT_ONCE\"}");
    assert_answer(200, "{\"Text\":\"at once\"}");
    (void) fake_http_run_wake(&req); /* one more is of no harm */
    finish();
}

TEST(a_resumed_call_may_fail)
{
    begin_later("{\"How\":\"FAULT\"}");
    (void) fake_http_run_wake(&req);
    assert_fault("ResourceInUseException", "busy");
    finish();
    begin_later("{\"How\":\"LATER\"}");
    kn_api_resume(wire.later, -ENOSPC);
    (void) fake_http_run_wake(&req);
    assert_int_equal(req.status, 503);
    finish();
}

TEST(a_peer_that_leaves_does_not_take_the_memory_with_it)
{
    open_wire(true);
    make_call(JSON_TYPE, "Later", kn_bytes_of(KN_STR("{\"How\":\"LATER\"}")));
    sign_for_wire("ADMIN", "s1");
    fake_http_start(&req, &kn_api_ops, api);
    fake_http_gone(&req, KN_HTTP_PEER_GONE);
    assert_int_equal(key_refs, 1);
    wire.later_out->Text = kn_arena_str(wire.later->arena, KN_STR("too late"));
    kn_api_resume(wire.later, 0);
    assert_int_equal(key_refs, 0);

    begin_later("{\"How\":\"LATER\"}"); /* resumed, and gone before the loop came to it */
    kn_api_resume(wire.later, 0);
    fake_http_gone(&req, KN_HTTP_PEER_GONE);
}

TEST(a_worker_may_promise_too)
{
    json_call("LaterOnWorker", "{}");
    assert_answer(200, "{\"Text\":\"from a worker\"}");
}

/* The first round leaves nothing in the answer, and what it keeps is released once. */
TEST(a_handler_that_must_block_is_called_again_on_a_worker)
{
    wire.released = 0;
    json_call("Later", "{\"How\":\"DEFER\"}");
    assert_answer(200, "{\"Text\":\"kept\"}");
    assert_int_equal(wire.released, 1);
}

TEST(what_came_of_a_call_is_made_an_answer_on_the_loop)
{
    begin_later("{\"How\":\"NOTED\"}");
    kn_api_resume(wire.later, 0);
    assert_false(req.answered);
    assert_true(fake_http_run_wake(&req));
    assert_answer(200, "{\"Text\":\"noted\"}");
    finish();

    begin_later("{\"How\":\"NOTED\"}"); /* an error needs no answer to be made */
    kn_api_resume(wire.later, -ENOSPC);
    (void) fake_http_run_wake(&req);
    assert_int_equal(req.status, 503);
    finish();
}

TESTS_MAIN(
    TEST_OF(every_type_goes_in_and_comes_out_as_json),
    TEST_OF(every_type_goes_in_and_comes_out_as_cbor),
    TEST_OF(cbor_of_indefinite_length_is_answered_definite),
    TEST_OF(a_time_in_cbor_may_be_any_kind_of_number), TEST_OF(a_blob_in_cbor_may_be_base64_text),
    TEST_OF(escaped_base64_is_read_too), TEST_OF(unknown_members_and_nulls_are_ignored),
    TEST_OF(members_may_come_in_any_order), TEST_OF(numbers_are_cut_as_kinesis_cuts_them),
    TEST_OF(an_operation_without_members_answers_nothing),
    TEST_OF(a_wrong_type_is_told_in_awss_words), TEST_OF(a_malformed_body_is_told_without_words),
    TEST_OF(violations_are_validation_exceptions),
    TEST_OF(a_list_of_structures_is_shown_as_java_shows_it), TEST_OF(ten_violations_are_told),
    TEST_OF(operating_errors_become_faults_that_are_declared),
    TEST_OF(planned_and_refused_operations_check_their_input_first),
    TEST_OF(a_suspended_call_is_answered_when_it_is_resumed),
    TEST_OF(a_call_may_be_resumed_before_its_handler_returns), TEST_OF(a_resumed_call_may_fail),
    TEST_OF(a_peer_that_leaves_does_not_take_the_memory_with_it), TEST_OF(a_worker_may_promise_too),
    TEST_OF(a_handler_that_must_block_is_called_again_on_a_worker),
    TEST_OF(what_came_of_a_call_is_made_an_answer_on_the_loop))
