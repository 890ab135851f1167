/* SPDX-License-Identifier: Apache-2.0 */
/* Keys that a camera tells are understood, and open what it seals with them and nothing else. */
#include "mikey.h"
#include "srtp.h"
#include "srtp_openssl.h"
#include "test.h"

#include <errno.h>
#include <srtp2/srtp.h>

#include "core/crypto.h"

#define RFC_4568_KEY "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
/* Of gst-rtsp-server 1.22. */
#define GSTREAMERS                                                                                 \
    "mikey "                                                                                       \
    "AQAFAOuYC20BAAB+3OcbAAAAAAsA7rZGN/kd/8UKEEz++4Z9/yXFkOmm1WXsqOQBAAAAFQABAQEBEAIBAQMBCgcBA"    \
    "QgBAQoBAQAAACIAIAAeqgp+UnkIcehbHHUFkfJmhH3Acoxkj1NKWKRbG6U2AA=="
enum {
    SSRC = 0x11223344,
    PACKET_BYTES = 200,
    ROOM = PACKET_BYTES + SRTP_MAX_TRAILER_LEN,
};

static int read_crypto(const char *text, struct camera_srtp_key *ret)
{
    return camera_srtp_key_read(kn_str_from(text), ret);
}

/* --- keys ------------------------------------------------------------------------------------- */
TEST(a_key_of_a_crypto_line_is_read)
{
    struct camera_srtp_key key;
    assert_ok(read_crypto("1 AES_CM_128_HMAC_SHA1_80 inline:" RFC_4568_KEY "|2^20|1:4", &key));
    assert_int_equal(key.suite, CAMERA_SRTP_AES_CM_128_80);
    assert_int_equal(key.len, 30);
    assert_int_equal(key.bytes[0], 'Y');
    assert_int_equal(key.bytes[29], 's');
    assert_int_equal(key.mki_len, 4);
    assert_memory_equal(key.mki, ((uint8_t[]){0, 0, 0, 1}), 4);
    assert_ok(read_crypto("2 AES_CM_128_HMAC_SHA1_32  inline:" RFC_4568_KEY " WSH=128", &key));
    assert_int_equal(key.suite, CAMERA_SRTP_AES_CM_128_32);
    assert_int_equal(key.mki_len, 0);
    assert_ok(
        read_crypto("1 aead_aes_128_gcm inline:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", &key));
    assert_int_equal(key.len, 28);
}

TEST(a_key_that_is_none_or_that_we_do_not_know_is_refused)
{
    static const struct {
        const char *text;
        int error;
    } bad[] = {
        {"",                                                                       -ENOTSUP},
        {"1 F8_128_HMAC_SHA1_80 inline:" RFC_4568_KEY,                             -ENOTSUP},
        {"1 AES_CM_128_HMAC_SHA1_80 elsewhere:" RFC_4568_KEY,                      -ENOTSUP},
        {"1 AES_CM_128_HMAC_SHA1_80 inline:" RFC_4568_KEY ";inline:" RFC_4568_KEY, -ENOTSUP},
        {"1 AES_CM_128_HMAC_SHA1_80 inline:" RFC_4568_KEY " UNENCRYPTED_SRTP",     -ENOTSUP},
        {"1 AES_CM_128_HMAC_SHA1_80 inline:" RFC_4568_KEY " WSH=64 KDR=1",         -ENOTSUP},
        {"1 AES_CM_128_HMAC_SHA1_80 inline:",                                      -EBADMSG},
        {"1 AES_CM_128_HMAC_SHA1_80 inline:QUJD",                                  -EBADMSG},
        {"1 AES_256_CM_HMAC_SHA1_80 inline:" RFC_4568_KEY,                         -EBADMSG},
        {"1 AES_CM_128_HMAC_SHA1_80 inline:!!!!",                                  -EBADMSG},
        {"1 AES_CM_128_HMAC_SHA1_80 inline:" RFC_4568_KEY "|1:129",                -EBADMSG},
        {"1 AES_CM_128_HMAC_SHA1_80 inline:" RFC_4568_KEY "|256:1",                -EBADMSG},
        {"1 AES_CM_128_HMAC_SHA1_80 inline:" RFC_4568_KEY "|x:4",                  -EBADMSG},
    };
    struct camera_srtp_key key;
    for (size_t i = 0; i < KN_ARRAY_LEN(bad); i++) {
        assert_int_equal(read_crypto(bad[i].text, &key), bad[i].error);
        assert_int_equal(key.len, 0);
    }
}

