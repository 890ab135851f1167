/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operations of a log: reserve numbers, create a chunk, write parts, commit, abandon, seal.
 * They run in the order in which the writer planned them, and only they touch a chunk's file.
 * Steps on disk and in the catalogue go intent first and each may be repeated after a crash:
 * "o/" key → file and folders flushed → fragments → footer flushed → "c/" key → "o/" key removed.
 */
#include "operation.h"

#include "storage_metrics.h"
#include "sums.h"
#include "sweep.h"

enum {
    IOV_MAX_OURS = 64,
    SLOW_BYTES = 64 << 10,
};

static void fail(struct storage_log *log, struct storage_chunk *chunk, int error)
{
    kn_lock_take(&log->lock);
    storage_chunk_fail_locked(log, chunk, error);
    kn_lock_give(&log->lock);
}

static void run_reserve(struct storage_log *log)
{
    int r = storage_numbers_reserve(log);
    kn_lock_take(&log->lock);
    log->reserving = false;
    log->load_error = r < 0 ? (r == -ENOSPC ? r : -EIO) : 0;
    kn_lock_give(&log->lock);
    storage_writers_wake(log);
}

/* Nothing was ever committed to the chunk: it goes, file first, then its intent. */
static void discard(struct storage_log *log, struct storage_chunk *chunk)
{
    struct storage_chunk_path *path = malloc(sizeof(*path));
    char key[STORAGE_CHUNK_KEY_BYTES];
    uint64_t seq = chunk->index.head.name.seq;
    int r = path ? storage_chunk_path_of(chunk->storage->dir, &chunk->stream,
                                         &chunk->index.head.name, path)
                 : -ENOMEM;
    if (r == 0)
        r = storage_chunk_unlink(chunk->storage->fs, path);
    if (r == 0)
        r = storage_meta_remove(chunk->storage->meta,
                                storage_chunk_key('o', &chunk->stream, seq, key), 0);
    (void) r; /* what is left of it the next start clears away */
    free(path);
    kn_lock_take(&log->lock);
    struct storage_chunk_row *row = storage_directory_find(&log->directory, seq);
    if (row)
        storage_directory_remove(&log->directory, (size_t) (row - log->directory.rows), 1);
    kn_lock_give(&log->lock);
}

static void run_create(struct storage_log *log, struct storage_op *op)
{
    struct storage_chunk *chunk = op->chunk;
    int r = chunk->error;
    if (r == 0)
        r = op->result;
    if (r == 0)
        r = storage_chunk_create(chunk, kn_buf_bytes(&op->bytes), &log->folders);
    if (r < 0) {
        fail(log, chunk, r);
        discard(log, chunk);
        return;
    }
    kn_lock_take(&log->lock);
    chunk->index.headers[chunk->index.header_count++] = op->header;
    kn_lock_give(&log->lock);
    struct storage_swept total = {0};
    if (chunk->memory) /* a fast upload does not wait for the next round */
        storage_log_trim_memory(log, kn_wall_ms(log->storage->clock), &total);
}

static void run_header(struct storage_log *log, struct storage_op *op)
{
    struct storage_chunk *chunk = op->chunk;
    if (chunk->error)
        return;
    kn_lock_take(&log->lock);
    uint64_t offset = op->offset;
    struct storage_record record = {
        .offset = (uint32_t) offset,
        .previous = (uint32_t) chunk->previous,
        .durable_upto = (uint32_t) chunk->durable_upto,
        .epoch = chunk->index.head.epoch,
    };
    kn_lock_give(&log->lock);
    storage_record_end(&op->bytes, 0, &record, chunk->seed);
    int r = storage_chunk_allocate(chunk, offset + op->bytes.len);
    if (r == 0)
        r = kn_file_write_all(chunk->file, &(struct iovec){op->bytes.ptr, op->bytes.len}, 1,
                              offset);
    if (r < 0) {
        fail(log, chunk, r);
        return;
    }
    kn_lock_take(&log->lock);
    chunk->previous = offset;
    chunk->tail = offset + op->bytes.len;
    chunk->index.headers[chunk->index.header_count++] = op->header;
    kn_lock_give(&log->lock);
}

