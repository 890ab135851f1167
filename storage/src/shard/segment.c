/* SPDX-License-Identifier: Apache-2.0 */
/* Reading segments; see segment.h and docs/format-shard.md. Frames are verified when read. */
#include "segment.h"

#include "page.h"

#include <stdio.h>

#include "core/crypto.h"

enum {
    MARK_EVERY_BYTES = 64 << 10,
    WINDOW_BYTES = 256 << 10,
    READ_AHEAD_BYTES = 128 << 10, /* over what the reader wants: headers, and the marks' distance */
};
static const uint8_t magic[8] = {'K', 'N', 'S', 'H', 'R', 'D', '1', '\n'};

int storage_segment_folder(const struct storage_shards *shards, const struct storage_id *shard,
                           char dst[STORAGE_SHARD_PATH_BYTES])
{
    char text[STORAGE_ID_TEXT_BYTES];
    storage_id_text(shard, text);
    int n = snprintf(dst, STORAGE_SHARD_PATH_BYTES, "%s/shards/%s", shards->storage->dir, text);
    return n < 0 || n >= STORAGE_SHARD_PATH_BYTES ? -EMSGSIZE : 0;
}

int storage_segment_path(const struct storage_shards *shards, const struct storage_id *shard,
                         uint64_t first, char dst[STORAGE_SHARD_PATH_BYTES])
{
    char text[STORAGE_ID_TEXT_BYTES];
    storage_id_text(shard, text);
    int n = snprintf(dst, STORAGE_SHARD_PATH_BYTES, "%s/shards/%s/%020" PRIu64 ".seg",
                     shards->storage->dir, text, first);
    return n < 0 || n >= STORAGE_SHARD_PATH_BYTES ? -EMSGSIZE : 0;
}

uint32_t storage_segment_seed(const struct storage_segment_row *row)
{
    return storage_shard_frame_seed(row->id, row->first);
}

void storage_segment_head(const struct storage_id *shard, const struct storage_segment_row *row,
                          uint8_t dst[STORAGE_SEGMENT_HEAD_BYTES])
{
    memset(dst, 0, STORAGE_SEGMENT_HEAD_BYTES);
    memcpy(dst, magic, sizeof(magic));
    memcpy(dst + 8, shard->bytes, sizeof(shard->bytes));
    memcpy(dst + 24, row->id, sizeof(row->id));
    kn_put_u64le(dst + 40, row->first);
    kn_put_u32le(dst + 48, kn_crc32c(0, (struct kn_bytes){dst, 48}));
}

/* --- opening ---------------------------------------------------------------------------------- */
static void segment_unref(struct storage_segment *segment)
{
    if (!segment || --segment->refs > 0)
        return;
    if (segment->file)
        segment->file->fs->ops->close(segment->file);
    free(segment->marks);
    free(segment);
}
KN_DEFINE_CLEANUP(struct storage_segment *, segment_unref)

static int add_mark(struct storage_segment *segment, const struct storage_shard_frame *frame)
{
    if (segment->mark_count > 0 &&
        frame->at - segment->marks[segment->mark_count - 1].at < MARK_EVERY_BYTES)
        return 0;
    if (segment->mark_count == segment->mark_cap) {
        size_t cap = segment->mark_cap ? segment->mark_cap * 2 : 16;
        struct storage_segment_mark *marks = realloc(segment->marks, cap * sizeof(*marks));
        if (!marks)
            return -ENOMEM;
        segment->marks = marks;
        segment->mark_cap = cap;
    }
    segment->marks[segment->mark_count++] = (struct storage_segment_mark){
        .index = frame->first_index, .arrival_ms = frame->arrival_ms, .at = frame->at};
    return 0;
}

