/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a JSON number means: whole numbers and milliseconds are computed from the decimal digits,
 * never through a double, so 1.700000000123E9 is exactly 1700000000123 ms. The grammar has been
 * checked by the reader. Portable C11.
 */
#include <math.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/json.h"

enum {
    EXPONENT_MAX = 1000000,
    NUMBER_BYTES_MAX = 400
};

struct decimal { /* digits × 10^(point - digit_count): the point lies behind `point` digits */
    bool negative;
    struct kn_str whole, fraction; /* digits before and behind the written point */
    int64_t point;
};

static struct decimal split(struct kn_str raw)
{
    struct decimal d = {.negative = raw.len && raw.ptr[0] == '-'};
    const char *at = raw.ptr + d.negative, *end = raw.ptr + raw.len;
    d.whole.ptr = at;
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    d.whole.len = (size_t) (at - d.whole.ptr);
    d.fraction.ptr = at;
    if (at < end && *at == '.') {
        d.fraction.ptr = ++at;
        while (at < end && *at >= '0' && *at <= '9')
            at++;
        d.fraction.len = (size_t) (at - d.fraction.ptr);
    }
    int64_t exponent = 0;
    if (at < end) { /* e or E */
        bool down = at[1] == '-';
        for (at += at[1] == '-' || at[1] == '+' ? 2 : 1; at < end; at++)
            exponent = kn_min_i64(exponent * 10 + (*at - '0'), EXPONENT_MAX);
        exponent = down ? -exponent : exponent;
    }
    d.point = (int64_t) d.whole.len + exponent;
    return d;
}

static unsigned digit(const struct decimal *d, size_t i)
{
    char c = i < d->whole.len ? d->whole.ptr[i] : d->fraction.ptr[i - d->whole.len];
    return (unsigned) (c - '0');
}

/* value × 10^shift; what is left of the digits is rounded to the nearest, or refused. */
static int to_i64(struct kn_str raw, int shift, bool exact, int64_t *ret)
{
    struct decimal d = split(raw);
    size_t count = d.whole.len + d.fraction.len, first = 0;
    while (first < count && digit(&d, first) == 0)
        first++;
    if (first == count) {
        *ret = 0;
        return 0;
    }
    int64_t point = d.point + shift;
    if (point - (int64_t) first > 19)
        return -EINVAL;
    uint64_t v = 0, max = (uint64_t) INT64_MAX + d.negative;
    size_t i = first;
    for (int64_t at = (int64_t) first; at < point; at++, i++) {
        unsigned next = i < count ? digit(&d, i) : 0;
        if (v > (UINT64_MAX - next) / 10)
            return -EINVAL;
        v = v * 10 + next;
    }
    if (exact) {
        for (; i < count; i++)
            if (digit(&d, i) != 0)
                return -EINVAL;
    } else if (point >= (int64_t) first && i < count && digit(&d, i) >= 5) {
        v++;
    }
    if (v > max)
        return -EINVAL;
    *ret = d.negative ? (int64_t) (0 - v) : (int64_t) v;
    return 0;
}

int kn_json_number_i64(const struct kn_json_reader *r, int64_t *ret)
{
    return to_i64(r->raw, 0, true, ret);
}

int kn_json_number_epoch_ms(const struct kn_json_reader *r, int64_t *ret)
{
    return to_i64(r->raw, 3, false, ret);
}

int kn_json_number_double(const struct kn_json_reader *r, double *ret)
{
    char text[NUMBER_BYTES_MAX + 1];
    if (r->raw.len > NUMBER_BYTES_MAX)
        return -EINVAL;
    memcpy(text, r->raw.ptr, r->raw.len);
    text[r->raw.len] = 0;
    double v = strtod(text, NULL);
    if (!isfinite(v))
        return -EINVAL;
    *ret = v;
    return 0;
}
