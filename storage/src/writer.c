/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer of a stream: plans numbers and places under the log's lock, copies bytes into the
 * window, queues operations. Nothing here waits for a disk. One producer thread calls; the results
 * come back on storage's threads (writer.h).
 */
#include "storage/writer.h"

#include "log.h"
#include "storage_metrics.h"

#include <stdatomic.h>

#include "core/crypto.h"

struct storage_writer {
    struct storage *storage;
    struct storage_log *log;
    struct storage_writer_events events;
    void *ctx;

    /* The producer's thread only. */
    struct storage_header *header;
    uint64_t header_hash, tracks_hash;
    uint32_t cue_track;
    bool settings_known, memory;
    uint64_t settings_changes; /* the count by which they are known */

    /* Set by the producer's thread with log.lock held; others look with the lock. */
    struct storage_arrival *arrival; /* the open fragment */

    /* Guarded by log.lock. */
    uint32_t pins; /* arrivals and calls that still need ctx */
    bool fenced;
    bool closing;
    bool wants_writable;
    void (*closed)(void *ctx);
    struct storage_op *end; /* made at open, so that closing cannot fail */
};

/* --- open and close --------------------------------------------------------------------------- */
static void freeze_locked(struct storage_log *log, struct storage_arrival *a);
static void abort_arrival_locked(struct storage_log *log, struct storage_writer *w);

/* Its open fragment gives way now; the memory goes when its owner next calls. */
static void fence_locked(struct storage_log *log, struct storage_writer *w)
{
    w->fenced = true;
    if (w->arrival)
        freeze_locked(log, w->arrival);
}

int storage_writer_open(struct storage *storage, const struct storage_id *stream, bool fence,
                        const struct storage_writer_events *events, void *ctx,
                        struct storage_writer **ret)
{
    struct storage_stream *settings = storage_stream_find_id(storage, stream);
    if (!settings)
        return -ENOENT;
    bool active = settings->status == STORAGE_STREAM_ACTIVE;
    bool memory = settings->retention_hours == 0; /* needs no room on disk */
    storage_stream_unref(settings);
    if (!active)
        return -ENOENT;
    struct storage_log *log = storage_log_of(storage, stream);
    struct storage_writer *w = calloc(1, sizeof(*w));
    struct storage_op *op = storage_op_new(STORAGE_OP_RESERVE, NULL);
    struct storage_op *end = storage_op_new(STORAGE_OP_CLOSED, NULL);
    if (!log || !w || !op || !end) {
        free(w);
        storage_op_free(op);
        storage_op_free(end);
        return -ENOMEM;
    }
    *w = (struct storage_writer){
        .storage = storage, .log = log, .events = *events, .ctx = ctx, .end = end};
    KN_LOCKED(&log->lock);
    bool full = !memory && (storage->no_space || (storage->refused && !log->open));
    int r = log->dropped ? -ENOENT : log->writer && !fence ? -EBUSY : full ? -ENOSPC : 0;
    if (r < 0) {
        free(w);
        storage_op_free(op);
        storage_op_free(end);
        return r;
    }
    if (log->writer)
        fence_locked(log, log->writer);
    log->writer = w;
    if (log->reserved_seq == 0 && !log->reserving) {
        log->reserving = true;
        storage_log_push_locked(log, op);
    } else {
        storage_op_free(op);
    }
    *ret = w;
    return 0;
}

/* Runs as an operation: nothing of w is used any more. */
void storage_writer_finish(struct storage_writer *w)
{
    if (w->closed)
        w->closed(w->ctx);
    if (w->header)
        storage_header_unref(w->header);
    free(w);
}

static void finish_if_idle_locked(struct storage_log *log, struct storage_writer *w)
{
    if (!w->closing || w->pins > 0)
        return;
    struct storage_op *op = KN_MOVE(w->end);
    op->writer = w;
    storage_log_push_locked(log, op);
}

void storage_writer_unpin(struct storage_log *log, struct storage_writer *w)
{
    KN_LOCKED(&log->lock);
    w->pins--;
    finish_if_idle_locked(log, w);
}

void storage_writer_close(struct storage_writer *w, void (*closed)(void *ctx))
{
    struct storage_log *log = w->log;
    kn_lock_take(&log->lock);
    abort_arrival_locked(log, w);
    w->closing = true;
    w->closed = closed;
    w->wants_writable = false;
    if (log->writer == w)
        log->writer = NULL;
    finish_if_idle_locked(log, w);
    kn_lock_give(&log->lock);
    kn_gate_bump(&log->gate);
}

