/* SPDX-License-Identifier: Apache-2.0 */
/* Whether frames come in each shard's order: how far every shard has come in the files so far. */
#ifndef STORAGE_SRC_SHARD_ORDER_H
#define STORAGE_SRC_SHARD_ORDER_H

#include "frame.h"

struct storage_shard_place {
    struct storage_id shard;
    uint64_t next; /* index */
    int64_t arrival_ms;
    bool used, closed;
};

struct storage_shard_order { /* zeroed: nothing seen yet */
    struct storage_shard_place *places;
    size_t count, cap;
};

/* Takes the next frame: 0; -EBADMSG: it cannot follow what came before; -ENOMEM. */
int storage_shard_order_take(struct storage_shard_order *order,
                             const struct storage_shard_frame *frame) KN_MUSTUSE;
void storage_shard_order_done(struct storage_shard_order *order);

#endif
