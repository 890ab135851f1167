/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading what a fragment holds: its bytes, its frame table, its header. Bytes of a fragment in
 * flight come from its window in memory, those already written from the file; a caller on an event
 * loop gets -EAGAIN where the page cache does not have them.
 */
#include "cursor.h"

enum {
    IOV_MAX_OURS = 1024 /* IOV_MAX: a large piece of a segment is hundreds of frames */
};

/* The chunk a fragment lies in; a reference. Takes and gives the log's lock itself. */
static int chunk_of(struct storage *storage, const struct storage_id *stream,
                    const struct storage_fragment *f, bool nowait, struct storage_chunk **ret)
{
    struct storage_cursor c;
    struct storage_reach reach = {f->chunk, INT64_MIN};
    int r = storage_cursor_open(storage, stream, nowait, &reach, &c);
    if (r < 0)
        return r;
    r = 1;
    while (r == 1) {
        struct storage_chunk_row *row = storage_directory_find(&c.log->directory, f->chunk);
        r = row ? storage_cursor_chunk(&c, row, ret) : -ENOENT;
    }
    if (r == 0)
        storage_chunk_ref(*ret);
    storage_cursor_close(&c);
    return r == -EBADMSG ? -EIO : r;
}

/* The fragment as it now stands in the index; -ENOENT. */
static int committed(struct storage_log *log, const struct storage_chunk *chunk, uint64_t seq,
                     struct storage_fragment *ret)
{
    KN_LOCKED(&log->lock);
    uint32_t at = storage_index_after_seq(&chunk->index, seq - 1);
    if (at == chunk->index.count ||
        storage_entry_seq(storage_index_entry(&chunk->index, at), &chunk->index.head) != seq)
        return -ENOENT;
    storage_cursor_fragment(chunk, at, ret);
    return 0;
}

/* How many of the vectors lie within `limit` bytes; *ret_cut: bytes of the next one that do. */
static int vectors_within(const struct iovec *iov, int n, uint64_t limit, size_t *ret_cut)
{
    int whole = 0;
    n = n < IOV_MAX_OURS ? n : IOV_MAX_OURS;
    while (whole < n && iov[whole].iov_len <= limit)
        limit -= iov[whole++].iov_len;
    *ret_cut = whole < n ? (size_t) limit : 0;
    return whole;
}

/* Reads [off, off + Σ iov) of the chunk's file, at most `limit` bytes. */
static ssize_t read_file(struct storage_chunk *chunk, uint64_t off, uint64_t limit,
                         const struct iovec *iov, int n, bool nowait)
{
    size_t cut;
    int count = vectors_within(iov, n, limit, &cut);
    struct iovec first;
    if (count == 0 && cut > 0) { /* the rest comes with the next call */
        first = (struct iovec){iov[0].iov_base, cut};
        iov = &first;
        count = 1;
    }
    if (count == 0)
        return 0;
    ssize_t r = chunk->file->fs->ops->preadv(chunk->file, iov, count, off, nowait);
    if (r == 0)
        return -EIO; /* the index promised bytes here */
    return r;
}

/* What of an arrival can be read at off: from memory (> 0), or where in the file (0 and
 * *ret_limit > 0), or nothing yet (0 and 0). -ECANCELED: it is no more, or a Void lies there. */
static ssize_t read_arrival(struct storage_log *log, const struct storage_fragment *f, uint64_t off,
                            const struct iovec *iov, int n, struct storage_chunk **ret_chunk,
                            uint64_t *ret_limit)
{
    KN_LOCKED(&log->lock);
    struct storage_arrival *a = storage_arrival_find_locked(log, f->number.seq);
    *ret_limit = 0;
    if (!a)
        return -ECANCELED;
    if (off >= a->visible)
        return 0;
    if (off >= a->window_start)
        return (ssize_t) storage_arrival_copy_locked(a, off, iov, n);
    if (a->voided)
        return -ECANCELED;
    *ret_limit = kn_min_u64(a->window_start, a->visible) - off;
    *ret_chunk = storage_chunk_ref(a->chunk);
    return 0;
}

/* Whether what was just read from an arrival's place in the file is still its bytes: it is under
 * way, and no Void has been begun over it. */
static bool still_there(struct storage_log *log, uint64_t seq)
{
    KN_LOCKED(&log->lock);
    struct storage_arrival *a = storage_arrival_find_locked(log, seq);
    return a && !a->voided;
}

