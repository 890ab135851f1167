/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding fragments: bisect the chunk directory, then the chunk's index; no file is opened that
 * holds no answer. Number, server time and place in the file rise together, so both orders walk the
 * same way; producer times nearly rise, and where they do not, ranges per chunk narrow the search.
 */
#include "cursor.h"

enum {
    EQUAL_ROWS_MAX = 64,
    EQUAL_CHUNKS_MAX = 8,
    AHEAD_CHUNKS = 32, /* asked of the disk at once */
};

struct bounds { /* all inclusive but after_seq */
    uint64_t after_seq, last_seq;
    int64_t from_ms, to_ms;                   /* of server time */
    int64_t producer_from_ms, producer_to_ms; /* of producer time */
};

struct result {
    struct storage_fragment *out;
    size_t cap, count;
};

static struct bounds bounds_of(const struct storage_cursor *c, const struct storage_query *q)
{
    struct bounds b = {
        .last_seq = UINT64_MAX,
        .from_ms = c->exempt ? INT64_MIN : c->floor_ts_ms,
        .to_ms = INT64_MAX,
        .producer_from_ms = INT64_MIN,
        .producer_to_ms = INT64_MAX,
    };
    bool down = q->newest_first && q->order == STORAGE_BY_SERVER_TS;
    if (down && q->after_seq > 0)
        b.last_seq = q->after_seq - 1;
    else if (!down)
        b.after_seq = q->after_seq;
    if (q->order == STORAGE_BY_SERVER_TS) {
        b.from_ms = kn_max_i64(b.from_ms, q->from_ms);
        b.to_ms = q->to_ms;
    }
    if (q->order == STORAGE_BY_PRODUCER_TS) {
        b.producer_from_ms = q->from_ms;
        b.producer_to_ms = q->to_ms;
    }
    return b;
}

/* The bounds within one row, whose age floor may be another than its neighbour's. */
static struct bounds bounds_in(const struct storage_cursor *c, const struct storage_chunk_row *row,
                               const struct bounds *b)
{
    struct bounds in = *b;
    in.from_ms = kn_max_i64(in.from_ms, storage_cursor_floor(c, row));
    return in;
}

static bool row_may_hold(const struct storage_chunk_row *row, const struct bounds *b)
{
    return row->count > 0 && row->producer_ts_ms_max >= b->producer_from_ms &&
           row->producer_ts_ms_min <= b->producer_to_ms && row->first_seq <= b->last_seq &&
           row->last_seq > b->after_seq && row->first_server_ts_ms <= b->to_ms &&
           row->last_server_ts_ms >= b->from_ms;
}

static bool matches(const struct storage_fragment *f, const struct bounds *b)
{
    return f->number.seq > b->after_seq && f->number.seq <= b->last_seq &&
           f->number.server_ts_ms >= b->from_ms && f->number.server_ts_ms <= b->to_ms &&
           f->producer_ts_ms >= b->producer_from_ms && f->producer_ts_ms <= b->producer_to_ms;
}

/* Entries [*ret_first, *ret_end) of the index may match. */
static void entry_range(const struct storage_index *index, const struct bounds *b,
                        uint32_t *ret_first, uint32_t *ret_end)
{
    uint32_t first = storage_index_after_seq(index, b->after_seq);
    uint32_t end = index->count;
    if (b->from_ms > INT64_MIN) {
        uint32_t at = storage_index_at_server(index, b->from_ms);
        first = at > first ? at : first;
    }
    if (b->last_seq < UINT64_MAX)
        end = storage_index_after_seq(index, b->last_seq);
    if (b->to_ms < INT64_MAX) {
        uint32_t at = storage_index_at_server(index, b->to_ms + 1);
        end = at < end ? at : end;
    }
    if (index->producer_ascends && b->producer_from_ms > INT64_MIN) {
        uint32_t at = storage_index_at_producer(index, b->producer_from_ms);
        first = at > first ? at : first;
    }
    *ret_first = first;
    *ret_end = end;
}

