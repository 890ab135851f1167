/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ranges of time to lists of fragments (kvs-api.md §4.1). The index is paged through; by producer
 * time, pages come in number order and the list is put in order as it grows, so memory follows
 * count_max and not how often a period was uploaded.
 */
#include "range.h"

#include <stdlib.h>
#include <string.h>

enum {
    PAGE_FRAGMENTS = 256
};

struct list {
    struct storage_fragment *items;
    size_t count, cap;
};

int64_t playback_fragment_start_ms(enum storage_order order, const struct storage_fragment *f)
{
    return order == STORAGE_BY_PRODUCER_TS ? f->producer_ts_ms : f->number.server_ts_ms;
}

static int compare_times(int64_t a_ms, int64_t b_ms, const struct storage_fragment *a,
                         const struct storage_fragment *b)
{
    if (a_ms != b_ms)
        return a_ms < b_ms ? -1 : 1;
    return a->number.seq < b->number.seq ? -1 : a->number.seq > b->number.seq;
}

static int compare_producer(const void *left, const void *right)
{
    const struct storage_fragment *a = left, *b = right;

    return compare_times(a->producer_ts_ms, b->producer_ts_ms, a, b);
}

static int compare_server(const void *left, const void *right)
{
    const struct storage_fragment *a = left, *b = right;

    return compare_times(a->number.server_ts_ms, b->number.server_ts_ms, a, b);
}

size_t playback_fragments_sort(struct storage_fragment *items, size_t count,
                               enum storage_order order)
{
    size_t kept = 0;

    if (!count)
        return 0;
    qsort(items, count, sizeof *items,
          order == STORAGE_BY_PRODUCER_TS ? compare_producer : compare_server);
    for (size_t i = 1; i < count; i++) {
        bool same = playback_fragment_start_ms(order, &items[i]) ==
                    playback_fragment_start_ms(order, &items[kept]);

        if (!same)
            kept++;
        items[kept] = items[i];
    }
    return kept + 1;
}

static int reserve(struct list *list, size_t more)
{
    size_t cap = list->cap ? list->cap : PAGE_FRAGMENTS;
    struct storage_fragment *bigger;

    if (list->cap - list->count >= more)
        return 0;
    while (cap - list->count < more)
        cap *= 2;
    bigger = reallocarray(list->items, cap, sizeof *bigger);
    if (!bigger)
        return -ENOMEM;
    list->items = bigger;
    list->cap = cap;
    return 0;
}

/* Keeps the oldest count_max + 1: one beyond says that more follow. */
static void prune(struct list *list, const struct playback_range *range)
{
    list->count = playback_fragments_sort(list->items, list->count, range->order);
    if (list->count > range->count_max)
        list->count = range->count_max + 1;
}

static int gather(struct storage *storage, const struct storage_id *stream,
                  const struct playback_range *range, struct list *list, bool nowait)
{
    struct storage_query query = {
        .order = range->order, .from_ms = range->from_ms, .to_ms = range->to_ms};
    size_t many = (range->count_max < SIZE_MAX / 4 ? 2 * range->count_max : SIZE_MAX / 2) +
                  4 * PAGE_FRAGMENTS;

    if (!nowait) /* by producer time nothing says when the oldest have been seen */
        storage_find_ahead(storage, stream, &query,
                           range->order == STORAGE_BY_SERVER_TS ? range->count_max : UINT64_MAX);
    for (;;) {
        size_t count = 0;
        int r = reserve(list, PAGE_FRAGMENTS);

        if (!r)
            r = storage_find(storage, stream, &query, list->items + list->count, PAGE_FRAGMENTS,
                             &count, nowait);
        if (r < 0)
            return r;
        if (!count)
            return 0;
        list->count += count;
        query.after_seq = list->items[list->count - 1].number.seq;
        if (range->order == STORAGE_BY_SERVER_TS && list->count > range->count_max)
            return 0; /* in number order already: the rest is later */
        if (list->count > many)
            prune(list, range);
    }
}

int playback_range_select(struct storage *storage, const struct storage_id *stream,
                          const struct playback_range *range, struct playback_fragments *ret,
                          bool nowait)
{
    struct list list = {0};
    int r = gather(storage, stream, range, &list, nowait);

    if (r < 0) {
        free(list.items);
        return r;
    }
    prune(&list, range);
    *ret = (struct playback_fragments){
        .items = list.items,
        .count = list.count > range->count_max ? range->count_max : list.count,
        .more = list.count > range->count_max,
    };
    return 0;
}

void playback_fragments_done(struct playback_fragments *fragments)
{
    free(fragments->items);
    *fragments = (struct playback_fragments){0};
}
