/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SigV4: requests of AWS's own producers, the classes of the published test vectors (made by hand;
 * expected signatures from an independent implementation), and everything that must be refused.
 */
#include "test.h"
#include "wire_capture.h"

#include <errno.h>

#include "core/clock.h"
#include "core/crypto.h"
#include "core/sigv4.h"

#define EXAMPLE_SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
enum {
    SKEW_MS = 15 * 60 * 1000
};
static const int64_t example_ms = 1440938160000; /* 20150830T123600Z */

static struct kn_arena arena;
static struct kn_sigv4_fault fault;

struct rules {
    const char *secret, *service, *region;
    int64_t now_ms; /* 0: the request's own */
    bool unsigned_payload;
};
static const struct rules example_rules = {EXAMPLE_SECRET, "service", NULL, 0, false};

static int verify(const struct kn_sigv4_request *req, const struct rules *rules)
{
    struct kn_sigv4_auth auth;
    uint8_t key[KN_SIGV4_KEY_BYTES];
    kn_arena_done(&arena);
    kn_arena_init(&arena, 1 << 20);
    fault = (struct kn_sigv4_fault){0};
    int error = kn_sigv4_parse(req, &arena, &auth, &fault);
    if (error)
        return error;
    const struct kn_sigv4_policy policy = {
        .service = rules->service,
        .pinned_region = rules->region,
        .now_ms = rules->now_ms ? rules->now_ms : auth.amz_date_ms,
        .skew_ms = SKEW_MS,
        .unsigned_payload = rules->unsigned_payload,
    };
    error = kn_sigv4_check(req, &auth, &policy, &fault);
    if (error)
        return error;
    kn_sigv4_key(kn_str_from(rules->secret), auth.date, auth.region, auth.service, key);
    return kn_sigv4_verify(req, &auth, key, &fault);
}

#define assert_refused(req, rules, wanted)                                                         \
    do {                                                                                           \
        assert_int_equal(verify((req), (rules)), -EACCES);                                         \
        assert_string_equal(fault.name, (wanted));                                                 \
    } while (0)

/* --- real producers --------------------------------------------------------------------------- */
static const struct rules wire_rules = {"testsecret", "kinesisvideo", NULL, 0, false};

static void verify_wire(struct wire_request *wire, void *ctx)
{
    (void) ctx;
    if (verify(&wire->req, &wire_rules) != 0)
        fail_msg("%s: %s", wire->req.path.ptr, fault.message);
}

TEST(every_request_of_the_captures_verifies)
{
    assert_int_equal(wire_each(verify_wire, NULL), 60);
}

/* Changes one byte of a view for the time of a check. */
static void expect_refusal_of_change(struct wire_request *wire, struct kn_str *part)
{
    struct kn_str kept = *part;
    char copy[2048];
    assert_true(kept.len && kept.len < sizeof copy);
    memcpy(copy, kept.ptr, kept.len);
    copy[kept.len - 1] = (char) (copy[kept.len - 1] == '0' ? '1' : '0');
    *part = (struct kn_str){copy, kept.len};
    if (verify(&wire->req, &wire_rules) == 0)
        fail_msg("a changed byte went through: " KN_STR_FMT, KN_STR_ARG(kept));
    *part = kept;
}

static void tamper_with_wire(struct wire_request *wire, void *ctx)
{
    struct kn_sigv4_auth auth;
    (void) ctx;
    kn_arena_done(&arena);
    kn_arena_init(&arena, 1 << 20);
    assert_ok(kn_sigv4_parse(&wire->req, &arena, &auth, &fault));
    expect_refusal_of_change(wire, &wire->req.method);
    expect_refusal_of_change(wire, &wire->req.path);
    for (size_t i = 0; i < wire->req.header_count; i++)
        if (kn_sigv4_covers(&auth, wire->headers[i].name) ||
            kn_str_eq_nocase(wire->headers[i].name, KN_STR("authorization")))
            expect_refusal_of_change(wire, &wire->headers[i].value);
    if (wire->req.body.len) {
        struct kn_str body = kn_str_of(wire->req.body);
        wire->body[body.len - 1] ^= 1;
        assert_refused(&wire->req, &wire_rules, "InvalidSignatureException");
        wire->body[body.len - 1] ^= 1;
    }
    wire->req.query = KN_STR("a=b");
    assert_refused(&wire->req, &wire_rules, "InvalidSignatureException");
    wire->req.query = (struct kn_str){NULL, 0};
    static const struct rules other_secret = {"testsecreT", "kinesisvideo", NULL, 0, false};
    assert_refused(&wire->req, &other_secret, "InvalidSignatureException");
    assert_ok(verify(&wire->req, &wire_rules));
}

