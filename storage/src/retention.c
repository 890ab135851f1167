/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper: a thread that removes what retention no longer covers, seals chunks that have grown
 * old, trims streams kept in memory and watches the volume's free space.
 *
 * Removal goes horizon first: the trim horizon is stored, readers stop seeing the fragments, then
 * files go, then their keys. Each step may be repeated after a crash. Work is cut into slices of
 * retention_slice_chunks, so that uploads are not kept waiting.
 */
#include "log.h"
#include "storage_metrics.h"

#include <stdio.h>

enum {
    STREAMS_PAGE = 64,
    PATH_BYTES_MAX = 4096
};

/* --- one stream's chunks on disk
 * ------------------------------------------------------------------ */
struct expired {
    struct storage_chunk_row *rows;
    size_t count, max;
    int64_t before_ms; /* chunks whose newest fragment ended before this go */
};

static int collect(void *ctx, struct kn_bytes key, struct kn_bytes value, uint64_t version)
{
    (void) key;
    (void) version;
    struct expired *expired = ctx;
    struct storage_chunk_row row;
    if (storage_chunk_row_decode(value, &row) < 0)
        return -EBADMSG;
    if (row.count > 0 && row.last_end_ms >= expired->before_ms)
        return -ECANCELED; /* they are in order: the rest is younger */
    if (expired->count < expired->max)
        expired->rows[expired->count++] = row;
    return 0;
}

/* The horizon grows to the newest of them, stored before anything goes. */
static int raise_horizon(struct storage_log *log, const struct expired *expired)
{
    KN_LOCKED(&log->slow);
    int r = storage_numbers_read(log);
    if (r < 0)
        return r;
    const struct storage_chunk_row *last = &expired->rows[expired->count - 1];
    uint64_t seq = last->count ? last->last_seq : last->name.seq;
    struct storage_numbers before = log->stored;
    struct storage_numbers *n = &log->stored;
    n->trim_seq = kn_max_u64(n->trim_seq, seq);
    n->reserved_seq = kn_max_u64(n->reserved_seq, seq + 1);
    n->trim_server_ts_ms = kn_max_i64(n->trim_server_ts_ms, last->last_server_ts_ms);
    n->ordinal = kn_max_u64(n->ordinal, last->next_ordinal);
    n->discontinuity = kn_max_u64(n->discontinuity, last->next_discontinuity);
    r = storage_numbers_put(log);
    if (r < 0) {
        log->stored = before;
        return r;
    }
    kn_lock_take(&log->lock);
    log->trim_seq = kn_max_u64(log->trim_seq, n->trim_seq);
    for (size_t i = 0; i < expired->count; i++) {
        struct storage_chunk_row *row =
            storage_directory_find(&log->directory, expired->rows[i].name.seq);
        if (row)
            storage_directory_remove(&log->directory, (size_t) (row - log->directory.rows), 1);
    }
    kn_lock_give(&log->lock);
    return 0;
}

static int remove_chunk(struct storage_log *log, const struct storage_number *name, char family)
{
    struct storage *storage = log->storage;
    struct kn_fs *fs = storage->fs;
    struct storage_chunk_path *path = malloc(sizeof(*path));
    if (!path)
        return -ENOMEM;
    char key[STORAGE_CHUNK_KEY_BYTES];
    storage_sealed_forget(storage, &log->id, name->seq);
    int r = storage_chunk_path_of(storage->dir, &log->id, name, path);
    if (r == 0)
        r = fs->ops->unlink(fs, path->file);
    if (r == 0)
        r = fs->ops->sync_dir(fs, path->day); /* or a power cut brings back a file nobody knows */
    if (r == 0 || r == -ENOENT) {
        r = storage_meta_remove(storage->meta, storage_chunk_key(family, &log->id, name->seq, key),
                                0);
        (void) fs->ops->rmdir(fs, path->day); /* goes with its last chunk */
    }
    free(path);
    return r == -ENOENT ? 0 : r;
}

