/* SPDX-License-Identifier: Apache-2.0 */
/* A growing buffer that is born with its ceiling. Errors stick: append at will, ask once. */
#ifndef CORE_BUF_H
#define CORE_BUF_H

#include <stdarg.h>

#include "core/bytes.h"

struct kn_buf {
    uint8_t *ptr;
    size_t len;
    size_t cap;
    size_t max;
    int error; /* 0, -ENOMEM or -EMSGSIZE: the first failure, after which appends do nothing */
};

/* max: most bytes it may ever hold. Allocates nothing yet. */
void kn_buf_init(struct kn_buf *b, size_t max);
void kn_buf_done(struct kn_buf *b);  /* accepts a zeroed struct; leaves it empty */
void kn_buf_clear(struct kn_buf *b); /* keeps the memory, forgets bytes and error */

int kn_buf_grow(struct kn_buf *b, size_t more); /* what kn_buf_reserve does when there is no room */

/* Room for more bytes after len. */
static inline int kn_buf_reserve(struct kn_buf *b, size_t more)
{
    return b->error == 0 && more <= b->cap - b->len ? 0 : kn_buf_grow(b, more);
}

static inline int kn_buf_append(struct kn_buf *b, const void *ptr, size_t len)
{
    int r = kn_buf_reserve(b, len);

    if (r < 0)
        return r;
    if (len)
        memcpy(b->ptr + b->len, ptr, len);
    b->len += len;
    return 0;
}

static inline int kn_buf_append_str(struct kn_buf *b, struct kn_str s)
{
    return kn_buf_append(b, s.ptr, s.len);
}

static inline int kn_buf_append_text(struct kn_buf *b, const char *text)
{
    return kn_buf_append(b, text, strlen(text));
}

static inline int kn_buf_append_byte(struct kn_buf *b, uint8_t byte)
{
    return kn_buf_append(b, &byte, 1);
}

int kn_buf_append_decimal(struct kn_buf *b, uint64_t v);
int kn_buf_append_u32be(struct kn_buf *b, uint32_t v);
int kn_buf_append_u64be(struct kn_buf *b, uint64_t v);
int kn_buf_append_varint(struct kn_buf *b, uint64_t v);
int kn_buf_printf(struct kn_buf *b, const char *fmt, ...) KN_PRINTF(2, 3);
int kn_buf_vprintf(struct kn_buf *b, const char *fmt, va_list args) KN_PRINTF(2, 0);
void kn_buf_consume(struct kn_buf *b, size_t len); /* drops bytes at the front */

static inline struct kn_bytes kn_buf_bytes(const struct kn_buf *b)
{
    return (struct kn_bytes){b->ptr, b->len};
}

static inline struct kn_str kn_buf_str(const struct kn_buf *b)
{
    return (struct kn_str){(const char *) b->ptr, b->len};
}

#endif
