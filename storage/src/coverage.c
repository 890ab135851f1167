/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is recorded, as spans of server time: pages of the index, joined over small gaps. A fragment
 * covers from its server time to that plus its full duration.
 */
#include "storage/fragment.h"

enum { PAGE = 1024 };

static int64_t end_of(const struct storage_fragment *fragment)
{
    return fragment->number.server_ts_ms + (int64_t) fragment->full_duration_ms;
}

/* Adds one fragment; false when out is full. */
static bool add(struct storage_span *out, size_t cap, size_t *count, int64_t gap_ms,
                const struct storage_fragment *fragment)
{
    struct storage_span *last = *count > 0 ? &out[*count - 1] : NULL;
    if (!last || fragment->number.server_ts_ms - last->to_ms > gap_ms) {
        if (*count == cap)
            return false;
        last = &out[(*count)++];
        *last = (struct storage_span){.from_ms = fragment->number.server_ts_ms};
    }
    last->to_ms = kn_max_i64(last->to_ms, end_of(fragment));
    last->fragments++;
    last->bytes += fragment->bytes;
    return true;
}

int storage_coverage(struct storage *storage, const struct storage_id *stream, int64_t from_ms,
                     int64_t to_ms, int64_t gap_ms, struct storage_span *out, size_t cap,
                     size_t *ret_count)
{
    struct storage_fragment *page = malloc(PAGE * sizeof *page);
    struct storage_query query = {.order = STORAGE_BY_SERVER_TS, .from_ms = from_ms, .to_ms = to_ms};
    size_t count = 0, found = PAGE;
    int code = page ? 0 : -ENOMEM;
    while (code == 0 && found == PAGE) {
        code = storage_find(storage, stream, &query, page, PAGE, &found, false);
        for (size_t i = 0; code == 0 && i < found; i++)
            if (!add(out, cap, &count, gap_ms, &page[i]))
                found = i; /* full: this is all the caller can hold */
        if (code == 0 && found > 0)
            query.after_seq = page[found - 1].number.seq;
    }
    free(page);
    if (code == 0)
        *ret_count = count;
    return code;
}