ssize_t storage_read(struct storage *storage, const struct storage_id *stream,
                     const struct storage_fragment *fragment, uint64_t off, const struct iovec *iov,
                     int iov_count, bool nowait)
{
    struct storage_log *log = storage_log_peek(storage, stream);
    struct storage_fragment f = *fragment;
    KN_CLEANUP(storage_chunk_unrefp) struct storage_chunk *chunk = NULL;
    if (f.flags & STORAGE_FRAGMENT_IN_FLIGHT) {
        uint64_t limit;
        ssize_t got = log ? read_arrival(log, &f, off, iov, iov_count, &chunk, &limit) : -ENOENT;
        if (got == 0 && limit > 0) {
            got = read_file(chunk, f.offset + off, limit, iov, iov_count, nowait);
            if (got < 0 || still_there(log, f.number.seq))
                return got;
        } else if (got != -ECANCELED) {
            return got;
        }
        /* It has ended since: stored by now, found to be a duplicate, or given up. */
        storage_chunk_unref(chunk);
        chunk = NULL;
        int r = chunk_of(storage, stream, &f, nowait, &chunk);
        if (r == 0)
            r = committed(log, chunk, f.number.seq, &f);
        if (r < 0)
            return r == -ENOENT ? -ECANCELED : r;
    } else {
        int r = chunk_of(storage, stream, &f, nowait, &chunk);
        if (r < 0)
            return r;
    }
    if (off >= f.bytes)
        return 0;
    return read_file(chunk, f.offset + off, f.bytes - off, iov, iov_count, nowait);
}

/* --- headers ---------------------------------------------------------------------------------- */
static int read_all(struct storage_chunk *chunk, uint8_t *dst, size_t len, uint64_t off,
                    bool nowait)
{
    size_t done = 0;
    while (done < len) {
        struct iovec iov = {dst + done, len - done};
        ssize_t r = chunk->file->fs->ops->preadv(chunk->file, &iov, 1, off + done, nowait);
        if (r <= 0)
            return r < 0 ? (int) r : -EIO;
        done += (size_t) r;
    }
    return 0;
}

static int read_header(struct storage_log *log, struct storage_chunk *chunk, uint64_t hash,
                       bool nowait, struct storage_header **ret)
{
    struct storage_chunk_header where = {0};
    kn_lock_take(&log->lock);
    for (uint32_t i = 0; i < chunk->index.header_count; i++) {
        if (chunk->index.headers[i].hash == hash)
            where = chunk->index.headers[i];
    }
    kn_lock_give(&log->lock);
    if (where.bytes == 0)
        return -ENOENT;
    if (where.bytes > KN_MKV_HEADER_BYTES_MAX)
        return -EIO;
    uint8_t *bytes = malloc(where.bytes);
    if (!bytes)
        return -ENOMEM;
    int r = read_all(chunk, bytes, where.bytes, where.offset, nowait);
    struct kn_bytes view = {bytes, where.bytes};
    if (r == 0 && storage_header_hash(view) != hash)
        r = -EIO;
    if (r == 0)
        r = storage_header_new(view, ret);
    free(bytes);
    return r == -EBADMSG ? -EIO : r;
}

int storage_header_get(struct storage *storage, const struct storage_id *stream,
                       const struct storage_fragment *fragment, struct storage_header **ret,
                       bool nowait)
{
    struct storage_header *header = storage_header_find(storage, stream, fragment->header);
    if (header) {
        *ret = header;
        return 0;
    }
    KN_CLEANUP(storage_chunk_unrefp) struct storage_chunk *chunk = NULL;
    int r = chunk_of(storage, stream, fragment, nowait, &chunk);
    if (r < 0)
        return r;
    r = read_header(storage_log_peek(storage, stream), chunk, fragment->header, nowait, &header);
    if (r < 0)
        return r;
    storage_header_put(storage, stream, fragment->header, header);
    *ret = header;
    return 0;
}

/* --- frames ----------------------------------------------------------------------------------- */
static int frames_of_arrival(struct storage_log *log, uint64_t seq, struct storage_frames **ret)
{
    KN_LOCKED(&log->lock);
    struct storage_arrival *a = storage_arrival_find_locked(log, seq);
    if (!a)
        return -ENOENT;
    return storage_frames_decode(kn_buf_bytes(&a->frames), a->coder.count, a->taken, ret);
}

