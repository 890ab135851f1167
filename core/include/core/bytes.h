/* SPDX-License-Identifier: Apache-2.0 */
/* Views of bytes and text that know their length, and a cursor that cannot overrun.
 * Portable C11: the SDK compiles this too. */
#ifndef CORE_BYTES_H
#define CORE_BYTES_H

#include <string.h>

#include "core/base.h"

struct kn_bytes {
    const uint8_t *ptr;
    size_t len;
};

struct kn_str {
    const char *ptr;
    size_t len;
};

#define KN_STR(literal) ((struct kn_str){"" literal, sizeof(literal) - 1})
#define KN_STR_INIT(lit)                                                                           \
    {                                                                                              \
        "" lit, sizeof(lit) - 1                                                                    \
    }
#define KN_STR_FMT    "%.*s"
#define KN_STR_ARG(s) (int) (s).len, (s).ptr

static inline struct kn_str kn_str_from(const char *text) /* NULL gives the empty view */
{
    return (struct kn_str){text, text ? strlen(text) : 0};
}

static inline struct kn_bytes kn_bytes_of(struct kn_str s)
{
    return (struct kn_bytes){(const uint8_t *) s.ptr, s.len};
}

static inline struct kn_str kn_str_of(struct kn_bytes b)
{
    return (struct kn_str){(const char *) b.ptr, b.len};
}

/* One past the last byte; NULL for an empty view of nothing, where C17 allows no arithmetic. */
static inline const uint8_t *kn_bytes_end(struct kn_bytes b)
{
    return b.len ? b.ptr + b.len : b.ptr;
}

/* What follows the first n bytes; n is at most the length. */
static inline struct kn_bytes kn_bytes_skip(struct kn_bytes b, size_t n)
{
    return (struct kn_bytes){n ? b.ptr + n : b.ptr, b.len - n};
}

static inline struct kn_str kn_str_skip(struct kn_str s, size_t n)
{
    return (struct kn_str){n ? s.ptr + n : s.ptr, s.len - n};
}

static inline bool kn_str_eq(struct kn_str a, struct kn_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool kn_str_eq_nocase(struct kn_str a, struct kn_str b); /* ASCII */
int kn_str_cmp_nocase(struct kn_str a, struct kn_str b); /* an order, by length first */
bool kn_str_starts_with(struct kn_str s, struct kn_str prefix);
bool kn_str_ends_with(struct kn_str s, struct kn_str suffix);
int kn_str_cmp(struct kn_str a, struct kn_str b); /* byte order, like memcmp then length */
struct kn_str kn_str_trim(struct kn_str s);       /* blanks and tabs on both ends */

/* Splits at the first c: *ret_head is before it, the result after it. Without c: head = s, and the
 * result has ptr NULL. */
struct kn_str kn_str_cut(struct kn_str s, char c, struct kn_str *ret_head);

/* Glob with `*` and `?` over the whole of s; linear in s × pattern, never recursive. */
bool kn_str_glob(struct kn_str pattern, struct kn_str s);

/* Whole string must be decimal digits (a leading '-' for i64). -EINVAL form, -EMSGSIZE range. */
int kn_str_to_u64(struct kn_str s, uint64_t max, uint64_t *ret) KN_MUSTUSE;
int kn_str_to_i64(struct kn_str s, int64_t *ret) KN_MUSTUSE;

/* Time depends only on the lengths. For secrets and signatures. */
bool kn_bytes_eq_const_time(struct kn_bytes a, struct kn_bytes b);

/* Copies with a NUL; -EMSGSIZE when it does not fit, *dst then is the empty string. */
int kn_str_copy(char *dst, size_t cap, struct kn_str s) KN_MUSTUSE;

struct kn_reader {
    const uint8_t *at, *end;
};

static inline struct kn_reader kn_reader_of(struct kn_bytes b)
{
    return (struct kn_reader){b.ptr, kn_bytes_end(b)};
}

static inline size_t kn_reader_left(const struct kn_reader *r)
{
    return (size_t) (r->end - r->at);
}

/* Each returns 0, or -ENODATA and leaves the cursor and *ret alone. */
int kn_read_u8(struct kn_reader *r, uint8_t *ret) KN_MUSTUSE;
int kn_read_u16be(struct kn_reader *r, uint16_t *ret) KN_MUSTUSE;
int kn_read_u32be(struct kn_reader *r, uint32_t *ret) KN_MUSTUSE;
int kn_read_u64be(struct kn_reader *r, uint64_t *ret) KN_MUSTUSE;
int kn_read_u16le(struct kn_reader *r, uint16_t *ret) KN_MUSTUSE;
int kn_read_u32le(struct kn_reader *r, uint32_t *ret) KN_MUSTUSE;
int kn_read_u64le(struct kn_reader *r, uint64_t *ret) KN_MUSTUSE;
int kn_read_varint(struct kn_reader *r, uint64_t *ret) KN_MUSTUSE; /* LEB128; -EBADMSG > 64 bit */
int kn_read_bytes(struct kn_reader *r, size_t len, struct kn_bytes *ret) KN_MUSTUSE;

/* Fixed-width stores into memory the caller has checked. */
static inline void kn_put_u16be(uint8_t *dst, uint16_t v)
{
    dst[0] = (uint8_t) (v >> 8);
    dst[1] = (uint8_t) v;
}

static inline void kn_put_u32be(uint8_t *dst, uint32_t v)
{
    kn_put_u16be(dst, (uint16_t) (v >> 16));
    kn_put_u16be(dst + 2, (uint16_t) v);
}

static inline void kn_put_u64be(uint8_t *dst, uint64_t v)
{
    kn_put_u32be(dst, (uint32_t) (v >> 32));
    kn_put_u32be(dst + 4, (uint32_t) v);
}

static inline void kn_put_u32le(uint8_t *dst, uint32_t v)
{
    dst[0] = (uint8_t) v; /* spelled out, so that compilers make one store of it */
    dst[1] = (uint8_t) (v >> 8);
    dst[2] = (uint8_t) (v >> 16);
    dst[3] = (uint8_t) (v >> 24);
}

static inline void kn_put_u64le(uint8_t *dst, uint64_t v)
{
    kn_put_u32le(dst, (uint32_t) v);
    kn_put_u32le(dst + 4, (uint32_t) (v >> 32));
}

static inline uint64_t kn_zigzag(int64_t v)
{
    return ((uint64_t) v << 1) ^ (uint64_t) (v >> 63);
}

static inline int64_t kn_unzigzag(uint64_t v)
{
    return (int64_t) (v >> 1) ^ -(int64_t) (v & 1);
}

#endif
