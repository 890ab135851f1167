/* SPDX-License-Identifier: Apache-2.0 */
#include "cbor.h"

#include <errno.h>
#include <math.h>
#include <string.h>

enum {
    NO_LENGTH = 31,
    HALF = 25,
    SINGLE = 26,
    DOUBLE = 27,
    TAG_EPOCH = 1
};

static double half(uint64_t bits)
{
    int exponent = (int) (bits >> 10 & 31);
    double value = (double) (bits & 1023);
    if (exponent == 31)
        value = value > 0 ? NAN : INFINITY;
    else if (exponent > 0)
        value = ldexp(value + 1024, exponent - 25);
    else
        value = ldexp(value, -24);
    return bits >> 15 ? -value : value;
}

static double real_of(unsigned extra, uint64_t bits)
{
    double real = NAN;
    if (extra == HALF)
        return half(bits);
    if (extra == SINGLE) {
        uint32_t narrow = (uint32_t) bits;
        float single;
        memcpy(&single, &narrow, sizeof(single));
        return (double) single;
    }
    if (extra == DOUBLE)
        memcpy(&real, &bits, sizeof(real));
    return real;
}

int cbor_next(struct cbor *in, struct cbor_item *ret)
{
    unsigned first, extra;
    if (in->at == in->end)
        return -EBADMSG;
    first = *in->at++;
    extra = first & 31;
    *ret = (struct cbor_item){.type = (enum cbor_type)(first >> 5), .value = extra};
    if (extra >= 24 && extra < 28) {
        size_t width = (size_t) 1 << (extra - 24);
        if ((size_t) (in->end - in->at) < width)
            return -EBADMSG;
        for (ret->value = 0; width > 0; width--)
            ret->value = ret->value << 8 | *in->at++;
    } else if (extra == NO_LENGTH) {
        if (ret->type == CBOR_SIMPLE)
            ret->type = CBOR_BREAK;
        else if (ret->type != CBOR_ARRAY && ret->type != CBOR_MAP)
            return -EBADMSG;
        ret->no_length = 1;
    } else if (extra >= 28) {
        return -EBADMSG;
    }
    if (ret->type == CBOR_SIMPLE)
        ret->real = real_of(extra, ret->value);
    if (ret->type == CBOR_BYTES || ret->type == CBOR_TEXT) {
        if (ret->value > (uint64_t) (in->end - in->at))
            return -EBADMSG;
        ret->ptr = in->at;
        ret->len = (size_t) ret->value;
        in->at += ret->len;
    }
    return 0;
}

int cbor_open(const struct cbor_item *item, enum cbor_type type, struct cbor_group *ret)
{
    if (item->type != type)
        return -EBADMSG;
    *ret = (struct cbor_group){item->value, item->no_length};
    return 0;
}

int cbor_more(struct cbor *in, struct cbor_group *group)
{
    if (!group->no_length)
        return group->left > 0 && group->left-- > 0;
    if (in->at < in->end && *in->at == 0xff) {
        in->at++;
        return 0;
    }
    return 1; /* the reading of it finds the end that came too early */
}

/* A level's values still to come are counted, so that depth needs no stack of ours. */
int cbor_skip(struct cbor *in)
{
    uint64_t left[CBOR_DEPTH_MAX + 1] = {1};
    unsigned depth = 0;
    for (;;) {
        struct cbor_item item;
        while (left[depth] == 0) {
            if (depth-- == 0)
                return 0;
        }
        if (cbor_next(in, &item) < 0)
            return -EBADMSG;
        if (item.type == CBOR_BREAK) {
            if (left[depth] != UINT64_MAX)
                return -EBADMSG;
            left[depth] = 0;
            continue;
        }
        if (left[depth] != UINT64_MAX && item.type != CBOR_TAG) /* a tag and its value are one */
            left[depth]--;
        if (item.type != CBOR_ARRAY && item.type != CBOR_MAP)
            continue;
        if (depth == CBOR_DEPTH_MAX || item.value > UINT32_MAX)
            return -EBADMSG;
        left[++depth] = item.no_length          ? UINT64_MAX
                        : item.type == CBOR_MAP ? 2 * item.value
                                                : item.value;
    }
}

