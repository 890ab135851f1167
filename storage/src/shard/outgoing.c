/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records on their way from memory to a segment; see checkpoint.h. Frames are written at the place
 * that the catalogue's row says, not at the file's end: what an unfinished checkpoint has left is
 * written over.
 */
#include "checkpoint.h"

#include "core/crypto.h"

enum {
    FRAMES_A_WRITE = 500,
    FLUSH_EVERY_BYTES = 4 << 20, /* more at once, and the journal's own flushes wait behind it */
};

/* --- planning --------------------------------------------------------------------------------- */
int storage_outgoing_take(struct storage_outgoing *out, struct storage_shard *shard,
                          uint64_t generation)
{
    *out = (struct storage_outgoing){.shard = shard};
    KN_LOCKED(&shard->lock);
    if (shard->dropped)
        return 0;
    size_t count = 0;
    storage_shard_tail_fetch_locked(shard);
    while (count < shard->tail_count &&
           shard->tail[shard->tail_at + count]->generation <= generation)
        count++;
    if (count == 0)
        return 0;
    out->batches = malloc(count * sizeof(struct storage_batch *));
    if (!out->batches)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        struct storage_batch *batch = shard->tail[shard->tail_at + i];
        out->batches[i] = batch;
        out->any_records |= batch->count > 0;
        out->closes |= batch->kind == STORAGE_BATCH_CLOSE;
        if (batch->count > 0)
            out->frame_bytes += STORAGE_SHARD_FRAME_BYTES + batch->len;
    }
    out->count = count;
    out->row.first = out->row.next = shard->flushed;
    return 0;
}

static bool is_room(const struct storage_outgoing *out, const struct storage_segment_row *row)
{
    const struct storage_shards *shards = out->shard->shards;
    int64_t age_ms = kn_wall_ms(shards->storage->clock) - row->first_ms;
    return !row->sealed && !out->shard->fenced && age_ms <= (int64_t) shards->conf.segment_ms_max &&
           row->bytes + out->frame_bytes <= shards->conf.segment_bytes_max;
}

static void plan_new(struct storage_outgoing *out, const struct storage_segment_row *newest)
{
    out->is_new = true;
    if (newest && newest->next > newest->first) {
        out->seals_before = !newest->sealed;
        out->before = *newest;
        out->before.sealed = true;
        out->before_version = out->version;
        out->version = 0;
        out->row.bytes_before = newest->bytes_before + newest->data_bytes;
        out->row.records_before = newest->records_before + newest->records;
    } else if (!newest) { /* none, or none left by retention */
        KN_LOCKED(&out->shard->lock);
        out->row.bytes_before = out->shard->bytes_dropped;
        out->row.records_before = out->shard->records_dropped;
    } else { /* an intent of a checkpoint that did not end */
        out->row.bytes_before = newest->bytes_before;
        out->row.records_before = newest->records_before;
    }
    kn_random_name(out->row.id, sizeof(out->row.id));
    out->write_at = STORAGE_SEGMENT_HEAD_BYTES;
}

static void count_records(struct storage_outgoing *out)
{
    struct storage_segment_row *row = &out->row;
    uint64_t at = out->write_at;
    for (size_t i = out->skip; i < out->count; i++) {
        const struct storage_batch *batch = out->batches[i];
        if (batch->count == 0)
            continue;
        if (row->records == 0)
            row->first_ms = batch->arrival_ms;
        row->last_ms = batch->arrival_ms;
        row->next = batch->first_index + batch->count;
        row->records += batch->count;
        row->data_bytes += batch->data_bytes;
        at += STORAGE_SHARD_FRAME_BYTES + batch->len;
    }
    row->bytes = at;
}

/* A checkpoint may have made the segment's row and then have failed with the shard's own: what the
 * row says is in the segment for good, and is not written once more. True: something is left. */
static bool skip_written(struct storage_outgoing *out, const struct storage_segment_row *newest)
{
    while (out->skip < out->count && out->batches[out->skip]->count > 0 &&
           out->batches[out->skip]->first_index < newest->next)
        out->frame_bytes -= STORAGE_SHARD_FRAME_BYTES + out->batches[out->skip++]->len;
    out->row.first = out->row.next = kn_max_u64(out->row.first, newest->next);
    return out->frame_bytes > 0;
}