/* Called with no lock held, in order, by whoever delivers. */
void storage_writer_tell(struct storage_arrival *a)
{
    struct storage_writer *w = a->writer;
    kn_lock_take(&a->log->lock);
    int result = w->fenced ? -ESTALE : a->result;
    kn_lock_give(&a->log->lock);
    if (a->duplicate)
        storage_metrics_duplicate();
    if (w->events.committed)
        w->events.committed(w->ctx, a->duplicate ? &a->stored : &a->fragment, a->duplicate, result);
}

/* --- waking ----------------------------------------------------------------------------------- */
static void wake_one(struct storage_log *log)
{
    kn_lock_take(&log->lock);
    struct storage_writer *w = log->writer;
    bool wants = w && w->wants_writable;
    if (wants) {
        w->wants_writable = false;
        w->pins++;
    }
    kn_lock_give(&log->lock);
    if (!wants)
        return;
    if (w->events.writable)
        w->events.writable(w->ctx);
    storage_writer_unpin(log, w);
}

/* Space came back: this stream's writer, and those that wait for the node's budget. */
void storage_writers_wake(struct storage_log *log)
{
    struct storage *storage = log->storage;
    wake_one(log);
    kn_lock_take(&storage->lock);
    struct storage_log *list = storage->hungry;
    storage->hungry = NULL;
    kn_lock_give(&storage->lock);
    while (list) {
        struct storage_log *one = list;
        kn_lock_take(&storage->lock);
        list = one->hungry_next;
        one->hungry = false;
        kn_lock_give(&storage->lock);
        wake_one(one);
    }
}

/* --- the header ------------------------------------------------------------------------------- */
int storage_writer_header(struct storage_writer *w, struct kn_bytes bytes,
                          const struct kn_mkv_header *parsed)
{
    kn_assert(!w->arrival);
    if (bytes.len > KN_MKV_HEADER_BYTES_MAX)
        return -EMSGSIZE;
    struct storage_header *header;
    int r = storage_header_new(bytes, &header);
    if (r < 0)
        return r;
    if (w->header)
        storage_header_unref(w->header);
    w->header = header;
    w->header_hash = storage_header_hash(bytes);
    w->tracks_hash = storage_chunk_tracks_hash(bytes);
    w->cue_track = 1;
    for (unsigned i = parsed->track_count; i > 0; i--) {
        const struct kn_mkv_track *track = &parsed->tracks[i - 1];
        if (track->type == KN_MKV_VIDEO || i == 1)
            w->cue_track = (uint32_t) track->number;
        if (track->type == KN_MKV_VIDEO)
            break;
    }
    storage_header_put(w->storage, &w->log->id, w->header_hash, header);
    return 0;
}

/* --- choosing a chunk ------------------------------------------------------------------------- */
/* Uploads that began together would all need a new chunk at once: up to an eighth earlier, by
 * chance. */
static uint64_t spread(const struct storage_chunk *chunk, uint64_t ms_max)
{
    return ms_max - ms_max / 8 * chunk->index.head.id[0] / 256;
}

static bool chunk_takes_locked(const struct storage_writer *w, const struct storage_chunk *chunk,
                               bool memory, uint64_t timecode, int64_t now_ms)
{
    const struct storage_conf *conf = &w->storage->conf;
    uint64_t bytes_max = memory ? conf->memory_stream_bytes_max / 16 : conf->chunk_bytes_max;
    uint64_t ms_max = memory ? conf->memory_stream_ms_max / 16 : conf->chunk_ms_max;
    if (chunk->state != STORAGE_CHUNK_OPEN || chunk->error || chunk->memory != memory ||
        chunk->tracks_hash != w->tracks_hash)
        return false;
    if (chunk->plan_count == 0)
        return true;
    return timecode > chunk->last_timecode && chunk->plan_count < STORAGE_CHUNK_FRAGMENTS_MAX &&
           chunk->plan_headers < STORAGE_CHUNK_HEADERS_MAX &&
           chunk->plan_end + 2 * chunk->fragment_bytes_max <= bytes_max &&
           now_ms - chunk->first_server_ts_ms < (int64_t) spread(chunk, ms_max);
}