TEST(a_key_of_a_mikey_message_is_read)
{
    struct camera_srtp_key key;
    assert_ok(camera_mikey_read(KN_STR(GSTREAMERS), &key));
    assert_int_equal(key.suite, CAMERA_SRTP_AES_CM_128_80);
    assert_int_equal(key.len, 30);
    assert_int_equal(key.bytes[0], 0xaa);
    assert_int_equal(key.bytes[29], 0x36);
    assert_int_equal(key.rolled_over, 0);
    assert_int_equal(camera_mikey_read(KN_STR("zrtp AQAF"), &key), -ENOTSUP);
    assert_int_equal(camera_mikey_read(KN_STR("mikey !"), &key), -EBADMSG);
}

/* The message with one byte of another value, in base64 again. */
static int read_changed(size_t at, uint8_t value, size_t len, struct camera_srtp_key *ret)
{
    struct kn_buf bytes, text;
    kn_buf_init(&bytes, KIB(1));
    kn_buf_init(&text, KIB(2));
    assert_ok(kn_base64_decode(kn_str_skip(KN_STR(GSTREAMERS), 6), false, &bytes));
    bytes.ptr[at] = value;
    (void) kn_buf_printf(&text, "mikey ");
    assert_ok(
        kn_base64_encode((struct kn_bytes){bytes.ptr, kn_min_u64(len, bytes.len)}, false, &text));
    int r = camera_mikey_read(kn_buf_str(&text), ret);
    kn_buf_done(&bytes);
    kn_buf_done(&text);
    return r;
}

TEST(a_mikey_message_that_is_cut_or_of_another_kind_is_refused)
{
    struct camera_srtp_key key;
    enum {
        WHOLE = 111,
        ALL = 112, /* with what authenticates it, which is nothing */
    };
    for (size_t len = 0; len < WHOLE; len++) {
        assert_true(read_changed(0, 1, len, &key) < 0);
        assert_int_equal(key.len, 0);
    }
    assert_ok(read_changed(0, 1, ALL, &key));
    assert_int_equal(read_changed(0, 2, ALL, &key), -ENOTSUP);  /* version */
    assert_int_equal(read_changed(1, 2, ALL, &key), -ENOTSUP);  /* keys by RSA */
    assert_int_equal(read_changed(2, 9, ALL, &key), -ENOTSUP);  /* a payload that we do not know */
    assert_int_equal(read_changed(8, 0, ALL, &key), -ENOTSUP);  /* no session */
    assert_true(read_changed(8, 2, ALL, &key) < 0);             /* one more, which is not there */
    assert_int_equal(read_changed(54, 0, ALL, &key), -ENOTSUP); /* not encrypted */
    assert_int_equal(read_changed(63, 4, ALL, &key), 0);        /* tags of 32 bits */
    assert_int_equal(key.suite, CAMERA_SRTP_AES_CM_128_32);
    assert_int_equal(read_changed(66, 0, ALL, &key), -ENOTSUP); /* RTP in clear */
    assert_int_equal(read_changed(74, 1, ALL, &key), -ENOTSUP); /* the key is encrypted */
    assert_int_equal(read_changed(78, 0, ALL, &key), -ENOTSUP); /* keys are derived from it */
}

TEST(what_we_tell_is_read_back)
{
    for (unsigned suite = 0; suite < CAMERA_SRTP_SUITES; suite++) {
        static const char head[] = "prot=mikey;uri=\"rtsp://c/\";data=\"";
        struct camera_srtp_key key, again;
        struct kn_buf out, text;
        camera_srtp_key_make((enum camera_srtp_suite) suite, &key);
        key.rolled_over = 7;
        kn_buf_init(&out, KIB(2));
        kn_buf_init(&text, KIB(2));
        camera_mikey_write(&key, SSRC, "rtsp://c/", INT64_C(1795824000000), &out);
        assert_ok(out.error);
        assert_memory_equal(out.ptr, head, sizeof head - 1);
        (void) kn_buf_printf(&text, "mikey %.*s", (int) (out.len - sizeof head),
                             out.ptr + sizeof head - 1);
        assert_ok(camera_mikey_read(kn_buf_str(&text), &again));
        assert_int_equal(again.suite, suite);
        assert_int_equal(again.len, key.len);
        assert_memory_equal(again.bytes, key.bytes, key.len);
        assert_int_equal(again.rolled_over, 7);
        kn_buf_done(&out);
        kn_buf_done(&text);
    }
}

/* --- packets ---------------------------------------------------------------------------------- */
struct camera { /* the other side */
    struct camera_srtp_key key, ours;
    struct camera_srtp *seals, *opens;
    srtp_t out;
    uint16_t sequence;
    size_t len;
    uint8_t packet[ROOM];
};

static void camera_init(struct camera *c, enum camera_srtp_suite suite, uint16_t sequence)
{
    *c = (struct camera){.sequence = sequence};
    camera_srtp_key_make(suite, &c->key);
    camera_srtp_key_make(suite, &c->ours);
    c->opens = camera_srtp_new(&c->key, &c->ours, 1);
    c->seals = camera_srtp_new(&c->ours, &c->key, SSRC); /* its RTCP, and what opens ours */
    assert_non_null(c->opens);
    assert_non_null(c->seals);
}