static int read_record(struct storage_chunk *chunk, const struct storage_fragment *f, bool nowait,
                       struct storage_frames **ret)
{
    if (f->record_bytes < STORAGE_RECORD_HEAD_BYTES + STORAGE_ENTRY_BYTES)
        return -EIO;
    uint8_t *bytes = malloc(f->record_bytes);
    if (!bytes)
        return -ENOMEM;
    uint64_t at = f->offset + f->bytes;
    struct storage_record record;
    int r = read_all(chunk, bytes, f->record_bytes, at, nowait);
    if (r == 0 && storage_record_read((struct kn_bytes){bytes, f->record_bytes}, at, chunk->seed,
                                      &record) < 0)
        r = -EIO;
    if (r == 0 && (record.kind != STORAGE_RECORD_FRAGMENT || record.body.len < STORAGE_ENTRY_BYTES))
        r = -EIO;
    if (r == 0) {
        struct kn_bytes table = {record.body.ptr + STORAGE_ENTRY_BYTES,
                                 record.body.len - STORAGE_ENTRY_BYTES};
        r = storage_frames_decode(table, f->frame_count, f->bytes, ret);
    }
    free(bytes);
    return r == -EBADMSG ? -EIO : r;
}

int storage_frames_get(struct storage *storage, const struct storage_id *stream,
                       const struct storage_fragment *fragment, struct storage_frames **ret,
                       bool nowait)
{
    struct storage_log *log = storage_log_peek(storage, stream);
    struct storage_fragment f = *fragment;
    bool in_flight = f.flags & STORAGE_FRAGMENT_IN_FLIGHT;
    if (in_flight && log) {
        int r = frames_of_arrival(log, f.number.seq, ret);
        if (r != -ENOENT)
            return r;
    }
    KN_CLEANUP(storage_chunk_unrefp) struct storage_chunk *chunk = NULL;
    int r = chunk_of(storage, stream, &f, nowait, &chunk);
    if (r == 0 && in_flight)
        r = committed(storage_log_peek(storage, stream), chunk, f.number.seq, &f);
    if (r < 0)
        return in_flight && r == -ENOENT ? -ECANCELED : r;
    return read_record(chunk, &f, nowait, ret);
}

/* --- the tail and the sums -------------------------------------------------------------------- */
struct kn_gate *storage_tail_gate(struct storage *storage, const struct storage_id *stream)
{
    struct storage_log *log = storage_log_of(storage, stream);
    return log ? &log->gate : NULL;
}

int storage_stream_stats(struct storage *storage, const struct storage_id *stream,
                         struct storage_stream_stats *ret, bool nowait)
{
    struct storage_cursor c;
    static const struct storage_reach all_new = {UINT64_MAX, INT64_MAX};
    int r = storage_cursor_open(storage, stream, nowait, &all_new, &c);
    if (r == 0 && !c.log->loaded && !c.log->cold.known) { /* the sums need every row, once */
        storage_cursor_close(&c);
        r = storage_cursor_open(storage, stream, nowait, NULL, &c);
    }
    if (r < 0)
        return r;
    const struct storage_directory *dir = &c.log->directory;
    const struct storage_cold *cold = &c.log->cold;
    struct storage_stream_stats stats = {
        .fragments = dir->fragments + cold->fragments,
        .bytes = dir->bytes + cold->bytes,
        .kept_bytes = dir->kept_bytes + cold->kept_bytes,
        .uploading = c.log->writer != NULL,
    };
    size_t first = 0, end = dir->count; /* rows without fragments are few, and mostly at the end */
    while (first < end && dir->rows[first].count == 0)
        first++;
    while (end > first && dir->rows[end - 1].count == 0)
        end--;
    if (end > first) {
        const struct storage_chunk_row *row = &dir->rows[first];
        stats.chunks = end - first;
        stats.oldest_server_ts_ms =
            kn_max_i64(row->first_server_ts_ms, storage_cursor_floor(&c, row));
        stats.newest_server_ts_ms = dir->rows[end - 1].last_server_ts_ms;
    }
    stats.chunks += cold->chunks;
    if (cold->chunks > 0)
        stats.oldest_server_ts_ms =
            c.exempt ? cold->oldest_ms : kn_max_i64(cold->oldest_ms, c.floor_ts_ms);
    storage_cursor_close(&c);
    *ret = stats;
    return 0;
}