TEST(no_tampered_request_of_the_captures_verifies)
{
    assert_int_equal(wire_each(tamper_with_wire, NULL), 60);
}

/* --- vector classes --------------------------------------------------------------------------- */
struct vector {
    const char *what, *method, *path, *query;
    struct kn_sigv4_header extra[3];
    const char *body, *signed_headers, *signature;
};

static int verify_vector(const struct vector *v)
{
    char authorization[1024];
    struct kn_sigv4_header headers[8];
    headers[0] = (struct kn_sigv4_header){KN_STR("Host"), KN_STR("example.amazonaws.com")};
    headers[1] = (struct kn_sigv4_header){KN_STR("X-Amz-Date"), KN_STR("20150830T123600Z")};
    size_t count = 2;
    for (size_t i = 0; i < KN_ARRAY_LEN(v->extra) && v->extra[i].name.ptr; i++)
        headers[count++] = v->extra[i];
    (void) snprintf(authorization, sizeof authorization,
                    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/"
                    "aws4_request, SignedHeaders=%s, Signature=%s",
                    v->signed_headers, v->signature);
    headers[count++] =
        (struct kn_sigv4_header){KN_STR("Authorization"), kn_str_from(authorization)};
    const struct kn_sigv4_request req = {
        .method = kn_str_from(v->method),
        .path = kn_str_from(v->path),
        .query = kn_str_from(v->query),
        .headers = headers,
        .header_count = count,
        .body = kn_bytes_of(kn_str_from(v->body)),
    };
    return verify(&req, &example_rules);
}

static const struct vector vectors[] = {
#include "sigv4_vectors.inc"
};

TEST(each_class_of_the_published_vectors_verifies)
{
    for (size_t i = 0; i < KN_ARRAY_LEN(vectors); i++)
        if (verify_vector(&vectors[i]) != 0)
            fail_msg("%s: %s", vectors[i].what, fault.message);
}

TEST(no_vector_verifies_with_another_method)
{
    for (size_t i = 0; i < KN_ARRAY_LEN(vectors); i++) {
        struct vector v = vectors[i];
        v.method = "PUT";
        assert_int_equal(verify_vector(&v), -EACCES);
    }
}

/* --- a request that we sign, and then bend ---------------------------------------------------- */
struct fixture {
    struct kn_sigv4_header headers[8];
    size_t count;
    struct kn_buf authorization, query;
    struct kn_sigv4_request req;
    struct kn_sigv4_signer signer;
    struct rules rules;
};

static struct fixture *fixture(void)
{
    static struct fixture f;
    kn_buf_done(&f.authorization);
    kn_buf_done(&f.query);
    f = (struct fixture){.count = 2};
    f.headers[0] = (struct kn_sigv4_header){KN_STR("host"), KN_STR("localhost:4566")};
    f.headers[1] = (struct kn_sigv4_header){KN_STR("x-amz-date"), KN_STR("20150830T123600Z")};
    f.req.method = KN_STR("POST");
    f.req.path = KN_STR("/describeStream");
    f.signer = (struct kn_sigv4_signer){KN_STR("AKIDEXAMPLE"), KN_STR("secret"),
                                        KN_STR("eu-north-1"), KN_STR("kinesisvideo"), example_ms};
    f.rules = (struct rules){"secret", "kinesisvideo", NULL, example_ms, false};
    f.req.body = kn_bytes_of(KN_STR("{\"StreamName\":\"x\"}"));
    f.req.headers = f.headers;
    f.req.header_count = f.count;
    kn_buf_init(&f.authorization, 1 << 16);
    kn_buf_init(&f.query, 1 << 16);
    return &f;
}