/* --- parts ------------------------------------------------------------------------------------ */
struct gathered {
    struct iovec iov[IOV_MAX_OURS];
    int count;
    uint64_t from, bytes;
};

/* The next blocks of the window, up to `upto`; they stay in it, so readers still find them. */
static void gather_locked(struct storage_arrival *a, uint64_t from, uint64_t upto,
                          struct gathered *ret)
{
    uint64_t at = a->window_start;
    ret->count = 0;
    ret->from = from;
    ret->bytes = 0;
    for (struct storage_block *b = a->first; b && ret->count < IOV_MAX_OURS - 1; b = b->next) {
        if (at >= upto)
            break;
        if (at >= from) {
            ret->iov[ret->count++] = (struct iovec){b->bytes, b->used};
            ret->bytes += b->used;
        }
        at += b->used;
    }
}

/* Drops written blocks; returns those to give back. Submitted bytes end at a block's end, and a
 * block without bytes is the one that the writer is about to fill. */
static struct storage_block *drop_written_locked(struct storage_arrival *a, uint64_t upto)
{
    struct storage_block *list = NULL;
    while (a->first && a->first->used > 0 && a->window_start + a->first->used <= upto) {
        struct storage_block *block = a->first;
        a->window_start += block->used;
        a->first = block->next;
        if (!a->first)
            a->last = NULL;
        block->next = list;
        list = block;
        a->log->window_blocks--;
    }
    return list;
}

/* Writes the window up to `upto`, and record after it when there is one. */
static int write_window(struct storage_arrival *a, uint64_t upto, const struct kn_buf *record)
{
    struct storage_log *log = a->log;
    struct storage_chunk *chunk = a->chunk;
    uint64_t end = a->fragment.offset + upto + (record ? record->len : 0);
    int r = storage_chunk_allocate(chunk, end);
    while (r == 0) {
        struct gathered part;
        kn_lock_take(&log->lock);
        gather_locked(a, a->window_start, upto, &part);
        kn_lock_give(&log->lock);
        bool last = part.from + part.bytes >= upto;
        if (last && record) {
            part.iov[part.count++] = (struct iovec){record->ptr, record->len};
        }
        if (part.count > 0)
            r = kn_file_write_all(chunk->file, part.iov, part.count,
                                  a->fragment.offset + part.from);
        if (r < 0)
            break;
        storage_metrics_written(part.bytes);
        kn_lock_take(&log->lock);
        struct storage_block *written = drop_written_locked(a, part.from + part.bytes);
        kn_lock_give(&log->lock);
        if (written)
            storage_block_give(&log->storage->blocks, written);
        if (last)
            break;
    }
    return r;
}

static void run_write(struct storage_log *log, struct storage_op *op)
{
    struct storage_arrival *a = op->arrival;
    kn_lock_take(&log->lock);
    bool skip = a->abandoned || a->chunk->error;
    kn_lock_give(&log->lock);
    int r = skip ? 0 : write_window(a, op->upto, NULL); /* the rest goes with the arrival */
    if (r < 0)
        fail(log, a->chunk, r);
    storage_writers_wake(log);
}

