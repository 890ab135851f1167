/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CRC-32 as zlib and event streams have it (polynomial 0x04C11DB7 reflected): eight bytes a step
 * through eight tables, which are filled before main. Where there is a carry-less multiplication,
 * long inputs are folded first: 64 bytes become the next 64 that have the same remainder, down to
 * 16, which go through the tables.
 */
#include "core/crypto.h"

static const uint32_t polynomial = 0xEDB88320u;
static uint32_t table[8][256]; /* [n]: a byte followed by n zero bytes */

static uint32_t crc_table(uint32_t crc, const uint8_t *p, size_t len)
{
    for (; len >= 8; len -= 8, p += 8) {
        uint32_t low = crc ^ ((uint32_t) p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16 |
                              (uint32_t) p[3] << 24);
        crc = table[7][low & 0xFF] ^ table[6][low >> 8 & 0xFF] ^ table[5][low >> 16 & 0xFF] ^
              table[4][low >> 24] ^ table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^
              table[0][p[7]];
    }
    while (len--)
        crc = table[0][(crc ^ *p++) & 0xFF] ^ crc >> 8;
    return crc;
}

#if defined(__x86_64__)
#include <wmmintrin.h>

#define CLMUL __attribute__((target("pclmul")))

enum {
    BLOCK = 16,
    STRIDE = 4 * BLOCK,
    FOLD_BYTES_MIN = 256,
};

/* Reflected, 16 bytes are a polynomial whose lower half, the first eight, stands for x^64 times
 * itself; the product of two halves comes out times x. So a fold over n bits multiplies the halves
 * by x^(n + 63) and x^(n - 1), both modulo the CRC's polynomial. */
static uint64_t fold_far[2], fold_near[2]; /* over a stride, over a block */

static uint64_t power(unsigned n)
{
    uint32_t v = 0x80000000u; /* 1 */
    while (n--)
        v = v & 1 ? v >> 1 ^ polynomial : v >> 1;
    return (uint64_t) v << 32;
}

static void fill_folds(void)
{
    fold_far[0] = power(8 * STRIDE + 63);
    fold_far[1] = power(8 * STRIDE - 1);
    fold_near[0] = power(8 * BLOCK + 63);
    fold_near[1] = power(8 * BLOCK - 1);
}

static __m128i load(const void *p)
{
    return _mm_loadu_si128((const __m128i *) p);
}

CLMUL static __m128i fold(__m128i x, __m128i by, __m128i next)
{
    return _mm_xor_si128(
        next, _mm_xor_si128(_mm_clmulepi64_si128(x, by, 0x00), _mm_clmulepi64_si128(x, by, 0x11)));
}

CLMUL static uint32_t crc_fold(uint32_t crc, const uint8_t *p, size_t len)
{
    __m128i far = load(fold_far), near = load(fold_near), x[4];
    for (size_t i = 0; i < 4; i++)
        x[i] = load(p + i * BLOCK);
    x[0] = _mm_xor_si128(x[0], _mm_cvtsi32_si128((int) crc));
    for (p += STRIDE, len -= STRIDE; len >= STRIDE; p += STRIDE, len -= STRIDE) {
        for (size_t i = 0; i < 4; i++)
            x[i] = fold(x[i], far, load(p + i * BLOCK));
    }
    for (size_t i = 1; i < 4; i++)
        x[0] = fold(x[0], near, x[i]);
    for (; len >= BLOCK; p += BLOCK, len -= BLOCK)
        x[0] = fold(x[0], near, load(p));
    uint8_t left[BLOCK];
    memcpy(left, x, sizeof left);
    return crc_table(crc_table(0, left, sizeof left), p, len);
}
#endif

__attribute__((constructor)) static void fill_tables(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t v = i;
        for (int bit = 0; bit < 8; bit++)
            v = v & 1 ? v >> 1 ^ polynomial : v >> 1;
        table[0][i] = v;
    }
    for (unsigned n = 1; n < 8; n++)
        for (unsigned i = 0; i < 256; i++)
            table[n][i] = table[n - 1][i] >> 8 ^ table[0][table[n - 1][i] & 0xFF];
#if defined(__x86_64__)
    fill_folds();
#endif
}

uint32_t kn_crc32(uint32_t seed, struct kn_bytes in)
{
#if defined(__x86_64__)
    if (in.len >= FOLD_BYTES_MIN && __builtin_cpu_supports("pclmul"))
        return ~crc_fold(~seed, in.ptr, in.len);
#endif
    return ~crc_table(~seed, in.ptr, in.len);
}