static void add_header(struct fixture *f, const char *name, struct kn_str value)
{
    f->headers[f->count++] = (struct kn_sigv4_header){kn_str_from(name), value};
    f->req.header_count = f->count;
}

static struct fixture *signed_fixture(void)
{
    struct fixture *f = fixture();
    assert_ok(kn_sigv4_sign(&f->req, &f->signer, (struct kn_str){NULL, 0}, &f->authorization));
    add_header(f, "authorization", kn_buf_str(&f->authorization));
    return f;
}

static struct fixture *presigned_fixture(int64_t expires_s, struct kn_str token)
{
    struct fixture *f = fixture();
    f->count = f->req.header_count = 1; /* host alone */
    f->req.query = KN_STR("b=2%20&a=%C3%A4&a=1&empty");
    assert_ok(kn_sigv4_presign(&f->req, &f->signer, token, expires_s, &f->query));
    f->req.query = kn_buf_str(&f->query);
    return f;
}

TEST(what_we_sign_we_verify)
{
    struct fixture *f = signed_fixture();
    assert_ok(verify(&f->req, &f->rules));

    f = presigned_fixture(60, (struct kn_str){NULL, 0});
    assert_ok(verify(&f->req, &f->rules));

    f = presigned_fixture(60, KN_STR("a/token+with=marks"));
    assert_ok(verify(&f->req, &f->rules));
}

TEST(a_request_without_a_signature_says_so)
{
    struct fixture *f = fixture();
    assert_refused(&f->req, &f->rules, "MissingAuthenticationToken");
    assert_int_equal(fault.status, 403);
}

TEST(both_ways_at_once_and_two_headers_are_refused)
{
    struct fixture *f = signed_fixture();
    f->req.query = KN_STR("X-Amz-Algorithm=AWS4-HMAC-SHA256");
    assert_refused(&f->req, &f->rules, "InvalidSignatureException");

    f = signed_fixture();
    add_header(f, "authorization", kn_buf_str(&f->authorization));
    assert_refused(&f->req, &f->rules, "IncompleteSignature");

    f = signed_fixture();
    add_header(f, "x-amz-date", KN_STR("20150830T123600Z"));
    assert_refused(&f->req, &f->rules, "IncompleteSignature");

    f = signed_fixture();
    add_header(f, "Host", KN_STR("evil"));
    assert_refused(&f->req, &f->rules, "IncompleteSignature");
}

TEST(incomplete_forms_are_named)
{
    static const char *const forms[] = {
        "",
        "Bearer abc",
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=A/20150830/r/kinesisvideo/aws4_request",
        "AWS4-HMAC-SHA256 Credential=A/20150830/r/kinesisvideo/aws4_request, Signature=00",
        "AWS4-HMAC-SHA256 Credential=A/20150830/r/kinesisvideo, SignedHeaders=host, Signature=00",
        "AWS4-HMAC-SHA256 Credential=A/1/r/k/aws4_request/x, SignedHeaders=host, Signature=00",
        "AWS4-HMAC-SHA256 Credential=A/1/r/k/aws5_request, SignedHeaders=host, Signature=00",
        "AWS4-HMAC-SHA256 Credential=/1/r/k/aws4_request, SignedHeaders=host, Signature=00",
        "AWS4-HMAC-SHA256 Credential=A/1/r/k/aws4_request, SignedHeaders=host;host, Signature=00",
        "AWS4-HMAC-SHA256 Credential=A/1/r/k/aws4_request, SignedHeaders=host;, Signature=00",
        "AWS4-HMAC-SHA256 Credential=A/1/r/k/aws4_request, SignedHeaders=, Signature=00",
        "AWS4-HMAC-SHA256 Signature=00, Signature=00, SignedHeaders=host, "
        "Credential=A/1/r/k/aws4_request",
        "AWS4-HMAC-SHA256 Other=1, SignedHeaders=host, Signature=0, "
        "Credential=A/1/r/k/aws4_request",
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(forms); i++) {
        struct fixture *f = fixture();
        add_header(f, "authorization", kn_str_from(forms[i]));
        assert_refused(&f->req, &f->rules, "IncompleteSignature");
        assert_int_equal(fault.status, 400);
    }
}