static void take_up(struct result *res, const struct storage_chunk *chunk, struct bounds *b)
{
    uint32_t at, end;
    bool any_producer = b->producer_from_ms == INT64_MIN && b->producer_to_ms == INT64_MAX;
    entry_range(&chunk->index, b, &at, &end);
    for (; at < end && res->count < res->cap; at++) {
        int64_t producer =
            any_producer ? 0 : storage_entry_producer_ts(storage_index_entry(&chunk->index, at));
        if (producer < b->producer_from_ms || producer > b->producer_to_ms) {
            if (chunk->index.producer_ascends && producer > b->producer_to_ms)
                break;
            continue;
        }
        storage_cursor_fragment(chunk, at, &res->out[res->count++]);
    }
    if (res->count < res->cap)
        b->after_seq =
            kn_max_u64(b->after_seq,
                       storage_entry_seq(storage_index_entry(&chunk->index, chunk->index.count - 1),
                                         &chunk->index.head));
}

static void take_down(struct result *res, const struct storage_chunk *chunk, struct bounds *b)
{
    uint32_t at, end;
    entry_range(&chunk->index, b, &at, &end);
    while (end > at && res->count < res->cap) {
        end--;
        storage_cursor_fragment(chunk, end, &res->out[res->count++]);
    }
    if (res->count < res->cap) {
        uint64_t first =
            storage_entry_seq(storage_index_entry(&chunk->index, 0), &chunk->index.head);
        b->last_seq = first > 0 ? first - 1 : 0;
    }
}

/* Where an ascending walk begins: rows are ordered by number and server time, and often by producer
 * time too. */
static size_t first_row(const struct storage_directory *dir, const struct bounds *b)
{
    size_t at = storage_directory_after(dir, b->after_seq);
    if (b->from_ms > INT64_MIN)
        at = kn_max_u64(at, storage_directory_at_server(dir, b->from_ms));
    if (!dir->producer_ascends || b->producer_from_ms == INT64_MIN)
        return at;
    return KN_BISECT(i, at, dir->count,
                     dir->rows[i].count > 0 &&
                         dir->rows[i].producer_ts_ms_max < b->producer_from_ms);
}

static bool past(const struct storage_directory *dir, const struct storage_chunk_row *row,
                 const struct bounds *b)
{
    return row->count > 0 &&
           (row->first_server_ts_ms > b->to_ms || row->first_seq > b->last_seq ||
            (dir->producer_ascends && row->producer_ts_ms_min > b->producer_to_ms));
}

static int walk_up(struct storage_cursor *c, struct bounds *b, struct result *res)
{
    struct storage_directory *dir = &c->log->directory;
    size_t at = first_row(dir, b);
    while (at < dir->count && res->count < res->cap) {
        struct storage_chunk_row *row = &dir->rows[at];
        if (past(dir, row, b))
            break;
        struct bounds in = bounds_in(c, row, b);
        if (!row_may_hold(row, &in)) {
            at++;
            continue;
        }
        struct storage_chunk *chunk;
        uint64_t row_last = row->last_seq;
        int r = storage_cursor_chunk(c, row, &chunk);
        if (r == 0 && chunk->index.count > 0) {
            take_up(res, chunk, &in);
            b->after_seq = in.after_seq;
        } else if (r == 1) {
            at = first_row(dir, b);
            continue;
        } else if (r == -ENOENT || r == -EBADMSG) {
            b->after_seq =
                kn_max_u64(b->after_seq, row_last); /* lost: what it held is passed over */
            at = first_row(dir, b);
            continue;
        } else if (r < 0) {
            return r;
        }
        at++;
    }
    return 0;
}

