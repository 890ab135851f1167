/* SPDX-License-Identifier: Apache-2.0 */
#include "srtp_openssl.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <srtp2/auth.h>
#include <srtp2/cipher.h>
#include <srtp2/srtp.h>
#include <stdlib.h>
#include <string.h>

enum {
    SHA1_BYTES = 20,
    SALT_BYTES = 14, /* of counter mode (RFC 3711, 4.1.1) */
    BLOCK_BYTES = 16,
    STREAM_BYTES = 48, /* of the vectors */
};

/* --- HMAC-SHA1 -------------------------------------------------------------------------------- */
struct hmac {
    srtp_auth_t auth; /* first: libsrtp knows no other address */
    EVP_MAC_CTX *ctx;
};

static srtp_err_status_t mac_free(srtp_auth_t *auth)
{
    struct hmac *hmac = (struct hmac *) auth;
    EVP_MAC_CTX_free(hmac->ctx);
    free(hmac);
    return srtp_err_status_ok;
}

static const srtp_auth_type_t mac_type;

static srtp_err_status_t mac_new(srtp_auth_t **ret, int key_len, int out_len)
{
    if (key_len < 0 || key_len > SHA1_BYTES || out_len < 0 || out_len > SHA1_BYTES)
        return srtp_err_status_bad_param;
    struct hmac *hmac = calloc(1, sizeof *hmac);
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    if (hmac && mac)
        hmac->ctx = EVP_MAC_CTX_new(mac); /* which has a reference of its own */
    EVP_MAC_free(mac);
    if (!hmac || !hmac->ctx) {
        free(hmac);
        return srtp_err_status_alloc_fail;
    }
    hmac->auth =
        (srtp_auth_t){.type = &mac_type, .state = hmac, .out_len = out_len, .key_len = key_len};
    *ret = &hmac->auth;
    return srtp_err_status_ok;
}

static srtp_err_status_t mac_key(void *state, const uint8_t *key, int key_len)
{
    struct hmac *hmac = state;
    char digest[] = "SHA1";
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                                 OSSL_PARAM_construct_end()};
    return EVP_MAC_init(hmac->ctx, key, (size_t) key_len, params) ? srtp_err_status_ok
                                                                  : srtp_err_status_auth_fail;
}

/* Begins anew with the key that it has. */
static srtp_err_status_t mac_start(void *state)
{
    struct hmac *hmac = state;
    return EVP_MAC_init(hmac->ctx, NULL, 0, NULL) ? srtp_err_status_ok : srtp_err_status_auth_fail;
}

static srtp_err_status_t mac_update(void *state, const uint8_t *bytes, int len)
{
    struct hmac *hmac = state;
    return EVP_MAC_update(hmac->ctx, bytes, (size_t) len) ? srtp_err_status_ok
                                                          : srtp_err_status_auth_fail;
}

static srtp_err_status_t mac_end(void *state, const uint8_t *bytes, int len, int tag_len,
                                 uint8_t *tag)
{
    struct hmac *hmac = state;
    uint8_t whole[SHA1_BYTES];
    size_t n;
    if (tag_len > SHA1_BYTES)
        return srtp_err_status_bad_param;
    if (mac_update(state, bytes, len) != srtp_err_status_ok ||
        !EVP_MAC_final(hmac->ctx, whole, &n, sizeof whole))
        return srtp_err_status_auth_fail;
    memcpy(tag, whole, (size_t) tag_len);
    return srtp_err_status_ok;
}

/* RFC 2202, 3, test case 1. */
static const uint8_t mac_test_key[SHA1_BYTES] = {0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b,
                                                 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b,
                                                 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b};
static const uint8_t mac_test_tag[SHA1_BYTES] = {0xb6, 0x17, 0x31, 0x86, 0x55, 0x05, 0x72,
                                                 0x64, 0xe2, 0x8b, 0xc0, 0xb6, 0xfb, 0x37,
                                                 0x8c, 0x8e, 0xf1, 0x46, 0xbe, 0x00};
