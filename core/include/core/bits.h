/* SPDX-License-Identifier: Apache-2.0 */
/* Reads bits, most significant first, as H.264/H.265 parameter sets and AudioSpecificConfig are
 * written. Past the end it gives zeros and remembers: parse at will, ask once. */
#ifndef CORE_BITS_H
#define CORE_BITS_H

#include "core/bytes.h"

struct kn_bits {
    const uint8_t *at, *end;
    unsigned zeros; /* bytes 00 in a row, for emulation prevention */
    unsigned left;  /* unread bits of `current` */
    uint8_t current;
    bool nal; /* drop the 03 of 00 00 03 (H.264, 7.4.1) */
    bool overrun;
};

void kn_bits_init(struct kn_bits *b, struct kn_bytes in, bool nal);
uint32_t kn_bits_read(struct kn_bits *b, unsigned count); /* 0 … 32 bits */
void kn_bits_skip(struct kn_bits *b, unsigned count);
uint32_t kn_bits_ue(struct kn_bits *b); /* Exp-Golomb, H.264 9.1 */
int32_t kn_bits_se(struct kn_bits *b);

#endif
