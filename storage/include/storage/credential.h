/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Access keys in the catalogue. `kinema credentials` changes them beside a running server, which
 * sees it by the catalogue's generation. SigV4 needs recoverable secrets, so they lie there in the
 * clear: the folder is 0700 and the files 0600.
 */
#ifndef STORAGE_CREDENTIAL_H
#define STORAGE_CREDENTIAL_H

#include "core/keyring.h"
#include "storage/meta.h"

struct storage_keyring; /* a cache over the catalogue; is a kn_keyring */
int storage_keyring_new(struct storage_meta *meta, struct storage_keyring **ret) KN_MUSTUSE;
void storage_keyring_free(struct storage_keyring *ring);
struct kn_keyring *storage_keyring_base(struct storage_keyring *ring);

/* A key for a while, with the grants of the key `role`; it lies in its session token alone, sealed,
 * so that nothing is kept and revoking the role ends it. In a grant's stream pattern
 * STORAGE_THING_VARIABLE stands for `thing`; a key without it in any pattern is no role. */
#define STORAGE_THING_VARIABLE "${credentials-iot:ThingName}" /* as AWS's policies call it */
enum {
    STORAGE_THING_BYTES_MAX = 128
};
struct storage_issue {
    struct kn_str role, thing;
    int64_t now_ms, lasts_ms; /* not beyond the role itself */
};
/* -ENOENT: no such role; -EINVAL: a thing's name has 1 to 128 of [a-zA-Z0-9:_-]; -EACCES: the role
 * has expired. Blocks. */
int storage_keyring_issue(struct storage_keyring *ring, const struct storage_issue *what,
                          struct kn_key **ret) KN_MUSTUSE;

struct storage_credential_new {
    const struct kn_key_grant *grants; /* none: an administrator ("*" on "*") */
    size_t grant_count;
    int64_t expires_ms;       /* 0: never */
    bool session;             /* also make a session token */
    struct kn_str id, secret; /* empty: random (AKIA + 16, 40 characters) */
    int64_t created_ms;
};
/* The new key; unref with kn_keyring's or storage_credential_free. Blocks. */
int storage_credential_create(struct storage_meta *meta, const struct storage_credential_new *what,
                              struct kn_key **ret, struct kn_err *err) KN_MUSTUSE;
void storage_credential_free(struct kn_key *key);
int storage_credential_revoke(struct storage_meta *meta, struct kn_str id) KN_MUSTUSE; /* -ENOENT */
typedef int storage_credential_fn(void *ctx, const struct kn_key *key, int64_t created_ms);
int storage_credential_list(struct storage_meta *meta, storage_credential_fn *each, void *ctx)
    KN_MUSTUSE;

#endif