static int walk_down(struct storage_cursor *c, struct bounds *b, struct result *res)
{
    struct storage_directory *dir = &c->log->directory;
    size_t at = dir->count;
    while (at > 0 && res->count < res->cap) {
        struct storage_chunk_row *row = &dir->rows[at - 1];
        if (row->count > 0 &&
            (row->last_server_ts_ms < b->from_ms || row->last_seq <= b->after_seq))
            break;
        struct bounds in = bounds_in(c, row, b);
        if (!row_may_hold(row, &in)) {
            at--;
            continue;
        }
        struct storage_chunk *chunk;
        uint64_t row_first = row->first_seq;
        int r = storage_cursor_chunk(c, row, &chunk);
        if (r == 0 && chunk->index.count > 0) {
            take_down(res, chunk, &in);
            b->last_seq = in.last_seq;
        } else if (r == 1) {
            at = dir->count; /* rows may have come or gone: the bounds tell where we were */
            continue;
        } else if (r == -ENOENT || r == -EBADMSG) {
            b->last_seq = row_first > 0 ? row_first - 1 : 0;
            at = kn_min_u64(at, dir->count);
            continue;
        } else if (r < 0) {
            return r;
        }
        at--;
    }
    return 0;
}

static void take_arrivals(const struct storage_cursor *c, const struct bounds *b, bool down,
                          struct result *res)
{
    const struct storage_arrival *a = c->log->first;
    size_t start = res->count;
    for (; a; a = a->next) {
        if (a->state == STORAGE_DONE || !matches(&a->fragment, b))
            continue;
        if (down && res->count == res->cap && res->cap > start) { /* keep the newest */
            memmove(&res->out[start], &res->out[start + 1],
                    (res->count - start - 1) * sizeof(*res->out));
            res->count--;
        }
        if (res->count < res->cap)
            res->out[res->count++] = a->fragment;
    }
    for (size_t i = start, j = res->count; down && i + 1 < j; i++) {
        j--;
        struct storage_fragment swap = res->out[i];
        res->out[i] = res->out[j];
        res->out[j] = swap;
    }
}

static int find_locked(struct storage_cursor *c, const struct storage_query *query,
                       struct result *res)
{
    struct bounds b = bounds_of(c, query);
    bool down = query->newest_first && query->order != STORAGE_BY_PRODUCER_TS;
    if (down) {
        if (query->in_flight)
            take_arrivals(c, &b, true, res);
        return walk_down(c, &b, res);
    }
    int r = walk_up(c, &b, res);
    if (r == 0 && query->in_flight)
        take_arrivals(c, &b, false, res);
    return r;
}

int storage_find(struct storage *storage, const struct storage_id *stream,
                 const struct storage_query *query, struct storage_fragment *out, size_t cap,
                 size_t *ret_count, bool nowait)
{
    struct storage_reach reach = {query->after_seq, INT64_MIN}, all_new = {UINT64_MAX, INT64_MAX};
    if (query->order == STORAGE_BY_SERVER_TS)
        reach = (struct storage_reach){query->newest_first ? 0 : query->after_seq, query->from_ms};
    bool down = query->newest_first && query->order != STORAGE_BY_PRODUCER_TS;
    const struct storage_reach *asked = down ? &all_new : &reach;
    struct result res;
    int r;
    do {
        struct storage_cursor c;
        r = storage_cursor_open(storage, stream, nowait, asked, &c);
        res = (struct result){out, cap, 0};
        if (r < 0)
            break;
        if (query->aged)
            c.floor_ts_ms = INT64_MIN;
        r = find_locked(&c, query, &res);
        /* From the newest on down: what is in memory may have been enough. */
        asked = r == 0 && res.count < cap && !storage_cursor_reaches(&c, &reach) ? &reach : NULL;
        storage_cursor_close(&c);
    } while (asked);
    if (r == -ENOENT)
        r = 0;
    if (r == 0)
        *ret_count = res.count;
    return r;
}