static struct storage_number next_number_locked(struct storage_log *log)
{
    int64_t now_ms = kn_wall_ms(log->storage->clock);
    uint32_t random;
    log->last_server_ts_ms = kn_max_i64(now_ms, log->last_server_ts_ms + 1);
    kn_random_name(&random, sizeof random);
    return (struct storage_number){
        .seq = log->next_seq++,
        .server_ts_ms = log->last_server_ts_ms,
        .random = random & ((1u << 28) - 1),
    };
}

/* A new chunk takes a number of its own as its name, so names never meet and order as contents. */
static int new_chunk_locked(struct storage_log *log, struct storage_writer *w, bool memory)
{
    struct storage_chunk_head head = {
        .stream = log->id,
        .name = next_number_locked(log),
        .ordinal = log->next_ordinal,
        .discontinuity = log->discontinuity,
        .epoch = log->epoch,
    };
    if (w->storage->refused && !memory)
        return -ENOSPC;
    kn_random(head.id, sizeof(head.id));
    KN_CLEANUP(storage_chunk_unrefp) struct storage_chunk *chunk = NULL;
    int r = storage_directory_reserve(&log->directory);
    if (r == 0)
        r = storage_chunk_new(w->storage, &head, memory, &chunk);
    if (r < 0)
        return r;
    struct storage_op *op = storage_op_new(STORAGE_OP_CREATE, chunk);
    if (!op)
        return -ENOMEM;
    chunk->tracks_hash = w->tracks_hash;
    chunk->cue_track = w->cue_track;
    r = storage_chunk_image(chunk, w->header->bytes, &op->bytes, &op->header);
    if (r < 0) {
        storage_op_free(op);
        return r;
    }
    chunk->plan_end = op->bytes.len;
    chunk->plan_hashes[chunk->plan_headers++] = w->header_hash;
    storage_log_push_locked(log, op);
    struct storage_chunk_row row;
    storage_chunk_row_of(chunk, &row);
    row.live = storage_chunk_ref(chunk);
    storage_directory_insert(&log->directory, &row);
    log->open = KN_MOVE(chunk);
    return 0;
}

/* The index of the writer's header in the chunk; adds it when it is new there. */
static int header_index_locked(struct storage_log *log, struct storage_writer *w, uint8_t *ret)
{
    struct storage_chunk *chunk = log->open;
    for (uint32_t i = chunk->plan_headers; i > 0; i--) {
        if (chunk->plan_hashes[i - 1] == w->header_hash) {
            *ret = (uint8_t) (i - 1);
            return 0;
        }
    }
    struct storage_op *op = storage_op_new(STORAGE_OP_HEADER, chunk);
    if (!op)
        return -ENOMEM;
    int r = storage_chunk_header_record(chunk, w->header->bytes, chunk->plan_end, &op->bytes,
                                        &op->header);
    if (r < 0) {
        storage_op_free(op);
        return r;
    }
    op->offset = chunk->plan_end;
    *ret = (uint8_t) chunk->plan_headers;
    chunk->plan_hashes[chunk->plan_headers++] = w->header_hash;
    chunk->plan_end += op->bytes.len;
    storage_log_push_locked(log, op);
    return 0;
}

/* Whether the stream is kept in memory only; looked up when streams have changed. */
static int look_at_settings(struct storage_writer *w)
{
    uint64_t changes = storage_stream_changes(w->storage);
    if (w->settings_known && w->settings_changes == changes)
        return 0;
    struct storage_stream *settings = storage_stream_find_id(w->storage, &w->log->id);
    w->settings_known = settings != NULL;
    if (!settings)
        return -ENOENT;
    w->memory = settings->retention_hours == 0;
    w->settings_changes = changes;
    storage_stream_unref(settings);
    return 0;
}

static int choose_chunk_locked(struct storage_log *log, struct storage_writer *w, uint64_t timecode)
{
    int r = look_at_settings(w);
    if (r < 0)
        return r;
    bool memory = w->memory;
    if (w->storage->no_space && !memory)
        return -ENOSPC;
    int64_t now_ms = kn_max_i64(kn_wall_ms(w->storage->clock), log->last_server_ts_ms);
    if (log->open && !chunk_takes_locked(w, log->open, memory, timecode, now_ms))
        storage_chunk_close_locked(log, log->open);
    return log->open ? 0 : new_chunk_locked(log, w, memory);
}

/* --- begin
 * ---------------------------------------------------------------------------------------------------
 */
