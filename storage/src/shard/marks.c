/* SPDX-License-Identifier: Apache-2.0 */
/* Places of frames in a segment; see marks.h. */
#include "marks.h"

#include <stdlib.h>

int storage_marks_add(struct storage_marks *marks, const struct storage_shard_frame *frame)
{
    if (marks->count > 0 &&
        frame->at - marks->items[marks->count - 1].at < STORAGE_MARK_EVERY_BYTES)
        return 0;
    if (marks->count == marks->cap) {
        size_t cap = marks->cap ? marks->cap * 2 : 16;
        struct storage_mark *items = realloc(marks->items, cap * sizeof(*items));
        if (!items)
            return -ENOMEM;
        marks->items = items;
        marks->cap = cap;
    }
    marks->items[marks->count++] = (struct storage_mark){
        .index = frame->first_index, .arrival_ms = frame->arrival_ms, .at = frame->at};
    return 0;
}

uint64_t storage_marks_find(const struct storage_marks *marks, uint64_t index, int64_t ms)
{
    size_t low = 0, high = marks->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const struct storage_mark *mark = &marks->items[mid];
        if (mark->index <= index || mark->arrival_ms < ms)
            low = mid + 1;
        else
            high = mid;
    }
    return low > 0 ? marks->items[low - 1].at : 0;
}

void storage_marks_done(struct storage_marks *marks)
{
    free(marks->items);
    *marks = (struct storage_marks){.count = 0};
}
