/* SPDX-License-Identifier: Apache-2.0 */
#include "srtp_key.h"

#include "sdp.h"

#include <errno.h>
#include <openssl/crypto.h>

#include "core/crypto.h"

static const struct {
    struct kn_str name; /* RFC 4568, 6.2; RFC 6188, 4; RFC 7714, 14.1 */
    uint8_t key, salt;
} suites[] = {
    [CAMERA_SRTP_AES_CM_128_80] = {KN_STR_INIT("AES_CM_128_HMAC_SHA1_80"), 16, 14},
    [CAMERA_SRTP_AES_CM_128_32] = {KN_STR_INIT("AES_CM_128_HMAC_SHA1_32"), 16, 14},
    [CAMERA_SRTP_AES_CM_256_80] = {KN_STR_INIT("AES_256_CM_HMAC_SHA1_80"), 32, 14},
    [CAMERA_SRTP_AES_CM_256_32] = {KN_STR_INIT("AES_256_CM_HMAC_SHA1_32"), 32, 14},
    [CAMERA_SRTP_AES_GCM_128] = {KN_STR_INIT("AEAD_AES_128_GCM"),        16, 12},
    [CAMERA_SRTP_AES_GCM_256] = {KN_STR_INIT("AEAD_AES_256_GCM"),        32, 12},
};
_Static_assert(KN_ARRAY_LEN(suites) == CAMERA_SRTP_SUITES, "one each");

size_t camera_srtp_key_len(enum camera_srtp_suite suite)
{
    return suites[suite].key;
}

size_t camera_srtp_salt_len(enum camera_srtp_suite suite)
{
    return suites[suite].salt;
}

void camera_srtp_key_wipe(struct camera_srtp_key *key)
{
    OPENSSL_cleanse(key, sizeof *key);
}

void camera_srtp_wipe(struct kn_buf *text)
{
    if (text->ptr)
        OPENSSL_cleanse(text->ptr, text->len);
    kn_buf_done(text);
}

void camera_srtp_key_make(enum camera_srtp_suite suite, struct camera_srtp_key *ret)
{
    *ret = (struct camera_srtp_key){.suite = suite,
                                    .len = (size_t) suites[suite].key + suites[suite].salt};
    kn_random(ret->bytes, ret->len);
}

static int read_suite(struct kn_str name, enum camera_srtp_suite *ret)
{
    for (unsigned i = 0; i < CAMERA_SRTP_SUITES; i++) {
        if (kn_str_eq_nocase(name, suites[i].name)) {
            *ret = (enum camera_srtp_suite) i;
            return 0;
        }
    }
    return -ENOTSUP;
}

/* Key and salt. */
static int read_bytes(struct kn_str text, struct camera_srtp_key *ret)
{
    struct kn_buf bytes;
    size_t len = (size_t) suites[ret->suite].key + suites[ret->suite].salt;
    kn_buf_init(&bytes, CAMERA_SRTP_KEY_BYTES_MAX);
    bool good = camera_base64(text, &bytes) == 0 && bytes.len == len;
    if (good)
        memcpy(ret->bytes, bytes.ptr, len);
    ret->len = good ? len : 0;
    camera_srtp_wipe(&bytes);
    return good ? 0 : -EBADMSG;
}

/* "1:4": its value, and how many bytes it has. */
static int read_mki(struct kn_str text, struct camera_srtp_key *ret)
{
    struct kn_str value;
    uint64_t number, len;
    struct kn_str count = kn_str_cut(text, ':', &value);
    if (kn_str_to_u64(value, UINT64_MAX, &number) < 0 ||
        kn_str_to_u64(count, CAMERA_SRTP_MKI_BYTES_MAX, &len) < 0 || len == 0 ||
        (len < 8 && number >> (8 * len) != 0))
        return -EBADMSG;
    ret->mki_len = (size_t) len;
    for (size_t i = ret->mki_len; i > 0 && number > 0; i--, number >>= 8)
        ret->mki[i - 1] = (uint8_t) number;
    return 0;
}

/* "inline:<key and salt>|2^20|1:4": lifetime and MKI may be left out. How long a key is good is for
 * who sends. */
static int read_params(struct kn_str text, struct camera_srtp_key *ret)
{
    struct kn_str method, key, one;
    text = kn_str_cut(text, ':', &method);
    if (!kn_str_eq_nocase(method, KN_STR("inline")))
        return -ENOTSUP;
    if (text.len > 0 && memchr(text.ptr, ';', text.len))
        return -ENOTSUP; /* several keys */
    text = kn_str_cut(text, '|', &key);
    int r = read_bytes(key, ret);
    while (r == 0 && text.len > 0) {
        text = kn_str_cut(text, '|', &one);
        if (memchr(one.ptr, ':', one.len))
            r = read_mki(one, ret);
    }
    return r;
}

/* Of the session's parameters (6.3) only one changes nothing for us. */
static bool changes_packets(struct kn_str parameters)
{
    while (parameters.len > 0) {
        struct kn_str one;
        parameters = kn_str_cut(parameters, ' ', &one);
        if (one.len > 0 && !kn_str_starts_with(one, KN_STR("WSH=")))
            return true;
    }
    return false;
}

int camera_srtp_key_read(struct kn_str crypto, struct camera_srtp_key *ret)
{
    struct kn_str tag, suite, params;
    *ret = (struct camera_srtp_key){.len = 0};
    crypto = kn_str_trim(kn_str_cut(kn_str_trim(crypto), ' ', &tag));
    crypto = kn_str_trim(kn_str_cut(crypto, ' ', &suite));
    crypto = kn_str_trim(kn_str_cut(crypto, ' ', &params));
    int r = read_suite(suite, &ret->suite);
    if (r == 0)
        r = read_params(params, ret);
    if (r == 0 && changes_packets(crypto))
        r = -ENOTSUP;
    if (r < 0)
        camera_srtp_key_wipe(ret);
    return r;
}
