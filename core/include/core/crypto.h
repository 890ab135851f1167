/* SPDX-License-Identifier: Apache-2.0 */
/* Digests, randomness, authenticated encryption and text forms of bytes; OpenSSL stands behind. */
#ifndef CORE_CRYPTO_H
#define CORE_CRYPTO_H

#include "core/buf.h"

enum {
    KN_MD5_BYTES = 16,
    KN_SHA256_BYTES = 32,
    KN_SHA256_HEX_BYTES = 65,
    KN_AEAD_KEY_BYTES = 32,
    KN_AEAD_OVERHEAD = 28
};

void kn_sha256(struct kn_bytes in, uint8_t ret[KN_SHA256_BYTES]);
void kn_md5(struct kn_bytes in, uint8_t ret[KN_MD5_BYTES]); /* no secret: it spreads keys */
void kn_hmac_sha256(struct kn_bytes key, struct kn_bytes in, uint8_t ret[KN_SHA256_BYTES]);

/* Aborts the process when the system has no randomness to give. */
void kn_random(void *dst, size_t len);
uint64_t kn_random_u64(void);
/* The same out of a supply of the thread's own: for names that must not repeat and are no secret.
 * Up to 4096 bytes. */
void kn_random_name(void *dst, size_t len);

/* Lower-case hex and a NUL; dst holds 2 × len + 1. decode: exact even length; -EINVAL. */
void kn_hex_encode(struct kn_bytes in, char *dst);
int kn_hex_decode(struct kn_str in, uint8_t *dst, size_t len) KN_MUSTUSE;

/* Standard alphabet with padding; url: `-` `_` and `~` in place of `=`, as KVS session tokens use.
 */
int kn_base64_encode(struct kn_bytes in, bool url, struct kn_buf *dst);
int kn_base64_decode(struct kn_str in, bool url, struct kn_buf *dst) KN_MUSTUSE; /* -EINVAL */

/* Standard alphabet, into memory of the caller's. text_len: characters for len bytes. plain_len:
 * bytes that a text of this form stands for (-EINVAL: its length is no multiple of four); read
 * writes exactly so many, or answers -EINVAL. */
size_t kn_base64_text_len(size_t len);
void kn_base64_write(struct kn_bytes in, char *dst);
int kn_base64_plain_len(struct kn_str in, size_t *ret) KN_MUSTUSE;
int kn_base64_read(struct kn_str in, uint8_t *dst) KN_MUSTUSE;

/* AES-256-GCM: appends nonce(12) + ciphertext + tag(16) to dst. open: -EBADMSG when forged. */
int kn_aead_seal(const uint8_t key[KN_AEAD_KEY_BYTES], struct kn_bytes plain, struct kn_bytes aad,
                 struct kn_buf *dst) KN_MUSTUSE;
int kn_aead_open(const uint8_t key[KN_AEAD_KEY_BYTES], struct kn_bytes sealed, struct kn_bytes aad,
                 struct kn_buf *dst) KN_MUSTUSE;

/* CRC-32C (Castagnoli), hardware where there is one. Start with seed 0, or a seed of your own;
 * feed the result back in to go on. */
uint32_t kn_crc32c(uint32_t seed, struct kn_bytes in);
uint32_t kn_crc32(uint32_t seed, struct kn_bytes in); /* zlib's and event streams' polynomial */

#endif
