/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fragment numbers: N = 2^156 + seq * 2^92 + server_ts_ms * 2^28 + random28, in decimal.
 *
 * The layout is the one decoded from numbers of the AWS service; clients compare them as big
 * integers of up to 128 digits (API reference, Fragment.FragmentNumber). 160 bits are held in five
 * 32-bit limbs, the least significant first.
 */
#include "core/wide.h"
#include "storage/fragment.h"

enum {
    LIMBS = 5,
    SEQ_BIT = 92,
    TIME_BIT = 28,
    RANDOM_MAX = (1 << 28) - 1,
    DIGITS_MAX = 128,
    TOP_LIMB_BIT = 1 << 28, /* 2^156 in limb 4 */
};

void storage_number_format(const struct storage_number *n, char dst[STORAGE_NUMBER_TEXT_BYTES])
{
    kn_assert(n->server_ts_ms >= 0);
    uint64_t time = (uint64_t) n->server_ts_ms;
    uint32_t limb[LIMBS] = {
        (uint32_t) (time << TIME_BIT) | (n->random & RANDOM_MAX),
        (uint32_t) (time >> (32 - TIME_BIT)),
        (uint32_t) (time >> (64 - TIME_BIT)) | (uint32_t) (n->seq << (SEQ_BIT - 64)),
        (uint32_t) (n->seq >> (96 - SEQ_BIT)),
        (uint32_t) (n->seq >> (128 - SEQ_BIT)) | TOP_LIMB_BIT,
    };
    /* 2^156 has 47 digits; a seq near 2^61 would make it 48. */
    kn_wide_format(limb, LIMBS, dst, STORAGE_NUMBER_TEXT_BYTES);
}

int storage_number_parse(struct kn_str text, struct storage_number *ret, bool *ret_exact)
{
    if (text.len == 0 || text.len > DIGITS_MAX)
        return -EINVAL;
    while (text.len > 1 && text.ptr[0] == '0')
        text = kn_str_skip(text, 1);
    uint32_t limb[LIMBS];
    int r = kn_wide_parse(text, limb, LIMBS);
    if (r == -EINVAL)
        return r;
    /* 48 digits are a seq that no stream comes to, and that format() has no room for */
    if (r < 0 || text.len >= STORAGE_NUMBER_TEXT_BYTES || limb[4] >= 2 * TOP_LIMB_BIT) {
        *ret = (struct storage_number){UINT64_MAX, INT64_MAX, RANDOM_MAX};
        *ret_exact = false;
        return 0;
    }
    if (limb[4] < TOP_LIMB_BIT) {
        *ret = (struct storage_number){0};
        *ret_exact = false;
        return 0;
    }
    uint64_t time = (uint64_t) limb[2] << (64 - TIME_BIT) | (uint64_t) limb[1] << (32 - TIME_BIT) |
                    limb[0] >> TIME_BIT;
    struct storage_number n = {
        .seq = (uint64_t) (limb[4] - TOP_LIMB_BIT) << (128 - SEQ_BIT) |
               (uint64_t) limb[3] << (96 - SEQ_BIT) | limb[2] >> (SEQ_BIT - 64),
        .server_ts_ms = (int64_t) kn_min_u64(time, INT64_MAX),
        .random = limb[0] & RANDOM_MAX,
    };
    *ret = n;
    *ret_exact = time <= INT64_MAX;
    return 0;
}