int storage_find_number(struct storage *storage, const struct storage_id *stream,
                        const struct storage_number *number, struct storage_fragment *ret,
                        bool nowait)
{
    if (number->seq == 0)
        return -ENOENT;
    struct storage_query query = {
        .order = STORAGE_BY_NUMBER, .after_seq = number->seq - 1, .in_flight = true};
    struct storage_fragment f;
    size_t count;
    int r = storage_find(storage, stream, &query, &f, 1, &count, nowait);
    if (r < 0)
        return r;
    if (count == 0 || f.number.seq != number->seq ||
        f.number.server_ts_ms != number->server_ts_ms || f.number.random != number->random)
        return -ENOENT;
    *ret = f;
    return 0;
}

/* --- reading ahead ---------------------------------------------------------------------------- */

struct ahead { /* a sealed chunk that is not open yet */
    struct storage_number name;
    uint64_t footer_offset;
    struct storage_chunk *chunk; /* its file is, the index is awaited */
};

struct ahead_need {
    struct bounds bounds; /* after_seq moves along */
    uint64_t fragments;   /* still wanted */
    size_t chunks;        /* may still be opened */
};

static bool is_open(const struct storage_cursor *c, const struct storage_chunk_row *row)
{
    struct storage_chunk *chunk = storage_sealed_find(c->log->storage, &c->log->id, row->name.seq);
    storage_chunk_unref(chunk);
    return chunk != NULL;
}

/* The next chunks that the walk will come to; fewer than fit when it comes to no more. */
static size_t next_ahead(const struct storage_cursor *c, struct ahead_need *need,
                         struct ahead out[AHEAD_CHUNKS])
{
    const struct storage_directory *dir = &c->log->directory;
    struct bounds *b = &need->bounds;
    size_t count = 0;
    for (size_t at = first_row(dir, b); at < dir->count; at++) {
        const struct storage_chunk_row *row = &dir->rows[at];
        if (past(dir, row, b) || need->fragments == 0 || need->chunks == 0 || count == AHEAD_CHUNKS)
            break;
        struct bounds in = bounds_in(c, row, b);
        if (!row_may_hold(row, &in))
            continue;
        need->fragments -= kn_min_u64(need->fragments, row->count);
        need->chunks--;
        b->after_seq = row->last_seq;
        if (!row->live && !is_open(c, row))
            out[count++] = (struct ahead){.name = row->name, .footer_offset = row->footer_offset};
    }
    return count;
}

/* What is in memory is taken at once; for the rest the disk has all requests before one is waited
 * for. What fails is left to the walk, which will say so. */
static void open_together(struct storage *storage, const struct storage_id *stream,
                          struct ahead *ahead, size_t count)
{
    for (int nowait = 1; nowait >= 0; nowait--) {
        for (size_t i = 0; i < count; i++) {
            struct ahead *a = &ahead[i];
            if (nowait && storage_chunk_open_file(storage, stream, &a->name, &a->chunk) < 0)
                continue;
            if (!a->chunk)
                continue;
            int r = storage_chunk_load_sealed(a->chunk, a->footer_offset, nowait);
            if (r == -EAGAIN && nowait)
                continue;
            if (r == 0)
                storage_sealed_put(storage, a->chunk);
            storage_chunk_unref(a->chunk);
            a->chunk = NULL;
        }
    }
}

void storage_find_ahead(struct storage *storage, const struct storage_id *stream,
                        const struct storage_query *query, uint64_t fragments)
{
    struct storage_reach reach = {query->after_seq, INT64_MIN};
    if (query->order == STORAGE_BY_SERVER_TS)
        reach = (struct storage_reach){query->after_seq, query->from_ms};
    struct ahead_need need = {.fragments = fragments,
                              .chunks = (size_t) (storage->conf.open_chunks_max / 4 * 3)};
    struct ahead ahead[AHEAD_CHUNKS];
    kn_assert(!query->newest_first);
    for (size_t count = AHEAD_CHUNKS, begun = 0; count == AHEAD_CHUNKS; begun = 1) {
        struct storage_cursor c;
        if (storage_cursor_open(storage, stream, false, &reach, &c) < 0)
            return;
        if (!begun)
            need.bounds = bounds_of(&c, query);
        count = next_ahead(&c, &need, ahead);
        storage_cursor_close(&c);
        open_together(storage, stream, ahead, count);
    }
}

