/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fragment numbers: N = 2^156 + seq * 2^92 + server_ts_ms * 2^28 + random28, in decimal.
 *
 * The layout is the one decoded from numbers of the AWS service; clients compare them as big
 * integers of up to 128 digits (API reference, Fragment.FragmentNumber). 160 bits are held in five
 * 32-bit limbs, the least significant first.
 */
#include "core/wide.h"
#include "storage/fragment.h"

enum {
    LIMBS = 5,
    SEQ_BIT = 92,
    TIME_BIT = 28,
    RANDOM_MAX = (1 << 28) - 1,
    DIGITS_MAX = 128,
    TOP_LIMB_BIT = 1 << 28, /* 2^156 in limb 4 */
    PLACES = 6,
    PLACE = 1000000000,
    PLACE_DIGITS = 9,
    TOP_DIGITS = STORAGE_NUMBER_DIGITS - (PLACES - 1) * PLACE_DIGITS,
};

/* What a bit of a number is worth: nine decimal digits a place, the least significant first. */
enum {
    ONE,
    SEQ_HIGH,
    SEQ_LOW,
    TIME_HIGH,
    TIME_LOW
};
static const uint32_t worth[][PLACES] = {
    [ONE] = {495783936, 767688728, 730302044, 181432387, 343852333, 91}, /* 2^156 */
    [SEQ_HIGH] = {485513216, 460912964, 558653966, 267647932, 21,        0 }, /* 2^(92 + 32) */
    [SEQ_LOW] = {596496896, 141521099, 951760157, 4,         0,         0 }, /* 2^92 */
    [TIME_HIGH] = {606846976, 152921504, 1,         0,         0,         0 }, /* 2^(28 + 32) */
    [TIME_LOW] = {268435456, 0,         0,         0,         0,         0 }, /* 2^28 */
};

static void put_two(char *dst, uint32_t value)
{
    static const char digits[] = "00010203040506070809101112131415161718192021222324"
                                 "25262728293031323334353637383940414243444546474849"
                                 "50515253545556575859606162636465666768697071727374"
                                 "75767778798081828384858687888990919293949596979899";
    memcpy(dst, digits + 2 * (size_t) value, 2);
}

static void put_nine(char *dst, uint32_t value)
{
    uint32_t low = value % 10000, high = value / 10000 % 10000;
    dst[0] = (char) ('0' + value / 100000000);
    put_two(dst + 1, high / 100);
    put_two(dst + 3, high % 100);
    put_two(dst + 5, low / 100);
    put_two(dst + 7, low % 100);
}

/* A day's playlist holds 43,200 numbers, so none is divided as a wide integer (core/wide.h takes
 * four times as long): the fields are multiplied into decimal places. */
void storage_number_format(const struct storage_number *n, char dst[STORAGE_NUMBER_TEXT_BYTES])
{
    kn_assert(n->server_ts_ms >= 0);
    uint64_t seq_high = n->seq >> 32, seq_low = n->seq & UINT32_MAX;
    uint64_t time_high = (uint64_t) n->server_ts_ms >> 32,
             time_low = (uint64_t) n->server_ts_ms & UINT32_MAX;
    uint64_t carry = n->random & RANDOM_MAX;
    for (size_t place = 0; place < PLACES; place++) { /* the sum stays below 2^64 */
        carry += worth[ONE][place] + seq_high * worth[SEQ_HIGH][place] +
                 seq_low * worth[SEQ_LOW][place] + time_high * worth[TIME_HIGH][place] +
                 time_low * worth[TIME_LOW][place];
        if (place + 1 == PLACES)
            break;
        put_nine(dst + TOP_DIGITS + PLACE_DIGITS * (PLACES - 2 - place),
                 (uint32_t) (carry % PLACE));
        carry /= PLACE;
    }
    kn_assert(carry < 100); /* a seq near 2^61 would make it 48 digits */
    put_two(dst, (uint32_t) carry);
    dst[STORAGE_NUMBER_DIGITS] = '\0';
}

int storage_number_parse(struct kn_str text, struct storage_number *ret, bool *ret_exact)
{
    if (text.len == 0 || text.len > DIGITS_MAX)
        return -EINVAL;
    while (text.len > 1 && text.ptr[0] == '0')
        text = kn_str_skip(text, 1);
    uint32_t limb[LIMBS];
    int r = kn_wide_parse(text, limb, LIMBS);
    if (r == -EINVAL)
        return r;
    /* 48 digits are a seq that no stream comes to, and that format() has no room for */
    if (r < 0 || text.len >= STORAGE_NUMBER_TEXT_BYTES || limb[4] >= 2 * TOP_LIMB_BIT) {
        *ret = (struct storage_number){UINT64_MAX, INT64_MAX, RANDOM_MAX};
        *ret_exact = false;
        return 0;
    }
    if (limb[4] < TOP_LIMB_BIT) {
        *ret = (struct storage_number){0};
        *ret_exact = false;
        return 0;
    }
    uint64_t time = (uint64_t) limb[2] << (64 - TIME_BIT) | (uint64_t) limb[1] << (32 - TIME_BIT) |
                    limb[0] >> TIME_BIT;
    struct storage_number n = {
        .seq = (uint64_t) (limb[4] - TOP_LIMB_BIT) << (128 - SEQ_BIT) |
               (uint64_t) limb[3] << (96 - SEQ_BIT) | limb[2] >> (SEQ_BIT - 64),
        .server_ts_ms = (int64_t) kn_min_u64(time, INT64_MAX),
        .random = limb[0] & RANDOM_MAX,
    };
    *ret = n;
    *ret_exact = time <= INT64_MAX;
    return 0;
}