static const srtp_auth_test_case_t mac_test = {
    .key_length_octets = sizeof mac_test_key,
    .key = mac_test_key,
    .data_length_octets = 8,
    .data = (const uint8_t *) "Hi There",
    .tag_length_octets = sizeof mac_test_tag,
    .tag = mac_test_tag,
};
static const srtp_auth_type_t mac_type = {
    .alloc = mac_new,
    .dealloc = mac_free,
    .init = mac_key,
    .compute = mac_end,
    .update = mac_update,
    .start = mac_start,
    .description = "HMAC-SHA1 of OpenSSL",
    .test_data = &mac_test,
    .id = SRTP_HMAC_SHA1,
};

/* --- AES in counter mode ---------------------------------------------------------------------- */
struct aes {
    srtp_cipher_t cipher; /* first: libsrtp knows no other address */
    EVP_CIPHER_CTX *ctx;
    uint8_t salt[BLOCK_BYTES]; /* and two bytes of zero, where blocks are counted */
};

static srtp_err_status_t aes_free(srtp_cipher_t *cipher)
{
    struct aes *aes = (struct aes *) cipher;
    EVP_CIPHER_CTX_free(aes->ctx);
    OPENSSL_cleanse(aes, sizeof *aes);
    free(aes);
    return srtp_err_status_ok;
}

static const srtp_cipher_type_t aes_128_type, aes_256_type;

static srtp_err_status_t new_aes(const srtp_cipher_type_t *type, srtp_cipher_t **ret, int key_len)
{
    struct aes *aes = calloc(1, sizeof *aes);
    if (aes)
        aes->ctx = EVP_CIPHER_CTX_new();
    if (!aes || !aes->ctx) {
        free(aes);
        return srtp_err_status_alloc_fail;
    }
    aes->cipher = (srtp_cipher_t){
        .type = type, .state = aes, .key_len = key_len, .algorithm = (int) type->id};
    *ret = &aes->cipher;
    return srtp_err_status_ok;
}

static srtp_err_status_t aes_128_new(srtp_cipher_t **ret, int key_len, int tag_len)
{
    (void) tag_len;
    return key_len == SRTP_AES_ICM_128_KEY_LEN_WSALT ? new_aes(&aes_128_type, ret, key_len)
                                                     : srtp_err_status_bad_param;
}

static srtp_err_status_t aes_256_new(srtp_cipher_t **ret, int key_len, int tag_len)
{
    (void) tag_len;
    return key_len == SRTP_AES_ICM_256_KEY_LEN_WSALT ? new_aes(&aes_256_type, ret, key_len)
                                                     : srtp_err_status_bad_param;
}

/* The key, and the salt behind it. */
static srtp_err_status_t aes_key(void *state, const uint8_t *key)
{
    struct aes *aes = state;
    size_t len = (size_t) aes->cipher.key_len - SALT_BYTES;
    const EVP_CIPHER *kind = len == 16 ? EVP_aes_128_ctr() : EVP_aes_256_ctr();
    memcpy(aes->salt, key + len, SALT_BYTES);
    return EVP_EncryptInit_ex(aes->ctx, kind, NULL, key, NULL) ? srtp_err_status_ok
                                                               : srtp_err_status_init_fail;
}

/* The first counter is the packet's number with the salt over it. */
static srtp_err_status_t aes_begin(void *state, uint8_t *iv, srtp_cipher_direction_t direction)
{
    struct aes *aes = state;
    uint8_t counter[BLOCK_BYTES];
    (void) direction; /* both are the same */
    for (size_t i = 0; i < BLOCK_BYTES; i++)
        counter[i] = iv[i] ^ aes->salt[i];
    return EVP_EncryptInit_ex(aes->ctx, NULL, NULL, NULL, counter) ? srtp_err_status_ok
                                                                   : srtp_err_status_cipher_fail;
}

static srtp_err_status_t aes_run(void *state, uint8_t *bytes, unsigned *len)
{
    struct aes *aes = state;
    int done = 0;
    if (!EVP_EncryptUpdate(aes->ctx, bytes, &done, bytes, (int) *len))
        return srtp_err_status_cipher_fail;
    *len = (unsigned) done;
    return srtp_err_status_ok;
}

