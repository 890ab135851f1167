/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Places of segments that the disk refuses to read (EIO). The first time it may be about to get
 * well, and whoever reads is told of the error. What it has refused for STORAGE_SICK_MS is taken
 * for damage: it reads as zeros, in which no frame counts, and that is said once. A segment of
 * which neither end can be read, and more than STORAGE_SICK_SECTORS_MAX places, are a disk that is
 * broken: the error stays one.
 */
#ifndef STORAGE_SRC_SHARD_SICK_H
#define STORAGE_SRC_SHARD_SICK_H

#include "storage/shard.h"

enum {
    STORAGE_SICK_SECTOR_BYTES = 4096,
    STORAGE_SICK_SECTORS_MAX = 64,
    STORAGE_SICK_MS = 10000,
};

struct storage_sick_sector {
    struct storage_id shard;
    uint64_t first, at; /* the segment's first index; of its file */
    int64_t since_ns;
    bool said;
};

struct storage_sick {
    struct kn_lock lock; /* a leaf; guards all below */
    struct storage_sick_sector sectors[STORAGE_SICK_SECTORS_MAX];
    _Atomic size_t count; /* written under lock */
};

struct storage_segment;
/* Reads what a larger read was refused, sector by sector, as many bytes as the file has. -EIO: one
 * of them may still get well. */
int storage_sick_read(struct storage_segment *segment, uint8_t *dst, size_t len, uint64_t at,
                      size_t *ret_len) KN_MUSTUSE;
/* These bytes have been read: what was refused of them has got well. */
void storage_sick_got(struct storage_segment *segment, uint64_t at, size_t len);

#endif
