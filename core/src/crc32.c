/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32 as zlib and event streams have it (polynomial 0x04C11DB7 reflected), eight bytes a step
 * through eight tables, which are filled before main. */
#include "core/crypto.h"

static uint32_t table[8][256]; /* [n]: a byte followed by n zero bytes */

__attribute__((constructor)) static void fill_tables(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t v = i;
        for (int bit = 0; bit < 8; bit++)
            v = v & 1 ? v >> 1 ^ 0xEDB88320u : v >> 1;
        table[0][i] = v;
    }
    for (unsigned n = 1; n < 8; n++)
        for (unsigned i = 0; i < 256; i++)
            table[n][i] = table[n - 1][i] >> 8 ^ table[0][table[n - 1][i] & 0xFF];
}

uint32_t kn_crc32(uint32_t seed, struct kn_bytes in)
{
    uint32_t crc = ~seed;
    const uint8_t *p = in.ptr;
    size_t len = in.len;
    for (; len >= 8; len -= 8, p += 8) {
        uint32_t low = crc ^ ((uint32_t) p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16 |
                              (uint32_t) p[3] << 24);
        crc = table[7][low & 0xFF] ^ table[6][low >> 8 & 0xFF] ^ table[5][low >> 16 & 0xFF] ^
              table[4][low >> 24] ^ table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^
              table[0][p[7]];
    }
    while (len--)
        crc = table[0][(crc ^ *p++) & 0xFF] ^ crc >> 8;
    return ~crc;
}