/* Walks the frames' headers. */
static int scan_marks(struct storage_segment *segment, uint8_t *window)
{
    uint64_t end = segment->row.bytes, have_at = 0, have_len = 0;
    for (uint64_t at = STORAGE_SEGMENT_HEAD_BYTES; at < end;) {
        if (end - at < STORAGE_SHARD_FRAME_BYTES)
            return -EBADMSG;
        if (at + STORAGE_SHARD_FRAME_BYTES > have_at + have_len || at < have_at) {
            have_at = at;
            have_len = kn_min_u64(WINDOW_BYTES, end - at);
            int r = kn_file_read_all(segment->file, window, have_len, at);
            if (r < 0)
                return r == -ENODATA ? -EBADMSG : r;
        }
        struct storage_shard_frame frame;
        int r = storage_shard_frame_decode(window + (at - have_at), segment->seed, at, &frame);
        if (r < 0 || frame.payload_bytes > end - at - STORAGE_SHARD_FRAME_BYTES)
            return -EBADMSG;
        r = add_mark(segment, &frame);
        if (r < 0)
            return r;
        at += STORAGE_SHARD_FRAME_BYTES + frame.payload_bytes;
    }
    return 0;
}

static int segment_open(struct storage_shards *shards, const struct storage_id *shard,
                        const struct storage_segment_row *row, struct storage_segment **ret)
{
    struct kn_fs *fs = shards->storage->fs;
    char path[STORAGE_SHARD_PATH_BYTES];
    KN_CLEANUP(segment_unrefp) struct storage_segment *segment = calloc(1, sizeof(*segment));
    uint8_t *window = malloc(WINDOW_BYTES);
    int r = segment && window ? storage_segment_path(shards, shard, row->first, path) : -ENOMEM;
    if (r == 0) {
        segment->refs = 1;
        segment->shard = *shard;
        segment->row = *row;
        segment->seed = storage_segment_seed(row);
        r = fs->ops->open(fs, path, KN_FS_READ, &segment->file);
    }
    if (r == 0)
        r = scan_marks(segment, window);
    free(window);
    if (r == 0)
        *ret = KN_MOVE(segment);
    return r;
}

/* --- the cache -------------------------------------------------------------------------------- */
static void unlink_locked(struct storage_shards *shards, struct storage_segment *segment)
{
    if (segment->prev)
        segment->prev->next = segment->next;
    else
        shards->segment_newest = segment->next;
    if (segment->next)
        segment->next->prev = segment->prev;
    else
        shards->segment_oldest = segment->prev;
    shards->segment_count--;
    segment->next = segment->prev = NULL;
}

static void link_locked(struct storage_shards *shards, struct storage_segment *segment)
{
    segment->next = shards->segment_newest;
    segment->prev = NULL;
    if (segment->next)
        segment->next->prev = segment;
    else
        shards->segment_oldest = segment;
    shards->segment_newest = segment;
    shards->segment_count++;
}

static struct storage_segment *cache_find(struct storage_shards *shards,
                                          const struct storage_id *shard, uint64_t index)
{
    KN_LOCKED(&shards->segments_lock);
    for (struct storage_segment *s = shards->segment_newest; s; s = s->next) {
        if (index < s->row.first || index >= s->row.next ||
            memcmp(&s->shard, shard, sizeof(*shard)) != 0)
            continue;
        s->refs++;
        unlink_locked(shards, s);
        link_locked(shards, s);
        return s;
    }
    return NULL;
}

/* In the place of what the cache has of the same segment. */
static void cache_put(struct storage_shards *shards, struct storage_segment *segment)
{
    KN_LOCKED(&shards->segments_lock);
    for (struct storage_segment *s = shards->segment_newest; s; s = s->next) {
        if (s->row.first == segment->row.first &&
            memcmp(&s->shard, &segment->shard, sizeof(s->shard)) == 0) {
            unlink_locked(shards, s);
            segment_unref(s);
            break;
        }
    }
    segment->refs++;
    link_locked(shards, segment);
    while (shards->segment_count > shards->conf.open_segments_max) {
        struct storage_segment *s = shards->segment_oldest;
        unlink_locked(shards, s);
        segment_unref(s);
    }
}

void storage_segments_forget(struct storage_shards *shards, const struct storage_id *shard)
{
    KN_LOCKED(&shards->segments_lock);
    struct storage_segment *next;
    for (struct storage_segment *s = shards->segment_newest; s; s = next) {
        next = s->next;
        if (shard && memcmp(&s->shard, shard, sizeof(*shard)) != 0)
            continue;
        unlink_locked(shards, s);
        segment_unref(s);
    }
}

