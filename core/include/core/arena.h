/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of one request: small allocations, freed whole. Not thread safe. */
#ifndef CORE_ARENA_H
#define CORE_ARENA_H

#include "core/bytes.h"

struct kn_arena_block;

struct kn_arena {
    struct kn_arena_block *head;
    size_t used_bytes;
    size_t bytes_max;
};

void kn_arena_init(struct kn_arena *a, size_t bytes_max);
void kn_arena_done(struct kn_arena *a);

/* Zeroed, aligned to 16. NULL when memory or the ceiling is spent. */
void *kn_arena_alloc(struct kn_arena *a, size_t size);
void *kn_arena_copy(struct kn_arena *a, const void *ptr, size_t size);

/* A NUL-terminated copy of s; ptr is NULL on failure. */
struct kn_str kn_arena_str(struct kn_arena *a, struct kn_str s);
struct kn_str kn_arena_printf(struct kn_arena *a, const char *fmt, ...) KN_PRINTF(2, 3);

#endif
