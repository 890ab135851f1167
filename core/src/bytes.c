/* SPDX-License-Identifier: Apache-2.0 */
/* Views and cursors. Every read checks what is left first; nothing computes a pointer past its end.
 */
#include "core/bytes.h"

#include <errno.h>

static unsigned char lower(char c)
{
    return (unsigned char) (c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

bool kn_str_eq_nocase(struct kn_str a, struct kn_str b)
{
    if (a.len != b.len)
        return false;
    if (kn_str_eq(a, b)) /* the usual case of those that are */
        return true;
    for (size_t i = 0; i < a.len; i++) {
        if (lower(a.ptr[i]) != lower(b.ptr[i]))
            return false;
    }
    return true;
}

bool kn_str_starts_with(struct kn_str s, struct kn_str prefix)
{
    return s.len >= prefix.len && kn_str_eq((struct kn_str){s.ptr, prefix.len}, prefix);
}

bool kn_str_ends_with(struct kn_str s, struct kn_str suffix)
{
    if (suffix.len == 0)
        return true;
    return s.len >= suffix.len &&
           kn_str_eq((struct kn_str){s.ptr + (s.len - suffix.len), suffix.len}, suffix);
}

int kn_str_cmp(struct kn_str a, struct kn_str b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common ? memcmp(a.ptr, b.ptr, common) : 0;

    if (order != 0)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

int kn_str_cmp_nocase(struct kn_str a, struct kn_str b)
{
    int order = a.len < b.len ? -1 : a.len > b.len;
    for (size_t i = 0; i < a.len && order == 0; i++)
        order = lower(a.ptr[i]) - lower(b.ptr[i]);
    return order;
}

struct kn_str kn_str_trim(struct kn_str s)
{
    while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) {
        s.ptr++;
        s.len--;
    }
    while (s.len && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

struct kn_str kn_str_cut(struct kn_str s, char c, struct kn_str *ret_head)
{
    const char *at = s.len ? memchr(s.ptr, c, s.len) : NULL;

    if (!at) {
        *ret_head = s;
        return (struct kn_str){NULL, 0};
    }
    *ret_head = (struct kn_str){s.ptr, (size_t) (at - s.ptr)};
    return (struct kn_str){at + 1, s.len - ret_head->len - 1};
}

/* Greedy with one point to come back to: after a failure only the last star can take one more. */
bool kn_str_glob(struct kn_str pattern, struct kn_str s)
{
    size_t p = 0, i = 0, star = SIZE_MAX, taken = 0;

    while (i < s.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = p++;
            taken = i;
        } else if (p < pattern.len && (pattern.ptr[p] == '?' || pattern.ptr[p] == s.ptr[i])) {
            p++;
            i++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            i = ++taken;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*')
        p++;
    return p == pattern.len;
}

int kn_str_to_u64(struct kn_str s, uint64_t max, uint64_t *ret)
{
    uint64_t value = 0;

    if (s.len == 0)
        return -EINVAL;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return -EINVAL;
    }
    for (size_t i = 0; i < s.len; i++) {
        if (__builtin_mul_overflow(value, (uint64_t) 10, &value) ||
            __builtin_add_overflow(value, (uint64_t) (s.ptr[i] - '0'), &value))
            return -EMSGSIZE;
    }
    if (value > max)
        return -EMSGSIZE;
    *ret = value;
    return 0;
}

int kn_str_to_i64(struct kn_str s, int64_t *ret)
{
    bool minus = s.len && s.ptr[0] == '-';
    uint64_t value;
    int r;

    if (minus) {
        s.ptr++;
        s.len--;
    }
    r = kn_str_to_u64(s, (uint64_t) INT64_MAX + (minus ? 1 : 0), &value);
    if (r < 0)
        return r;
    *ret = minus ? (int64_t) (0 - value) : (int64_t) value;
    return 0;
}

bool kn_bytes_eq_const_time(struct kn_bytes a, struct kn_bytes b)
{
    volatile uint8_t differ = a.len != b.len;

    for (size_t i = 0; i < a.len && i < b.len; i++)
        differ = (uint8_t) (differ | (a.ptr[i] ^ b.ptr[i]));
    return differ == 0;
}

int kn_str_copy(char *dst, size_t cap, struct kn_str s)
{
    if (s.len >= cap) {
        if (cap)
            dst[0] = '\0';
        return -EMSGSIZE;
    }
    if (s.len)
        memcpy(dst, s.ptr, s.len);
    dst[s.len] = '\0';
    return 0;
}

static int load(struct kn_reader *r, unsigned bytes, bool big, uint64_t *ret)
{
    uint64_t v = 0;

    if (kn_reader_left(r) < bytes)
        return -ENODATA;
    for (unsigned i = 0; i < bytes; i++)
        v = v << 8 | r->at[big ? i : bytes - 1 - i];
    r->at += bytes;
    *ret = v;
    return 0;
}

int kn_read_u8(struct kn_reader *r, uint8_t *ret)
{
    if (kn_reader_left(r) == 0)
        return -ENODATA;
    *ret = *r->at++;
    return 0;
}

int kn_read_u16be(struct kn_reader *r, uint16_t *ret)
{
    uint64_t v;
    int err = load(r, 2, true, &v);

    if (err == 0)
        *ret = (uint16_t) v;
    return err;
}

int kn_read_u32be(struct kn_reader *r, uint32_t *ret)
{
    uint64_t v;
    int err = load(r, 4, true, &v);

    if (err == 0)
        *ret = (uint32_t) v;
    return err;
}

int kn_read_u64be(struct kn_reader *r, uint64_t *ret)
{
    return load(r, 8, true, ret);
}

int kn_read_u16le(struct kn_reader *r, uint16_t *ret)
{
    uint64_t v;
    int err = load(r, 2, false, &v);

    if (err == 0)
        *ret = (uint16_t) v;
    return err;
}

int kn_read_u32le(struct kn_reader *r, uint32_t *ret)
{
    uint64_t v;
    int err = load(r, 4, false, &v);

    if (err == 0)
        *ret = (uint32_t) v;
    return err;
}

int kn_read_u64le(struct kn_reader *r, uint64_t *ret)
{
    return load(r, 8, false, ret);
}

int kn_read_varint(struct kn_reader *r, uint64_t *ret)
{
    size_t left = kn_reader_left(r);
    uint64_t value = 0;

    for (size_t i = 0; i < 10; i++) { /* seven bits each */
        if (i == left)
            return -ENODATA;
        uint8_t byte = r->at[i];
        if (i == 9 && byte > 1)
            return -EBADMSG;
        value |= (uint64_t) (byte & 0x7f) << 7 * i;
        if (!(byte & 0x80)) {
            r->at += i + 1;
            *ret = value;
            return 0;
        }
    }
    return -EBADMSG;
}

int kn_read_bytes(struct kn_reader *r, size_t len, struct kn_bytes *ret)
{
    if (kn_reader_left(r) < len)
        return -ENODATA;
    *ret = (struct kn_bytes){r->at, len};
    r->at += len;
    return 0;
}