/* One slice; true: there may be more. */
static bool trim_slice(struct storage_log *log, int64_t before_ms)
{
    struct storage *storage = log->storage;
    struct expired expired = {.max = storage->conf.retention_slice_chunks, .before_ms = before_ms};
    expired.rows = calloc(expired.max, sizeof(*expired.rows));
    if (!expired.rows)
        return false;
    char prefix[STORAGE_CHUNK_KEY_BYTES];
    int r = storage_meta_list(storage->meta, storage_chunk_prefix('c', &log->id, prefix),
                              (struct kn_bytes){NULL, 0}, expired.max, collect, &expired);
    bool more = false;
    if ((r >= 0 || r == -ECANCELED) && expired.count > 0 && raise_horizon(log, &expired) == 0) {
        uint64_t fragments = 0;
        more = expired.count == expired.max;
        for (size_t i = 0; i < expired.count; i++) {
            fragments += expired.rows[i].count;
            if (remove_chunk(log, &expired.rows[i].name, 'c') < 0)
                more = false; /* the next round tries again */
        }
        storage_metrics_trimmed(expired.count, fragments);
        kn_gate_bump(&log->gate);
    }
    free(expired.rows);
    return more;
}

/* --- one stream's chunks in memory
 * ------------------------------------------------------------------- */
static void trim_memory(struct storage_log *log, int64_t now_ms)
{
    const struct storage_conf *conf = &log->storage->conf;
    bool any = false;
    kn_lock_take(&log->lock);
    struct storage_directory *dir = &log->directory;
    uint64_t bytes = 0;
    for (size_t i = 0; i < dir->count; i++)
        bytes += dir->rows[i].live && dir->rows[i].live->memory ? dir->rows[i].bytes : 0;
    for (size_t i = 0; i < dir->count;) {
        struct storage_chunk_row *row = &dir->rows[i];
        bool memory = row->live && row->live->memory;
        bool old =
            row->count > 0 && now_ms - row->last_end_ms > (int64_t) conf->memory_stream_ms_max;
        if (!memory || row->live == log->open || row->live->arrivals > 0 ||
            (!old && bytes <= conf->memory_stream_bytes_max)) {
            i++;
            continue;
        }
        bytes -= row->bytes;
        log->trim_seq = kn_max_u64(log->trim_seq, row->count ? row->last_seq : row->name.seq);
        storage_metrics_trimmed(1, row->count);
        storage_directory_remove(dir, i, 1);
        any = true;
    }
    kn_lock_give(&log->lock);
    if (any)
        kn_gate_bump(&log->gate);
}

/* A chunk that nobody adds to any more is sealed when it is old: its span stays short. */
static void seal_aged(struct storage_log *log, int64_t now_ms)
{
    KN_LOCKED(&log->lock);
    struct storage_chunk *chunk = log->open;
    if (!chunk || chunk->arrivals > 0 || chunk->plan_count == 0)
        return;
    uint64_t ms_max = chunk->memory ? log->storage->conf.memory_stream_ms_max / 16
                                    : log->storage->conf.chunk_ms_max;
    if (now_ms - chunk->first_server_ts_ms >= (int64_t) ms_max)
        storage_chunk_close_locked(log, chunk);
}

/* --- the volume
 * --------------------------------------------------------------------------------------- */
static void ballast_path(const struct storage *storage, char dst[PATH_BYTES_MAX])
{
    snprintf(dst, PATH_BYTES_MAX, "%s/ballast", storage->dir);
}

static void drop_ballast(struct storage *storage)
{
    char path[PATH_BYTES_MAX];
    ballast_path(storage, path);
    (void) storage->fs->ops->unlink(storage->fs, path);
    storage->ballast = false;
}

/* Blocks set aside while there is plenty. */
static void make_ballast(struct storage *storage)
{
    char path[PATH_BYTES_MAX];
    ballast_path(storage, path);
    struct kn_file *file;
    int r = storage->fs->ops->open(storage->fs, path, KN_FS_WRITE | KN_FS_CREATE, &file);
    if (r < 0)
        return;
    storage->ballast = file->fs->ops->allocate(file, 0, storage->conf.ballast_bytes) == 0;
    file->fs->ops->close(file);
    if (!storage->ballast)
        drop_ballast(storage);
}

