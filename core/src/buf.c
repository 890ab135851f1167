/* SPDX-License-Identifier: Apache-2.0 */
/* The growing buffer: doubles up to its ceiling; the first failure sticks. */
#include "core/buf.h"

#include <errno.h>

void kn_buf_init(struct kn_buf *b, size_t max)
{
    *b = (struct kn_buf){.max = max};
}

void kn_buf_done(struct kn_buf *b)
{
    free(b->ptr);
    *b = (struct kn_buf){.max = b->max};
}

void kn_buf_clear(struct kn_buf *b)
{
    b->len = 0;
    b->error = 0;
}

static int fail(struct kn_buf *b, int code)
{
    if (b->error == 0)
        b->error = code;
    return b->error;
}

int kn_buf_grow(struct kn_buf *b, size_t more)
{
    size_t cap = b->cap ? b->cap : 64;
    uint8_t *ptr;

    if (b->error)
        return b->error;
    if (more > b->max - b->len)
        return fail(b, -EMSGSIZE);
    if (more <= b->cap - b->len)
        return 0;
    while (cap < b->len + more)
        cap *= 2;
    if (cap > b->max)
        cap = b->max;
    ptr = realloc(b->ptr, cap);
    if (!ptr)
        return fail(b, -ENOMEM);
    b->ptr = ptr;
    b->cap = cap;
    return 0;
}

int kn_buf_append_decimal(struct kn_buf *b, uint64_t v)
{
    char text[20];
    size_t at = sizeof text;

    do
        text[--at] = (char) ('0' + v % 10);
    while (v /= 10);
    return kn_buf_append(b, text + at, sizeof text - at);
}

int kn_buf_append_u32be(struct kn_buf *b, uint32_t v)
{
    uint8_t bytes[4];

    kn_put_u32be(bytes, v);
    return kn_buf_append(b, bytes, sizeof bytes);
}

int kn_buf_append_u64be(struct kn_buf *b, uint64_t v)
{
    uint8_t bytes[8];

    kn_put_u64be(bytes, v);
    return kn_buf_append(b, bytes, sizeof bytes);
}

int kn_buf_append_varint(struct kn_buf *b, uint64_t v)
{
    uint8_t bytes[10];
    size_t n = 0;

    while (v >= 0x80) {
        bytes[n++] = (uint8_t) (v | 0x80);
        v >>= 7;
    }
    bytes[n++] = (uint8_t) v;
    return kn_buf_append(b, bytes, n);
}

int kn_buf_vprintf(struct kn_buf *b, const char *fmt, va_list args)
{
    char small[256];
    va_list again;
    int n;
    int r;

    va_copy(again, args);
    n = vsnprintf(small, sizeof small, fmt, args);
    if (n < 0) {
        r = fail(b, -EINVAL);
    } else if ((size_t) n < sizeof small) {
        r = kn_buf_append(b, small, (size_t) n);
    } else {
        char *large = malloc((size_t) n + 1);

        if (large) {
            (void) vsnprintf(large, (size_t) n + 1, fmt, again);
            r = kn_buf_append(b, large, (size_t) n);
        } else {
            r = fail(b, -ENOMEM);
        }
        free(large);
    }
    va_end(again);
    return r;
}

int kn_buf_printf(struct kn_buf *b, const char *fmt, ...)
{
    va_list args;
    int r;

    va_start(args, fmt);
    r = kn_buf_vprintf(b, fmt, args);
    va_end(args);
    return r;
}

void kn_buf_consume(struct kn_buf *b, size_t len)
{
    kn_assert(len <= b->len);
    if (len && len < b->len)
        memmove(b->ptr, b->ptr + len, b->len - len);
    b->len -= len;
}