/* The segment that has this index. -ENOENT: retention has taken it meanwhile, or its file alone
 * when a crash came before its row could go. */
static int segment_of(struct storage_shard *shard, uint64_t index, bool nowait,
                      struct storage_segment **ret)
{
    struct storage_shards *shards = shard->shards;
    *ret = cache_find(shards, &shard->id, index);
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
        r = segment_open(shards, &shard->id, &row, ret);
    if (r == 0)
        cache_put(shards, *ret);
    return r;
}

/* --- reading ---------------------------------------------------------------------------------- */
/* Where to begin so as to meet the first frame with this index or later, and that time or later. */
static uint64_t mark_find(const struct storage_segment *segment, uint64_t index, int64_t ms)
{
    size_t low = 0, high = segment->mark_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const struct storage_segment_mark *mark = &segment->marks[mid];
        if (mark->index <= index || mark->arrival_ms < ms)
            low = mid + 1;
        else
            high = mid;
    }
    return low > 0 ? segment->marks[low - 1].at : STORAGE_SEGMENT_HEAD_BYTES;
}

static int read_bytes(struct storage_segment *segment, uint8_t *dst, size_t len, uint64_t at,
                      bool nowait)
{
    if (!nowait)
        return kn_file_read_all(segment->file, dst, len, at);
    struct iovec iov = {dst, len};
    ssize_t n = segment->file->fs->ops->preadv(segment->file, &iov, 1, at, true);
    return n < 0 ? (int) n : (size_t) n < len ? -EAGAIN : 0;
}

struct walk {
    struct storage_segment *segment;
    uint8_t *bytes; /* what was read, malloc'd */
    size_t len, cap;
    uint64_t from; /* its place in the file */
    bool nowait;
};

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
            size_t len = kn_min_u64(kn_max_u64(want, ahead), end - at);
            if (len > w->cap) {
                free(w->bytes);
                w->cap = 0;
                w->bytes = malloc(len);
                if (!w->bytes)
                    return -ENOMEM;
                w->cap = len;
            }
            w->len = 0;
            int r = read_bytes(w->segment, w->bytes, len, at, w->nowait);
            if (r < 0)
                return r == -ENODATA ? -EBADMSG : r;
            w->from = at;
            w->len = len;
        }
        const uint8_t *bytes = w->bytes + (at - w->from);
        if (storage_shard_frame_decode(bytes, w->segment->seed, at, ret) < 0)
            return -EBADMSG;
        if (want > STORAGE_SHARD_FRAME_BYTES || ret->payload_bytes == 0) {
            *ret_payload = (struct kn_bytes){bytes + STORAGE_SHARD_FRAME_BYTES, ret->payload_bytes};
            return kn_crc32c(0, *ret_payload) == ret->payload_crc ? 0 : -EBADMSG;
        }
        want = STORAGE_SHARD_FRAME_BYTES + ret->payload_bytes;
    }
}

/* Adds frames until the page is full or what has been read ends. */
static int fill(struct walk *w, const struct storage_shard_read *read, int64_t horizon,
                struct storage_page *page)
{
    const struct storage_segment_row *row = &w->segment->row;
    size_t ahead = kn_min_u64(read->bytes_max, MIB(16)) + READ_AHEAD_BYTES;
    uint64_t at = mark_find(w->segment, read->from, horizon);
    while (at < row->bytes) {
        struct storage_shard_frame frame;
        struct kn_bytes payload;
        int r = walk_frame(w, at, ahead, page->count == 0, &frame, &payload);
        if (r < 0)
            return r == -ENODATA ? 0 : r; /* the page's records lie in what was read */
        at += STORAGE_SHARD_FRAME_BYTES + frame.payload_bytes;
        if (frame.first_index + frame.count <= read->from || frame.arrival_ms < horizon)
            continue;
        uint64_t had = page->count;
        r = storage_page_add(page, read, frame.first_index, frame.arrival_ms, frame.count, payload,
                             read->from);
        if (r < 0)
            return r;
        if (storage_page_is_full(page, read) || page->count == had ||
            page->next < frame.first_index + frame.count)
            return 0;
    }
    page->next = row->next;
    return 0;
}

