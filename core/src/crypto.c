/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thin face over OpenSSL, so that nothing else needs to know it, plus hex. Digests are its plain
 * functions: those of EVP take a detour by allocations and a provider, 150 ns each, and a signed
 * request has six digests.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "core/crypto.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

enum {
    NONCE_BYTES = 12,
    TAG_BYTES = 16,
    BLOCK_BYTES = 64,
    NAME_SUPPLY_BYTES = 4096
};
static_assert(KN_AEAD_OVERHEAD == NONCE_BYTES + TAG_BYTES, "what sealing adds");

void kn_sha256(struct kn_bytes in, uint8_t ret[KN_SHA256_BYTES])
{
    SHA256_CTX ctx;

    kn_assert(SHA256_Init(&ctx) == 1);
    kn_assert(SHA256_Update(&ctx, in.ptr, in.len) == 1);
    kn_assert(SHA256_Final(ret, &ctx) == 1);
}

static void digest_two(const uint8_t pad[BLOCK_BYTES], struct kn_bytes in,
                       uint8_t ret[KN_SHA256_BYTES])
{
    SHA256_CTX ctx;

    kn_assert(SHA256_Init(&ctx) == 1);
    kn_assert(SHA256_Update(&ctx, pad, BLOCK_BYTES) == 1);
    kn_assert(SHA256_Update(&ctx, in.ptr, in.len) == 1);
    kn_assert(SHA256_Final(ret, &ctx) == 1);
    explicit_bzero(&ctx, sizeof ctx);
}

/* RFC 2104. */
void kn_hmac_sha256(struct kn_bytes key, struct kn_bytes in, uint8_t ret[KN_SHA256_BYTES])
{
    uint8_t block[BLOCK_BYTES] = {0}, inner[KN_SHA256_BYTES];

    if (key.len > sizeof block)
        kn_sha256(key, block);
    else if (key.len)
        memcpy(block, key.ptr, key.len);
    for (size_t i = 0; i < sizeof block; i++)
        block[i] ^= 0x36;
    digest_two(block, in, inner);
    for (size_t i = 0; i < sizeof block; i++)
        block[i] ^= 0x36 ^ 0x5c;
    digest_two(block, (struct kn_bytes){inner, sizeof inner}, ret);
    explicit_bzero(block, sizeof block);
}

void kn_random(void *dst, size_t len)
{
    kn_assert(len <= INT32_MAX && RAND_bytes(dst, (int) len) == 1);
}

void kn_random_name(void *dst, size_t len)
{
    static _Thread_local uint8_t supply[NAME_SUPPLY_BYTES];
    static _Thread_local size_t left;

    kn_assert(len <= sizeof supply);
    if (left < len) {
        kn_random(supply, sizeof supply);
        left = sizeof supply;
    }
    left -= len;
    memcpy(dst, supply + left, len);
}

uint64_t kn_random_u64(void)
{
    uint64_t v;

    kn_random(&v, sizeof v);
    return v;
}

void kn_hex_encode(struct kn_bytes in, char *dst)
{
    static const char digit[] = "0123456789abcdef";

    for (size_t i = 0; i < in.len; i++) {
        dst[2 * i] = digit[in.ptr[i] >> 4];
        dst[2 * i + 1] = digit[in.ptr[i] & 15];
    }
    dst[2 * in.len] = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int kn_hex_decode(struct kn_str in, uint8_t *dst, size_t len)
{
    if (in.len != 2 * len)
        return -EINVAL;
    for (size_t i = 0; i < len; i++) {
        int high = hex_value(in.ptr[2 * i]), low = hex_value(in.ptr[2 * i + 1]);

        if (high < 0 || low < 0)
            return -EINVAL;
        dst[i] = (uint8_t) (high << 4 | low);
    }
    return 0;
}

int kn_aead_seal(const uint8_t key[KN_AEAD_KEY_BYTES], struct kn_bytes plain, struct kn_bytes aad,
                 struct kn_buf *dst)
{
    EVP_CIPHER_CTX *ctx;
    uint8_t *nonce;
    int n = 0, last = 0;
    bool ok;

    if (plain.len > INT32_MAX - KN_AEAD_OVERHEAD || aad.len > INT32_MAX)
        return -EMSGSIZE;
    if (kn_buf_reserve(dst, plain.len + KN_AEAD_OVERHEAD) < 0)
        return dst->error;
    ctx = EVP_CIPHER_CTX_new();
    if (!ctx)
        return -ENOMEM;
    nonce = dst->ptr + dst->len;
    kn_random(nonce, NONCE_BYTES);
    ok = EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
         (aad.len == 0 || EVP_EncryptUpdate(ctx, NULL, &n, aad.ptr, (int) aad.len) == 1) &&
         EVP_EncryptUpdate(ctx, nonce + NONCE_BYTES, &n, plain.ptr, (int) plain.len) == 1 &&
         EVP_EncryptFinal_ex(ctx, nonce + NONCE_BYTES + n, &last) == 1 &&
         EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_BYTES,
                             nonce + NONCE_BYTES + plain.len) == 1;
    EVP_CIPHER_CTX_free(ctx);
    if (!ok)
        return -ENOMEM;
    dst->len += plain.len + KN_AEAD_OVERHEAD;
    return 0;
}

int kn_aead_open(const uint8_t key[KN_AEAD_KEY_BYTES], struct kn_bytes sealed, struct kn_bytes aad,
                 struct kn_buf *dst)
{
    EVP_CIPHER_CTX *ctx;
    uint8_t tag[TAG_BYTES];
    size_t len;
    int n = 0, last = 0;
    bool ok;

    if (sealed.len < KN_AEAD_OVERHEAD || sealed.len > INT32_MAX || aad.len > INT32_MAX)
        return -EBADMSG;
    len = sealed.len - KN_AEAD_OVERHEAD;
    if (kn_buf_reserve(dst, len + TAG_BYTES) < 0)
        return dst->error;
    ctx = EVP_CIPHER_CTX_new();
    if (!ctx)
        return -ENOMEM;
    memcpy(tag, sealed.ptr + NONCE_BYTES + len, TAG_BYTES);
    ok =
        EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, sealed.ptr) == 1 &&
        (aad.len == 0 || EVP_DecryptUpdate(ctx, NULL, &n, aad.ptr, (int) aad.len) == 1) &&
        EVP_DecryptUpdate(ctx, dst->ptr + dst->len, &n, sealed.ptr + NONCE_BYTES, (int) len) == 1 &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, tag) == 1 &&
        EVP_DecryptFinal_ex(ctx, dst->ptr + dst->len + n, &last) == 1;
    EVP_CIPHER_CTX_free(ctx);
    if (!ok)
        return -EBADMSG;
    dst->len += len;
    return 0;
}
