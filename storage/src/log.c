/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream's log: its queue of operations, the order in which results are told, and what ends a
 * chunk. The operations themselves are in operation.c; log.h has the overview.
 */
#include "log.h"

#include "operation.h"
#include "storage_metrics.h"

#include "core/log.h"

enum {
    RUN_MAX = 64
}; /* operations before other streams get their turn */

struct storage_op *storage_op_new(enum storage_op_kind kind, struct storage_chunk *chunk)
{
    struct storage_op *op = calloc(1, sizeof(*op));
    if (!op)
        return NULL;
    op->kind = kind;
    op->chunk = chunk ? storage_chunk_ref(chunk) : NULL;
    kn_buf_init(&op->bytes, SIZE_MAX);
    return op;
}

void storage_op_free(struct storage_op *op)
{
    if (!op)
        return;
    storage_chunk_unref(op->chunk);
    kn_buf_done(&op->bytes);
    free(op);
}

void storage_log_push_locked(struct storage_log *log, struct storage_op *op)
{
    kn_lock_assert_held(&log->lock);
    storage_work_begin(log->storage);
    if (log->op_last)
        log->op_last->next = op;
    else
        log->op_first = op;
    log->op_last = op;
    if (!log->scheduled) {
        log->scheduled = true;
        storage_io_add(&log->storage->io, log, storage_operation_is_slow(op));
    }
}

void storage_log_run(struct storage_log *log)
{
    for (unsigned i = 0; i < RUN_MAX; i++) {
        kn_lock_take(&log->lock);
        struct storage_op *op = log->op_first;
        if (!op) {
            log->scheduled = false;
            kn_lock_give(&log->lock);
            return;
        }
        if (storage_operation_lacks_intent(op)) {
            kn_lock_give(&log->lock);
            storage_intents_add(&log->storage->intents, log); /* it comes back with one */
            return;
        }
        log->op_first = op->next;
        if (!log->op_first)
            log->op_last = NULL;
        kn_lock_give(&log->lock);
        bool of_arrival = op->of_arrival;
        storage_operation_run(log, op);
        if (!of_arrival)
            storage_op_free(op);
        storage_work_end(log->storage);
    }
    storage_io_add(&log->storage->io, log, true);
}

/* --- ends of chunks --------------------------------------------------------------------------- */
/* Once nothing is on its way into a closing chunk, it is sealed. */
static void maybe_seal_locked(struct storage_log *log, struct storage_chunk *chunk)
{
    if (chunk->state != STORAGE_CHUNK_CLOSING || chunk->arrivals > 0 || chunk->seal_queued)
        return;
    if (chunk->memory) {
        chunk->state = STORAGE_CHUNK_SEALED;
        return;
    }
    struct storage_op *op = storage_op_new(STORAGE_OP_SEAL, chunk);
    if (!op)
        return; /* no memory: it stays readable, and the next start seals it */
    chunk->seal_queued = true;
    storage_log_push_locked(log, op);
}

void storage_chunk_close_locked(struct storage_log *log, struct storage_chunk *chunk)
{
    kn_lock_assert_held(&log->lock);
    if (chunk->state == STORAGE_CHUNK_OPEN)
        chunk->state = STORAGE_CHUNK_CLOSING;
    if (log->open == chunk) {
        log->open = NULL;
        storage_chunk_unref(chunk); /* the directory holds one too */
    }
    maybe_seal_locked(log, chunk);
}

/* The closed list of errors: what a disk can say is no space or a failure. */
int storage_disk_error(int r)
{
    return r == -ENOSPC || r == -EDQUOT ? -ENOSPC : r == -ENOMEM ? -ENOMEM : -EIO;
}

static void say_failed(const struct storage_log *log, const struct storage_chunk *chunk, int error)
{
    char id[STORAGE_ID_TEXT_BYTES], number[STORAGE_NUMBER_TEXT_BYTES];
    storage_id_text(&log->id, id);
    storage_number_format(&chunk->index.head.name, number);
    if (chunk->index.header_count == 0)
        kn_log_error("chunk_not_made", "stream_id=%s chunk=%s err=%s", id, number,
                     kn_errname(error));
    else
        kn_log_error("chunk_fenced",
                     "stream_id=%s chunk=%s err=%s durable_bytes=%" PRIu64
                     " said=\"a write or a flush failed: nothing behind the durable bytes is "
                     "acknowledged, and uploads go on in a new chunk\"",
                     id, number, kn_errname(error), chunk->durable_upto);
}

/* What was flushed is kept and stays readable; nothing is added, not even a footer. */
static void fence_locked(struct storage_log *log, struct storage_chunk *chunk, int why)
{
    chunk->error = storage_disk_error(why) == -ENOMEM ? -ENOMEM : -EIO;
    chunk->state = STORAGE_CHUNK_FENCED;
    if (log->open == chunk) {
        log->open = NULL;
        storage_chunk_unref(chunk);
    }
    if (chunk->memory)
        return;
    storage_metrics_fenced();
    say_failed(log, chunk, why);
    struct storage_op *op = storage_op_new(STORAGE_OP_FENCE, chunk);
    if (op)
        storage_log_push_locked(log, op);
    else if (!log->fence_due)
        log->fence_due = storage_chunk_ref(chunk);
}