/* Numbers run low, or there are none yet. 0: there is one to take. */
static int numbers_locked(struct storage_log *log, struct storage_writer *w)
{
    if (log->fence_due) { /* nothing may follow a fence that is not stored: try that again */
        struct storage_op *op = storage_op_new(STORAGE_OP_FENCE, log->fence_due);
        if (op) {
            storage_chunk_unref(log->fence_due);
            log->fence_due = NULL;
            storage_log_push_locked(log, op);
        }
        return -EIO;
    }
    if (log->load_error && !log->reserving) {
        int r = log->load_error;
        log->load_error = 0; /* the next begin tries again */
        return r;
    }
    uint64_t left = log->reserved_seq > log->next_seq ? log->reserved_seq - log->next_seq : 0;
    if (left < STORAGE_NUMBER_LOW && !log->reserving) {
        struct storage_op *op = storage_op_new(STORAGE_OP_RESERVE, NULL);
        if (!op)
            return -ENOMEM;
        log->reserving = true;
        storage_log_push_locked(log, op);
    }
    if (left < 2) { /* one for the fragment, one for a new chunk */
        w->wants_writable = true;
        return -EAGAIN;
    }
    return 0;
}

/* What readers are told before the commit fixes it: those ahead may still fail. */
static void foresee_order_locked(const struct storage_log *log, struct storage_fragment *f)
{
    f->ordinal = log->next_ordinal;
    f->discontinuity = log->discontinuity;
    for (const struct storage_arrival *a = log->first; a; a = a->next) {
        if (a->state != STORAGE_COMMITTING)
            continue;
        f->ordinal++;
        f->discontinuity += a->fragment.flags & STORAGE_FRAGMENT_DISCONTINUITY ? 1 : 0;
    }
    f->discontinuity += f->flags & STORAGE_FRAGMENT_DISCONTINUITY ? 1 : 0;
}

static int begin_locked(struct storage_log *log, struct storage_writer *w,
                        const struct storage_begin *begin, struct storage_arrival *a)
{
    if (w->fenced || log->dropped)
        return -ESTALE;
    int r = numbers_locked(log, w);
    if (r < 0)
        return r;
    r = choose_chunk_locked(log, w, begin->timecode);
    if (r == 0)
        r = header_index_locked(log, w, &a->header);
    if (r < 0)
        return r;
    struct storage_chunk *chunk = log->open;
    a->chunk = storage_chunk_ref(chunk);
    uint32_t kept = STORAGE_FRAGMENT_DISCONTINUITY | STORAGE_FRAGMENT_RELATIVE;
    a->fragment = (struct storage_fragment){
        .number = next_number_locked(log),
        .producer_ts_ms = begin->producer_ts_ms,
        .timecode = begin->timecode,
        .flags = (begin->flags & kept) | STORAGE_FRAGMENT_IN_FLIGHT |
                 (chunk->memory ? STORAGE_FRAGMENT_MEMORY : 0),
        .header = w->header_hash,
        .chunk = chunk->index.head.name.seq,
        .offset = chunk->plan_end,
    };
    foresee_order_locked(log, &a->fragment);
    if (chunk->plan_count == 0)
        chunk->first_server_ts_ms = a->fragment.number.server_ts_ms;
    chunk->arrivals++;
    w->pins++;
    if (log->last)
        log->last->next = a;
    else
        log->first = a;
    log->last = a;
    w->arrival = a;
    return 0;
}

int storage_writer_begin(struct storage_writer *w, const struct storage_begin *begin,
                         struct storage_fragment *ret)
{
    kn_assert(!w->arrival && w->header);
    struct storage_log *log = w->log;
    struct storage_arrival *a = storage_arrival_new(log, w);
    if (!a)
        return -ENOMEM;
    kn_lock_take(&log->lock);
    int r = begin_locked(log, w, begin, a);
    if (r == 0)
        *ret = a->fragment;
    kn_lock_give(&log->lock);
    if (r < 0) {
        storage_arrival_free(a);
        return r;
    }
    kn_gate_bump(&log->gate);
    return 0;
}

/* --- parts
 * -----------------------------------------------------------------------------------------------------
 */
/* Hands what has gathered to the I/O threads. */
static void submit_locked(struct storage_log *log, struct storage_arrival *a)
{
    if (a->taken == a->submitted)
        return;
    struct storage_op *op = storage_op_new(STORAGE_OP_WRITE, a->chunk);
    if (!op)
        return; /* it is tried again with the next part, or goes with the commit */
    op->arrival = a;
    op->upto = a->taken;
    a->submitted = a->taken;
    a->last_closed = true;
    storage_log_push_locked(log, op);
}

