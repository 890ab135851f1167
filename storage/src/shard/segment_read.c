/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading records of segments. Each frame is verified when it is read; damaged ones are passed
 * over, and their indexes are missing from what is returned.
 */
#include "damage.h"
#include "page.h"
#include "segment.h"

#include "core/crypto.h"

enum {
    AHEAD_PARTS = 8, /* more than what records of a segment take on the average */
    FIND_BYTES = 64 << 10,
    READ_AHEAD_BYTES = 128 << 10, /* over what the reader wants: headers, and the marks' distance */
};

KN_DEFINE_CLEANUP(struct storage_segment *, storage_segment_unref)

/* The segment that has this index. -ENOENT: retention has taken it meanwhile, or its file alone
 * when a crash came before its row could go; or it is lost. */
static int segment_of(struct storage_shard *shard, uint64_t index, bool nowait,
                      struct storage_segment **ret)
{
    struct storage_shards *shards = shard->shards;
    *ret = storage_segments_find(shards, &shard->id, index);
    if (*ret)
        return 0;
    if (nowait)
        return -EAGAIN;
    struct storage_segment_row row;
    uint64_t version;
    int r = storage_segment_row_at(shards->storage->meta, &shard->id, index, &row, &version);
    if (r == 0 && row.next <= index)
        r = -ENOENT;
    if (r == 0)
        r = storage_segment_open(shard, &row, ret);
    if (r == 0)
        storage_segments_put(shards, *ret);
    return r;
}

/* As a row of now says: the cache may have the segment as it was before it grew. */
static int segment_of_row(struct storage_shard *shard, const struct storage_segment_row *row,
                          struct storage_segment **ret)
{
    struct storage_shards *shards = shard->shards;
    *ret = storage_segments_find(shards, &shard->id, row->first);
    if (*ret && (*ret)->row.next >= row->next)
        return 0;
    storage_segment_unref(KN_MOVE(*ret));
    int r = storage_segment_open(shard, row, ret);
    if (r == 0)
        storage_segments_put(shards, *ret);
    return r;
}

/* --- frames ----------------------------------------------------------------------------------- */
struct walk {
    struct storage_segment *segment;
    uint8_t *bytes; /* what was read, malloc'd */
    size_t len, cap;
    uint64_t from; /* its place in the file */
    bool nowait;
};

static int walk_fetch(struct walk *w, uint64_t at, size_t len)
{
    if (len > w->cap) {
        free(w->bytes);
        w->cap = 0;
        w->bytes = malloc(len);
        if (!w->bytes)
            return -ENOMEM;
        w->cap = len;
    }
    w->len = 0;
    w->from = at;
    return storage_segment_pread(w->segment, w->bytes, len, at, w->nowait, &w->len);
}

/* The frame at a place, read whole and verified; more bytes are read only when `more` allows. */
static int walk_frame(struct walk *w, uint64_t at, size_t ahead, bool more,
                      struct storage_shard_frame *ret, struct kn_bytes *ret_payload)
{
    uint64_t end = w->segment->row.bytes;
    size_t want = STORAGE_SHARD_FRAME_BYTES;
    for (;;) {
        if (want > end - at)
            return -EBADMSG;
        if (at < w->from || at + want > w->from + w->len) {
            if (!more)
                return -ENODATA;
            int r = walk_fetch(w, at, kn_min_u64(kn_max_u64(want, ahead), end - at));
            if (r < 0)
                return r;
            if (w->len < want)
                return -EBADMSG;
        }
        const uint8_t *bytes = w->bytes + (at - w->from);
        if (storage_segment_frame(w->segment, bytes, at, ret) < 0)
            return -EBADMSG;
        if (want > STORAGE_SHARD_FRAME_BYTES || ret->payload_bytes == 0) {
            *ret_payload = (struct kn_bytes){bytes + STORAGE_SHARD_FRAME_BYTES, ret->payload_bytes};
            return kn_crc32c(0, *ret_payload) == ret->payload_crc ? 0 : -EBADMSG;
        }
        want = STORAGE_SHARD_FRAME_BYTES + ret->payload_bytes;
    }
}

/* The frame at *at or the next one that is whole, and its place. -ENOENT: none comes. */
static int walk_next(struct walk *w, uint64_t *at, size_t ahead, bool more,
                     struct storage_shard_frame *ret, struct kn_bytes *ret_payload)
{
    *at = kn_max_u64(*at, STORAGE_SEGMENT_HEAD_BYTES);
    while (*at < w->segment->row.bytes) {
        int r = walk_frame(w, *at, ahead, more, ret, ret_payload);
        if (r == -EBADMSG && !more)
            return -ENODATA;
        if (r == -EBADMSG)
            r = storage_segment_pass(w->segment, *at, w->nowait, at);
        else
            return r;
        if (r < 0)
            return r;
    }
    return -ENOENT;
}