/* --- commit ----------------------------------------------------------------------------------- */
static int build_record_locked(struct storage_log *log, struct storage_arrival *a,
                               struct kn_buf *out)
{
    struct storage_chunk *chunk = a->chunk;
    struct storage_fragment *f = &a->fragment;
    f->ordinal = log->next_ordinal;
    f->discontinuity = log->discontinuity + (f->flags & STORAGE_FRAGMENT_DISCONTINUITY ? 1 : 0);
    int r = storage_entry_encode(a->entry, &chunk->index.head, f, a->header, a->crc);
    if (r < 0)
        return r;
    size_t start = storage_record_start(out, STORAGE_RECORD_FRAGMENT);
    kn_buf_append(out, a->entry, sizeof(a->entry));
    kn_buf_append(out, a->frames.ptr, a->frames.len);
    struct storage_record record = {
        .offset = (uint32_t) (f->offset + f->bytes),
        .previous = (uint32_t) chunk->previous,
        .durable_upto = (uint32_t) chunk->durable_upto,
        .epoch = chunk->index.head.epoch,
    };
    storage_record_end(out, start, &record, chunk->seed);
    kn_assert(out->error || out->len == f->record_bytes);
    if (out->error)
        return out->error;
    return storage_index_reserve(&chunk->index, chunk->arrivals);
}

static void finish_commit(struct storage_log *log, struct storage_arrival *a, int result)
{
    kn_lock_take(&log->lock);
    if (a->twin_failed) {
        result = -EIO;
        a->duplicate = false;
    }
    bool unproven = result == 0 && a->awaits && a->awaits->unflushed;
    if (unproven && a->awaits->state == STORAGE_CHUNK_FENCED)
        result = -EIO; /* its flush has failed since we looked, and no other will come */
    a->result = result;
    bool wait = result == 0 && !a->duplicate && !a->chunk->memory;
    bool wait_for_other = result == 0 && unproven;
    a->state = wait || wait_for_other ? STORAGE_WRITTEN : STORAGE_DONE;
    if (result == 0 && !a->duplicate) {
        a->tail = a->fragment.offset + a->fragment.bytes + a->fragment.record_bytes;
        a->chunk->previous = a->fragment.offset + a->fragment.bytes;
        a->chunk->tail = a->tail;
        log->next_ordinal = a->fragment.ordinal + 1;
        log->discontinuity = a->fragment.discontinuity;
    }
    struct storage_chunk *chunk = storage_chunk_ref(a->chunk);
    bool soon = a->flush_soon;
    kn_lock_give(&log->lock);
    if (wait)
        storage_committer_add(&log->storage->committer, log, chunk, soon);
    else
        storage_log_deliver(log);
    storage_chunk_unref(chunk);
}

/* Leaves a Void where the bytes of an equal fragment would have been. Readers in flight are told
 * first (read.c): what they read from the file afterwards is not the fragment's. */
static int skip_duplicate(struct storage_log *log, struct storage_arrival *a,
                          struct storage_chunk *awaits)
{
    kn_lock_take(&log->lock);
    a->awaits = awaits;
    a->voided = true;
    kn_lock_give(&log->lock);
    uint64_t bytes = a->fragment.bytes + a->fragment.record_bytes;
    int r = storage_chunk_allocate(a->chunk, a->fragment.offset + bytes);
    return r < 0 ? r : storage_chunk_void(a->chunk, a->fragment.offset, bytes);
}

/* An equal fragment that is written and not in an index yet, since its flush is under way: a camera
 * whose connection broke is back before that. It is told first, so its outcome is this one's. */
static bool find_twin(struct storage_log *log, struct storage_arrival *a)
{
    if (a->chunk->memory)
        return false;
    KN_LOCKED(&log->lock);
    for (struct storage_arrival *b = log->first; b && b != a; b = b->next) {
        bool there = (b->state == STORAGE_WRITTEN || b->state == STORAGE_DONE) && b->result == 0;
        if (there && !b->duplicate && b->crc == a->crc && b->fragment.bytes == a->fragment.bytes &&
            b->fragment.producer_ts_ms == a->fragment.producer_ts_ms) {
            a->twin = b;
            return true;
        }
    }
    return false;
}

static void commit_duplicate(struct storage_log *log, struct storage_arrival *a,
                             struct storage_chunk *awaits)
{
    int r = skip_duplicate(log, a, awaits);
    if (r < 0)
        fail(log, a->chunk, r);
    kn_lock_take(&log->lock);
    a->duplicate = r == 0;
    if (r < 0)
        a->twin = NULL;
    kn_lock_give(&log->lock);
    finish_commit(log, a, r < 0 ? storage_disk_error(r) : 0);
}

