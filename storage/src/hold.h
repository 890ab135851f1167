/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Legal holds: all of them in memory, by stream and name, and in the catalogue under
 * "h/<stream id><name>". Retention asks the log, which has the ranges of its own stream.
 */
#ifndef STORAGE_SRC_HOLD_H
#define STORAGE_SRC_HOLD_H

#include "core/thread.h"
#include "storage/meta.h"
#include "storage/stream.h"

struct storage_hold_range {
    int64_t from_ms, to_ms;
};

struct storage_held { /* one allocation with its texts */
    struct storage_id stream;
    struct storage_hold hold;
};

struct storage_holds {
    /* Held over changes of holds and over the deletion of a stream, so that each sees the other.
     * Before log.slow in the order of locks. */
    struct kn_lock change;
    struct kn_lock lock; /* a leaf; guards the rest */
    struct storage_held **items;
    size_t count, cap;
};

void storage_holds_init(struct storage_holds *holds);
void storage_holds_done(struct storage_holds *holds);
/* Reads them all; -EBADMSG: a record is unreadable, err says which. */
int storage_holds_load(struct storage_holds *holds, struct storage_meta *meta, struct kn_err *err)
    KN_MUSTUSE;
/* The ranges of one stream into out, which has room for STORAGE_STREAM_HOLDS_MAX. */
size_t storage_holds_ranges(struct storage_holds *holds, const struct storage_id *stream,
                            struct storage_hold_range *out);
size_t storage_holds_count(struct storage_holds *holds, const struct storage_id *stream);

#endif