/* --- a page ----------------------------------------------------------------------------------- */
/* What a page of this size takes in this segment. If its records are larger than elsewhere the page
 * is not full, and the next one goes on. */
static size_t ahead_of(const struct storage_segment_row *row, const struct storage_shard_read *read)
{
    uint64_t records = kn_max_u64(row->records, 1);
    uint64_t each = row->bytes / records + 1, count = kn_min_u64(read->count_max, records);
    uint64_t bytes = kn_min_u64(read->bytes_max + STORAGE_SHARD_RECORD_HEAD_BYTES * count,
                                count * (each + each / AHEAD_PARTS));
    return kn_min_u64(bytes, MIB(16)) + READ_AHEAD_BYTES;
}

/* Adds frames until the page is full or what has been read ends. */
static int fill(struct walk *w, const struct storage_shard_read *read, int64_t horizon,
                struct storage_page *page)
{
    size_t ahead = ahead_of(&w->segment->row, read);
    uint64_t at = storage_marks_find(&w->segment->marks, read->from, horizon, NULL);
    for (;;) {
        struct storage_shard_frame frame;
        struct kn_bytes payload;
        int r = walk_next(w, &at, ahead, page->count == 0, &frame, &payload);
        if (r == -ENODATA) /* the page's records lie in what was read */
            return 0;
        if (r == -ENOENT)
            break;
        if (r < 0)
            return r;
        at += STORAGE_SHARD_FRAME_BYTES + frame.payload_bytes;
        /* Also one that does not go on where the page is: no index is read twice. */
        if (frame.count == 0 || frame.first_index + frame.count <= page->next ||
            frame.arrival_ms < horizon)
            continue;
        size_t had = page->count;
        r = storage_page_add(page, read, frame.first_index, frame.arrival_ms, frame.count, payload,
                             page->next);
        if (r == -EBADMSG) /* nothing of it was added; it is what was written, and was wrong then */
            r = storage_segment_pass(w->segment, frame.at, w->nowait, &at);
        else if (r == 0 && (storage_page_is_full(page, read) || page->count == had ||
                            page->next < frame.first_index + frame.count))
            return 0;
        if (r < 0)
            return r;
    }
    page->next = w->segment->row.next;
    return 0;
}

struct following {
    uint64_t from;
    struct storage_segment_row row;
    bool any;
};

static int take_following(void *ctx, struct kn_bytes key, struct kn_bytes value, uint64_t version)
{
    struct following *following = ctx;
    struct storage_segment_row row;
    (void) key;
    (void) version;
    int r = storage_segment_row_decode(value, &row);
    if (r == 0 && row.first <= following->from)
        return -ECANCELED;
    following->row = row;
    following->any = true;
    return r;
}

/* Where reading goes on when the segment of an index is not there: behind it, and where another
 * begins. ret_ms: its newest arrival, if that is known. */
static int next_segment(struct storage_shard *shard, uint64_t from, uint64_t flushed,
                        uint64_t *ret_next, int64_t *ret_ms)
{
    struct storage_meta *meta = shard->shards->storage->meta;
    struct storage_segment_row row;
    uint64_t version;
    int r = storage_segment_row_at(meta, &shard->id, from, &row, &version);
    if (r == 0 && row.next > from) {
        *ret_next = row.next;
        *ret_ms = row.last_ms;
        return 0;
    }
    if (r < 0 && r != -ENOENT)
        return r;
    char prefix[STORAGE_SHARD_KEY_BYTES];
    struct following following = {.from = from};
    r = storage_meta_list(meta, storage_segment_prefix(&shard->id, prefix),
                          (struct kn_bytes){NULL, 0}, SIZE_MAX, take_following, &following);
    *ret_next = following.any ? following.row.first : flushed;
    return r == -ECANCELED ? 0 : r;
}

/* One that was trimmed may be missing: retention has taken it. Others are lost. */
static int pass_over(struct storage_shard *shard, uint64_t from, struct storage_page *page)
{
    kn_lock_take(&shard->lock);
    uint64_t oldest = shard->oldest, flushed = shard->flushed;
    bool dropped = shard->dropped;
    kn_lock_give(&shard->lock);
    if (dropped)
        return -ENOENT;
    page->next = kn_max_u64(from, oldest);
    if (oldest > from) /* retention has been faster than this reader */
        return 0;
    int64_t last_ms = INT64_MIN;
    int r = next_segment(shard, from, flushed, &page->next, &last_ms);
    bool is_known = last_ms > INT64_MIN;
    if (r == 0 && (is_known ? last_ms > storage_shard_horizon(shard) : from > oldest))
        storage_shard_damaged(STORAGE_SHARD_IN_SEGMENT, &shard->id, from, 0, 0);
    return r;
}