/* Only the oldest may be missing: what comes after it is where reading goes on. */
static int pass_over(struct storage_shard *shard, uint64_t from, struct storage_page *page)
{
    struct storage_segment_row row;
    uint64_t version;
    struct storage_shards *shards = shard->shards;
    kn_lock_take(&shard->lock);
    uint64_t oldest = shard->oldest;
    bool dropped = shard->dropped;
    kn_lock_give(&shard->lock);
    if (dropped)
        return -ENOENT;
    int r = 0;
    page->next = kn_max_u64(from, oldest);
    if (oldest > from) /* retention has been faster than this reader */
        return 0;
    r = storage_segment_row_at(shards->storage->meta, &shard->id, from, &row, &version);
    if (r < 0 || row.first > oldest || row.next <= from)
        return -EBADMSG;
    page->next = row.next;
    return 0;
}

int storage_segment_read(struct storage_shard *shard, const struct storage_shard_read *read,
                         struct storage_page *page)
{
    kn_lock_take(&shard->lock);
    struct storage_shard_read at = *read;
    at.from = kn_max_u64(read->from, shard->oldest);
    kn_lock_give(&shard->lock);
    KN_CLEANUP(segment_unrefp) struct storage_segment *segment = NULL;
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

static uint64_t flushed_of(struct storage_shard *shard)
{
    KN_LOCKED(&shard->lock);
    return shard->flushed;
}

/* --- by time ---------------------------------------------------------------------------------- */
struct seek {
    int64_t ms;
    struct storage_segment_row row; /* the oldest that reaches so far */
    bool any;
};

static int seek_row(void *ctx, struct kn_bytes key, struct kn_bytes value, uint64_t version)
{
    struct seek *seek = ctx;
    struct storage_segment_row row;
    (void) key;
    (void) version;
    int r = storage_segment_row_decode(value, &row);
    if (r < 0)
        return r;
    if (row.next == row.first) /* nothing in it yet */
        return 0;
    if (row.last_ms < seek->ms)
        return -ECANCELED; /* and so are all before it */
    seek->row = row;
    seek->any = true;
    return 0;
}

static int find_in(struct storage_segment *segment, int64_t ms, uint64_t *ret_index)
{
    struct walk walk = {.segment = segment};
    uint64_t at = mark_find(segment, 0, ms);
    int r = -ENOENT;
    while (at < segment->row.bytes) {
        struct storage_shard_frame frame;
        struct kn_bytes payload;
        r = walk_frame(&walk, at, WINDOW_BYTES, true, &frame, &payload);
        if (r < 0)
            break;
        if (frame.arrival_ms >= ms) {
            *ret_index = frame.first_index;
            break;
        }
        at += STORAGE_SHARD_FRAME_BYTES + frame.payload_bytes;
        r = -ENOENT;
    }
    free(walk.bytes);
    return r;
}

int storage_segment_find(struct storage_shard *shard, int64_t ms, bool nowait, uint64_t *ret_index)
{
    if (nowait)
        return -EAGAIN;
    char prefix[STORAGE_SHARD_KEY_BYTES];
    struct seek seek = {.ms = ms};
    int r =
        storage_meta_list(shard->shards->storage->meta, storage_segment_prefix(&shard->id, prefix),
                          (struct kn_bytes){NULL, 0}, SIZE_MAX, seek_row, &seek);
    if (r < 0 && r != -ECANCELED)
        return r;
    KN_CLEANUP(segment_unrefp) struct storage_segment *segment = NULL;
    r = seek.any ? segment_of(shard, seek.row.first, false, &segment) : -ENOENT;
    if (r == 0)
        r = find_in(segment, ms, ret_index);
    if (r == -ENOENT) { /* retention has taken it: what is left begins behind it */
        *ret_index = seek.any ? seek.row.next : flushed_of(shard);
        r = 0;
    }
    return r;
}