static void run_commit(struct storage_log *log, struct storage_op *op)
{
    struct storage_arrival *a = op->arrival;
    struct storage_chunk *awaits = NULL; /* the arrival's, once it is there */
    if (a->chunk->error) {
        finish_commit(log, a, a->chunk->error);
        return;
    }
    if (find_twin(log, a) || storage_log_find_equal(log, a, &a->stored, &awaits)) {
        commit_duplicate(log, a, awaits);
        return;
    }
    struct kn_buf record;
    kn_buf_init(&record, STORAGE_RECORD_BYTES_MAX);
    kn_lock_take(&log->lock);
    int r = build_record_locked(log, a, &record);
    kn_lock_give(&log->lock);
    if (r == 0)
        r = write_window(a, a->fragment.bytes, &record);
    if (r == 0)
        a->chunk->written++;
    kn_buf_done(&record);
    if (r < 0)
        fail(log, a->chunk, r);
    finish_commit(log, a, r < 0 ? storage_disk_error(r) : 0);
}

static void run_void(struct storage_log *log, struct storage_op *op)
{
    struct storage_chunk *chunk = op->arrival->chunk;
    if (chunk->error)
        return;
    int r = storage_chunk_allocate(chunk, op->offset + op->upto);
    if (r == 0)
        r = storage_chunk_void(chunk, op->offset, op->upto);
    if (r < 0)
        fail(log, chunk, r);
}

static void run_abandon(struct storage_log *log, struct storage_op *op)
{
    struct storage_arrival *a = op->arrival;
    struct storage_writer *w = a->writer;
    kn_lock_take(&log->lock);
    a->chunk->arrivals--;
    storage_arrival_forget_window_locked(a);
    if (a->chunk->state == STORAGE_CHUNK_CLOSING)
        storage_chunk_close_locked(log, a->chunk); /* it may have been the last on its way */
    kn_lock_give(&log->lock);
    storage_arrival_free(a);
    storage_writers_wake(log);
    storage_writer_unpin(log, w);
}

/* --- the end of a chunk ----------------------------------------------------------------------- */
static void run_seal(struct storage_log *log, struct storage_op *op)
{
    struct storage_chunk *chunk = op->chunk;
    kn_lock_take(&log->lock);
    bool still = chunk->state == STORAGE_CHUNK_CLOSING;
    kn_lock_give(&log->lock);
    if (!still)
        return; /* a flush failed meanwhile */
    if (chunk->index.count == 0) {
        discard(log, chunk);
        return;
    }
    uint64_t bytes, footer_offset;
    int r = storage_chunk_seal(chunk, &footer_offset, &bytes);
    kn_lock_take(&log->lock);
    if (r < 0) {
        storage_chunk_fence_locked(log, chunk, r);
    } else {
        chunk->footer_offset = footer_offset;
        chunk->sealed_bytes = bytes;
    }
    kn_lock_give(&log->lock);
    if (r == 0)
        storage_committer_add(&log->storage->committer, log, chunk, true);
}

