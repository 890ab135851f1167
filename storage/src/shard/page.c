/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading: what is not in a segment yet is served from the batches themselves, under references;
 * the rest from segments. What arrived before the shard's trim point is passed over, whether or not
 * its segment has been removed.
 */
#include "page.h"

#include "segment.h"

enum {
    FIRST_RECORDS = 16,
    BATCHES_MAX = 10000, /* of one page */
};

/* --- a page ----------------------------------------------------------------------------------- */
int storage_page_start(struct storage_page *page)
{
    *page = (struct storage_page){.hold = calloc(1, sizeof(struct storage_page_hold))};
    return page->hold ? 0 : -ENOMEM;
}

void storage_page_free(struct storage_page *page)
{
    struct storage_page_hold *hold = KN_MOVE(page->hold);
    if (!hold)
        return;
    for (size_t i = 0; i < hold->batch_count; i++)
        storage_batch_free(hold->batches[i]);
    free(hold->batches);
    free(hold->buffer);
    free(hold->records);
    free(hold);
    *page = (struct storage_page){.count = 0};
}

bool storage_page_is_full(const struct storage_page *page, const struct storage_shard_read *read)
{
    return page->count > 0 && (page->count >= read->count_max || page->bytes >= read->bytes_max);
}

static int push(struct storage_page *page, const struct storage_shard_record *record)
{
    struct storage_page_hold *hold = page->hold;
    if (page->count == hold->cap) {
        size_t cap = hold->cap ? hold->cap * 2 : FIRST_RECORDS;
        struct storage_shard_record *records = realloc(hold->records, cap * sizeof(*records));
        if (!records)
            return -ENOMEM;
        hold->records = records;
        hold->cap = cap;
    }
    hold->records[page->count++] = *record;
    page->records = hold->records;
    page->bytes += record->key.len + record->data.len;
    page->next = record->index + 1;
    return 0;
}

static bool fits(const struct storage_page *page, const struct storage_shard_read *read,
                 const struct storage_shard_record_view *view)
{
    return !storage_page_is_full(page, read) &&
           (page->count == 0 || page->bytes + view->key.len + view->data.len <= read->bytes_max);
}

int storage_page_add(struct storage_page *page, const struct storage_shard_read *read,
                     uint64_t first_index, int64_t arrival_ms, uint32_t count,
                     struct kn_bytes payload, uint64_t from)
{
    struct kn_reader in = kn_reader_of(payload);
    struct storage_page had = *page;
    for (uint32_t i = 0; i < count; i++) {
        struct storage_shard_record_view view;
        int r = storage_shard_record_next(&in, &view);
        if (r == 0 && first_index + i < from)
            continue;
        if (r == 0 && !fits(page, read, &view))
            return 0;
        struct storage_shard_record record = {.index = first_index + i,
                                              .arrival_ms = arrival_ms,
                                              .key = view.key,
                                              .data = view.data,
                                              .tag = view.tag};
        if (r == 0)
            r = push(page, &record);
        if (r < 0) {
            page->count = had.count;
            page->bytes = had.bytes;
            page->next = had.next;
            return r;
        }
    }
    return 0;
}

/* --- from memory ------------------------------------------------------------------------------ */
static bool ends_before(const struct storage_batch *batch, uint64_t index, int64_t ms)
{
    return batch->first_index + batch->count <= index || batch->arrival_ms < ms;
}

/* The first batch in memory that ends behind this index and did not arrive before that time. */
static size_t tail_find_locked(struct storage_shard *shard, uint64_t index, int64_t ms)
{
    return KN_BISECT(i, 0, shard->tail_count,
                     ends_before(shard->tail[shard->tail_at + i], index, ms));
}

/* References to as many batches as the page can take. */
static int hold_tail_locked(struct storage_shard *shard, const struct storage_shard_read *read,
                            size_t at, struct storage_page *page)
{
    size_t count = 0, records = 0, bytes = 0, left = shard->tail_count - at;
    while (count < left && count < BATCHES_MAX &&
           (count < 2 || (records < read->count_max && bytes < read->bytes_max))) {
        struct storage_batch *batch = shard->tail[shard->tail_at + at + count++];
        if (count > 1) { /* of the first, perhaps only the last record is wanted */
            records += batch->count;
            bytes += batch->data_bytes;
        }
    }
    struct storage_page_hold *hold = page->hold;
    if (count == 0)
        return 0;
    hold->batches = malloc(count * sizeof(struct storage_batch *));
    if (!hold->batches)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        hold->batches[i] = shard->tail[shard->tail_at + at + i];
        storage_batch_ref(hold->batches[i]);
    }
    hold->batch_count = count;
    return 0;
}

