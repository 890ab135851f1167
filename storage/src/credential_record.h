/* SPDX-License-Identifier: Apache-2.0 */
/* An access key's record in the catalogue, as bytes; the layout stands in credential.c. */
#ifndef STORAGE_SRC_CREDENTIAL_RECORD_H
#define STORAGE_SRC_CREDENTIAL_RECORD_H

#include "core/crypto.h"
#include "core/thread.h"
#include "storage/credential.h"

/* issuer: empty, or of which key it was issued. Release with storage_credential_free. -EBADMSG;
 * -ENOMEM. */
int storage_credential_decode(struct kn_str id, struct kn_str issuer, struct kn_bytes record,
                              struct kn_key **ret) KN_MUSTUSE;

/* Appends the record of a key; session: its token, empty for none. An error sticks to dst. */
struct storage_credential_record {
    int64_t created_ms, expires_ms;
    struct kn_str secret, session_token;
    const struct kn_key_grant *grants;
    size_t grant_count;
};
void storage_credential_encode(const struct storage_credential_record *record, struct kn_buf *dst);

/* issued.c: keys that lie in their session tokens. */
struct storage_issuer {
    struct kn_lock lock;
    bool is_loaded;                 /* guarded by lock */
    uint8_t key[KN_AEAD_KEY_BYTES]; /* guarded by lock */
};
/* Reads the key of tokens, if there is one yet. */
int storage_issuer_init(struct storage_issuer *issuer, struct storage_meta *meta) KN_MUSTUSE;
void storage_issuer_done(struct storage_issuer *issuer);
/* role: as it is now. -ENOENT: the key is none; -EINVAL: the thing; -EACCES: the role has expired.
 * Blocks. */
int storage_issuer_issue(struct storage_issuer *issuer, struct storage_meta *meta,
                         const struct storage_issue *what, const struct kn_key *role,
                         struct kn_key **ret) KN_MUSTUSE;
/* What a token says; views into plain. -ENOENT: it is none of this key id, or not ours. */
struct storage_issued {
    struct kn_str role, thing;
    int64_t expires_ms;
};
int storage_issuer_open(struct storage_issuer *issuer, struct kn_str id, struct kn_str token,
                        struct kn_buf *plain, struct storage_issued *ret) KN_MUSTUSE;
/* The key of such a token. */
int storage_issuer_key(struct storage_issuer *issuer, struct kn_str id, struct kn_str token,
                       const struct storage_issued *issued, const struct kn_key *role,
                       struct kn_key **ret) KN_MUSTUSE;

/* Makes the id of a key: AKIA, or of one for a while ASIA, and 16 random characters. */
enum {
    STORAGE_KEY_ID_MADE = 20
};
void storage_credential_id(bool session, char dst[STORAGE_KEY_ID_MADE + 1]);

#endif