/* --- the one at a time ------------------------------------------------------------------------ */
/* Whether f still covers the time when `next` (NULL: none) follows it. */
static bool covers(const struct storage_fragment *f, const struct storage_fragment *next,
                   int64_t start_ms, int64_t next_start_ms, int64_t at_ms)
{
    if (start_ms > at_ms)
        return false;
    if (at_ms - start_ms <= f->full_duration_ms)
        return true;
    if (!next)
        return f->flags & STORAGE_FRAGMENT_IN_FLIGHT && !(f->flags & STORAGE_FRAGMENT_COMPLETE);
    return at_ms < next_start_ms && !(next->flags & STORAGE_FRAGMENT_DISCONTINUITY);
}

static int find_at_server(struct storage_cursor *c, int64_t at_ms, struct storage_fragment *ret)
{
    struct storage_fragment before, after;
    struct result one = {&before, 1, 0}, next = {&after, 1, 0};
    struct storage_query down = {.order = STORAGE_BY_SERVER_TS,
                                 .from_ms = INT64_MIN,
                                 .to_ms = at_ms,
                                 .newest_first = true,
                                 .in_flight = true};
    int r = find_locked(c, &down, &one);
    if (r < 0)
        return r;
    struct storage_query up = {.order = STORAGE_BY_NUMBER,
                               .after_seq = one.count ? before.number.seq : 0,
                               .in_flight = true};
    r = find_locked(c, &up, &next);
    if (r < 0)
        return r;
    if (one.count && covers(&before, next.count ? &after : NULL, before.number.server_ts_ms,
                            next.count ? after.number.server_ts_ms : 0, at_ms)) {
        *ret = before;
        return 0;
    }
    if (!next.count)
        return -ENOENT;
    *ret = after;
    return 0;
}

struct nearest { /* best answer so far by producer time */
    struct storage_fragment covering, later;
    bool has_covering, has_later;
};

static void consider(struct nearest *best, const struct storage_fragment *f,
                     const struct storage_fragment *next, int64_t at_ms)
{
    if (f->producer_ts_ms > at_ms) {
        if (!best->has_later || f->producer_ts_ms < best->later.producer_ts_ms ||
            (f->producer_ts_ms == best->later.producer_ts_ms &&
             f->number.seq > best->later.number.seq)) {
            best->later = *f;
            best->has_later = true;
        }
        return;
    }
    if (covers(f, next, f->producer_ts_ms, next ? next->producer_ts_ms : 0, at_ms) &&
        (!best->has_covering || f->number.seq > best->covering.number.seq)) {
        best->covering = *f;
        best->has_covering = true;
    }
}

static void consider_chunk(const struct storage_chunk *chunk, int64_t floor_ts_ms, int64_t at_ms,
                           struct nearest *best)
{
    const struct storage_index *index = &chunk->index;
    uint32_t first = storage_index_at_server(index, floor_ts_ms), end = index->count;
    if (index->producer_ascends &&
        index->count > 0) { /* the last start ≤ at, and one on each side */
        uint32_t at = storage_index_at_producer(index, at_ms + 1);
        uint32_t low = at > 1 ? at - 1 : 0;
        first = low > first ? low : first;
        end = at + 1 < end ? at + 1 : end;
    }
    for (uint32_t i = first; i < end; i++) {
        struct storage_fragment f, next;
        storage_cursor_fragment(chunk, i, &f);
        bool has_next = i + 1 < index->count;
        if (has_next)
            storage_cursor_fragment(chunk, i + 1, &next);
        consider(best, &f, has_next ? &next : NULL, at_ms);
    }
}

/* First row of an ascending directory whose fragments all start after the time. */
static size_t first_row_later(const struct storage_directory *dir, int64_t at_ms)
{
    return KN_BISECT(i, 0, dir->count,
                     dir->rows[i].count > 0 && dir->rows[i].producer_ts_ms_min <= at_ms);
}

