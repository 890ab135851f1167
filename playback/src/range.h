/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which fragments a range of time names: the selection rules of every archived API (kvs-api.md
 * §4.1). A fragment belongs when its start lies in [from, to], both ends included. By producer time
 * the archive may hold one period twice: of equal starts the larger number wins, overlaps with
 * different starts are all kept, and the order is that of producer time. By server time, number
 * order is time order.
 */
#ifndef PLAYBACK_RANGE_H
#define PLAYBACK_RANGE_H

#include "storage/fragment.h"

struct playback_range {
    enum storage_order order; /* STORAGE_BY_SERVER_TS or STORAGE_BY_PRODUCER_TS */
    int64_t from_ms, to_ms;
    size_t count_max; /* the oldest so many are kept */
};

struct playback_fragments {
    struct storage_fragment *items; /* owned */
    size_t count;
    bool more; /* count_max was reached, others follow */
};

/* Free with playback_fragments_done. -EAGAIN with nowait. Any thread. */
int playback_range_select(struct storage *storage, const struct storage_id *stream,
                          const struct playback_range *range, struct playback_fragments *ret,
                          bool nowait) KN_MUSTUSE;
void playback_fragments_done(struct playback_fragments *fragments);

/* A fragment's start in the clock of the order. */
int64_t playback_fragment_start_ms(enum storage_order order, const struct storage_fragment *f);

/* Sorts by (start, number) and drops all but the largest number of equal starts; the new count. */
size_t playback_fragments_sort(struct storage_fragment *items, size_t count,
                               enum storage_order order);

#endif