/* -EAGAIN: it is in a segment. */
static int take_tail(struct storage_shard *shard, const struct storage_shard_read *read,
                     struct storage_page *page, uint64_t *ret_end)
{
    int64_t horizon = storage_shard_horizon(shard);
    KN_LOCKED(&shard->lock);
    if (shard->dropped)
        return -ENOENT;
    uint64_t from = kn_max_u64(read->from, shard->oldest);
    *ret_end = shard->next;
    if (from < shard->flushed && shard->flushed_ms >= horizon)
        return -EAGAIN;
    size_t at = tail_find_locked(shard, from, horizon);
    page->next = kn_max_u64(read->from, at < shard->tail_count
                                            ? shard->tail[shard->tail_at + at]->first_index
                                            : shard->next);
    return hold_tail_locked(shard, read, at, page);
}

static int fill_from_tail(const struct storage_shard_read *read, struct storage_page *page)
{
    struct storage_page_hold *hold = page->hold;
    int r = 0;
    for (size_t i = 0; r == 0 && i < hold->batch_count && !storage_page_is_full(page, read); i++) {
        struct storage_batch *batch = hold->batches[i];
        size_t had = page->count;
        r = storage_page_add(page, read, batch->first_index, batch->arrival_ms, batch->count,
                             (struct kn_bytes){batch->bytes, batch->len}, read->from);
        if (r == 0 && batch->count > 0 && page->count == had)
            break; /* its first record would pass the limit */
        if (r == 0 && page->next < batch->first_index + batch->count)
            break;
    }
    return r;
}

static int read_once(struct storage_shard *shard, const struct storage_shard_read *read,
                     struct storage_page *page)
{
    uint64_t end = 0;
    int r = storage_page_start(page);
    if (r == 0)
        r = take_tail(shard, read, page, &end);
    if (r == 0)
        r = fill_from_tail(read, page);
    else if (r == -EAGAIN)
        r = storage_segment_read(shard, read, page);
    if (r == 0) {
        page->at_end = page->next >= end;
        return 0;
    }
    storage_page_free(page);
    return r;
}

int storage_shard_read(struct storage_shard *shard, const struct storage_shard_read *read,
                       struct storage_page *ret)
{
    struct storage_shard_read at = *read;
    storage_shard_trim_ask(shard);
    for (;;) {
        int r = read_once(shard, &at, ret);
        if (r < 0 || ret->count > 0 || ret->at_end)
            return r;
        at.from = ret->next; /* all of a segment was behind retention */
        storage_page_free(ret);
    }
}

/* --- ends and times --------------------------------------------------------------------------- */
void storage_shard_ends(struct storage_shard *shard, struct storage_shard_ends *ret)
{
    int64_t horizon = storage_shard_horizon(shard);
    KN_LOCKED(&shard->lock);
    *ret = (struct storage_shard_ends){.oldest = shard->next,
                                       .next = shard->next,
                                       .newest_ms = shard->newest_ms,
                                       .bytes = shard->bytes - shard->bytes_dropped,
                                       .records = shard->records - shard->records_dropped,
                                       .bytes_in = shard->bytes,
                                       .records_in = shard->records,
                                       .closed = shard->closed};
    if (shard->oldest < shard->flushed && shard->flushed_ms >= horizon) {
        ret->oldest = shard->oldest;
        ret->oldest_ms = kn_max_i64(shard->oldest_ms, horizon);
        return;
    }
    size_t at = tail_find_locked(shard, shard->oldest, horizon);
    if (at < shard->tail_count) {
        struct storage_batch *batch = shard->tail[shard->tail_at + at];
        ret->oldest = batch->first_index;
        ret->oldest_ms = batch->count > 0 ? batch->arrival_ms : 0;
    }
}

/* -EAGAIN: it may be in a segment. */
static int find_in_tail(struct storage_shard *shard, int64_t ms, uint64_t *ret_index)
{
    KN_LOCKED(&shard->lock);
    if (shard->dropped)
        return -ENOENT;
    if (shard->oldest < shard->flushed && shard->flushed_ms >= ms) {
        *ret_index = shard->oldest;
        return shard->oldest_ms >= ms ? 0 : -EAGAIN;
    }
    size_t at = tail_find_locked(shard, shard->oldest, ms);
    *ret_index =
        at < shard->tail_count ? shard->tail[shard->tail_at + at]->first_index : shard->next;
    return 0;
}

int storage_shard_find(struct storage_shard *shard, int64_t ms, bool nowait, uint64_t *ret_index)
{
    storage_shard_trim_ask(shard);
    ms = kn_max_i64(ms, storage_shard_horizon(shard));
    int r = find_in_tail(shard, ms, ret_index);
    return r == -EAGAIN ? storage_segment_find(shard, ms, nowait, ret_index) : r;
}