TEST(a_header_is_signed_once_however_it_is_spelt)
{
    static const char *const lists[] = {"host;a;b;HOST", "b;a;host;c;B", "host;b;ba;a;bb;ab;b"};
    static const char *const fine[] = {"host;a;b", "b;ba;bb;host;ab;a"};
    for (size_t i = 0; i < KN_ARRAY_LEN(lists) + KN_ARRAY_LEN(fine); i++) {
        bool good = i >= KN_ARRAY_LEN(lists);
        struct fixture *f = fixture();
        char text[256];
        snprintf(text, sizeof text,
                 "AWS4-HMAC-SHA256 Credential=A/20150830/r/kinesisvideo/aws4_request, "
                 "SignedHeaders=%s, Signature=00",
                 good ? fine[i - KN_ARRAY_LEN(lists)] : lists[i]);
        add_header(f, "authorization", kn_str_from(text));
        assert_refused(&f->req, &f->rules,
                       good ? "InvalidSignatureException" : "IncompleteSignature");
    }
}

TEST(the_host_must_be_signed)
{
    struct fixture *f = fixture();
    add_header(f, "authorization",
               KN_STR("AWS4-HMAC-SHA256 Credential=A/20150830/r/kinesisvideo/aws4_request, "
                      "SignedHeaders=x-amz-date, Signature=00"));
    assert_refused(&f->req, &f->rules, "InvalidSignatureException");
}

TEST(a_signed_header_that_is_missing_is_a_mismatch)
{
    struct fixture *f = fixture();
    add_header(f, "x-extra", KN_STR("1"));
    assert_ok(kn_sigv4_sign(&f->req, &f->signer, (struct kn_str){NULL, 0}, &f->authorization));
    add_header(f, "authorization", kn_buf_str(&f->authorization));
    assert_ok(verify(&f->req, &f->rules));

    f->headers[2].name = KN_STR("x-other");
    assert_refused(&f->req, &f->rules, "InvalidSignatureException");
}

TEST(the_clock_may_differ_by_the_skew_and_no_more)
{
    struct fixture *f = signed_fixture();
    f->rules.now_ms = example_ms + SKEW_MS;
    assert_ok(verify(&f->req, &f->rules));
    f->rules.now_ms = example_ms - SKEW_MS;
    assert_ok(verify(&f->req, &f->rules));

    f->rules.now_ms = example_ms + SKEW_MS + 1;
    assert_refused(&f->req, &f->rules, "InvalidSignatureException");
    assert_non_null(strstr(fault.message, "Signature expired: 20150830T123600Z is now earlier"));
    f->rules.now_ms = example_ms - SKEW_MS - 1;
    assert_refused(&f->req, &f->rules, "InvalidSignatureException");
    assert_non_null(strstr(fault.message, "Signature not yet current"));
}

TEST(a_presigned_request_lives_as_long_as_it_says)
{
    struct fixture *f = presigned_fixture(KN_SIGV4_EXPIRES_S_MAX, (struct kn_str){NULL, 0});
    f->rules.now_ms = example_ms + INT64_C(1000) * KN_SIGV4_EXPIRES_S_MAX;
    assert_ok(verify(&f->req, &f->rules));
    f->rules.now_ms += 1;
    assert_refused(&f->req, &f->rules, "InvalidSignatureException");
    f->rules.now_ms = example_ms - SKEW_MS - 1;
    assert_refused(&f->req, &f->rules, "InvalidSignatureException");
}

/* Replaces a piece of the presigned query. */
static void edit_query(struct fixture *f, const char *from, const char *to)
{
    struct kn_buf edited;
    const char *text = (const char *) f->query.ptr;
    (void) kn_buf_append_byte(&f->query, 0);
    const char *at = strstr(text, from);
    assert_non_null(at);
    kn_buf_init(&edited, 1 << 16);
    (void) kn_buf_append(&edited, text, (size_t) (at - text));
    (void) kn_buf_append_text(&edited, to);
    (void) kn_buf_append_text(&edited, at + strlen(from));
    kn_buf_done(&f->query);
    f->query = edited;
    f->req.query = kn_buf_str(&f->query);
}

