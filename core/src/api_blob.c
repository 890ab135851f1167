/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blobs that the decoder leaves as they came, so that a handler reads them straight to where they
 * will stay: 500 records of a put are decoded once, into the log's own buffer.
 */
#include "api_private.h"

#include "core/crypto.h"

int kn_api_blob_read(struct kn_api_call *call, const struct kn_api_blob *blob, uint8_t *dst)
{
    if (!blob->is_base64) {
        memcpy(dst, blob->wire.ptr, blob->wire.len);
        return 0;
    }
    if (kn_base64_read(kn_str_of(blob->wire), dst) == 0)
        return 0;
    struct kn_api_decode ctx = {.arena = call->arena};
    (void) kn_api_blob_problem(&ctx, kn_str_of(blob->wire));
    kn_api_raise_serialization(call->state, ctx.problem);
    return -ECANCELED;
}