static int writer_error_locked(const struct storage_log *log, const struct storage_writer *w,
                               const struct storage_arrival *a)
{
    if (w->fenced || log->dropped)
        return -ESTALE;
    return a->chunk->error;
}

/* Waits in the list of those that the next given-back block wakes. */
static void be_hungry_locked(struct storage *storage, struct storage_log *log)
{
    kn_lock_assert_held(&log->lock);
    KN_LOCKED(&storage->lock);
    if (log->hungry)
        return;
    log->hungry = true;
    log->hungry_next = storage->hungry;
    storage->hungry = log;
}

/* Room for the next bytes, or NULL: the stream's or the node's budget is spent. */
static struct storage_block *block_for_locked(struct storage_log *log, struct storage_writer *w,
                                              struct storage_arrival *a)
{
    if (a->last && !a->last_closed && a->last->used < STORAGE_BLOCK_PAYLOAD)
        return a->last;
    size_t blocks_max = (size_t) (w->storage->conf.window_bytes_max / STORAGE_BLOCK_BYTES);
    struct storage_block *block = NULL;
    if (log->window_blocks < blocks_max) {
        block = storage_block_take(&w->storage->blocks);
        if (!block) {
            be_hungry_locked(w->storage, log);
            block = storage_block_take(&w->storage->blocks); /* one may have come back meanwhile */
        }
    }
    if (!block) {
        submit_locked(log, a); /* what is here must leave, or nobody would ever give back */
        w->wants_writable = true;
        return NULL;
    }
    log->window_blocks++;
    if (a->last)
        a->last->next = block;
    else
        a->first = block;
    a->last = block;
    a->last_closed = false;
    return block;
}

ssize_t storage_writer_part(struct storage_writer *w, const void *ptr, size_t len)
{
    struct storage_arrival *a = w->arrival;
    kn_assert(a != NULL);
    struct storage_log *log = w->log;
    const uint8_t *from = ptr;
    size_t done = 0;
    kn_lock_take(&log->lock);
    int r = writer_error_locked(log, w, a);
    while (r == 0 && done < len) {
        struct storage_block *block = block_for_locked(log, w, a);
        if (!block)
            break;
        size_t step = kn_min_u64(len - done, STORAGE_BLOCK_PAYLOAD - block->used);
        uint8_t *to = block->bytes + block->used;
        kn_lock_give(&log->lock);
        memcpy(to, from + done, step); /* behind the visible end: nobody else looks there */
        a->crc = kn_crc32c(a->crc, (struct kn_bytes){to, step});
        kn_lock_take(&log->lock);
        block->used += (uint32_t) step;
        a->taken += step;
        done += step;
        r = writer_error_locked(log, w, a); /* fenced while we copied: nothing is submitted */
        if (r == 0 && a->taken - a->submitted >= w->storage->conf.part_bytes)
            submit_locked(log, a);
    }
    kn_lock_give(&log->lock);
    return r < 0 ? r : (ssize_t) done;
}

int storage_writer_mark(struct storage_writer *w, const struct storage_frame *frame)
{
    struct storage_arrival *a = w->arrival;
    kn_assert(a != NULL);
    struct storage_log *log = w->log;
    kn_lock_take(&log->lock);
    int r = writer_error_locked(log, w, a);
    if (r == 0 && frame) {
        if ((uint64_t) frame->offset + frame->bytes > a->taken)
            r = -EINVAL;
        else
            r = storage_frame_encode(&a->coder, frame, &a->frames);
    }
    if (r == 0) {
        a->visible = a->taken;
        a->fragment.bytes = a->visible;
        a->fragment.frame_count = a->coder.count;
    }
    kn_lock_give(&log->lock);
    if (r == 0)
        kn_gate_bump(&log->gate);
    return r;
}

bool storage_writer_is_followed(struct storage_writer *w)
{
    return kn_gate_is_awaited(&w->log->gate);
}

bool storage_writer_ask_followed(struct storage_writer *w)
{
    if (kn_gate_is_awaited(&w->log->gate))
        return true;
    atomic_store(&w->log->ask_followed, true);
    return kn_gate_is_awaited(&w->log->gate); /* who came in between may not have seen it */
}

void storage_log_followed(struct kn_gate *gate)
{
    struct storage_log *log = KN_CONTAINER_OF(gate, struct storage_log, gate);
    if (!atomic_load(&log->ask_followed) || !atomic_exchange(&log->ask_followed, false))
        return;
    KN_LOCKED(&log->lock);
    if (log->writer && log->writer->events.followed)
        log->writer->events.followed(log->writer->ctx);
}