int cbor_member(struct cbor *in, struct cbor_group *map, struct cbor_item *ret_key)
{
    if (!cbor_more(in, map))
        return 0;
    if (cbor_next(in, ret_key) < 0 || ret_key->type != CBOR_TEXT)
        return -EBADMSG;
    return 1;
}

int cbor_is(const struct cbor_item *item, const char *text)
{
    return item->len == strlen(text) && memcmp(item->ptr, text, item->len) == 0;
}

static int is_null(const struct cbor_item *item)
{
    return item->type == CBOR_SIMPLE && (item->value == 22 || item->value == 23);
}

int cbor_text(struct cbor *in, char *dst, size_t cap)
{
    struct cbor_item item;
    dst[0] = '\0';
    if (cbor_next(in, &item) < 0)
        return -EBADMSG;
    if (is_null(&item))
        return 0;
    if (item.type != CBOR_TEXT || memchr(item.ptr, 0, item.len))
        return -EBADMSG;
    if (item.len >= cap)
        return -EMSGSIZE;
    memcpy(dst, item.ptr, item.len);
    dst[item.len] = '\0';
    return 0;
}

int cbor_int(struct cbor *in, int64_t *ret)
{
    struct cbor_item item;
    if (cbor_next(in, &item) < 0 || item.value > INT64_MAX ||
        (item.type != CBOR_UINT && item.type != CBOR_NINT))
        return -EBADMSG;
    *ret = item.type == CBOR_UINT ? (int64_t) item.value : -1 - (int64_t) item.value;
    return 0;
}

int cbor_time(struct cbor *in, int64_t *ret_ms)
{
    struct cbor_item item;
    double ms;
    if (cbor_next(in, &item) < 0)
        return -EBADMSG;
    if (item.type == CBOR_TAG && (item.value != TAG_EPOCH || cbor_next(in, &item) < 0))
        return -EBADMSG;
    if (item.type == CBOR_UINT && item.value <= INT64_MAX) {
        *ret_ms = (int64_t) item.value;
        return 0;
    }
    if (item.type != CBOR_SIMPLE)
        return -EBADMSG;
    ms = item.real < 1e11 ? item.real * 1000 : item.real;
    if (!(ms >= 0 && ms < 9e15))
        return -EBADMSG;
    *ret_ms = (int64_t) (ms + 0.5);
    return 0;
}

/* --- writing ---------------------------------------------------------------------------------- */
static void put(struct cbor_out *out, const void *ptr, size_t len)
{
    if (out->len <= out->cap && len <= out->cap - out->len) {
        memcpy(out->ptr + out->len, ptr, len);
        out->len += len;
    } else {
        out->len = out->cap + 1;
    }
}

void cbor_put_head(struct cbor_out *out, enum cbor_type type, uint64_t value)
{
    uint8_t bytes[9];
    size_t width = value < 24            ? 0
                   : value <= UINT8_MAX  ? 1
                   : value <= UINT16_MAX ? 2
                   : value <= UINT32_MAX ? 4
                                         : 8;
    static const uint8_t extra[] = {0, 24, 25, 0, 26, 0, 0, 0, 27};
    bytes[0] = (uint8_t) ((unsigned) type << 5 | (width == 0 ? (unsigned) value : extra[width]));
    for (size_t i = 0; i < width; i++)
        bytes[1 + i] = (uint8_t) (value >> (8 * (width - 1 - i)));
    put(out, bytes, 1 + width);
}

void cbor_put_text(struct cbor_out *out, const char *text)
{
    cbor_put_head(out, CBOR_TEXT, strlen(text));
    put(out, text, strlen(text));
}
