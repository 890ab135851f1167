/* SPDX-License-Identifier: Apache-2.0 */
/* RTSP's messages as cameras send them, and how their challenges are answered. */
#include "message.h"
#include "test.h"

#include "core/err.h"

static int read_text(const char *text, size_t *ret_taken, struct rtsp_message *ret)
{
    return rtsp_message_read((struct kn_bytes){(const uint8_t *) text, strlen(text)}, ret_taken,
                             ret);
}

TEST(an_answer_is_read_when_all_of_it_is_there)
{
    static const char text[] = "RTSP/1.0 200 OK\r\nCSeq: 3\r\nContent-length : 4\r\n\r\nbodyRTSP";
    struct rtsp_message message;
    size_t taken = 0;
    for (size_t len = 0; len < strlen(text) - 4; len++) {
        struct kn_bytes part = {(const uint8_t *) text, len};
        assert_int_equal(rtsp_message_read(part, &taken, &message), -ENODATA);
    }
    assert_ok(read_text(text, &taken, &message));
    assert_int_equal(taken, strlen(text) - 4);
    assert_int_equal(message.status, 200);
    assert_str_is(rtsp_header(&message, KN_STR("cseq")), "3");
    assert_str_is(kn_str_of(message.body), "body");
    assert_ok(read_text("RTSP/1.0 454 Session Not Found\nCSeq:7\n\n", &taken, &message));
    assert_int_equal(message.status, 454);
}

TEST(a_request_of_a_camera_is_told_from_an_answer_and_from_anything_else)
{
    struct rtsp_message message;
    size_t taken;
    assert_ok(read_text("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n", &taken, &message));
    assert_int_equal(message.status, 0);
    assert_int_equal(read_text("HTTP/1.1 200 OK\r\n\r\n", &taken, &message), -EBADMSG);
    assert_int_equal(read_text("RTSP/1.0 what\r\n\r\n", &taken, &message), -EBADMSG);
    assert_int_equal(
        read_text("RTSP/1.0 200 OK\r\nContent-Length: 99999999\r\n\r\n", &taken, &message),
        -EMSGSIZE);
    char *endless = malloc(RTSP_HEAD_BYTES_MAX + 2);
    assert_non_null(endless);
    memset(endless, 'a', RTSP_HEAD_BYTES_MAX + 1);
    endless[RTSP_HEAD_BYTES_MAX + 1] = '\0';
    assert_int_equal(read_text(endless, &taken, &message), -EMSGSIZE);
    free(endless);
}

static void answer(const char *challenges, struct kn_buf *out)
{
    struct rtsp_message message;
    struct rtsp_auth auth;
    char text[1024];
    size_t taken;
    (void) snprintf(text, sizeof text, "RTSP/1.0 401 Unauthorized\r\n%s\r\n", challenges);
    assert_ok(read_text(text, &taken, &message));
    rtsp_auth_read(&message, &auth);
    kn_buf_init(out, KIB(4));
    rtsp_auth_write(&auth, "Mufasa", "Circle Of Life", "GET", "/dir/index.html", out);
    assert_ok(kn_buf_append(out, "", 1));
}

/* RFC 2617's example, as RFC 2069 has it answered. */
TEST(a_digest_is_preferred_to_a_password_in_clear)
{
    struct kn_buf out;
    answer("WWW-Authenticate: Basic realm=\"x\"\r\n"
           "WWW-Authenticate: Digest realm=\"testrealm@host.com\", "
           "nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", opaque=\"5c,c0\"\r\n",
           &out);
    assert_non_null(strstr((char *) out.ptr, "response=\"670fd8c2df070c60b045671b8b24ff02\""));
    assert_non_null(strstr((char *) out.ptr, "opaque=\"5c,c0\""));
    assert_null(strstr((char *) out.ptr, "qop"));
    kn_buf_done(&out);
}

TEST(the_stronger_of_two_digests_is_answered)
{
    struct kn_buf out;
    answer("WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", algorithm=MD5\r\n"
           "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", algorithm=SHA-256, "
           "qop=\"auth-int, auth\"\r\n",
           &out);
    assert_non_null(strstr((char *) out.ptr, "algorithm=SHA-256"));
    assert_non_null(strstr((char *) out.ptr, "qop=auth, nc=00000001, cnonce=\""));
    kn_buf_done(&out);
}

TEST(basic_where_nothing_else_is_offered_and_nothing_where_nothing_is)
{
    struct kn_buf out;
    answer("WWW-Authenticate: Basic realm=\"x\"\r\n", &out);
    assert_string_equal((char *) out.ptr, "Authorization: Basic TXVmYXNhOkNpcmNsZSBPZiBMaWZl\r\n");
    kn_buf_done(&out);
    answer("WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", algorithm=MD5-sess\r\n", &out);
    assert_string_equal((char *) out.ptr, "");
    kn_buf_done(&out);
}

TEST(a_name_that_would_be_a_header_of_its_own_is_not_sent)
{
    struct rtsp_auth auth = {.scheme = RTSP_AUTH_MD5, .realm = "r", .nonce = "n"};
    struct kn_buf out;
    kn_buf_init(&out, KIB(4));
    rtsp_auth_write(&auth, "a\r\nX: y", "p", "GET", "/", &out);
    rtsp_auth_write(&auth, "a\", uri=\"", "p", "GET", "/", &out);
    assert_int_equal(out.len, 0);
    kn_buf_done(&out);
}

TESTS_MAIN(TEST_OF(an_answer_is_read_when_all_of_it_is_there),
           TEST_OF(a_request_of_a_camera_is_told_from_an_answer_and_from_anything_else),
           TEST_OF(a_digest_is_preferred_to_a_password_in_clear),
           TEST_OF(the_stronger_of_two_digests_is_answered),
           TEST_OF(basic_where_nothing_else_is_offered_and_nothing_where_nothing_is),
           TEST_OF(a_name_that_would_be_a_header_of_its_own_is_not_sent))
