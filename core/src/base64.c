/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Base64 (RFC 4648), strict: length a multiple of four, padding only at the end, unused bits zero,
 * so that one value has one spelling. Sixteen or 32 characters at a time where the processor can
 * shuffle bytes, because records of data streams are nothing but this; tables elsewhere and for the
 * ends.
 */
#include <errno.h>

#include "core/crypto.h"

static const char plain_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

enum {
    NO_DIGIT = 0xFF
};
static uint8_t plain_values[256], url_values[256];

__attribute__((constructor)) static void fill_tables(void)
{
    memset(plain_values, NO_DIGIT, sizeof plain_values);
    memset(url_values, NO_DIGIT, sizeof url_values);
    for (uint8_t i = 0; i < 64; i++) {
        plain_values[(uint8_t) plain_digits[i]] = i;
        url_values[(uint8_t) url_digits[i]] = i;
    }
}

#if defined(__x86_64__)
#include <immintrin.h>

#define SSSE3 __attribute__((target("ssse3")))

/* Bytes of c in first … last, as a mask. Signed, so that bytes from 0x80 on are in no range. */
SSSE3 static inline __m128i in_range(__m128i c, char first, char last)
{
    return _mm_and_si128(_mm_cmpgt_epi8(c, _mm_set1_epi8((char) (first - 1))),
                         _mm_cmplt_epi8(c, _mm_set1_epi8((char) (last + 1))));
}

SSSE3 static inline __m128i masked(__m128i mask, int value)
{
    return _mm_and_si128(mask, _mm_set1_epi8((char) value));
}

/* Sixteen characters to twelve bytes while both ends have room; returns characters read. */
SSSE3 static size_t decode_wide(const uint8_t *in, size_t len, uint8_t *dst)
{
    const __m128i order = _mm_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1);
    size_t at = 0;
    for (; len - at >= 24; at += 16, dst += 12) { /* 16 bytes are stored, 12 of them count */
        __m128i c = _mm_loadu_si128((const __m128i *) (const void *) (in + at));
        __m128i upper = in_range(c, 'A', 'Z'), lower = in_range(c, 'a', 'z');
        __m128i digit = in_range(c, '0', '9');
        __m128i plus = _mm_cmpeq_epi8(c, _mm_set1_epi8('+'));
        __m128i slash = _mm_cmpeq_epi8(c, _mm_set1_epi8('/'));
        __m128i letter = _mm_or_si128(upper, lower), mark = _mm_or_si128(plus, slash);
        if (_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(letter, digit), mark)) != 0xFFFF)
            break; /* the careful loop finds it again */
        __m128i shift = _mm_or_si128(masked(upper, -'A'), masked(lower, 26 - 'a'));
        shift = _mm_or_si128(shift, masked(digit, 52 - '0'));
        shift = _mm_or_si128(shift, _mm_or_si128(masked(plus, 62 - '+'), masked(slash, 63 - '/')));
        __m128i six = _mm_add_epi8(c, shift);
        __m128i twelve = _mm_maddubs_epi16(six, _mm_set1_epi16(0x0140)); /* a × 64 + b */
        __m128i all = _mm_madd_epi16(twelve, _mm_set1_epi32(0x00011000));
        _mm_storeu_si128((__m128i *) (void *) dst, _mm_shuffle_epi8(all, order));
    }
    return at;
}

/* Twelve bytes to sixteen characters; returns bytes read. */
SSSE3 static size_t encode_wide(const uint8_t *in, size_t len, char *dst)
{
    const __m128i spread = _mm_setr_epi8(1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10);
    size_t at = 0;
    for (; len - at >= 16; at += 12, dst += 16) {
        /* in each 32 bits, from the top: b c a b, with abc the three bytes */
        __m128i v = _mm_loadu_si128((const __m128i *) (const void *) (in + at));
        v = _mm_shuffle_epi8(v, spread);
        __m128i even = _mm_mulhi_epu16(_mm_and_si128(v, _mm_set1_epi32(0x0FC0FC00)),
                                       _mm_set1_epi32(0x04000040));
        __m128i odd = _mm_mullo_epi16(_mm_and_si128(v, _mm_set1_epi32(0x003F03F0)),
                                      _mm_set1_epi32(0x01000010));
        __m128i six = _mm_or_si128(even, odd);
        __m128i c = _mm_add_epi8(six, _mm_set1_epi8('A'));
        c = _mm_add_epi8(c, masked(_mm_cmpgt_epi8(six, _mm_set1_epi8(25)), 'a' - 'A' - 26));
        c = _mm_add_epi8(c, masked(_mm_cmpgt_epi8(six, _mm_set1_epi8(51)), '0' - 'a' - 26));
        c = _mm_add_epi8(c, masked(_mm_cmpgt_epi8(six, _mm_set1_epi8(61)), '+' - '0' - 10));
        c = _mm_add_epi8(c, masked(_mm_cmpgt_epi8(six, _mm_set1_epi8(62)), '/' - '+' - 1));
        _mm_storeu_si128((__m128i *) (void *) dst, c);
    }
    return at;
}