void storage_space_check(struct storage *storage)
{
    struct kn_fs_space space;
    int r = storage->fs->ops->space(storage->fs, storage->dir, &space);
    if (r < 0)
        return; /* a volume that cannot say is judged by its writes */
    storage_metrics_space(space.free_bytes, space.total_bytes);
    storage_metrics_window(storage->blocks.used_bytes);
    uint64_t floor = storage->conf.volume_free_bytes_min;
    if (space.free_bytes < floor) {
        storage->no_space = true;
        if (storage->ballast)
            drop_ballast(storage);
    } else if (space.free_bytes >= floor + floor / 8) {
        storage->no_space = false;
        if (!storage->ballast && storage->conf.ballast_bytes > 0 &&
            space.free_bytes > floor + floor / 8 + 2 * storage->conf.ballast_bytes)
            make_ballast(storage);
    }
}

/* --- the thread
 * ---------------------------------------------------------------------------------------- */
static void keep_stream(struct storage *storage, const struct storage_stream *stream,
                        int64_t now_ms)
{
    struct storage_log *log = storage_log_peek(storage, &stream->id);
    if (log) {
        seal_aged(log, now_ms);
        trim_memory(log, now_ms);
    }
    if (stream->status != STORAGE_STREAM_ACTIVE)
        return;
    if (!log)
        log = storage_log_of(storage, &stream->id);
    if (!log)
        return;
    /* Retention 0 after there were chunks: those keep no longer than memory would. */
    int64_t kept_ms = stream->retention_hours ? (int64_t) stream->retention_hours * 3600 * 1000
                                              : (int64_t) storage->conf.memory_stream_ms_max;
    while (!storage->stopping && trim_slice(log, now_ms - kept_ms))
        ;
}

void storage_keeper_round(struct storage *storage)
{
    struct storage_stream *page[STREAMS_PAGE];
    char name[STORAGE_STREAM_NAME_BYTES_MAX];
    struct kn_str after = {name, 0};
    storage_space_check(storage);
    int64_t now_ms = kn_wall_ms(storage->clock);
    for (size_t count = STREAMS_PAGE; count == STREAMS_PAGE && !storage->stopping;) {
        count = storage_stream_list(storage, KN_STR(""), after, page, STREAMS_PAGE);
        for (size_t i = 0; i < count; i++)
            keep_stream(storage, page[i], now_ms);
        if (count > 0) {
            after.len = page[count - 1]->name.len;
            memcpy(name, page[count - 1]->name.ptr, after.len);
        }
        for (size_t i = 0; i < count; i++)
            storage_stream_unref(page[i]);
    }
}

static void *keeper_main(void *arg)
{
    struct storage *storage = arg;
    kn_lock_take(&storage->keeper_lock);
    while (!storage->keeper_stopping) {
        if (!storage->keeper_due)
            (void) kn_cond_wait_for(&storage->keeper_wake, &storage->keeper_lock,
                                    (int64_t) storage->conf.retention_interval_ms * 1000000);
        if (storage->keeper_stopping)
            break;
        storage->keeper_due = false;
        kn_lock_give(&storage->keeper_lock);
        storage_keeper_round(storage);
        kn_lock_take(&storage->keeper_lock);
    }
    kn_lock_give(&storage->keeper_lock);
    return NULL;
}

int storage_keeper_start(struct storage *storage)
{
    storage_space_check(storage);
    int r = kn_thread_start(&storage->keeper, "storage-keep", keeper_main, storage);
    storage->keeper_started = r == 0;
    return r;
}

void storage_keeper_stop(struct storage *storage)
{
    if (!storage->keeper_started)
        return;
    kn_lock_take(&storage->keeper_lock);
    storage->keeper_stopping = true;
    kn_cond_signal(&storage->keeper_wake);
    kn_lock_give(&storage->keeper_lock);
    pthread_join(storage->keeper, NULL);
    storage->keeper_started = false;
}