void storage_chunk_fence_locked(struct storage_log *log, struct storage_chunk *chunk, int why)
{
    kn_lock_assert_held(&log->lock);
    if (chunk->state != STORAGE_CHUNK_FENCED)
        fence_locked(log, chunk, why);
}

void storage_chunk_fail_locked(struct storage_log *log, struct storage_chunk *chunk, int why)
{
    kn_lock_assert_held(&log->lock);
    if (chunk->error || chunk->state == STORAGE_CHUNK_FENCED)
        return;
    if (storage_disk_error(why) != -ENOSPC) {
        fence_locked(log, chunk, why);
        return;
    }
    chunk->error = -ENOSPC;
    storage_space_refused(log->storage);
    storage_chunk_close_locked(log, chunk); /* what is in it is good: room to seal is kept */
}

/* --- telling results -------------------------------------------------------------------------- */
/* A durable fragment joins its chunk's index. Room was made before it was written. */
static void make_visible_locked(struct storage_log *log, struct storage_arrival *a)
{
    struct storage_chunk *chunk = a->chunk;
    int r = storage_index_add(&chunk->index, a->entry);
    kn_assert(r == 0);
    struct storage_chunk_row *row =
        storage_directory_find(&log->directory, chunk->index.head.name.seq);
    if (row)
        storage_directory_count(&log->directory, row, &a->fragment);
    storage_metrics_commit(a->fragment.bytes);
}

/* Those that were sent again while it was on its way have its outcome. */
static void tell_twins_locked(struct storage_log *log, const struct storage_arrival *a)
{
    for (struct storage_arrival *other = log->first; other; other = other->next) {
        if (other->twin != a)
            continue;
        other->twin = NULL;
        other->stored = a->fragment;
        other->twin_failed = a->result < 0;
        if (a->result < 0 && other->state == STORAGE_DONE) {
            other->result = a->result;
            other->duplicate = false;
        }
    }
}

static void end_arrival_locked(struct storage_log *log, struct storage_arrival *a)
{
    storage_arrival_unlink_locked(a);
    storage_arrival_forget_window_locked(a);
    a->chunk->arrivals--;
    if (a->result == 0 && !a->duplicate)
        make_visible_locked(log, a);
    a->fragment.flags &= ~(uint32_t) (STORAGE_FRAGMENT_IN_FLIGHT | STORAGE_FRAGMENT_COMPLETE);
    tell_twins_locked(log, a);
    maybe_seal_locked(log, a->chunk);
}

void storage_log_deliver(struct storage_log *log)
{
    bool any = false, persisted = false;
    kn_lock_take(&log->lock);
    if (log->delivering) { /* whoever is at it looks again before it leaves */
        kn_lock_give(&log->lock);
        return;
    }
    log->delivering = true;
    while (log->first && log->first->state == STORAGE_DONE) {
        struct storage_arrival *a = log->first;
        end_arrival_locked(log, a);
        any = true;
        persisted |= a->result == 0;
        kn_lock_give(&log->lock);
        storage_writer_tell(a);
        storage_writer_unpin(log, a->writer);
        storage_arrival_free(a);
        kn_lock_take(&log->lock);
    }
    log->delivering = false;
    kn_lock_give(&log->lock);
    if (any) {
        kn_gate_bump(&log->gate);
        storage_writers_wake(log);
    }
    if (persisted)
        kn_gate_bump(&log->persisted);
}

/* Ordinals given to fragments that will not be are given again, if nobody else has later ones. */
static void take_back_ordinals_locked(struct storage_log *log, struct storage_chunk *chunk)
{
    uint64_t ordinal = log->next_ordinal, discontinuity = log->discontinuity;
    for (struct storage_arrival *a = log->first; a; a = a->next) {
        if (a->state != STORAGE_WRITTEN || a->duplicate)
            continue;
        if (a->chunk != chunk)
            return;
        if (a->fragment.ordinal < ordinal) {
            ordinal = a->fragment.ordinal;
            discontinuity = a->fragment.discontinuity -
                            (a->fragment.flags & STORAGE_FRAGMENT_DISCONTINUITY ? 1 : 0);
        }
    }
    log->next_ordinal = ordinal;
    log->discontinuity = discontinuity;
}

void storage_log_flushed(struct storage_log *log, struct storage_chunk *chunk, uint64_t tail,
                         bool footer, int result)
{
    kn_lock_take(&log->lock);
    if (chunk->state == STORAGE_CHUNK_FENCED)
        result = -EIO; /* a write has failed meanwhile: what is trusted is stored already */
    if (result < 0) {
        take_back_ordinals_locked(log, chunk);
        storage_chunk_fence_locked(log, chunk, result); /* one that is full too: its footer */
    } else {
        chunk->durable_upto = kn_max_u64(chunk->durable_upto, tail);
        chunk->unflushed = false;
    }
    for (struct storage_arrival *a = log->first; a; a = a->next) {
        if ((a->awaits ? a->awaits : a->chunk) != chunk || a->state != STORAGE_WRITTEN)
            continue;
        if (result < 0 || a->tail <= tail) {
            a->state = STORAGE_DONE;
            a->result = result < 0 ? -EIO : a->result;
        }
    }
    if (result == 0 && footer && chunk->state == STORAGE_CHUNK_CLOSING) {
        struct storage_op *op = storage_op_new(STORAGE_OP_SEALED, chunk);
        if (op)
            storage_log_push_locked(log, op);
    }
    kn_lock_give(&log->lock);
    storage_log_deliver(log);
}