static void run_sealed(struct storage_log *log, struct storage_op *op)
{
    struct storage_chunk *chunk = op->chunk;
    struct storage_meta *meta = log->storage->meta;
    struct storage_chunk_row row;
    uint8_t value[STORAGE_CHUNK_ROW_BYTES];
    char key[STORAGE_CHUNK_KEY_BYTES];
    storage_chunk_row_of(chunk, &row);
    uint64_t version;
    kn_lock_take(&log->slow);
    int r = storage_clean_mark_ensure_gone(log->storage);
    if (r == 0)
        r = storage_numbers_read(log);
    if (r == 0) {
        /* One that a failed flush left open may be sealed when the horizon has passed it. */
        row.kept =
            storage_row_last_seq(&row) <= log->stored.trim_seq && storage_log_holds(log, &row);
        storage_chunk_row_encode(&row, value);
        r = storage_meta_put(meta, storage_chunk_key('c', &chunk->stream, row.name.seq, key),
                             (struct kn_bytes){value, sizeof(value)}, 0, &version);
    }
    kn_lock_give(&log->slow);
    if (r == 0 || r == -EEXIST)
        r = storage_meta_remove(meta, storage_chunk_key('o', &chunk->stream, row.name.seq, key), 0);
    if (r < 0 && r != -ENOENT)
        return; /* still found under its intent; the next start repeats this */
    kn_lock_take(&log->lock);
    chunk->state = STORAGE_CHUNK_SEALED;
    struct storage_chunk_row *there = storage_directory_find(&log->directory, row.name.seq);
    bool known = there != NULL;
    if (known) {
        struct storage_chunk *live = there->live;
        there->footer_offset = row.footer_offset;
        there->file_bytes = row.file_bytes;
        there->live = NULL;
        storage_chunk_unref(live);
        if (row.kept)
            storage_directory_keep(&log->directory, there);
    }
    kn_lock_give(&log->lock);
    if (known)
        storage_sealed_put(log->storage, chunk);
}

/* The flush failed: what recovery may believe of the chunk is stored before a new one follows. */
static void run_fence(struct storage_log *log, struct storage_op *op)
{
    kn_lock_take(&log->lock);
    uint64_t upto = op->chunk->durable_upto;
    kn_lock_give(&log->lock);
    int r = storage_intent_fence(op->chunk, upto);
    if (r == 0 || r == -ENOENT)
        return;
    kn_lock_take(&log->lock);
    if (!log->fence_due)
        log->fence_due = storage_chunk_ref(op->chunk);
    kn_lock_give(&log->lock);
}

bool storage_operation_is_slow(const struct storage_op *op)
{
    switch (op->kind) {
    case STORAGE_OP_WRITE: /* the fragment still grows: its own length is the writer's */
        return op->upto >= SLOW_BYTES;
    case STORAGE_OP_COMMIT:
        return op->arrival->fragment.bytes >= SLOW_BYTES;
    case STORAGE_OP_HEADER:
    case STORAGE_OP_VOID:
    case STORAGE_OP_ABANDON:
    case STORAGE_OP_CLOSED:
        return false;
    case STORAGE_OP_RESERVE:
    case STORAGE_OP_CREATE:
    case STORAGE_OP_SEAL:
    case STORAGE_OP_SEALED:
    case STORAGE_OP_FENCE:
        break;
    }
    return true;
}

bool storage_operation_lacks_intent(const struct storage_op *op)
{
    return op->kind == STORAGE_OP_CREATE && !op->chunk->memory && !op->intended;
}

static void run(struct storage_log *log, struct storage_op *op)
{
    switch (op->kind) {
    case STORAGE_OP_RESERVE:
        run_reserve(log);
        break;
    case STORAGE_OP_CREATE:
        run_create(log, op);
        break;
    case STORAGE_OP_HEADER:
        run_header(log, op);
        break;
    case STORAGE_OP_WRITE:
        run_write(log, op);
        break;
    case STORAGE_OP_COMMIT:
        run_commit(log, op);
        break;
    case STORAGE_OP_VOID:
        run_void(log, op);
        break;
    case STORAGE_OP_ABANDON:
        run_abandon(log, op);
        break;
    case STORAGE_OP_SEAL:
        run_seal(log, op);
        break;
    case STORAGE_OP_SEALED:
        run_sealed(log, op);
        break;
    case STORAGE_OP_FENCE:
        run_fence(log, op);
        break;
    case STORAGE_OP_CLOSED:
        storage_writer_finish(op->writer);
        break;
    }
}

void storage_operation_run(struct storage_log *log, struct storage_op *op)
{
    bool slow = storage_operation_is_slow(op);
    if (slow)
        storage_io_slow_begin(&log->storage->io);
    run(log, op);
    if (slow)
        storage_io_slow_end(&log->storage->io);
}
