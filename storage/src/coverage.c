/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is recorded, as spans: for a timeline. A chunk without a gap longer than asked for counts as
 * a whole from its directory row; only chunks with gaps, and those cut by the range, are opened.
 */
#include "cursor.h"

struct spans {
    struct storage_span *out;
    size_t cap, count;
    int64_t gap_ms;
    bool full;
};

static void add(struct spans *s, int64_t from_ms, int64_t to_ms, uint64_t fragments, uint64_t bytes)
{
    struct storage_span *last = s->count ? &s->out[s->count - 1] : NULL;
    if (last && from_ms - last->to_ms <= s->gap_ms) {
        last->to_ms = kn_max_i64(last->to_ms, to_ms);
        last->fragments += fragments;
        last->bytes += bytes;
    } else if (s->count < s->cap) {
        s->out[s->count++] = (struct storage_span){from_ms, to_ms, fragments, bytes};
    } else {
        s->full = true;
    }
}

static void add_entries(struct spans *s, const struct storage_chunk *chunk, int64_t from_ms,
                        int64_t to_ms)
{
    uint32_t at = storage_index_at_server(&chunk->index, from_ms);
    for (; at < chunk->index.count && !s->full; at++) {
        struct storage_fragment f;
        storage_cursor_fragment(chunk, at, &f);
        if (f.number.server_ts_ms > to_ms)
            break;
        add(s, f.number.server_ts_ms, f.number.server_ts_ms + f.full_duration_ms, 1, f.bytes);
    }
}

static bool counts_whole(const struct storage_chunk_row *row, const struct spans *s,
                         int64_t from_ms, int64_t to_ms)
{
    return row->first_server_ts_ms >= from_ms && row->last_server_ts_ms <= to_ms &&
           row->gap_ms_max <= s->gap_ms;
}

static int walk(struct storage_cursor *c, int64_t from_ms, int64_t to_ms, struct spans *s)
{
    const struct storage_directory *dir = &c->log->directory;
    uint64_t after_seq = 0;
    size_t at =
        storage_directory_at_server(dir, c->exempt ? from_ms : kn_max_i64(from_ms, c->floor_ts_ms));
    while (at < dir->count && !s->full) {
        const struct storage_chunk_row *row = &dir->rows[at];
        int64_t row_from_ms = kn_max_i64(from_ms, storage_cursor_floor(c, row));
        if (row->count == 0 || row->last_server_ts_ms < row_from_ms) {
            at++;
            continue;
        }
        if (row->first_server_ts_ms > to_ms)
            break;
        uint64_t last_seq = row->last_seq;
        if (counts_whole(row, s, row_from_ms, to_ms)) {
            add(s, row->first_server_ts_ms, row->last_end_ms, row->count, row->bytes);
        } else {
            struct storage_chunk *chunk;
            int r = storage_cursor_chunk(c, row, &chunk);
            if (r == 1) {
                at = kn_max_u64(storage_directory_after(dir, after_seq),
                                storage_directory_at_server(dir, from_ms));
                continue;
            }
            if (r < 0 && r != -ENOENT && r != -EBADMSG)
                return r;
            if (r == 0)
                add_entries(s, chunk, row_from_ms, to_ms);
        }
        after_seq = last_seq;
        at++;
    }
    return 0;
}

int storage_coverage(struct storage *storage, const struct storage_id *stream, int64_t from_ms,
                     int64_t to_ms, int64_t gap_ms, struct storage_span *out, size_t cap,
                     size_t *ret_count)
{
    struct storage_cursor c;
    struct storage_reach reach = {0, from_ms};
    int r = storage_cursor_open(storage, stream, false, &reach, &c);
    if (r < 0)
        return r;
    struct spans s = {.out = out, .cap = cap, .gap_ms = kn_max_i64(gap_ms, 0)};
    r = walk(&c, from_ms, to_ms, &s);
    storage_cursor_close(&c);
    if (r == 0)
        *ret_count = s.count;
    return r;
}
