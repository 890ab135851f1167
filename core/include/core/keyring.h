/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Access keys as the API engine sees them: who signed, and what the key may do. storage/credential
 * keeps them. A key carries actions × stream-name pattern; the first one made is an administrator.
 */
#ifndef CORE_KEYRING_H
#define CORE_KEYRING_H

#include "core/bytes.h"
#include "core/err.h"

enum {
    KN_KEY_ID_BYTES_MAX = 128,
    KN_KEY_SECRET_BYTES_MAX = 128,
    KN_KEY_GRANTS_MAX = 32
};

struct kn_key_grant {
    struct kn_str
        action; /* glob, such as "kinesisvideo:PutMedia" or "kinesisvideo:Get*"; no case */
    struct kn_str stream; /* glob over the stream's name; "*" also allows account-wide calls */
};

/* Immutable once handed out; counted. */
struct kn_key {
    _Atomic unsigned refs;
    struct kn_str id;
    struct kn_str issuer; /* empty, or the key it was issued of for a while, which may be revoked */
    struct kn_str secret;
    struct kn_str session_token; /* empty: a long-term key, whose requests need none */
    int64_t expires_ms;          /* wall time; 0: never */
    struct kn_key_grant grants[KN_KEY_GRANTS_MAX];
    size_t grant_count;
};

struct kn_keyring {
    /* A reference to the key, -ENOENT (unknown or revoked), -EAGAIN (must be asked from a thread
     * that may block: call find_blocking). Any thread. */
    int (*find)(struct kn_keyring *ring, struct kn_str id, struct kn_key **ret);
    int (*find_blocking)(struct kn_keyring *ring, struct kn_str id, struct kn_key **ret);
    void (*unref)(struct kn_keyring *ring, struct kn_key *key);
    /* NULL, or: as the two above (may_block: the second), where the request brought a session
     * token: some keys lie in theirs and nowhere else. */
    int (*find_issued)(struct kn_keyring *ring, struct kn_str id, struct kn_str token,
                       bool may_block, struct kn_key **ret);
};

/* The id under which a key can be found as long as it is good; that of an issued one is not kept.
 */
static inline struct kn_str kn_key_lasting(const struct kn_key *key)
{
    return key->issuer.len ? key->issuer : key->id;
}

/* May the key do this? stream is empty for account-wide calls. */
bool kn_key_allows(const struct kn_key *key, struct kn_str action, struct kn_str stream);

#endif
