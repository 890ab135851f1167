/* SPDX-License-Identifier: Apache-2.0 */
/* A segment's file; see segment.h and docs/format-shard.md. */
#include "segment.h"

#include "damage.h"
#include "pack.h"

#include <stdio.h>

#include "core/crypto.h"

enum {
    MARKS_ALIGN = 4096,
    HOLES_MAX = 10000, /* remembered of one segment; past that they are searched for again */
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

int storage_segment_head_read(struct kn_file *file, uint64_t place, struct storage_id *ret_shard,
                              uint8_t ret_id[16], uint64_t *ret_first)
{
    uint8_t bytes[STORAGE_SEGMENT_HEAD_BYTES];
    int r = kn_file_read_all(file, bytes, sizeof(bytes), place);
    if (r < 0)
        return r;
    struct kn_reader in = kn_reader_of((struct kn_bytes){bytes + 40, 12});
    uint32_t crc;
    r = kn_read_u64le(&in, ret_first);
    r = r < 0 ? r : kn_read_u32le(&in, &crc);
    if (r < 0 || memcmp(bytes, magic, sizeof(magic)) != 0 ||
        crc != kn_crc32c(0, (struct kn_bytes){bytes, 48}))
        return -ENODATA;
    memcpy(ret_shard->bytes, bytes + 8, sizeof(ret_shard->bytes));
    memcpy(ret_id, bytes + 24, 16);
    return 0;
}

/* --- bytes ------------------------------------------------------------------------------------ */
int storage_segment_pread(struct storage_segment *segment, uint8_t *dst, size_t len, uint64_t at,
                          bool nowait, size_t *ret_len)
{
    size_t got = 0;
    while (got < len) {
        struct iovec iov = {dst + got, len - got};
        uint64_t place = segment->row.place + at + got;
        ssize_t n = segment->file->fs->ops->preadv(segment->file, &iov, 1, place, nowait);
        if (n == -EIO)
            return nowait ? -EAGAIN : storage_sick_read(segment, dst, len, at, ret_len);
        if (n < 0)
            return (int) n;
        if (n == 0)
            break;
        got += (size_t) n;
    }
    storage_sick_got(segment, at, got);
    *ret_len = got;
    return 0;
}

int storage_segment_frame(const struct storage_segment *segment, const uint8_t *src, uint64_t at,
                          struct storage_shard_frame *ret)
{
    const struct storage_segment_row *row = &segment->row;
    if (storage_shard_frame_decode(src, segment->seed, at, ret) < 0 ||
        ret->payload_bytes > row->bytes - at - STORAGE_SHARD_FRAME_BYTES ||
        storage_id_cmp(&ret->shard, &segment->shard) != 0 || ret->first_index < row->first ||
        ret->first_index > row->next || ret->count > row->next - ret->first_index)
        return -EBADMSG;
    return 0;
}

/* --- damage ----------------------------------------------------------------------------------- */
static bool hole_known(struct storage_segment *segment, uint64_t at, uint64_t *ret_end)
{
    KN_LOCKED(&segment->lock);
    for (size_t i = 0; i < segment->hole_count; i++) {
        if (segment->holes[i].at == at) {
            *ret_end = segment->holes[i].end;
            return true;
        }
    }
    return false;
}

/* True: it is new. */
static bool hole_add(struct storage_segment *segment, uint64_t at, uint64_t end)
{
    KN_LOCKED(&segment->lock);
    for (size_t i = 0; i < segment->hole_count; i++) {
        if (segment->holes[i].at == at)
            return false;
    }
    if (segment->hole_count == segment->hole_cap) {
        size_t cap = segment->hole_cap ? segment->hole_cap * 2 : 4;
        struct storage_segment_hole *holes =
            cap <= HOLES_MAX ? realloc(segment->holes, cap * sizeof(*holes)) : NULL;
        if (!holes)
            return true; /* it will be said again */
        segment->holes = holes;
        segment->hole_cap = cap;
    }
    segment->holes[segment->hole_count++] = (struct storage_segment_hole){at, end};
    return true;
}

/* The first header at or behind a place; the segment's end if there is none. */
static int seek_frame(struct storage_segment *segment, uint64_t at, bool nowait, uint8_t *window,
                      uint64_t *ret)
{
    uint64_t end = segment->row.bytes;
    *ret = end;
    while (end - at >= STORAGE_SHARD_FRAME_BYTES) {
        struct storage_shard_frame frame;
        size_t len, want = kn_min_u64(STORAGE_SEGMENT_WINDOW_BYTES, end - at);
        int r = storage_segment_pread(segment, window, want, at, nowait, &len);
        if (r < 0)
            return r;
        if (storage_shard_frame_seek((struct kn_bytes){window, len}, segment->seed, at, &frame) ==
            0) {
            *ret = frame.at;
            return 0;
        }
        if (len < want)
            return 0; /* the file is shorter than it was */
        at += len - (STORAGE_SHARD_FRAME_BYTES - 1);
    }
    return 0;
}

/* Where another frame may begin: behind this one if only its payload is damaged. */
static int behind(struct storage_segment *segment, uint64_t at, bool nowait, uint64_t *ret)
{
    uint8_t bytes[STORAGE_SHARD_FRAME_BYTES];
    struct storage_shard_frame frame;
    size_t len = 0;
    uint64_t left = segment->row.bytes - at;
    int r =
        storage_segment_pread(segment, bytes, kn_min_u64(sizeof(bytes), left), at, nowait, &len);
    if (r < 0)
        return r;
    *ret = at + 1;
    if (len == sizeof(bytes) && storage_segment_frame(segment, bytes, at, &frame) == 0)
        *ret = at + STORAGE_SHARD_FRAME_BYTES + frame.payload_bytes;
    return 0;
}

int storage_segment_pass(struct storage_segment *segment, uint64_t at, bool nowait,
                         uint64_t *ret_next)
{
    if (hole_known(segment, at, ret_next))
        return 0;
    uint8_t *window = malloc(STORAGE_SEGMENT_WINDOW_BYTES);
    uint64_t from = 0;
    int r = window ? behind(segment, at, nowait, &from) : -ENOMEM;
    if (r == 0)
        r = seek_frame(segment, from, nowait, window, ret_next);
    free(window);
    if (r == 0 && hole_add(segment, at, *ret_next))
        storage_shard_damaged(STORAGE_SHARD_IN_SEGMENT, &segment->shard, segment->row.first, at,
                              *ret_next - at);
    return r;
}

/* --- opening ---------------------------------------------------------------------------------- */
void storage_segment_unref(struct storage_segment *segment)
{
    if (!segment || --segment->refs > 0)
        return;
    if (segment->file)
        segment->file->fs->ops->close(segment->file);
    storage_marks_done(&segment->marks);
    kn_lock_done(&segment->lock);
    free(segment->holes);
    free(segment);
}
KN_DEFINE_CLEANUP(struct storage_segment *, storage_segment_unref)

struct window {
    uint8_t *bytes;
    uint64_t at;
    size_t len;
};

/* -EBADMSG: there is no frame here. */
static int header_at(struct storage_segment *segment, struct window *w, uint64_t at,
                     struct storage_shard_frame *ret)
{
    uint64_t left = segment->row.bytes - at;
    if (at < w->at || at + STORAGE_SHARD_FRAME_BYTES > w->at + w->len) {
        w->at = at;
        w->len = 0;
        int r = storage_segment_pread(
            segment, w->bytes, kn_min_u64(STORAGE_SEGMENT_WINDOW_BYTES, left), at, false, &w->len);
        if (r < 0)
            return r;
        if (w->len < STORAGE_SHARD_FRAME_BYTES)
            return -EBADMSG;
    }
    return storage_segment_frame(segment, w->bytes + (at - w->at), at, ret);
}

/* Walks the frames' headers. */
static int walk_headers(struct storage_segment *segment, struct window *w)
{
    for (uint64_t at = STORAGE_SEGMENT_HEAD_BYTES; at < segment->row.bytes;) {
        struct storage_shard_frame frame;
        int r = header_at(segment, w, at, &frame);
        if (r == 0) {
            r = storage_marks_add(&segment->marks, &frame);
            at += STORAGE_SHARD_FRAME_BYTES + frame.payload_bytes;
        } else if (r == -EBADMSG) {
            r = storage_segment_pass(segment, at, false, &at);
        }
        if (r < 0)
            return r;
    }
    return 0;
}

static int walk(struct storage_segment *segment)
{
    struct window w = {.bytes = malloc(STORAGE_SEGMENT_WINDOW_BYTES)};
    int r = w.bytes ? walk_headers(segment, &w) : -ENOMEM;
    free(w.bytes);
    return r;
}

/* --- marks ------------------------------------------------------------------------------------ */
/* In no sector that has records in it. */
static uint64_t marks_at(const struct storage_segment_row *row)
{
    return (row->bytes + MARKS_ALIGN - 1) / MARKS_ALIGN * MARKS_ALIGN;
}

void storage_segment_put_marks(struct storage_shards *shards, const struct storage_id *shard,
                               const struct storage_segment_row *row,
                               const struct storage_marks *marks)
{
    struct kn_fs *fs = shards->storage->fs;
    char path[STORAGE_SHARD_PATH_BYTES];
    struct kn_buf bytes;
    struct kn_file *file;
    if (row->pack > 0) /* it is small */
        return;
    kn_buf_init(&bytes, storage_marks_bytes_max(row->bytes));
    int r = storage_marks_encode(marks, storage_segment_seed(row), row->bytes, &bytes);
    if (r == 0)
        r = storage_segment_path(shards, shard, row->first, path);
    if (r == 0)
        r = fs->ops->open(fs, path, KN_FS_WRITE, &file);
    if (r == 0) {
        struct iovec iov = {bytes.ptr, kn_buf_bytes(&bytes).len};
        r = kn_file_write_all(file, &iov, 1, marks_at(row));
        fs->ops->close(file);
    }
    kn_buf_done(&bytes);
    (void) r; /* what is not there is walked */
}

static int marks_of_memory(struct storage_shard *shard, struct storage_segment *segment)
{
    KN_LOCKED(&shard->lock);
    if (shard->marks_first != segment->row.first || shard->marks_end < segment->row.bytes)
        return -ENODATA;
    return storage_marks_copy(&shard->marks, segment->row.bytes, &segment->marks);
}

static int marks_of_disk(struct storage_segment *segment)
{
    const struct storage_segment_row *row = &segment->row;
    size_t len = 0, max = storage_marks_bytes_max(row->bytes);
    if (!row->sealed || row->pack > 0)
        return -ENODATA;
    uint8_t *bytes = malloc(max);
    if (!bytes)
        return -ENOMEM;
    int r = storage_segment_pread(segment, bytes, max, marks_at(row), false, &len);
    if (r == 0)
        r = storage_marks_decode((struct kn_bytes){bytes, len}, segment->seed, row->bytes,
                                 &segment->marks);
    free(bytes);
    return r == -EIO ? -ENODATA : r; /* the disk refuses them: it is walked */
}

/* For who reads it next. */
static void keep_marks(struct storage_shard *shard, const struct storage_segment *segment)
{
    const struct storage_segment_row *row = &segment->row;
    struct storage_marks marks;
    if (row->sealed) {
        storage_segment_put_marks(shard->shards, &shard->id, row, &segment->marks);
        return;
    }
    KN_LOCKED(&shard->lock);
    if (shard->flushed != row->next || (shard->marks_first == row->first && shard->marks_end > 0) ||
        storage_marks_copy(&segment->marks, row->bytes, &marks) < 0)
        return; /* it has grown meanwhile */
    storage_marks_done(&shard->marks);
    shard->marks = marks;
    shard->marks_first = row->first;
    shard->marks_end = row->bytes;
}

static int find_marks(struct storage_shard *shard, struct storage_segment *segment)
{
    int r = marks_of_memory(shard, segment);
    if (r == -ENODATA)
        r = marks_of_disk(segment);
    if (r != -ENODATA)
        return r;
    r = walk(segment);
    if (r == 0 && segment->marks.count > 0)
        keep_marks(shard, segment);
    return r;
}

int storage_segment_open(struct storage_shard *shard, const struct storage_segment_row *row,
                         struct storage_segment **ret)
{
    struct kn_fs *fs = shard->shards->storage->fs;
    char path[STORAGE_SHARD_PATH_BYTES];
    KN_CLEANUP(storage_segment_unrefp) struct storage_segment *segment = NULL;
    int r = storage_segment_file(shard->shards, &shard->id, row, path);
    if (r < 0)
        return r;
    segment = calloc(1, sizeof(*segment));
    if (!segment)
        return -ENOMEM;
    kn_lock_init(&segment->lock);
    segment->refs = 1;
    segment->shards = shard->shards;
    segment->shard = shard->id;
    segment->row = *row;
    segment->seed = storage_segment_seed(row);
    r = fs->ops->open(fs, path, KN_FS_READ, &segment->file);
    if (r == 0)
        r = find_marks(shard, segment);
    if (r == 0)
        *ret = KN_MOVE(segment);
    return r;
}