/* --- the end of a fragment -------------------------------------------------------------------- */
static int check_commit(const struct storage_arrival *a, const struct storage_commit *commit)
{
    if (commit->cluster_offset > a->taken ||
        commit->cluster_bytes > a->taken - commit->cluster_offset ||
        commit->full_duration_ms < commit->duration_ms)
        return -EINVAL;
    uint64_t trailing = a->taken - commit->cluster_offset - commit->cluster_bytes;
    uint64_t record = STORAGE_RECORD_HEAD_BYTES + STORAGE_ENTRY_BYTES + a->frames.len;
    if (commit->cluster_offset > STORAGE_TAGS_BYTES_MAX || trailing > STORAGE_TAGS_BYTES_MAX ||
        record > STORAGE_RECORD_BYTES_MAX || a->coder.count >= 1u << 24 ||
        a->fragment.offset + a->taken + record > UINT32_MAX || a->taken == 0)
        return -EMSGSIZE;
    return 0;
}

int storage_writer_commit(struct storage_writer *w, const struct storage_commit *commit)
{
    struct storage_arrival *a = w->arrival;
    kn_assert(a != NULL);
    struct storage_log *log = w->log;
    int r = check_commit(a, commit);
    if (r < 0)
        return r;
    kn_lock_take(&log->lock);
    r = writer_error_locked(log, w, a);
    if (r < 0) {
        kn_lock_give(&log->lock);
        return r;
    }
    struct storage_fragment *f = &a->fragment;
    f->bytes = a->visible = a->taken;
    f->cluster_offset = commit->cluster_offset;
    f->cluster_bytes = commit->cluster_bytes;
    f->duration_ms = commit->duration_ms;
    f->full_duration_ms = commit->full_duration_ms;
    f->frame_count = a->coder.count;
    f->flags |= (commit->flags & STORAGE_FRAGMENT_END_TAG) | STORAGE_FRAGMENT_COMPLETE;
    f->record_bytes = (uint32_t) (STORAGE_RECORD_HEAD_BYTES + STORAGE_ENTRY_BYTES + a->frames.len);
    a->flush_soon = commit->flush_soon;
    a->state = STORAGE_COMMITTING;
    struct storage_chunk *chunk = a->chunk;
    chunk->plan_end = f->offset + f->bytes + f->record_bytes;
    chunk->plan_count++;
    chunk->last_timecode = f->timecode;
    chunk->last_server_ts_ms = f->number.server_ts_ms;
    chunk->fragment_bytes_max = kn_max_u64(chunk->fragment_bytes_max, f->bytes + f->record_bytes);
    a->end_op.kind = STORAGE_OP_COMMIT;
    storage_log_push_locked(log, &a->end_op);
    w->arrival = NULL;
    kn_lock_give(&log->lock);
    kn_gate_bump(&log->gate);
    return 0;
}

/* Takes the fragment out of sight and fixes what it leaves behind. Nothing is on disk yet: its
 * place is free again. Else a Void will span what was handed over; parts are longer than a Void's
 * head. */
static void freeze_locked(struct storage_log *log, struct storage_arrival *a)
{
    if (a->abandoned)
        return;
    a->abandoned = true;
    storage_arrival_unlink_locked(a);
    a->chunk->plan_end = a->fragment.offset;
    if (a->submitted == 0)
        return;
    uint64_t spanned = kn_max_u64(a->submitted, STORAGE_VOID_BYTES_MAX);
    a->chunk->plan_end += spanned;
    a->void_op.offset = a->fragment.offset;
    a->void_op.upto = spanned;
    storage_log_push_locked(log, &a->void_op);
}

static void abort_arrival_locked(struct storage_log *log, struct storage_writer *w)
{
    struct storage_arrival *a = w->arrival;
    if (!a)
        return;
    w->arrival = NULL;
    freeze_locked(log, a);
    a->end_op.kind = STORAGE_OP_ABANDON;
    storage_log_push_locked(log, &a->end_op);
}

void storage_writer_abort(struct storage_writer *w)
{
    if (!w->arrival)
        return;
    struct storage_log *log = w->log;
    kn_lock_take(&log->lock);
    abort_arrival_locked(log, w);
    kn_lock_give(&log->lock);
    kn_gate_bump(&log->gate);
}
