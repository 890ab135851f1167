/* SPDX-License-Identifier: Apache-2.0 */
#include "core/wide.h"

#include <errno.h>

enum {
    CHUNK_DIGITS = 9,
    CHUNK = 1000000000,
    LIMB_BITS = 32,
};

size_t kn_wide_format(uint32_t *limb, size_t limb_count, char *dst, size_t cap)
{
    kn_assert(limb_count > 0 && limb_count <= KN_WIDE_LIMBS_MAX);
    char digits[KN_WIDE_DIGITS_MAX + CHUNK_DIGITS];
    size_t count = 0;
    while (limb_count > 0) { /* nine digits a pass: a day's playlist holds 43,200 numbers */
        uint64_t rest = 0;
        for (size_t i = limb_count; i-- > 0;) {
            rest = rest << LIMB_BITS | limb[i];
            limb[i] = (uint32_t) (rest / CHUNK);
            rest %= CHUNK;
        }
        uint32_t chunk = (uint32_t) rest;
        for (int i = 0; i < CHUNK_DIGITS; i++, chunk /= 10)
            digits[count++] = (char) ('0' + chunk % 10);
        while (limb_count > 0 && limb[limb_count - 1] == 0)
            limb_count--;
    }
    while (count > 1 && digits[count - 1] == '0')
        count--;
    kn_assert(count < cap);
    for (size_t i = 0; i < count; i++)
        dst[i] = digits[count - 1 - i];
    dst[count] = '\0';
    return count;
}

int kn_wide_parse(struct kn_str text, uint32_t *limb, size_t limb_count)
{
    kn_assert(limb_count > 0 && limb_count <= KN_WIDE_LIMBS_MAX);
    if (text.len == 0)
        return -EINVAL;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return -EINVAL;
    }
    memset(limb, 0, limb_count * sizeof(*limb));
    for (size_t at = 0; at < text.len; at++) {
        uint64_t carry = (uint64_t) (text.ptr[at] - '0');
        for (size_t i = 0; i < limb_count; i++) {
            carry += (uint64_t) limb[i] * 10;
            limb[i] = (uint32_t) carry;
            carry >>= LIMB_BITS;
        }
        if (carry)
            return -EMSGSIZE;
    }
    return 0;
}

uint64_t kn_wide_bits(const uint32_t *limb, size_t limb_count, unsigned at, unsigned count)
{
    kn_assert(count >= 1 && count <= 64 && at + count <= limb_count * LIMB_BITS);
    uint64_t value = 0;
    for (unsigned got = 0; got < count;) {
        unsigned shift = (at + got) % LIMB_BITS;
        value |= (uint64_t) (limb[(at + got) / LIMB_BITS] >> shift) << got;
        got += LIMB_BITS - shift;
    }
    return count == 64 ? value : value & ((UINT64_C(1) << count) - 1);
}

void kn_wide_put_bits(uint32_t *limb, size_t limb_count, unsigned at, unsigned count,
                      uint64_t value)
{
    kn_assert(count >= 1 && count <= 64 && at + count <= limb_count * LIMB_BITS);
    kn_assert(count == 64 || value >> count == 0);
    for (unsigned put = 0; put < count;) {
        unsigned shift = (at + put) % LIMB_BITS;
        limb[(at + put) / LIMB_BITS] |= (uint32_t) (value >> put) << shift;
        put += LIMB_BITS - shift;
    }
}
