/* SPDX-License-Identifier: Apache-2.0 */
/* Walking the chunks of a log; see cursor.h. */
#include "cursor.h"

static bool reaches_locked(const struct storage_log *log, const struct storage_reach *reach)
{
    return log->loaded || (log->numbered && reach &&
                           (reach->seq >= log->tail_seq || reach->from_ms >= log->tail_ts_ms));
}

bool storage_cursor_reaches(const struct storage_cursor *c, const struct storage_reach *reach)
{
    return reaches_locked(c->log, reach);
}

/* Without the lock: the tail first, which is mostly enough. */
static int load(struct storage_log *log, const struct storage_reach *reach)
{
    int r = reach ? storage_log_load_tail(log) : 0;
    kn_lock_take(&log->lock);
    bool enough = reaches_locked(log, reach);
    kn_lock_give(&log->lock);
    if (r == 0 && !enough)
        r = storage_log_load(log);
    return r < 0 && r != -ENOMEM ? -EIO : r;
}

int storage_cursor_open(struct storage *storage, const struct storage_id *stream, bool nowait,
                        const struct storage_reach *reach, struct storage_cursor *ret)
{
    struct storage_stream *settings = storage_stream_find_id(storage, stream);
    if (!settings)
        return -ENOENT;
    int64_t retention_ms = (int64_t) settings->retention_hours * 3600 * 1000;
    bool active = settings->status == STORAGE_STREAM_ACTIVE;
    storage_stream_unref(settings);
    if (!active)
        return -ENOENT;
    struct storage_log *log = storage_log_of(storage, stream);
    if (!log)
        return -ENOMEM;
    kn_lock_take(&log->lock);
    while (!reaches_locked(log, reach)) { /* another's load may have shortened it again */
        kn_lock_give(&log->lock);
        if (nowait)
            return -EAGAIN;
        int r = load(log, reach);
        if (r < 0)
            return r;
        kn_lock_take(&log->lock);
    }
    if (log->dropped) {
        kn_lock_give(&log->lock);
        return -ENOENT;
    }
    *ret = (struct storage_cursor){
        .log = log,
        .nowait = nowait,
        .exempt = log->hold_count > 0 || log->directory.kept_count > 0 || log->cold.kept_count > 0,
    };
    log->cursors++;
    log->used = ++storage->uses;
    ret->floor_ts_ms = retention_ms ? kn_wall_ms(storage->clock) - retention_ms : INT64_MIN;
    return 0;
}

int64_t storage_cursor_floor(const struct storage_cursor *c, const struct storage_chunk_row *row)
{
    return c->exempt && (row->kept || storage_log_holds(c->log, row)) ? INT64_MIN : c->floor_ts_ms;
}

void storage_cursor_close(struct storage_cursor *c)
{
    c->log->cursors--;
    kn_lock_give(&c->log->lock);
    storage_chunk_unref(c->pin);
    c->pin = NULL;
}

static void pin(struct storage_cursor *c, struct storage_chunk *chunk)
{
    struct storage_chunk *old = c->pin;
    c->pin = chunk;
    storage_chunk_unref(old);
}

int storage_cursor_chunk(struct storage_cursor *c, const struct storage_chunk_row *row,
                         struct storage_chunk **ret)
{
    struct storage *storage = c->log->storage;
    struct storage_number name = row->name;
    if (c->pin && c->pin->index.head.name.seq == name.seq && (!row->live || row->live == c->pin)) {
        *ret = c->pin;
        return 0;
    }
    struct storage_chunk *chunk = row->live ? storage_chunk_ref(row->live)
                                            : storage_sealed_find(storage, &c->log->id, name.seq);
    if (chunk) {
        pin(c, chunk);
        *ret = chunk;
        return 0;
    }
    if (c->nowait)
        return -EAGAIN;
    uint64_t footer_offset = row->footer_offset;
    kn_lock_give(&c->log->lock);
    int r = storage_chunk_open_sealed(storage, &c->log->id, &name, footer_offset, &chunk);
    if (r == 0) {
        storage_sealed_put(storage, chunk);
        pin(c, chunk);
    }
    kn_lock_take(&c->log->lock);
    return r < 0 ? r : 1;
}

uint32_t storage_index_after_seq(const struct storage_index *index, uint64_t seq)
{
    return KN_BISECT(i, 0, index->count,
                     storage_entry_seq(storage_index_entry(index, i), &index->head) <= seq);
}

uint32_t storage_index_at_server(const struct storage_index *index, int64_t ts_ms)
{
    return KN_BISECT(i, 0, index->count,
                     storage_entry_server_ts(storage_index_entry(index, i), &index->head) < ts_ms);
}

uint32_t storage_index_at_producer(const struct storage_index *index, int64_t ts_ms)
{
    kn_assert(index->producer_ascends || index->count == 0);
    return KN_BISECT(i, 0, index->count,
                     storage_entry_producer_ts(storage_index_entry(index, i)) < ts_ms);
}

void storage_cursor_fragment(const struct storage_chunk *chunk, uint32_t at,
                             struct storage_fragment *ret)
{
    storage_index_get(&chunk->index, at, ret, NULL);
    if (chunk->memory)
        ret->flags |= STORAGE_FRAGMENT_MEMORY;
}
