/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ListStreams, sorted by name. A page may hold fewer than MaxResults: it also ends where the memory
 * of the request does, and NextToken goes on from there.
 */
#include "page_token.h"
#include "resource.h"

enum {
    LIST_RESULTS_MAX = 10000, /* also the default. @source KVS API reference, ListStreams */
    BATCH = 128,
};

struct page {
    struct ingest_StreamInfo *items;
    size_t count, cap;
    struct kn_str last; /* in the arena */
    bool full;
};

/* Adds streams after page->last until the page is full; false: there are no more. */
static bool add_batch(struct ingest *ingest, struct kn_api_call *call, struct kn_str prefix,
                      struct kn_str after, struct page *page)
{
    struct storage_stream *batch[BATCH];
    size_t want = page->cap - page->count < BATCH ? page->cap - page->count + 1 : BATCH;
    want = want > BATCH ? BATCH : want;
    struct kn_str from = page->count ? page->last : after;
    size_t got = storage_stream_list(ingest->storage, prefix, from, batch, want);
    for (size_t i = 0; i < got; i++) {
        if (!page->full && page->count < page->cap) {
            struct ingest_StreamInfo *info = &page->items[page->count];
            if (ingest_stream_info(call, batch[i], info) == 0) {
                page->last = info->StreamName;
                page->count++;
            } else {
                page->full = true;
            }
        } else {
            page->full = true; /* one more than fits: there is a next page */
        }
        storage_stream_unref(batch[i]);
    }
    return got == want && !page->full;
}

static struct ingest_StreamInfo *room_for(struct kn_api_call *call, size_t cap)
{
    return kn_arena_alloc(call->arena, cap * sizeof(struct ingest_StreamInfo));
}

int ingest_op_ListStreams(struct ingest *ingest, const struct ingest_ListStreams_in *in,
                          struct ingest_ListStreams_out *out, struct kn_api_call *call)
{
    struct kn_str after = {NULL, 0}, prefix = {NULL, 0};
    if (in->NextToken.len > 0) {
        int r = ingest_page_token_read(call->arena, 'S', in->NextToken, &after);
        if (r == -EINVAL)
            return kn_api_fault(call, "InvalidArgumentException", "NextToken is not valid.");
        if (r < 0)
            return r;
    }
    if (in->StreamNameCondition && in->StreamNameCondition->ComparisonValue.ptr)
        prefix = in->StreamNameCondition->ComparisonValue;

    size_t most = in->MaxResults.set ? (size_t) in->MaxResults.v : LIST_RESULTS_MAX;
    size_t streams = storage_stream_count(ingest->storage) + 1;
    char *token = kn_arena_alloc(call->arena, INGEST_PAGE_TOKEN_BYTES_MAX); /* before it is full */
    struct page page = {.cap = most < streams ? most : streams};
    page.items = room_for(call, page.cap);
    while (!page.items && page.cap > 1) {
        page.cap /= 2;
        page.items = room_for(call, page.cap);
    }
    if (!page.items || !token)
        return -ENOMEM;
    while (add_batch(ingest, call, prefix, after, &page))
        continue;

    out->StreamInfoList.set = true;
    out->StreamInfoList.items = page.items;
    out->StreamInfoList.count = page.count;
    if (!page.full)
        return 0;
    if (page.count == 0)
        return -ENOMEM;
    out->NextToken = ingest_page_token(token, 'S', page.last);
    return out->NextToken.ptr ? 0 : -ENOMEM;
}