TEST(presigned_parameters_are_checked)
{
    /* clang-format off: version 14 crashes on this table */
    static const struct {
        const char *from, *to, *name;
    } cases[] = {
        {"X-Amz-Expires=60",                 "X-Amz-Expires=0",                   "IncompleteSignature"      },
        {"X-Amz-Expires=60",                 "X-Amz-Expires=604801",              "IncompleteSignature"      },
        {"X-Amz-Expires=60",                 "X-Amz-Expires=-1",                  "IncompleteSignature"      },
        {"X-Amz-Expires=60",                 "X-Amz-Expires=61",                  "InvalidSignatureException"},
        {"X-Amz-Expires=60&",                "",                                  "IncompleteSignature"      },
        {"X-Amz-Expires=60",                 "X-Amz-Expires=60&X-Amz-Expires=60", "IncompleteSignature"      },
        {"X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Algorithm=AWS4-HMAC-SHA1",
         "IncompleteSignature"                                                                               },
        {"X-Amz-SignedHeaders=host",         "X-Amz-SignedHeaders=date",          "InvalidSignatureException"},
        {"X-Amz-Credential=AKIDEXAMPLE%2F",  "X-Amz-Credential=AKIDEXAMPLE%2",
         "IncompleteSignature"                                                                               },
        {"eu-north-1",                       "eu-north-2",                        "InvalidSignatureException"},
        {"b=2%20",                           "b=3%20",                            "InvalidSignatureException"},
        {"&empty",                           "",                                  "InvalidSignatureException"},
    };
    /* clang-format on */
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        struct fixture *f = presigned_fixture(60, (struct kn_str){NULL, 0});
        edit_query(f, cases[i].from, cases[i].to);
        assert_refused(&f->req, &f->rules, cases[i].name);
    }
}

TEST(order_and_spelling_of_the_query_do_not_matter)
{
    struct fixture *f = presigned_fixture(60, (struct kn_str){NULL, 0});
    edit_query(f, "b=2%20&a=%C3%A4&a=1&empty", "a=1&&empty=&%61=%c3%a4&b=2%20");
    assert_ok(verify(&f->req, &f->rules));
}

TEST(a_token_added_after_signing_is_left_out)
{
    struct fixture *f = presigned_fixture(60, (struct kn_str){NULL, 0});
    (void) kn_buf_append_text(&f->query, "&X-Amz-Security-Token=later");
    f->req.query = kn_buf_str(&f->query);
    assert_ok(verify(&f->req, &f->rules));

    f = signed_fixture();
    add_header(f, "x-amz-security-token", KN_STR("unsigned, as the C producer sends it"));
    assert_ok(verify(&f->req, &f->rules));
}

TEST(the_scope_must_fit)
{
    struct fixture *f = signed_fixture();
    f->rules.service = "kinesis";
    assert_refused(&f->req, &f->rules, "InvalidSignatureException");

    f = signed_fixture();
    f->rules.region = "eu-north-1";
    assert_ok(verify(&f->req, &f->rules));
    f->rules.region = "us-east-1";
    assert_refused(&f->req, &f->rules, "InvalidSignatureException");

    f = fixture(); /* a date in the scope that is not the date of the request */
    add_header(f, "authorization",
               KN_STR("AWS4-HMAC-SHA256 Credential=A/20150831/r/kinesisvideo/aws4_request, "
                      "SignedHeaders=host, Signature="
                      "0000000000000000000000000000000000000000000000000000000000000000"));
    assert_refused(&f->req, &f->rules, "InvalidSignatureException");
    assert_non_null(strstr(fault.message, "Date in Credential scope"));
}

static struct fixture *fixture_with_payload(const char *header, const char *signed_as)
{
    struct fixture *f = fixture();
    add_header(f, "x-amz-content-sha256", kn_str_from(header));
    assert_ok(kn_sigv4_sign(&f->req, &f->signer, kn_str_from(signed_as), &f->authorization));
    add_header(f, "authorization", kn_buf_str(&f->authorization));
    return f;
}