/* With its version, 0 when it is not needed: nothing is added to what lies in a pack. -ENOENT. */
static int newest_row(struct storage_outgoing *out, struct storage_segment_row *ret)
{
    struct storage_shard *shard = out->shard;
    bool known = shard->newest_known && out->batches[0]->first_index >= shard->newest.next;
    shard->newest_known = false; /* until this checkpoint has succeeded */
    if (!known)
        return storage_segment_row_at(shard->shards->storage->meta, &shard->id, UINT64_MAX, ret,
                                      &out->version);
    *ret = shard->newest;
    return 0;
}

int storage_outgoing_plan(struct storage_outgoing *out, struct storage_shard *shard,
                          uint64_t generation, bool packed)
{
    int r = storage_outgoing_take(out, shard, generation);
    if (r < 0 || !out->any_records)
        return r;
    struct storage_segment_row newest;
    r = newest_row(out, &newest);
    if (r < 0 && r != -ENOENT)
        return r;
    bool left = r < 0 || skip_written(out, &newest);
    if (r == 0 && newest.next > newest.first && (!left || (!packed && is_room(out, &newest)))) {
        out->row = newest;
        out->write_at = newest.bytes;
    } else {
        plan_new(out, r == 0 ? &newest : NULL);
        out->packed = out->row.sealed = packed;
    }
    count_records(out);
    return 0;
}

/* --- writing ---------------------------------------------------------------------------------- */
static int make_folder(struct storage_outgoing *out)
{
    struct storage_shards *shards = out->shard->shards;
    struct kn_fs *fs = shards->storage->fs;
    char path[STORAGE_SHARD_PATH_BYTES];
    int r = storage_segment_folder(shards, &out->shard->id, path);
    if (r < 0)
        return r;
    r = fs->ops->mkdir(fs, path);
    /* If a segment has been flushed in it before, so has its own name. */
    out->in_new_folder = r != -EEXIST || out->row.bytes_before + out->row.records_before == 0;
    return r == -EEXIST ? 0 : r;
}

static int make_file(struct storage_outgoing *out)
{
    struct storage_shards *shards = out->shard->shards;
    struct kn_fs *fs = shards->storage->fs;
    char path[STORAGE_SHARD_PATH_BYTES];
    int flags = KN_FS_WRITE | KN_FS_CREATE | KN_FS_EXCLUSIVE | (out->direct ? KN_FS_DIRECT : 0);
    int r = make_folder(out);
    if (r == 0)
        r = storage_segment_path(shards, &out->shard->id, out->row.first, path);
    if (r == 0)
        r = fs->ops->unlink(fs, path); /* of a checkpoint that did not end */
    if (r == 0 || r == -ENOENT)
        r = fs->ops->open(fs, path, flags, &out->file);
    if (r < 0 || out->direct)
        return r;
    uint8_t head[STORAGE_SEGMENT_HEAD_BYTES];
    storage_segment_head(&out->shard->id, &out->row, head);
    struct iovec iov = {head, sizeof(head)};
    return kn_file_write_all(out->file, &iov, 1, 0);
}

/* After the files: a flush of one commits what all of them changed in folders, so that these have
 * little left to do. */
int storage_outgoing_sync_folder(struct storage_outgoing *out)
{
    struct storage_shards *shards = out->shard->shards;
    char folder[STORAGE_SHARD_PATH_BYTES];
    int r = storage_segment_folder(shards, &out->shard->id, folder);
    return r < 0 ? r : shards->storage->fs->ops->sync_dir(shards->storage->fs, folder);
}

static int open_file(struct storage_outgoing *out)
{
    struct storage_shards *shards = out->shard->shards;
    char path[STORAGE_SHARD_PATH_BYTES];
    int r = storage_segment_path(shards, &out->shard->id, out->row.first, path);
    int flags = KN_FS_WRITE | (out->direct ? KN_FS_DIRECT : 0);
    struct kn_fs *fs = shards->storage->fs;
    return r < 0 ? r : fs->ops->open(fs, path, flags, &out->file);
}

struct frames {
    uint8_t heads[FRAMES_A_WRITE][STORAGE_SHARD_FRAME_BYTES];
    struct iovec iov[2 * FRAMES_A_WRITE];
    size_t count;
    int iov_count;
    uint64_t bytes;
};