int storage_segment_read(struct storage_shard *shard, const struct storage_shard_read *read,
                         struct storage_page *page)
{
    kn_lock_take(&shard->lock);
    struct storage_shard_read at = *read;
    at.from = kn_max_u64(read->from, shard->oldest);
    kn_lock_give(&shard->lock);
    KN_CLEANUP(storage_segment_unrefp) struct storage_segment *segment = NULL;
    int r = segment_of(shard, at.from, read->nowait, &segment);
    if (r == -ENOENT)
        return pass_over(shard, at.from, page);
    if (r < 0)
        return r;
    struct walk walk = {.segment = segment, .nowait = read->nowait};
    page->next = at.from;
    r = fill(&walk, &at, storage_shard_horizon(shard), page);
    page->hold->buffer = walk.bytes;
    return r;
}

/* --- by time ---------------------------------------------------------------------------------- */
/* The oldest segment that reaches so far, by halving between two indexes. -ENOENT: none. */
static int seek_row(struct storage_shard *shard, int64_t ms, uint64_t low, uint64_t high,
                    struct storage_segment_row *ret)
{
    struct storage_meta *meta = shard->shards->storage->meta;
    bool any = false;
    while (low < high) {
        uint64_t mid = low + (high - low) / 2, version;
        struct storage_segment_row row;
        int r = storage_segment_row_at(meta, &shard->id, mid, &row, &version);
        if (r < 0 && r != -ENOENT)
            return r;
        if (r == 0 && row.next > row.first && row.last_ms >= ms) {
            *ret = row;
            any = true;
            high = row.first;
        } else {
            low = r == 0 && row.next > mid ? row.next : mid + 1;
        }
    }
    return any ? 0 : -ENOENT;
}

/* Headers are enough for it: a record whose payload is damaged is passed over when it is read. The
 * next mark is the answer if all in front of it came earlier. */
static int find_in(struct storage_segment *segment, int64_t ms, bool nowait, uint64_t *ret_index)
{
    struct storage_mark next = {.index = segment->row.next, .at = segment->row.bytes};
    uint64_t at = storage_marks_find(&segment->marks, 0, ms, &next), from = 0;
    uint8_t *bytes = malloc(FIND_BYTES);
    size_t len = 0;
    int r = bytes ? 0 : -ENOMEM;
    *ret_index = next.index; /* unless it is one of those in front of it */
    for (at = kn_max_u64(at, STORAGE_SEGMENT_HEAD_BYTES); r == 0 && at < next.at;) {
        struct storage_shard_frame frame;
        if (at + STORAGE_SHARD_FRAME_BYTES > from + len) {
            from = at;
            r = storage_segment_pread(segment, bytes, kn_min_u64(FIND_BYTES, next.at - at), at,
                                      nowait, &len);
            if (r < 0)
                break;
        }
        if (len < STORAGE_SHARD_FRAME_BYTES ||
            storage_segment_frame(segment, bytes + (at - from), at, &frame) < 0) {
            r = storage_segment_pass(segment, at, nowait, &at);
            len = 0;
        } else if (frame.arrival_ms >= ms) {
            *ret_index = frame.first_index;
            break;
        } else {
            at += STORAGE_SHARD_FRAME_BYTES + frame.payload_bytes;
        }
    }
    free(bytes);
    return r;
}

int storage_segment_find(struct storage_shard *shard, int64_t ms, bool nowait, uint64_t *ret_index)
{
    kn_lock_take(&shard->lock);
    uint64_t oldest = shard->oldest, flushed = shard->flushed;
    kn_lock_give(&shard->lock);
    struct storage_segment_row row;
    KN_CLEANUP(storage_segment_unrefp)
    struct storage_segment *segment =
        storage_segments_find_ms(shard->shards, &shard->id, ms, oldest);
    if (!segment && nowait)
        return -EAGAIN;
    *ret_index = flushed;
    int r = segment ? 0 : seek_row(shard, ms, oldest, flushed, &row);
    if (r == 0 && !segment) {
        *ret_index = row.next;
        r = segment_of_row(shard, &row, &segment);
    }
    if (r == 0)
        r = find_in(segment, ms, nowait, ret_index);
    return r == -ENOENT ? 0 : r; /* retention has taken it: what is left begins behind it */
}
