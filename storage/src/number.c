/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fragment numbers: N = 2^156 + seq * 2^92 + server_ts_ms * 2^28 + random28, in decimal.
 *
 * The layout is the one decoded from numbers of the AWS service; clients compare them as big
 * integers of up to 128 digits (API reference, Fragment.FragmentNumber). 160 bits are held in five
 * 32-bit limbs, the least significant first.
 */
#include "storage/fragment.h"

enum {
    LIMBS = 5,
    SEQ_BIT = 92,
    TIME_BIT = 28,
    RANDOM_MAX = (1 << 28) - 1,
    DIGITS_MAX = 128,
    CHUNK_DIGITS = 9,
    CHUNK = 1000000000,
    TOP_LIMB_BIT = 1 << 28, /* 2^156 in limb 4 */
};

static void limbs_of(const struct storage_number *n, uint32_t limb[LIMBS])
{
    uint64_t time = (uint64_t) n->server_ts_ms;
    limb[0] = (uint32_t) (time << TIME_BIT) | (n->random & RANDOM_MAX);
    limb[1] = (uint32_t) (time >> (32 - TIME_BIT));
    limb[2] = (uint32_t) (time >> (64 - TIME_BIT)) | (uint32_t) (n->seq << (SEQ_BIT - 64));
    limb[3] = (uint32_t) (n->seq >> (96 - SEQ_BIT));
    limb[4] = (uint32_t) (n->seq >> (128 - SEQ_BIT)) | TOP_LIMB_BIT;
}

void storage_number_format(const struct storage_number *n, char dst[STORAGE_NUMBER_TEXT_BYTES])
{
    kn_assert(n->server_ts_ms >= 0);
    uint32_t limb[LIMBS];
    limbs_of(n, limb);
    char digits[LIMBS * 10 + CHUNK_DIGITS];
    size_t count = 0;
    for (bool more = true; more;) { /* nine digits a pass: a day's playlist holds 43,200 numbers */
        uint64_t rest = 0;
        more = false;
        for (int i = LIMBS - 1; i >= 0; i--) {
            rest = rest << 32 | limb[i];
            limb[i] = (uint32_t) (rest / CHUNK);
            rest %= CHUNK;
            more |= limb[i] != 0;
        }
        uint32_t chunk = (uint32_t) rest;
        for (int i = 0; i < CHUNK_DIGITS; i++, chunk /= 10)
            digits[count++] = (char) ('0' + chunk % 10);
    }
    while (count > 1 && digits[count - 1] == '0')
        count--;
    /* 2^156 has 47 digits; a seq near 2^61 would make it 48. */
    kn_assert(count < STORAGE_NUMBER_TEXT_BYTES);
    for (size_t i = 0; i < count; i++)
        dst[i] = digits[count - 1 - i];
    dst[count] = '\0';
}

/* false: the value needs more than 160 bits. */
static bool parse_limbs(struct kn_str text, uint32_t limb[LIMBS])
{
    for (size_t at = 0; at < text.len; at++) {
        uint64_t carry = (uint64_t) (text.ptr[at] - '0');
        for (int i = 0; i < LIMBS; i++) {
            carry += (uint64_t) limb[i] * 10;
            limb[i] = (uint32_t) carry;
            carry >>= 32;
        }
        if (carry)
            return false;
    }
    return true;
}

int storage_number_parse(struct kn_str text, struct storage_number *ret, bool *ret_exact)
{
    if (text.len == 0 || text.len > DIGITS_MAX)
        return -EINVAL;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return -EINVAL;
    }
    while (text.len > 1 && text.ptr[0] == '0')
        text = kn_str_skip(text, 1);
    uint32_t limb[LIMBS] = {0};
    /* 48 digits are a seq that no stream comes to, and that format() has no room for */
    bool fits = text.len < STORAGE_NUMBER_TEXT_BYTES && parse_limbs(text, limb);
    if (!fits || limb[4] >= 2 * TOP_LIMB_BIT) {
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
