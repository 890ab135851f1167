/* SPDX-License-Identifier: Apache-2.0 */
/* One UTF-8 sequence: strict, as RFC 3629 has it (no overlong forms, no surrogates). Portable. */
#ifndef CORE_SRC_UTF8_H
#define CORE_SRC_UTF8_H

#include "core/bytes.h"

/* Bytes of the well-formed sequence that starts at ptr (1 to 4), or 0. len is 1 or more. */
static inline size_t kn_utf8_len(const uint8_t *ptr, size_t len)
{
    uint8_t a = ptr[0];
    if (a < 0x80)
        return 1;
    size_t want = a >= 0xC2 && a <= 0xDF   ? 2
                  : a >= 0xE0 && a <= 0xEF ? 3
                  : a >= 0xF0 && a <= 0xF4 ? 4
                                           : 0;
    if (!want || len < want)
        return 0;
    uint8_t low = a == 0xE0 ? 0xA0 : a == 0xF0 ? 0x90 : 0x80;
    uint8_t high = a == 0xED ? 0x9F : a == 0xF4 ? 0x8F : 0xBF;
    if (ptr[1] < low || ptr[1] > high)
        return 0;
    for (size_t i = 2; i < want; i++)
        if ((ptr[i] & 0xC0) != 0x80)
            return 0;
    return want;
}

/* The code point of a sequence kn_utf8_len has accepted. */
static inline uint32_t kn_utf8_code(const uint8_t *ptr, size_t len)
{
    if (len == 1)
        return ptr[0];
    uint32_t code = ptr[0] & (0x7Fu >> len);
    for (size_t i = 1; i < len; i++)
        code = code << 6 | (ptr[i] & 0x3Fu);
    return code;
}

/* Code points in s; a byte that is no UTF-8 counts as one. */
static inline size_t kn_utf8_count(struct kn_str s)
{
    const uint8_t *at = (const uint8_t *) s.ptr;
    size_t count = 0;
    for (size_t left = s.len; left; count++) {
        size_t len = kn_utf8_len(at, left);
        len = len ? len : 1;
        at += len;
        left -= len;
    }
    return count;
}

#endif