static void frame_head(const struct storage_outgoing *out, const struct storage_batch *batch,
                       uint32_t seed, uint64_t at, uint8_t dst[STORAGE_SHARD_FRAME_BYTES])
{
    struct storage_shard_frame frame = {.shard = out->shard->id,
                                        .at = at,
                                        .first_index = batch->first_index,
                                        .arrival_ms = batch->arrival_ms,
                                        .payload_bytes = (uint32_t) batch->len,
                                        .payload_crc = batch->crc,
                                        .count = batch->count,
                                        .data_bytes = batch->data_bytes,
                                        .kind = (uint8_t) batch->kind};
    storage_shard_frame_encode(&frame, seed, dst);
}

static void add_frame(struct frames *frames, const struct storage_outgoing *out,
                      struct storage_batch *batch, uint32_t seed, uint64_t at)
{
    uint8_t *head = frames->heads[frames->count];
    frame_head(out, batch, seed, at, head);
    frames->iov[frames->iov_count++] = (struct iovec){head, STORAGE_SHARD_FRAME_BYTES};
    if (batch->len > 0)
        frames->iov[frames->iov_count++] = (struct iovec){batch->bytes, batch->len};
    frames->count++;
    frames->bytes += STORAGE_SHARD_FRAME_BYTES + batch->len;
}

int storage_outgoing_frames(const struct storage_outgoing *out, struct kn_file *file, uint32_t seed,
                            bool closes, uint64_t *at)
{
    struct frames *frames = malloc(sizeof(*frames));
    if (!frames)
        return -ENOMEM;
    int r = 0;
    uint64_t unflushed = 0;
    for (size_t i = out->skip; r == 0 && i < out->count;) {
        frames->count = 0;
        frames->iov_count = 0;
        frames->bytes = 0;
        for (;
             i < out->count && frames->count < FRAMES_A_WRITE && frames->bytes < FLUSH_EVERY_BYTES;
             i++) {
            if (closes || out->batches[i]->count > 0)
                add_frame(frames, out, out->batches[i], seed, *at + frames->bytes);
        }
        if (frames->count > 0)
            r = kn_file_write_all(file, frames->iov, frames->iov_count, *at);
        *at += frames->bytes;
        unflushed += frames->bytes;
        if (r == 0 && unflushed >= FLUSH_EVERY_BYTES) {
            r = file->fs->ops->sync(file);
            unflushed = 0;
        }
    }
    free(frames);
    return r;
}

int storage_outgoing_pour(const struct storage_outgoing *out, struct storage_direct *direct)
{
    uint32_t seed = storage_segment_seed(&out->row);
    uint64_t at = out->write_at;
    int r = 0;
    if (out->is_new) {
        uint8_t head[STORAGE_SEGMENT_HEAD_BYTES];
        storage_segment_head(&out->shard->id, &out->row, head);
        r = storage_direct_add(direct, (struct kn_bytes){head, sizeof(head)});
    }
    for (size_t i = out->skip; i < out->count; i++) /* they come from memory side by side */
        __builtin_prefetch(out->batches[i]->bytes);
    for (size_t i = out->skip; r == 0 && i < out->count; i++) {
        const struct storage_batch *batch = out->batches[i];
        uint8_t head[STORAGE_SHARD_FRAME_BYTES];
        if (batch->count == 0)
            continue;
        frame_head(out, batch, seed, at, head);
        r = storage_direct_add(direct, (struct kn_bytes){head, sizeof(head)});
        if (r == 0)
            r = storage_direct_add(direct, (struct kn_bytes){batch->bytes, batch->len});
        at += STORAGE_SHARD_FRAME_BYTES + batch->len;
    }
    kn_assert(r < 0 || at == out->row.bytes);
    return r;
}

static int write_direct(struct storage_outgoing *out)
{
    struct storage_direct *direct = &out->shard->shards->direct;
    int r = out->is_new ? make_file(out) : open_file(out);
    if (r == 0)
        r = storage_direct_begin(direct, out->file, out->is_new ? 0 : out->write_at);
    if (r == 0)
        r = storage_outgoing_pour(out, direct);
    return r < 0 ? r : storage_direct_end(direct);
}

int storage_outgoing_write(struct storage_outgoing *out)
{
    if (out->frame_bytes == 0) /* none, or all is written */
        return 0;
    out->direct = out->frame_bytes >= out->shard->shards->conf.direct_bytes_min;
    if (out->direct)
        return write_direct(out);
    int r = out->is_new ? make_file(out) : open_file(out);
    uint64_t at = out->write_at;
    if (r == 0)
        r = storage_outgoing_frames(out, out->file, storage_segment_seed(&out->row), false, &at);
    kn_assert(r < 0 || at == out->row.bytes);
    return r;
}

