/* SPDX-License-Identifier: Apache-2.0 */
/* A stream's identity as text: the folder's name and part of catalogue keys. */
#include "core/crypto.h"
#include "storage/storage.h"

static_assert(STORAGE_ID_TEXT_BYTES == 2 * sizeof(struct storage_id) + 1, "hex and a NUL");

void storage_id_text(const struct storage_id *id, char dst[STORAGE_ID_TEXT_BYTES])
{
    kn_hex_encode((struct kn_bytes){id->bytes, sizeof id->bytes}, dst);
}
