/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing much at once past the page cache. Bytes gather in an aligned buffer and leave it in whole
 * blocks; so a checkpoint takes no new pages, whose first touch costs more than the copy, and
 * leaves nothing dirty for which the journals' flushes would wait. The parts of blocks at both ends
 * go through the cache: what lies beside them is never written again.
 */
#ifndef STORAGE_SRC_SHARD_DIRECT_H
#define STORAGE_SRC_SHARD_DIRECT_H

#include "core/fs.h"

enum {
    STORAGE_DIRECT_BUFFER_BYTES = 2 << 20,
};

struct storage_direct {
    uint8_t *buffer; /* kept from one use to the next; NULL: not needed yet */
    struct kn_file *file;
    uint64_t at;       /* the buffer's place in the file: a block's */
    size_t start, end; /* what is in it */
};

/* The file was opened with KN_FS_DIRECT. */
int storage_direct_begin(struct storage_direct *d, struct kn_file *file, uint64_t at) KN_MUSTUSE;
int storage_direct_add(struct storage_direct *d, struct kn_bytes bytes) KN_MUSTUSE;
/* Writes what is left. Nothing is flushed. */
int storage_direct_end(struct storage_direct *d) KN_MUSTUSE;
void storage_direct_done(struct storage_direct *d);

#endif