static void camera_done(struct camera *c)
{
    camera_srtp_free(c->opens);
    camera_srtp_free(c->seals);
    if (c->out)
        assert_int_equal(srtp_dealloc(c->out), srtp_err_status_ok);
}

/* As RFC 4568, 6188 and 7714 name them; what is tested has a table of its own. */
static void (*const rtp_policies[CAMERA_SRTP_SUITES])(srtp_crypto_policy_t *) = {
    [CAMERA_SRTP_AES_CM_128_80] = srtp_crypto_policy_set_rtp_default,
    [CAMERA_SRTP_AES_CM_128_32] = srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32,
    [CAMERA_SRTP_AES_CM_256_80] = srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80,
    [CAMERA_SRTP_AES_CM_256_32] = srtp_crypto_policy_set_aes_cm_256_hmac_sha1_32,
    [CAMERA_SRTP_AES_GCM_128] = srtp_crypto_policy_set_aes_gcm_128_16_auth,
    [CAMERA_SRTP_AES_GCM_256] = srtp_crypto_policy_set_aes_gcm_256_16_auth,
};

/* What seals RTP; it has begun anew so often before. */
static void camera_sends(struct camera *c, uint32_t rolled_over)
{
    srtp_master_key_t master = {c->key.bytes, c->key.mki, (unsigned) c->key.mki_len};
    srtp_master_key_t *masters = &master;
    srtp_policy_t policy = {
        .ssrc = {ssrc_specific, SSRC},
          .window_size = 128
    };
    rtp_policies[c->key.suite](&policy.rtp);
    srtp_crypto_policy_set_rtcp_default(&policy.rtcp);
    policy.keys = &masters;
    policy.num_master_keys = 1;
    assert_int_equal(srtp_create(&c->out, &policy), srtp_err_status_ok);
    if (rolled_over > 0)
        assert_int_equal(srtp_set_stream_roc(c->out, SSRC, rolled_over), srtp_err_status_ok);
}

static void seal(struct camera *c)
{
    int len = PACKET_BYTES;
    memset(c->packet, (uint8_t) c->sequence, PACKET_BYTES);
    memcpy(c->packet, (const uint8_t[]){0x80, 96}, 2);
    kn_put_u16be(c->packet + 2, c->sequence);
    kn_put_u32be(c->packet + 8, SSRC);
    assert_int_equal(srtp_protect_mki(c->out, c->packet, &len, c->key.mki_len > 0, 0),
                     srtp_err_status_ok);
    c->len = (size_t) len;
    c->sequence++;
}

static int open_it(struct camera *c, struct kn_bytes *ret)
{
    return camera_srtp_open(c->opens, false, (struct kn_bytes){c->packet, c->len}, ret);
}

static void assert_opens(struct camera *c)
{
    struct kn_bytes opened;
    uint8_t value = (uint8_t) (c->sequence - 1);
    assert_ok(open_it(c, &opened));
    assert_int_equal(opened.len, PACKET_BYTES);
    for (size_t i = 12; i < PACKET_BYTES; i++)
        assert_int_equal(opened.ptr[i], value);
}

TEST(openssl_is_believed)
{
    struct camera c;
    camera_init(&c, CAMERA_SRTP_AES_CM_128_80, 0); /* libsrtp has begun */
    camera_done(&c);
    assert_true(camera_srtp_use_openssl());
}

TEST(packets_are_opened_and_what_is_changed_or_comes_twice_is_not)
{
    struct camera c;
    struct kn_bytes opened;
    camera_init(&c, CAMERA_SRTP_AES_CM_128_80, 65000);
    camera_sends(&c, 0);
    for (unsigned i = 0; i < 200; i++) {
        seal(&c);
        c.packet[20 + i / 2] ^= 1;
        assert_int_equal(open_it(&c, &opened), -EBADMSG);
        c.packet[20 + i / 2] ^= 1;
        assert_opens(&c);
        assert_int_equal(open_it(&c, &opened), -EBADMSG);
    }
    for (c.len = 0; c.len < 12 + 10; c.len++)
        assert_int_equal(open_it(&c, &opened), -EBADMSG);
    assert_false(camera_srtp_is_strange(c.opens));
    camera_done(&c);
}

TEST(packets_are_opened_in_every_suite)
{
    static const size_t tags[CAMERA_SRTP_SUITES] = {10, 4, 10, 4, 16, 16};
    for (unsigned suite = 0; suite < CAMERA_SRTP_SUITES; suite++) {
        struct camera c;
        struct kn_bytes opened;
        camera_init(&c, (enum camera_srtp_suite) suite, 65530);
        camera_sends(&c, 0);
        for (unsigned i = 0; i < 20; i++) {
            seal(&c);
            assert_int_equal(c.len, PACKET_BYTES + tags[suite]);
            c.packet[30] ^= 1;
            assert_int_equal(open_it(&c, &opened), -EBADMSG);
            c.packet[30] ^= 1;
            assert_opens(&c);
        }
        camera_done(&c);
    }
}