static bool row_spans(const struct storage_chunk_row *row, int64_t at_ms)
{
    return row->count > 0 && row->producer_ts_ms_min <= at_ms &&
           row->producer_ts_ms_max + row->full_duration_ms_max >= at_ms;
}

/* Reads the row's chunk into the answer. 0, also when the chunk is lost; 1: rows may have moved. */
static int consider_row(struct storage_cursor *c, struct storage_chunk_row *row, int64_t at_ms,
                        struct nearest *best)
{
    struct storage_chunk *chunk;
    int r = storage_cursor_chunk(c, row, &chunk);
    if (r == 0)
        consider_chunk(chunk, storage_cursor_floor(c, row), at_ms, best);
    return r == -ENOENT || r == -EBADMSG ? 0 : r;
}

/* Chunks with starts on both sides of the time, the newest first: the newest that covers it wins.
 */
static int consider_spanning(struct storage_cursor *c, int64_t at_ms, struct nearest *best)
{
    struct storage_directory *dir = &c->log->directory;
    uint64_t below_seq = UINT64_MAX; /* chunks from here on have been looked at */
    size_t at = dir->producer_ascends ? first_row_later(dir, at_ms) : dir->count;
    while (at > 0 && !best->has_covering) {
        struct storage_chunk_row *row = &dir->rows[at - 1];
        uint64_t name_seq = row->name.seq;
        if (name_seq >= below_seq || !row_spans(row, at_ms)) {
            if (dir->producer_ascends && row->count > 0 && name_seq < below_seq)
                break; /* those before it end even earlier */
            at--;
            continue;
        }
        int r = consider_row(c, row, at_ms, best);
        if (r < 0)
            return r;
        if (r == 1) {
            at = dir->producer_ascends ? first_row_later(dir, at_ms) : dir->count;
            continue;
        }
        below_seq = name_seq;
        at = kn_min_u64(at - 1, dir->count);
    }
    return 0;
}

/* The row whose first start after `than` is the earliest; NULL. */
static struct storage_chunk_row *earliest_row_after(struct storage_directory *dir, int64_t than_ms)
{
    struct storage_chunk_row *found = NULL;
    size_t at = dir->producer_ascends ? first_row_later(dir, than_ms) : 0;
    for (; at < dir->count; at++) {
        struct storage_chunk_row *row = &dir->rows[at];
        if (row->count == 0 || row->producer_ts_ms_min <= than_ms)
            continue;
        if (!found || row->producer_ts_ms_min <= found->producer_ts_ms_min)
            found = row; /* of equals the newest */
        if (dir->producer_ascends)
            break;
    }
    return found;
}

/* Nothing covers the time: what starts next. Mostly one chunk; more where the first is lost. */
static int consider_later(struct storage_cursor *c, int64_t at_ms, struct nearest *best)
{
    int64_t than_ms = at_ms;
    for (;;) {
        struct storage_chunk_row *row = earliest_row_after(&c->log->directory, than_ms);
        if (!row || (best->has_later && best->later.producer_ts_ms <= row->producer_ts_ms_min))
            return 0;
        int64_t start_ms = row->producer_ts_ms_min;
        int r = consider_row(c, row, at_ms, best);
        if (r < 0)
            return r;
        if (r == 0)
            than_ms = start_ms;
    }
}

static int find_at_producer(struct storage_cursor *c, int64_t at_ms, struct storage_fragment *ret)
{
    struct nearest best = {0};
    for (const struct storage_arrival *a = c->log->first; a; a = a->next) {
        if (a->state != STORAGE_DONE)
            consider(&best, &a->fragment, a->next ? &a->next->fragment : NULL, at_ms);
    }
    int r = consider_spanning(c, at_ms, &best);
    if (r == 0 && !best.has_covering)
        r = consider_later(c, at_ms, &best);
    if (r < 0)
        return r;
    if (!best.has_covering && !best.has_later)
        return -ENOENT;
    *ret = best.has_covering ? best.covering : best.later;
    return 0;
}

