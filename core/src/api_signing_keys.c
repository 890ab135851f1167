/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Derived signing keys, kept for the day: a small direct-mapped table, so a verification costs two
 * digests and one HMAC instead of five. A hit needs key id, secret, date, region and service to be
 * the same, so a key that was replaced under the same id never matches. Any thread.
 */
#include "api_private.h"

#include <stdlib.h>

#include "core/crypto.h"
#include "core/thread.h"

enum {
    SLOTS = 256,
    TAG_BYTES = KN_SHA256_BYTES
};

struct slot {
    bool used;
    uint8_t tag[TAG_BYTES]; /* keyed digest of all that goes into the key */
    uint8_t key[KN_SIGV4_KEY_BYTES];
};

struct kn_api_signing_keys {
    struct kn_lock lock;
    uint8_t seed[KN_SHA256_BYTES];
    struct slot slots[SLOTS]; /* guarded by lock */
};

int kn_api_signing_keys_new(struct kn_api_signing_keys **ret)
{
    struct kn_api_signing_keys *keys = calloc(1, sizeof *keys);
    if (!keys)
        return -ENOMEM;
    kn_lock_init(&keys->lock);
    kn_random(keys->seed, sizeof keys->seed);
    *ret = keys;
    return 0;
}

void kn_api_signing_keys_free(struct kn_api_signing_keys *keys)
{
    if (!keys)
        return;
    kn_lock_done(&keys->lock);
    explicit_bzero(keys, sizeof *keys);
    free(keys);
}

static void append_field(struct kn_buf *dst, struct kn_str s)
{
    (void) kn_buf_append_u32be(dst, (uint32_t) s.len); /* "ab"+"c" is not "a"+"bc" */
    (void) kn_buf_append_str(dst, s);
}

void kn_api_signing_key(struct kn_api_signing_keys *keys, const struct kn_key *key,
                        const struct kn_sigv4_auth *auth, uint8_t ret[KN_SIGV4_KEY_BYTES])
{
    uint8_t tag[TAG_BYTES];
    KN_CLEANUP(kn_buf_done) struct kn_buf text;
    kn_buf_init(&text, KN_SIGV4_CANONICAL_BYTES_MAX);
    append_field(&text, key->id);
    append_field(&text, key->secret);
    append_field(&text, auth->date);
    append_field(&text, auth->region);
    append_field(&text, auth->service);
    if (text.error) { /* no memory for the detour */
        kn_sigv4_key(key->secret, auth->date, auth->region, auth->service, ret);
        return;
    }
    kn_hmac_sha256((struct kn_bytes){keys->seed, sizeof keys->seed}, kn_buf_bytes(&text), tag);
    explicit_bzero(text.ptr, text.len);

    struct slot *slot = &keys->slots[tag[0]];
    {
        KN_LOCKED(&keys->lock);
        if (slot->used && memcmp(slot->tag, tag, sizeof tag) == 0) {
            memcpy(ret, slot->key, sizeof slot->key);
            return;
        }
    }
    kn_sigv4_key(key->secret, auth->date, auth->region, auth->service, ret);
    KN_LOCKED(&keys->lock);
    slot->used = true;
    memcpy(slot->tag, tag, sizeof tag);
    memcpy(slot->key, ret, sizeof slot->key);
}
