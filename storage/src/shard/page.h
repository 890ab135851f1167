/* SPDX-License-Identifier: Apache-2.0 */
/* Pages under way: records are added until one of the reader's limits is met. */
#ifndef STORAGE_SRC_SHARD_PAGE_H
#define STORAGE_SRC_SHARD_PAGE_H

#include "shards.h"

struct storage_page_hold {
    struct storage_batch **batches; /* references to what the records lie in … */
    size_t batch_count;
    uint8_t *buffer; /* … or the bytes that were read */
    struct storage_shard_record *records;
    size_t cap;
};

int storage_page_start(struct storage_page *page) KN_MUSTUSE;
bool storage_page_is_full(const struct storage_page *page, const struct storage_shard_read *read);
/* The records of a frame from an index on, as far as the limits allow. -EBADMSG: nothing was added.
 */
int storage_page_add(struct storage_page *page, const struct storage_shard_read *read,
                     uint64_t first_index, int64_t arrival_ms, uint32_t count,
                     struct kn_bytes payload, uint64_t from) KN_MUSTUSE;
/* What arrived before it is not read any more. */
int64_t storage_shard_horizon(struct storage_shard *shard);

#endif
