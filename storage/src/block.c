/* SPDX-License-Identifier: Apache-2.0 */
/* The pool of window blocks; see block.h. The budget counts blocks in use, not idle ones: idle ones
 * are bounded by their own number. */
#include "block.h"

#include "core/err.h"

enum {
    WARM_BYTES = 4 << 20,
    IDLE_BYTES_MAX = 32 << 20
};

static struct storage_block *block_new(void)
{
    struct storage_block *block = malloc(sizeof(*block));
    if (block)
        memset(block, 0, sizeof(*block)); /* touches every page now */
    return block;
}

int storage_block_pool_init(struct storage_block_pool *pool, uint64_t bytes_max)
{
    *pool = (struct storage_block_pool){
        .bytes_max = bytes_max,
        .idle_max = IDLE_BYTES_MAX / STORAGE_BLOCK_BYTES,
    };
    kn_lock_init(&pool->lock);
    uint64_t warm = kn_min_u64(WARM_BYTES, bytes_max) / STORAGE_BLOCK_BYTES;
    for (uint64_t i = 0; i < warm; i++) {
        struct storage_block *block = block_new();
        if (!block)
            return -ENOMEM;
        block->next = pool->idle;
        pool->idle = block;
        pool->idle_count++;
    }
    return 0;
}

static void free_list(struct storage_block *list)
{
    while (list) {
        struct storage_block *next = list->next;
        free(list);
        list = next;
    }
}

void storage_block_pool_done(struct storage_block_pool *pool)
{
    kn_assert(pool->used_bytes == 0);
    free_list(pool->idle);
    pool->idle = NULL;
    kn_lock_done(&pool->lock);
}

struct storage_block *storage_block_take(struct storage_block_pool *pool)
{
    if (pool->used_bytes + STORAGE_BLOCK_BYTES > pool->bytes_max)
        return NULL;
    kn_lock_take(&pool->lock);
    struct storage_block *block = pool->idle;
    if (block) {
        pool->idle = block->next;
        pool->idle_count--;
    }
    kn_lock_give(&pool->lock);
    if (!block)
        block = block_new();
    if (!block)
        return NULL;
    block->next = NULL;
    block->used = 0;
    pool->used_bytes += STORAGE_BLOCK_BYTES;
    return block;
}

void storage_block_give(struct storage_block_pool *pool, struct storage_block *list)
{
    struct storage_block *surplus = NULL;
    uint64_t bytes = 0;
    kn_lock_take(&pool->lock);
    while (list) {
        struct storage_block *next = list->next;
        struct storage_block **to = &surplus;
        if (pool->idle_count < pool->idle_max) {
            to = &pool->idle;
            pool->idle_count++;
        }
        list->next = *to;
        *to = list;
        list = next;
        bytes += STORAGE_BLOCK_BYTES;
    }
    kn_lock_give(&pool->lock);
    pool->used_bytes -= bytes;
    free_list(surplus);
}
