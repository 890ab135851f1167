/* SPDX-License-Identifier: Apache-2.0 */
#include "shard_id.h"

#include <errno.h>
#include <stdio.h>

size_t datastream_shard_id_format(int32_t index, char dst[DATASTREAM_SHARD_ID_BYTES])
{
    int n = snprintf(dst, DATASTREAM_SHARD_ID_BYTES, "shardId-%012lld", (long long) index);
    kn_assert(n == DATASTREAM_SHARD_ID_BYTES - 1);
    return (size_t) n;
}

int datastream_shard_id_parse(struct kn_str text, uint32_t *ret)
{
    struct kn_str head, number = kn_str_cut(text, '-', &head);
    if (number.ptr) { /* what follows a second '-' is not looked at */
        struct kn_str rest = kn_str_cut(number, '-', &head);
        (void) rest;
        number = head;
    }
    if (number.len == 0)
        number = text; /* a bare number; "x-" fails as the whole text */
    uint64_t v = 0;
    if (kn_str_to_u64(number, DATASTREAM_SHARD_INDEX_MAX, &v) < 0)
        return -EINVAL;
    *ret = (uint32_t) v;
    return 0;
}