TEST(numbers_begin_anew_again_and_again)
{
    struct camera c;
    camera_init(&c, CAMERA_SRTP_AES_CM_128_80, 65535);
    camera_sends(&c, 0);
    for (unsigned i = 0; i < 3 * 65536 / 64; i++) { /* 63 of 64 packets are lost */
        seal(&c);
        assert_opens(&c);
        c.sequence = (uint16_t) (c.sequence + 63);
    }
    camera_done(&c);
}

/* The camera has sent for a long time, and its numbers have begun anew since it told its key, or
 * not. */
TEST(a_camera_is_joined_late)
{
    for (uint32_t told = 0; told < 3; told++) {
        for (uint32_t since = 0; since < 2; since++) {
            struct camera c;
            camera_init(&c, CAMERA_SRTP_AES_CM_128_80, 3);
            camera_srtp_free(c.opens);
            c.key.rolled_over = told;
            c.opens = camera_srtp_new(&c.key, &c.ours, 1);
            camera_sends(&c, told + since);
            for (unsigned i = 0; i < 10; i++) {
                seal(&c);
                assert_opens(&c);
            }
            camera_done(&c);
        }
    }
}

TEST(packets_may_name_their_key)
{
    struct camera c;
    camera_init(&c, CAMERA_SRTP_AES_CM_128_80, 1);
    camera_srtp_free(c.opens);
    c.key.mki_len = 4;
    c.key.mki[3] = 1;
    c.opens = camera_srtp_new(&c.key, &c.ours, 1);
    camera_sends(&c, 0);
    seal(&c);
    assert_int_equal(c.len, PACKET_BYTES + 4 + 10);
    assert_opens(&c);
    camera_done(&c);
}

TEST(another_key_opens_nothing_and_that_is_seen)
{
    struct camera c;
    struct kn_bytes opened;
    camera_init(&c, CAMERA_SRTP_AES_CM_128_80, 1);
    c.key.bytes[0] ^= 1;
    camera_sends(&c, 0);
    for (unsigned i = 0; i < 20; i++) {
        assert_false(camera_srtp_is_strange(c.opens));
        seal(&c);
        assert_int_equal(open_it(&c, &opened), -EBADMSG);
    }
    assert_true(camera_srtp_is_strange(c.opens));
    camera_done(&c);
}

TEST(reports_are_sealed_and_opened_in_every_suite)
{
    for (unsigned suite = 0; suite < CAMERA_SRTP_SUITES; suite++) {
        struct camera c;
        struct kn_bytes sealed, opened;
        const uint8_t report[32] = {0x81, 201, 0, 7, 0, 0, 0, 1};
        uint8_t sent[32 + 64];
        camera_init(&c, (enum camera_srtp_suite) suite, 1);
        assert_ok(camera_srtp_seal(c.opens, (struct kn_bytes){report, sizeof report}, &sealed));
        assert_true(sealed.len > sizeof report && sealed.len <= sizeof sent);
        assert_memory_not_equal(sealed.ptr + 8, report + 8, sizeof report - 8);
        memcpy(sent, sealed.ptr, sealed.len);
        assert_ok(camera_srtp_open(c.seals, true, sealed, &opened));
        assert_int_equal(opened.len, sizeof report);
        assert_memory_equal(opened.ptr, report, sizeof report);
        sent[9] ^= 1;
        assert_int_equal(
            camera_srtp_open(c.seals, true, (struct kn_bytes){sent, sealed.len}, &opened),
            -EBADMSG);
        camera_done(&c);
    }
}

TESTS_MAIN(TEST_OF(a_key_of_a_crypto_line_is_read),
           TEST_OF(a_key_that_is_none_or_that_we_do_not_know_is_refused),
           TEST_OF(a_key_of_a_mikey_message_is_read),
           TEST_OF(a_mikey_message_that_is_cut_or_of_another_kind_is_refused),
           TEST_OF(what_we_tell_is_read_back), TEST_OF(openssl_is_believed),
           TEST_OF(packets_are_opened_and_what_is_changed_or_comes_twice_is_not),
           TEST_OF(packets_are_opened_in_every_suite), TEST_OF(numbers_begin_anew_again_and_again),
           TEST_OF(a_camera_is_joined_late), TEST_OF(packets_may_name_their_key),
           TEST_OF(another_key_opens_nothing_and_that_is_seen),
           TEST_OF(reports_are_sealed_and_opened_in_every_suite))
