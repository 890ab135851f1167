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
    NAME_BYTES_MAX = 256 /* longer ones are not kept */
};

struct slot {
    size_t name_len; /* 0: free */
    uint8_t name[NAME_BYTES_MAX];
    uint8_t key[KN_SIGV4_KEY_BYTES];
};

struct kn_api_signing_keys {
    struct kn_lock lock;
    uint32_t seed;            /* of the choice of slots */
    struct slot slots[SLOTS]; /* guarded by lock */
};

int kn_api_signing_keys_new(struct kn_api_signing_keys **ret)
{
    struct kn_api_signing_keys *keys = calloc(1, sizeof *keys);
    if (!keys)
        return -ENOMEM;
    kn_lock_init(&keys->lock);
    kn_random(&keys->seed, sizeof keys->seed);
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

/* All that goes into the key, each with its length: "ab"+"c" is not "a"+"bc". Its length; 0: it is
 * too long. */
static size_t name_of(const struct kn_key *key, const struct kn_sigv4_auth *auth,
                      uint8_t ret[NAME_BYTES_MAX])
{
    const struct kn_str fields[] = {key->id, key->secret, auth->date, auth->region, auth->service};
    size_t len = 0;
    for (size_t i = 0; i < KN_ARRAY_LEN(fields); i++) {
        struct kn_str field = fields[i];
        if (field.len > UINT8_MAX || 1 + field.len > NAME_BYTES_MAX - len)
            return 0;
        ret[len++] = (uint8_t) field.len;
        if (field.len)
            memcpy(ret + len, field.ptr, field.len);
        len += field.len;
    }
    return len;
}

static bool find(struct kn_api_signing_keys *keys, const struct slot *slot, struct kn_bytes name,
                 uint8_t ret[KN_SIGV4_KEY_BYTES])
{
    KN_LOCKED(&keys->lock);
    bool found = slot->name_len == name.len && memcmp(slot->name, name.ptr, name.len) == 0;
    if (found)
        memcpy(ret, slot->key, sizeof slot->key);
    return found;
}

static void keep(struct kn_api_signing_keys *keys, struct slot *slot, struct kn_bytes name,
                 const uint8_t key[KN_SIGV4_KEY_BYTES])
{
    KN_LOCKED(&keys->lock);
    slot->name_len = name.len;
    memcpy(slot->name, name.ptr, name.len);
    memcpy(slot->key, key, sizeof slot->key);
}

void kn_api_signing_key(struct kn_api_signing_keys *keys, const struct kn_key *key,
                        const struct kn_sigv4_auth *auth, uint8_t ret[KN_SIGV4_KEY_BYTES])
{
    uint8_t bytes[NAME_BYTES_MAX];
    struct kn_bytes name = {bytes, name_of(key, auth, bytes)};
    struct slot *slot = &keys->slots[kn_crc32c(keys->seed, name) % SLOTS];
    if (name.len == 0 || !find(keys, slot, name, ret)) {
        kn_sigv4_key(key->secret, auth->date, auth->region, auth->service, ret);
        if (name.len > 0)
            keep(keys, slot, name, ret);
    }
    explicit_bzero(bytes, sizeof bytes);
}