TEST(the_declared_digest_must_be_the_bodys)
{
    static const char empty_hash[] =
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    uint8_t digest[KN_SHA256_BYTES];
    char hex[KN_SHA256_HEX_BYTES];
    kn_sha256(fixture()->req.body, digest);
    kn_hex_encode((struct kn_bytes){digest, sizeof digest}, hex);

    struct fixture *f = fixture_with_payload(hex, hex);
    assert_ok(verify(&f->req, &f->rules));
    f = fixture_with_payload(empty_hash, empty_hash);
    assert_refused(&f->req, &f->rules, "InvalidSignatureException");
    assert_non_null(strstr(fault.message, "does not match what was computed"));
    f->req.body_unread = true; /* an upload signs no body */
    assert_ok(verify(&f->req, &f->rules));
    f = fixture_with_payload(hex, hex);
    f->req.body_unread = true;
    assert_refused(&f->req, &f->rules, "InvalidSignatureException");
}

TEST(unsigned_payload_is_a_matter_of_policy)
{
    struct fixture *f = fixture_with_payload("UNSIGNED-PAYLOAD", "UNSIGNED-PAYLOAD");
    assert_refused(&f->req, &f->rules, "InvalidSignatureException");
    f->rules.unsigned_payload = true;
    assert_ok(verify(&f->req, &f->rules));
    f->rules.unsigned_payload = false;
    f->req.body_unread = true;
    assert_ok(verify(&f->req, &f->rules));

    f = fixture_with_payload("STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
                             "STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
    f->rules.unsigned_payload = true;
    assert_refused(&f->req, &f->rules, "InvalidSignatureException");
}

TEST(http2_signs_the_authority)
{
    struct fixture *f = fixture();
    f->headers[0].name = KN_STR(":authority");
    assert_ok(kn_sigv4_sign(&f->req, &f->signer, (struct kn_str){NULL, 0}, &f->authorization));
    add_header(f, "authorization", kn_buf_str(&f->authorization));
    assert_ok(verify(&f->req, &f->rules));
    f->headers[0].name = KN_STR("host"); /* as the engine may name it */
    assert_ok(verify(&f->req, &f->rules));
}

/* The C producer concatenates URLs and signs what comes out. */
TEST(a_path_signed_as_sent_verifies)
{
    struct fixture *f = fixture();
    struct kn_sigv4_request plain;
    f->req.path = KN_STR("/describeStream");
    assert_ok(kn_sigv4_sign(&f->req, &f->signer, (struct kn_str){NULL, 0}, &f->authorization));
    add_header(f, "authorization", kn_buf_str(&f->authorization));
    plain = f->req;
    plain.path = KN_STR("//./describeStream"); /* normalises to the signed one */
    assert_ok(verify(&plain, &f->rules));
    plain.path = KN_STR("/describeStream/");
    assert_refused(&plain, &f->rules, "InvalidSignatureException");
}

TESTS_MAIN(TEST_OF(every_request_of_the_captures_verifies),
           TEST_OF(no_tampered_request_of_the_captures_verifies),
           TEST_OF(each_class_of_the_published_vectors_verifies),
           TEST_OF(no_vector_verifies_with_another_method), TEST_OF(what_we_sign_we_verify),
           TEST_OF(a_request_without_a_signature_says_so),
           TEST_OF(both_ways_at_once_and_two_headers_are_refused),
           TEST_OF(incomplete_forms_are_named),
           TEST_OF(a_header_is_signed_once_however_it_is_spelt), TEST_OF(the_host_must_be_signed),
           TEST_OF(a_signed_header_that_is_missing_is_a_mismatch),
           TEST_OF(the_clock_may_differ_by_the_skew_and_no_more),
           TEST_OF(a_presigned_request_lives_as_long_as_it_says),
           TEST_OF(presigned_parameters_are_checked),
           TEST_OF(order_and_spelling_of_the_query_do_not_matter),
           TEST_OF(a_token_added_after_signing_is_left_out), TEST_OF(the_scope_must_fit),
           TEST_OF(the_declared_digest_must_be_the_bodys),
           TEST_OF(unsigned_payload_is_a_matter_of_policy), TEST_OF(http2_signs_the_authority),
           TEST_OF(a_path_signed_as_sent_verifies))
