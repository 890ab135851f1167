/* SPDX-License-Identifier: Apache-2.0 */
/* The bit reader of parameter sets: byte-wise refill that removes emulation prevention bytes
 * (ITU-T H.264 7.3.1, H.265 7.3.1.1) and Exp-Golomb codes (H.264 9.1). Never reads past the end. */
#include "core/bits.h"

void kn_bits_init(struct kn_bits *b, struct kn_bytes in, bool nal)
{
    *b = (struct kn_bits){.at = in.ptr, .end = kn_bytes_end(in), .nal = nal};
}

static void refill(struct kn_bits *b)
{
    if (b->nal && b->zeros >= 2 && b->at < b->end && *b->at == 3) {
        b->at++;
        b->zeros = 0;
    }
    if (b->at == b->end) {
        b->overrun = true;
        b->current = 0;
    } else {
        b->current = *b->at++;
    }
    b->zeros = b->current ? 0 : b->zeros + 1;
    b->left = 8;
}

uint32_t kn_bits_read(struct kn_bits *b, unsigned count)
{
    kn_assert(count <= 32);
    uint64_t v = 0;
    while (count) {
        if (!b->left)
            refill(b);
        unsigned take = count < b->left ? count : b->left;
        v = v << take | ((unsigned) b->current >> (b->left - take) & ((1u << take) - 1));
        b->left -= take;
        count -= take;
    }
    return (uint32_t) v;
}

void kn_bits_skip(struct kn_bits *b, unsigned count)
{
    for (; count > 32 && !b->overrun; count -= 32)
        (void) kn_bits_read(b, 32);
    (void) kn_bits_read(b, count <= 32 ? count : 0);
}

uint32_t kn_bits_ue(struct kn_bits *b)
{
    unsigned zeros = 0;
    while (!b->overrun && !kn_bits_read(b, 1))
        if (++zeros > 31) {
            b->overrun = true; /* longer codes do not occur in what we read */
            return 0;
        }
    return b->overrun ? 0 : (1u << zeros) - 1 + kn_bits_read(b, zeros);
}

int32_t kn_bits_se(struct kn_bits *b)
{
    uint32_t code = kn_bits_ue(b);
    int32_t half = (int32_t) (code / 2);
    return code & 1 ? half + 1 : -half;
}
