/* SPDX-License-Identifier: Apache-2.0 */
/* Places of frames in a segment; see marks.h. */
#include "marks.h"

#include <stdlib.h>

#include "core/crypto.h"

enum {
    HEAD_BYTES = 24,
    MARK_BYTES = 24,
};
static const uint8_t magic[8] = {'K', 'N', 'S', 'I', 'D', 'X', '1', '\n'};

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

uint64_t storage_marks_find(const struct storage_marks *marks, uint64_t index, int64_t ms,
                            struct storage_mark *ret_next)
{
    size_t at = KN_BISECT(i, 0, marks->count,
                          marks->items[i].index <= index || marks->items[i].arrival_ms < ms);
    if (ret_next && at < marks->count)
        *ret_next = marks->items[at];
    return at > 0 ? marks->items[at - 1].at : 0;
}

void storage_marks_done(struct storage_marks *marks)
{
    free(marks->items);
    *marks = (struct storage_marks){.count = 0};
}

int storage_marks_copy(const struct storage_marks *marks, uint64_t end, struct storage_marks *ret)
{
    size_t count = marks->count;
    while (count > 0 && marks->items[count - 1].at >= end)
        count--;
    *ret = (struct storage_marks){.count = 0};
    if (count == 0)
        return 0;
    ret->items = malloc(count * sizeof(*ret->items));
    if (!ret->items)
        return -ENOMEM;
    memcpy(ret->items, marks->items, count * sizeof(*ret->items));
    ret->count = ret->cap = count;
    return 0;
}

/* --- on disk ---------------------------------------------------------------------------------- */
size_t storage_marks_bytes_max(uint64_t end)
{
    return HEAD_BYTES + (size_t) (end / STORAGE_MARK_EVERY_BYTES + 1) * MARK_BYTES;
}

int storage_marks_encode(const struct storage_marks *marks, uint32_t seed, uint64_t end,
                         struct kn_buf *dst)
{
    uint8_t head[HEAD_BYTES] = {0};
    kn_buf_clear(dst);
    memcpy(head, magic, sizeof(magic));
    kn_put_u32le(head + 12, (uint32_t) marks->count);
    kn_put_u64le(head + 16, end);
    (void) kn_buf_append(dst, head, sizeof(head));
    for (size_t i = 0; i < marks->count; i++) {
        uint8_t mark[MARK_BYTES];
        kn_put_u64le(mark, marks->items[i].index);
        kn_put_u64le(mark + 8, (uint64_t) marks->items[i].arrival_ms);
        kn_put_u64le(mark + 16, marks->items[i].at);
        (void) kn_buf_append(dst, mark, sizeof(mark));
    }
    if (dst->error < 0)
        return dst->error;
    struct kn_bytes all = kn_buf_bytes(dst);
    kn_put_u32le(dst->ptr + 8, kn_crc32c(seed, (struct kn_bytes){all.ptr + 12, all.len - 12}));
    return 0;
}

static int read_marks(struct kn_reader *in, uint64_t end, struct storage_marks *marks)
{
    for (size_t i = 0; i < marks->count; i++) {
        struct storage_mark *mark = &marks->items[i];
        uint64_t arrival;
        if (kn_read_u64le(in, &mark->index) < 0 || kn_read_u64le(in, &arrival) < 0 ||
            kn_read_u64le(in, &mark->at) < 0 || mark->at >= end ||
            (i > 0 && mark->at <= mark[-1].at))
            return -ENODATA;
        mark->arrival_ms = (int64_t) arrival;
    }
    return 0;
}

int storage_marks_decode(struct kn_bytes src, uint32_t seed, uint64_t end,
                         struct storage_marks *ret)
{
    struct kn_reader in = kn_reader_of(src);
    struct kn_bytes got_magic;
    uint32_t crc, count;
    uint64_t at;
    if (kn_read_bytes(&in, sizeof(magic), &got_magic) < 0 || kn_read_u32le(&in, &crc) < 0 ||
        kn_read_u32le(&in, &count) < 0 || kn_read_u64le(&in, &at) < 0 ||
        memcmp(got_magic.ptr, magic, sizeof(magic)) != 0 || at != end || count == 0 ||
        count > kn_reader_left(&in) / MARK_BYTES ||
        crc != kn_crc32c(seed, (struct kn_bytes){src.ptr + 12,
                                                 HEAD_BYTES - 12 + (size_t) count * MARK_BYTES}))
        return -ENODATA;
    struct storage_marks marks = {.count = count, .cap = count};
    marks.items = malloc(count * sizeof(*marks.items));
    if (!marks.items)
        return -ENOMEM;
    int r = read_marks(&in, end, &marks);
    if (r < 0)
        storage_marks_done(&marks);
    else
        *ret = marks;
    return r;
}
