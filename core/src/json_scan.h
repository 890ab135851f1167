/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far a JSON string needs no thought: printable ASCII without quote and backslash. Sixteen
 * bytes at a time where the processor always can, one at a time elsewhere. Portable C11.
 */
#ifndef CORE_SRC_JSON_SCAN_H
#define CORE_SRC_JSON_SCAN_H

#include "core/bytes.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

static inline bool kn_json_is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

static inline const uint8_t *kn_json_plain_end(const uint8_t *at, const uint8_t *end)
{
#if defined(__SSE2__)
    while (end - at >= 16) {
        __m128i c = _mm_loadu_si128((const __m128i *) (const void *) at);
        __m128i low = _mm_cmplt_epi8(c, _mm_set1_epi8(0x20)); /* signed: from 0x80 on too */
        __m128i quote = _mm_cmpeq_epi8(c, _mm_set1_epi8('"'));
        __m128i back = _mm_cmpeq_epi8(c, _mm_set1_epi8('\\'));
        unsigned stop = (unsigned) _mm_movemask_epi8(_mm_or_si128(low, _mm_or_si128(quote, back)));
        if (stop)
            return at + __builtin_ctz(stop);
        at += 16;
    }
#endif
    while (at < end && kn_json_is_plain(*at))
        at++;
    return at;
}

#endif
