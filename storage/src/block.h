/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The buffers of fragments in flight: one pool of equal blocks under one budget for the node.
 * A few are made and touched at start, since a page fault is dear; the pool grows up to the budget
 * and keeps what it has, up to a number of idle ones.
 */
#ifndef STORAGE_SRC_BLOCK_H
#define STORAGE_SRC_BLOCK_H

#include "core/thread.h"

enum {
    STORAGE_BLOCK_BYTES = 32 << 10
};

struct storage_block {
    struct storage_block *next;
    uint32_t used;
    uint8_t bytes[STORAGE_BLOCK_BYTES - 16];
};
enum {
    STORAGE_BLOCK_PAYLOAD = STORAGE_BLOCK_BYTES - 16
};

struct storage_block_pool {
    struct kn_lock lock;
    struct storage_block *idle;  /* guarded by lock */
    size_t idle_count;           /* guarded by lock */
    _Atomic uint64_t used_bytes; /* blocks that somebody holds */
    uint64_t bytes_max;
    size_t idle_max;
};

int storage_block_pool_init(struct storage_block_pool *pool, uint64_t bytes_max) KN_MUSTUSE;
void storage_block_pool_done(struct storage_block_pool *pool); /* all must have been given back */
/* NULL: the budget is spent, or memory is out. */
struct storage_block *storage_block_take(struct storage_block_pool *pool);
void storage_block_give(struct storage_block_pool *pool, struct storage_block *list);

#endif