/* The same on both halves of a register of 32 bytes. */
#define AVX2 __attribute__((target("avx2")))

AVX2 static inline __m256i in_range_2(__m256i c, char first, char last)
{
    return _mm256_and_si256(_mm256_cmpgt_epi8(c, _mm256_set1_epi8((char) (first - 1))),
                            _mm256_cmpgt_epi8(_mm256_set1_epi8((char) (last + 1)), c));
}

AVX2 static inline __m256i masked_2(__m256i mask, int value)
{
    return _mm256_and_si256(mask, _mm256_set1_epi8((char) value));
}

AVX2 static size_t decode_wider(const uint8_t *in, size_t len, uint8_t *dst)
{
    const __m256i order = _mm256_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1,
                                           2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1);
    const __m256i close = _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 7, 7); /* twelve bytes and twelve */
    size_t at = 0;
    for (; len - at >= 48; at += 32, dst += 24) { /* 32 bytes are stored, 24 of them count */
        __m256i c = _mm256_loadu_si256((const __m256i *) (const void *) (in + at));
        __m256i upper = in_range_2(c, 'A', 'Z'), lower = in_range_2(c, 'a', 'z');
        __m256i digit = in_range_2(c, '0', '9');
        __m256i plus = _mm256_cmpeq_epi8(c, _mm256_set1_epi8('+'));
        __m256i slash = _mm256_cmpeq_epi8(c, _mm256_set1_epi8('/'));
        __m256i letter = _mm256_or_si256(upper, lower), mark = _mm256_or_si256(plus, slash);
        if (_mm256_movemask_epi8(_mm256_or_si256(_mm256_or_si256(letter, digit), mark)) != -1)
            break;
        __m256i shift = _mm256_or_si256(masked_2(upper, -'A'), masked_2(lower, 26 - 'a'));
        shift = _mm256_or_si256(shift, masked_2(digit, 52 - '0'));
        shift = _mm256_or_si256(
            shift, _mm256_or_si256(masked_2(plus, 62 - '+'), masked_2(slash, 63 - '/')));
        __m256i twelve = _mm256_maddubs_epi16(_mm256_add_epi8(c, shift), _mm256_set1_epi16(0x0140));
        __m256i all = _mm256_madd_epi16(twelve, _mm256_set1_epi32(0x00011000));
        all = _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(all, order), close);
        _mm256_storeu_si256((__m256i *) (void *) dst, all);
    }
    return at;
}

AVX2 static size_t encode_wider(const uint8_t *in, size_t len, char *dst)
{
    const __m256i spread =
        _mm256_setr_epi8(1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10, /* and again */
                         1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10);
    size_t at = 0;
    for (; len - at >= 28; at += 24, dst += 32) {
        __m128i low = _mm_loadu_si128((const __m128i *) (const void *) (in + at));
        __m128i high = _mm_loadu_si128((const __m128i *) (const void *) (in + at + 12));
        __m256i v = _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
        v = _mm256_shuffle_epi8(v, spread);
        __m256i even = _mm256_mulhi_epu16(_mm256_and_si256(v, _mm256_set1_epi32(0x0FC0FC00)),
                                          _mm256_set1_epi32(0x04000040));
        __m256i odd = _mm256_mullo_epi16(_mm256_and_si256(v, _mm256_set1_epi32(0x003F03F0)),
                                         _mm256_set1_epi32(0x01000010));
        __m256i six = _mm256_or_si256(even, odd);
        __m256i c = _mm256_add_epi8(six, _mm256_set1_epi8('A'));
        c = _mm256_add_epi8(c,
                            masked_2(_mm256_cmpgt_epi8(six, _mm256_set1_epi8(25)), 'a' - 'A' - 26));
        c = _mm256_add_epi8(c,
                            masked_2(_mm256_cmpgt_epi8(six, _mm256_set1_epi8(51)), '0' - 'a' - 26));
        c = _mm256_add_epi8(c,
                            masked_2(_mm256_cmpgt_epi8(six, _mm256_set1_epi8(61)), '+' - '0' - 10));
        c = _mm256_add_epi8(c,
                            masked_2(_mm256_cmpgt_epi8(six, _mm256_set1_epi8(62)), '/' - '+' - 1));
        _mm256_storeu_si256((__m256i *) (void *) dst, c);
    }
    return at;
}
#endif

/* --- encoding --------------------------------------------------------------------------------- */
size_t kn_base64_text_len(size_t len)
{
    return (len + 2) / 3 * 4;
}

