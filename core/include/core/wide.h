/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unsigned integers of more than 64 bits and their decimal text: fragment numbers, sequence
 * numbers, hash keys. Limbs of 32 bits, the least significant first. Portable C11.
 */
#ifndef CORE_WIDE_H
#define CORE_WIDE_H

#include "core/bytes.h"

enum {
    KN_WIDE_LIMBS_MAX = 8,
    KN_WIDE_DIGITS_MAX = 78, /* of 2^256 - 1 */
};

/* Decimal digits and a NUL into dst, which holds cap bytes and must have room for the value; the
 * limbs are used up. Returns the number of digits. */
size_t kn_wide_format(uint32_t *limb, size_t limb_count, char *dst, size_t cap);
/* text: one or more decimal digits, leading zeros allowed. -EINVAL: it is not; -EMSGSIZE: the value
 * does not fit in the limbs. */
int kn_wide_parse(struct kn_str text, uint32_t *limb, size_t limb_count) KN_MUSTUSE;

/* count bits (at most 64) from bit `at` on, counted from the least significant. */
uint64_t kn_wide_bits(const uint32_t *limb, size_t limb_count, unsigned at, unsigned count);
/* ORs value, which has no more than count bits, into the bits from `at` on. */
void kn_wide_put_bits(uint32_t *limb, size_t limb_count, unsigned at, unsigned count,
                      uint64_t value);

#endif