int storage_find_at(struct storage *storage, const struct storage_id *stream,
                    enum storage_order order, int64_t at_ms, struct storage_fragment *ret,
                    bool nowait)
{
    kn_assert(order != STORAGE_BY_NUMBER);
    struct storage_cursor c;
    struct storage_reach reach = {0, at_ms};
    int r = storage_cursor_open(storage, stream, nowait,
                                order == STORAGE_BY_SERVER_TS ? &reach : NULL, &c);
    if (r < 0)
        return r;
    r = order == STORAGE_BY_SERVER_TS ? find_at_server(&c, at_ms, ret)
                                      : find_at_producer(&c, at_ms, ret);
    storage_cursor_close(&c);
    return r;
}

/* --- duplicates ------------------------------------------------------------------------------- */
static bool equal_in_chunk(const struct storage_chunk *chunk, const struct storage_arrival *a,
                           struct storage_fragment *ret)
{
    const struct storage_index *index = &chunk->index;
    uint32_t at = index->producer_ascends && index->count
                      ? storage_index_at_producer(index, a->fragment.producer_ts_ms)
                      : 0;
    for (; at < index->count; at++) {
        int64_t producer = storage_entry_producer_ts(storage_index_entry(index, at));
        if (index->producer_ascends && producer > a->fragment.producer_ts_ms)
            return false;
        struct storage_fragment f;
        uint32_t crc;
        if (producer != a->fragment.producer_ts_ms)
            continue;
        storage_index_get(index, at, &f, &crc);
        if (f.bytes == a->fragment.bytes && crc == a->crc) {
            *ret = f;
            return true;
        }
    }
    return false;
}

/* What recovery found but no flush has proven: only when the flush that seals it is under way. */
static bool may_be_believed(const struct storage_chunk *chunk)
{
    return !chunk->unflushed || (chunk->state == STORAGE_CHUNK_CLOSING && chunk->sealed_bytes > 0);
}

/* A producer that reconnects sends again what was not acknowledged: recent chunks only. */
bool storage_log_find_equal(struct storage_log *log, const struct storage_arrival *a,
                            struct storage_fragment *ret, struct storage_chunk **ret_awaits)
{
    *ret_awaits = NULL;
    if (a->chunk->memory)
        return false;
    int64_t producer = a->fragment.producer_ts_ms;
    struct storage_cursor c = {.log = log};
    uint64_t below_seq = UINT64_MAX;
    unsigned rows = 0, chunks = 0;
    bool found = false;
    kn_lock_take(&log->lock);
    struct storage_directory *dir = &log->directory;
    for (size_t at = dir->count; at > 0 && !found && rows < EQUAL_ROWS_MAX;) {
        struct storage_chunk_row *row = &dir->rows[at - 1];
        uint64_t name_seq = row->name.seq;
        if (dir->producer_ascends && row->count > 0 && row->producer_ts_ms_max < producer)
            break;
        if (name_seq >= below_seq || row->count == 0 || row->producer_ts_ms_max < producer ||
            row->producer_ts_ms_min > producer) {
            at--;
            rows++;
            continue;
        }
        if (chunks == EQUAL_CHUNKS_MAX)
            break;
        struct storage_chunk *chunk;
        int r = storage_cursor_chunk(&c, row, &chunk);
        if (r == 1) {
            at = dir->count;
            continue;
        }
        if (r == 0 && may_be_believed(chunk))
            found = equal_in_chunk(chunk, a, ret);
        if (found && chunk->unflushed)
            *ret_awaits = storage_chunk_ref(chunk);
        chunks++;
        below_seq = name_seq;
        at = kn_min_u64(at - 1, dir->count);
    }
    kn_lock_give(&log->lock);
    storage_chunk_unref(c.pin);
    return found;
}
