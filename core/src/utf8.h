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

/* How many bytes at the front are ASCII, in steps of eight: the rest is looked at one by one. */
static inline size_t kn_ascii_run(const uint8_t *ptr, size_t len)
{
    size_t run = 0;
    for (uint64_t word; len - run >= sizeof word; run += sizeof word) {
        memcpy(&word, ptr + run, sizeof word);
        if (word & UINT64_C(0x8080808080808080))
            break;
    }
    return run;
}

/* Code points in s; a byte that is no UTF-8 counts as one. */
static inline size_t kn_utf8_count(struct kn_str s)
{
    const uint8_t *ptr = (const uint8_t *) s.ptr;
    size_t at = kn_ascii_run(ptr, s.len), count = at;
    for (; at < s.len; count++) {
        size_t len = kn_utf8_len(ptr + at, s.len - at);
        at += len ? len : 1;
    }
    return count;
}

/* Bytes of s that are part of no character. */
static inline size_t kn_utf8_bad(struct kn_bytes s)
{
    size_t bad = 0;
    for (size_t at = kn_ascii_run(s.ptr, s.len); at < s.len;) {
        size_t len = kn_utf8_len(s.ptr + at, s.len - at);
        bad += !len;
        at += len ? len : 1;
    }
    return bad;
}

#endif
