/* SPDX-License-Identifier: Apache-2.0 */
#include "shard_id.h"

#include <errno.h>

size_t datastream_shard_id_format(int32_t index, char dst[DATASTREAM_SHARD_ID_BYTES])
{
    static const char zero[DATASTREAM_SHARD_ID_BYTES] = "shardId-000000000000";
    uint32_t left = index < 0 ? 0 - (uint32_t) index : (uint32_t) index;
    memcpy(dst, zero, sizeof(zero));
    for (size_t at = sizeof(zero) - 1; left > 0; left /= 10) /* a call may name 500 of them */
        dst[--at] = (char) ('0' + left % 10);
    if (index < 0)
        dst[sizeof("shardId-") - 1] = '-';
    return sizeof(zero) - 1;
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
