/* SPDX-License-Identifier: Apache-2.0 */
/* A request's memory: blocks that grow, freed together. */
#include "core/arena.h"

#include <stdarg.h>

enum {
    FIRST_BLOCK_BYTES = 4096,
    ALIGN = 16
};

struct kn_arena_block {
    struct kn_arena_block *next;
    size_t used, cap;
    _Alignas(ALIGN) unsigned char bytes[];
};

void kn_arena_init(struct kn_arena *a, size_t bytes_max)
{
    *a = (struct kn_arena){.bytes_max = bytes_max};
}

void kn_arena_done(struct kn_arena *a)
{
    while (a->head) {
        struct kn_arena_block *next = a->head->next;

        free(a->head);
        a->head = next;
    }
    a->used_bytes = 0;
}

static struct kn_arena_block *grow(struct kn_arena *a, size_t size)
{
    size_t cap = a->head ? 2 * a->head->cap : FIRST_BLOCK_BYTES;
    struct kn_arena_block *block;

    if (cap > KIB(256))
        cap = KIB(256);
    if (cap < size)
        cap = size;
    if (cap > a->bytes_max - a->used_bytes)
        cap = size; /* near the ceiling take just what is asked */
    if (cap > a->bytes_max - a->used_bytes)
        return NULL;
    block = malloc(sizeof *block + cap);
    if (!block)
        return NULL;
    *block = (struct kn_arena_block){.next = a->head, .cap = cap};
    a->used_bytes += cap;
    a->head = block;
    return block;
}

static void *take(struct kn_arena *a, size_t size)
{
    struct kn_arena_block *block = a->head;
    void *ptr;

    if (size > a->bytes_max)
        return NULL;
    size = (size + (ALIGN - 1)) & ~(size_t) (ALIGN - 1);
    if (!block || block->cap - block->used < size)
        block = grow(a, size);
    if (!block)
        return NULL;
    ptr = block->bytes + block->used;
    block->used += size;
    return ptr;
}

void *kn_arena_alloc(struct kn_arena *a, size_t size)
{
    void *ptr = take(a, size ? size : 1);

    if (ptr)
        memset(ptr, 0, size);
    return ptr;
}

void *kn_arena_copy(struct kn_arena *a, const void *ptr, size_t size)
{
    void *copy = take(a, size ? size : 1);

    if (copy && size)
        memcpy(copy, ptr, size);
    return copy;
}

struct kn_str kn_arena_str(struct kn_arena *a, struct kn_str s)
{
    char *copy = take(a, s.len + 1);

    if (!copy)
        return (struct kn_str){NULL, 0};
    if (s.len)
        memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return (struct kn_str){copy, s.len};
}

struct kn_str kn_arena_printf(struct kn_arena *a, const char *fmt, ...)
{
    char small[256];
    va_list args;
    char *text;
    int n;

    va_start(args, fmt);
    n = vsnprintf(small, sizeof small, fmt, args);
    va_end(args);
    if (n < 0)
        return (struct kn_str){NULL, 0};
    if ((size_t) n < sizeof small)
        return kn_arena_str(a, (struct kn_str){small, (size_t) n});
    text = take(a, (size_t) n + 1);
    if (!text)
        return (struct kn_str){NULL, 0};
    va_start(args, fmt);
    (void) vsnprintf(text, (size_t) n + 1, fmt, args);
    va_end(args);
    return (struct kn_str){text, (size_t) n};
}