void storage_keeper_wake(struct storage *storage)
{
    KN_LOCKED(&storage->keeper_lock);
    storage->keeper_due = true;
    kn_cond_signal(&storage->keeper_wake);
}

/* --- deletion of a stream
 * -------------------------------------------------------------------------------- */
struct doomed {
    struct storage_number *names;
    size_t count, max;
    bool intents;
};

static int collect_all(void *ctx, struct kn_bytes key, struct kn_bytes value, uint64_t version)
{
    (void) key;
    (void) version;
    struct doomed *doomed = ctx;
    struct storage_chunk_row row;
    struct storage_intent intent;
    int r = doomed->intents ? storage_intent_decode(value, &intent)
                            : storage_chunk_row_decode(value, &row);
    if (r < 0)
        return r;
    if (doomed->count == doomed->max)
        return -ECANCELED;
    doomed->names[doomed->count++] = doomed->intents ? intent.head.name : row.name;
    return 0;
}

/* Removes the chunks of one key family, slice by slice. */
static int drop_family(struct storage_log *log, char family)
{
    struct storage *storage = log->storage;
    struct doomed doomed = {.max = storage->conf.retention_slice_chunks, .intents = family == 'o'};
    doomed.names = calloc(doomed.max, sizeof(*doomed.names));
    if (!doomed.names)
        return -ENOMEM;
    int r = 0;
    do {
        char prefix[STORAGE_CHUNK_KEY_BYTES];
        doomed.count = 0;
        r = storage_meta_list(storage->meta, storage_chunk_prefix(family, &log->id, prefix),
                              (struct kn_bytes){NULL, 0}, doomed.max, collect_all, &doomed);
        if (r == -ECANCELED)
            r = 0;
        for (size_t i = 0; i < doomed.count && r >= 0; i++)
            r = storage->stopping ? -ESHUTDOWN : remove_chunk(log, &doomed.names[i], family);
    } while (r >= 0 && doomed.count > 0);
    free(doomed.names);
    return r < 0 ? r : 0;
}

/* Readers and writers see nothing of it any more; what is on its way ends first. */
static void close_log(struct storage_log *log)
{
    kn_lock_take(&log->lock);
    log->dropped = true;
    if (log->open)
        storage_chunk_close_locked(log, log->open);
    kn_lock_give(&log->lock);
    kn_gate_bump(&log->gate);
}

/* Operations of this log that are under way end by themselves; none is begun after `dropped`. */
static bool is_quiet(struct storage_log *log)
{
    KN_LOCKED(&log->lock);
    bool sealing = false;
    for (size_t i = 0; i < log->directory.count; i++) {
        const struct storage_chunk *live = log->directory.rows[i].live;
        sealing |= live && !live->memory && live->state == STORAGE_CHUNK_CLOSING;
    }
    return !log->scheduled && !log->first && !sealing;
}

int storage_log_drop(struct storage *storage, const struct storage_id *id)
{
    struct storage_log *log = storage_log_of(storage, id);
    if (!log)
        return -ENOMEM;
    close_log(log);
    if (!is_quiet(log))
        return storage->stopping ? -ESHUTDOWN : -EAGAIN;
    kn_lock_take(&log->lock);
    storage_directory_remove(&log->directory, 0, log->directory.count);
    kn_lock_give(&log->lock);
    int r = drop_family(log, 'o');
    if (r == 0)
        r = drop_family(log, 'c');
    if (r < 0)
        return r;
    struct storage_chunk_path *path = malloc(sizeof(*path));
    if (!path)
        return -ENOMEM;
    struct storage_number any = {0};
    r = storage_chunk_path_of(storage->dir, id, &any, path);
    if (r == 0)
        (void) storage->fs->ops->rmdir(storage->fs, path->stream); /* what is not ours stays */
    free(path);
    char key[STORAGE_CHUNK_KEY_BYTES];
    r = storage_meta_remove(storage->meta, storage_numbers_key(id, key), 0);
    return r == -ENOENT ? 0 : r;
}
