/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C (polynomial 0x1EDC6F41 reflected): the SSE4.2 instruction where there is one, in three
 * interleaved lanes to hide its latency; a table elsewhere. Tables are filled before main. */
#include "core/crypto.h"

static uint32_t table[256];

static uint32_t crc_table(uint32_t crc, const uint8_t *p, size_t len)
{
    while (len--)
        crc = table[(crc ^ *p++) & 0xff] ^ crc >> 8;
    return crc;
}

#if defined(__x86_64__)
#include <nmmintrin.h>

enum {
    LONG_BYTES = 1024, /* of a lane */
    SHORT_BYTES = 256, /* of what is left: a record of a shard is 1 KB as a rule */
};

/* Running a CRC through the zero bytes of a lane is linear: a table per byte position does it. */
typedef uint32_t shift_table[4][256];
static shift_table long_shift, short_shift;

static uint32_t shift(const shift_table by, uint32_t crc)
{
    return by[0][crc & 0xff] ^ by[1][crc >> 8 & 0xff] ^ by[2][crc >> 16 & 0xff] ^ by[3][crc >> 24];
}

static uint64_t load64(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

__attribute__((target("sse4.2"))) static uint32_t crc_lanes(uint32_t crc, const uint8_t *p,
                                                            size_t lane, const shift_table by)
{
    uint64_t a = crc, b = 0, c = 0;

    for (size_t i = 0; i < lane; i += 8) {
        a = _mm_crc32_u64(a, load64(p + i));
        b = _mm_crc32_u64(b, load64(p + lane + i));
        c = _mm_crc32_u64(c, load64(p + 2 * lane + i));
    }
    return shift(by, shift(by, (uint32_t) a) ^ (uint32_t) b) ^ (uint32_t) c;
}

__attribute__((target("sse4.2"))) static uint32_t crc_sse(uint32_t crc, const uint8_t *p,
                                                          size_t len)
{
    for (size_t all = 3 * (size_t) LONG_BYTES; len >= all; p += all, len -= all)
        crc = crc_lanes(crc, p, LONG_BYTES, long_shift);
    for (size_t all = 3 * (size_t) SHORT_BYTES; len >= all; p += all, len -= all)
        crc = crc_lanes(crc, p, SHORT_BYTES, short_shift);
    for (; len >= 8; p += 8, len -= 8)
        crc = (uint32_t) _mm_crc32_u64(crc, load64(p));
    while (len--)
        crc = _mm_crc32_u8(crc, *p++);
    return crc;
}
#endif

__attribute__((constructor)) static void fill_tables(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t v = i;

        for (int bit = 0; bit < 8; bit++)
            v = v & 1 ? v >> 1 ^ 0x82F63B78u : v >> 1;
        table[i] = v;
    }
#if defined(__x86_64__)
    static const uint8_t zeros[LONG_BYTES];

    for (unsigned at = 0; at < 4; at++) {
        for (uint32_t byte = 0; byte < 256; byte++) {
            long_shift[at][byte] = crc_table(byte << (8 * at), zeros, LONG_BYTES);
            short_shift[at][byte] = crc_table(byte << (8 * at), zeros, SHORT_BYTES);
        }
    }
#endif
}

uint32_t kn_crc32c(uint32_t seed, struct kn_bytes in)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        return ~crc_sse(~seed, in.ptr, in.len);
#endif
    return ~crc_table(~seed, in.ptr, in.len);
}