/* --- done ------------------------------------------------------------------------------------- */
static void forget_locked(struct storage_shard *shard, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct storage_batch *batch = shard->tail[shard->tail_at + i];
        shard->tail_bytes -= STORAGE_SHARD_FRAME_BYTES + batch->len;
        storage_batch_free(batch);
    }
    shard->tail_at += count;
    shard->tail_count -= count;
    if (shard->tail_count > 0 || shard->pending > 0)
        return;
    free(shard->tail);
    shard->tail = NULL;
    shard->tail_at = shard->tail_cap = 0;
}

/* Readers of the segment need not walk it. *ret_sealed: those of the one before, which is sealed.
 */
static void mark_locked(struct storage_outgoing *out, struct storage_marks *ret_sealed)
{
    struct storage_shard *shard = out->shard;
    uint64_t at = out->write_at;
    if (out->is_new) {
        if (out->seals_before && shard->marks_first == out->before.first &&
            shard->marks_end == out->before.bytes)
            *ret_sealed = shard->marks;
        else
            storage_marks_done(&shard->marks);
        shard->marks = (struct storage_marks){.count = 0};
        shard->marks_first = out->row.first;
        shard->marks_end = at;
    }
    if (shard->marks_first != out->row.first || shard->marks_end != at)
        return; /* not known from its beginning on: who reads it walks it */
    int r = 0;
    for (size_t i = out->skip; r == 0 && i < out->count; i++) {
        const struct storage_batch *batch = out->batches[i];
        if (batch->count == 0)
            continue;
        struct storage_shard_frame frame = {
            .first_index = batch->first_index, .arrival_ms = batch->arrival_ms, .at = at};
        r = storage_marks_add(&shard->marks, &frame);
        at += STORAGE_SHARD_FRAME_BYTES + batch->len;
    }
    shard->marks_end = r == 0 ? at : 0;
}

/* What the catalogue knows now. */
static void note_rows(const struct storage_outgoing *out)
{
    struct storage_shard *shard = out->shard;
    if (out->shard_row) {
        shard->has_row = true;
        shard->retention_stored_ms = out->retention_ms;
        shard->sources_stored = out->sources_version;
    }
    shard->newest_known |= out->any_records && out->packed;
    if (shard->newest_known && out->any_records)
        shard->newest = out->row;
}

void storage_outgoing_fetch(const struct storage_outgoing *out)
{
    enum {
        AT_MOST = 16, /* more are not fetched at once */
    };
    __builtin_prefetch(&out->shard->lock);
    __builtin_prefetch(&out->shard->flushed);
    __builtin_prefetch(&out->shard->tail);
    for (size_t i = 0; i < kn_min_u64(out->count, AT_MOST); i++) {
        __builtin_prefetch(out->batches[i]);
        __builtin_prefetch(&out->batches[i]->room);
    }
}

void storage_outgoing_publish(struct storage_outgoing *out)
{
    struct storage_shard *shard = out->shard;
    note_rows(out);
    struct storage_marks sealed = {.count = 0};
    kn_lock_take(&shard->lock);
    shard->fenced &= !out->is_new;
    bool had = shard->tail_count >= out->count && out->count > 0; /* not dropped meanwhile */
    if (had) {
        if (out->any_records) {
            mark_locked(out, &sealed);
            if (shard->oldest == shard->flushed) {
                bool has_before = out->is_new && out->skip > 0;
                shard->oldest = has_before ? out->before.first : out->row.first;
                shard->oldest_ms = has_before ? out->before.first_ms : out->row.first_ms;
            }
            shard->flushed = out->row.next;
            shard->flushed_ms = out->row.last_ms;
        }
        forget_locked(shard, out->count);
    }
    bool empty = had && shard->tail_count == 0;
    kn_lock_give(&shard->lock);
    if (sealed.count > 0)
        storage_segment_put_marks(shard->shards, &shard->id, &out->before, &sealed);
    storage_marks_done(&sealed);
    if (empty)
        storage_shard_unref(shard); /* of what it had in memory */
}

void storage_outgoing_done(struct storage_outgoing *out)
{
    free(out->batches);
    if (out->file)
        out->file->fs->ops->close(out->file);
    storage_shard_unref(out->shard);
}