static void encode(struct kn_bytes in, const char *digit, char pad, char *dst)
{
    size_t at = 0;
    for (; in.len - at >= 3; at += 3) {
        uint32_t v = (uint32_t) in.ptr[at] << 16 | (uint32_t) in.ptr[at + 1] << 8 | in.ptr[at + 2];
        *dst++ = digit[v >> 18];
        *dst++ = digit[v >> 12 & 63];
        *dst++ = digit[v >> 6 & 63];
        *dst++ = digit[v & 63];
    }
    if (at == in.len)
        return;
    bool two = in.len - at == 2;
    uint32_t v = (uint32_t) in.ptr[at] << 16 | (two ? (uint32_t) in.ptr[at + 1] << 8 : 0);
    *dst++ = digit[v >> 18];
    *dst++ = digit[v >> 12 & 63];
    *dst++ = two ? digit[v >> 6 & 63] : pad;
    *dst++ = pad;
}

void kn_base64_write(struct kn_bytes in, char *dst)
{
    size_t done = 0;
#if defined(__x86_64__)
    if (in.len >= 28 && __builtin_cpu_supports("avx2"))
        done = encode_wider(in.ptr, in.len, dst);
    if (in.len - done >= 16 && __builtin_cpu_supports("ssse3"))
        done += encode_wide(in.ptr + done, in.len - done, dst + done / 3 * 4);
#endif
    encode(kn_bytes_skip(in, done), plain_digits, '=', dst + done / 3 * 4);
}

int kn_base64_encode(struct kn_bytes in, bool url, struct kn_buf *dst)
{
    size_t len = kn_base64_text_len(in.len);
    int error = kn_buf_reserve(dst, len);
    if (error || !len)
        return error;
    if (url)
        encode(in, url_digits, '~', (char *) dst->ptr + dst->len);
    else
        kn_base64_write(in, (char *) dst->ptr + dst->len);
    dst->len += len;
    return 0;
}

/* --- decoding --------------------------------------------------------------------------------- */
static int plain_len(struct kn_str in, char pad, size_t *ret)
{
    if (in.len % 4 != 0)
        return -EINVAL;
    *ret = in.len / 4 * 3;
    if (in.len && in.ptr[in.len - 1] == pad)
        *ret -= in.ptr[in.len - 2] == pad ? 2 : 1;
    return 0;
}

int kn_base64_plain_len(struct kn_str in, size_t *ret)
{
    return plain_len(in, '=', ret);
}

/* count: what plain_len has said of it; in is not empty. */
static int decode(struct kn_str in, const uint8_t values[256], size_t count, uint8_t *dst)
{
    const uint8_t *at = (const uint8_t *) in.ptr;
    for (; count >= 3; count -= 3, at += 4) {
        uint8_t a = values[at[0]], b = values[at[1]], c = values[at[2]], d = values[at[3]];
        if ((a | b | c | d) & 0xC0)
            return -EINVAL;
        *dst++ = (uint8_t) (a << 2 | b >> 4);
        *dst++ = (uint8_t) (b << 4 | c >> 2);
        *dst++ = (uint8_t) (c << 6 | d);
    }
    if (!count)
        return 0;
    uint8_t a = values[at[0]], b = values[at[1]], c = count == 2 ? values[at[2]] : 0;
    if ((a | b | c) & 0xC0 || (count == 2 ? c & 3 : b & 15))
        return -EINVAL;
    *dst++ = (uint8_t) (a << 2 | b >> 4);
    if (count == 2)
        *dst++ = (uint8_t) (b << 4 | c >> 2);
    return 0;
}

int kn_base64_read(struct kn_str in, uint8_t *dst)
{
    size_t len = 0, done = 0;
    int error = plain_len(in, '=', &len);
    if (error || !in.len)
        return error;
#if defined(__x86_64__)
    const uint8_t *text = (const uint8_t *) in.ptr;
    if (in.len >= 48 && __builtin_cpu_supports("avx2"))
        done = decode_wider(text, in.len, dst);
    if (in.len - done >= 24 && __builtin_cpu_supports("ssse3"))
        done += decode_wide(text + done, in.len - done, dst + done / 4 * 3);
#endif
    return decode(kn_str_skip(in, done), plain_values, len - done / 4 * 3, dst + done / 4 * 3);
}

int kn_base64_decode(struct kn_str in, bool url, struct kn_buf *dst)
{
    size_t len;
    int error = plain_len(in, url ? '~' : '=', &len);
    if (!error)
        error = kn_buf_reserve(dst, len);
    if (error || !in.len)
        return error;
    error = url ? decode(in, url_values, len, dst->ptr + dst->len)
                : kn_base64_read(in, dst->ptr + dst->len);
    if (!error)
        dst->len += len;
    return error;
}