/* RFC 3711, B.2, and RFC 6188, 7.2: the key stream, which zeros become. */
static uint8_t zero_iv[BLOCK_BYTES];
static const uint8_t zeros[STREAM_BYTES];
static const uint8_t key_128[] = {0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6, 0xab, 0xf7,
                                  0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c, 0xf0, 0xf1, 0xf2, 0xf3,
                                  0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd};
static const uint8_t stream_128[STREAM_BYTES] = {
    0xe0, 0x3e, 0xad, 0x09, 0x35, 0xc9, 0x5e, 0x80, 0xe1, 0x66, 0xb1, 0x6d, 0xd9, 0x2b, 0x4e, 0xb4,
    0xd2, 0x35, 0x13, 0x16, 0x2b, 0x02, 0xd0, 0xf7, 0x2a, 0x43, 0xa2, 0xfe, 0x4a, 0x5f, 0x97, 0xab,
    0x41, 0xe9, 0x5b, 0x3b, 0xb0, 0xa2, 0xe8, 0xdd, 0x47, 0x79, 0x01, 0xe4, 0xfc, 0xa8, 0x94, 0xc0};
static const uint8_t key_256[] = {
    0x57, 0xf8, 0x2f, 0xe3, 0x61, 0x3f, 0xd1, 0x70, 0xa8, 0x5e, 0xc9, 0x3c, 0x40, 0xb1, 0xf0, 0x92,
    0x2e, 0xc4, 0xcb, 0x0d, 0xc0, 0x25, 0xb5, 0x82, 0x72, 0x14, 0x7c, 0xc4, 0x38, 0x94, 0x4a, 0x98,
    0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd};
static const uint8_t stream_256[STREAM_BYTES] = {
    0x92, 0xbd, 0xd2, 0x8a, 0x93, 0xc3, 0xf5, 0x25, 0x11, 0xc6, 0x77, 0xd0, 0x8b, 0x55, 0x15, 0xa4,
    0x9d, 0xa7, 0x1b, 0x23, 0x78, 0xa8, 0x54, 0xf6, 0x70, 0x50, 0x75, 0x6d, 0xed, 0x16, 0x5b, 0xac,
    0x63, 0xc4, 0x86, 0x8b, 0x70, 0x96, 0xd8, 0x84, 0x21, 0xb5, 0x63, 0xb8, 0xc9, 0x4c, 0x9a, 0x31};
static const srtp_cipher_test_case_t test_128 = {
    .key_length_octets = sizeof key_128,
    .key = key_128,
    .idx = zero_iv,
    .plaintext_length_octets = STREAM_BYTES,
    .plaintext = zeros,
    .ciphertext_length_octets = STREAM_BYTES,
    .ciphertext = stream_128,
};
static const srtp_cipher_test_case_t test_256 = {
    .key_length_octets = sizeof key_256,
    .key = key_256,
    .idx = zero_iv,
    .plaintext_length_octets = STREAM_BYTES,
    .plaintext = zeros,
    .ciphertext_length_octets = STREAM_BYTES,
    .ciphertext = stream_256,
};
static const srtp_cipher_type_t aes_128_type = {
    .alloc = aes_128_new,
    .dealloc = aes_free,
    .init = aes_key,
    .encrypt = aes_run,
    .decrypt = aes_run,
    .set_iv = aes_begin,
    .description = "AES-128 in counter mode of OpenSSL",
    .test_data = &test_128,
    .id = SRTP_AES_ICM_128,
};
static const srtp_cipher_type_t aes_256_type = {
    .alloc = aes_256_new,
    .dealloc = aes_free,
    .init = aes_key,
    .encrypt = aes_run,
    .decrypt = aes_run,
    .set_iv = aes_begin,
    .description = "AES-256 in counter mode of OpenSSL",
    .test_data = &test_256,
    .id = SRTP_AES_ICM_256,
};

bool camera_srtp_use_openssl(void)
{
    return srtp_replace_auth_type(&mac_type, SRTP_HMAC_SHA1) == srtp_err_status_ok &&
           srtp_replace_cipher_type(&aes_128_type, SRTP_AES_ICM_128) == srtp_err_status_ok &&
           srtp_replace_cipher_type(&aes_256_type, SRTP_AES_ICM_256) == srtp_err_status_ok;
}
