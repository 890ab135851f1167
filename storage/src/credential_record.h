/* SPDX-License-Identifier: Apache-2.0 */
/* An access key's record in the catalogue, as bytes; the layout stands in credential.c. */
#ifndef STORAGE_SRC_CREDENTIAL_RECORD_H
#define STORAGE_SRC_CREDENTIAL_RECORD_H

#include "storage/credential.h"

/* Release with storage_credential_free. -EBADMSG; -ENOMEM. */
int storage_credential_decode(struct kn_str id, struct kn_bytes record, struct kn_key **ret)
    KN_MUSTUSE;

#endif
