/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One data folder: opening, closing, and the table of logs. Order of opening: lock, catalogue,
 * threads, recovery of what was open, then the catalogue's own thread and the keeper; closing goes
 * the other way round, and the mark of a clean end is set last.
 */
#include "log.h"
#include "storage_internal.h"
#include "storage_metrics.h"
#include "sums.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "shard/shards.h"

enum {
    PATH_BYTES_MAX = 4096
};

/* --- logs ------------------------------------------------------------------------------------- */
static size_t bucket_of(const struct storage_id *id) /* ids are random */
{
    return ((size_t) id->bytes[0] << 8 | id->bytes[1]) % STORAGE_LOG_BUCKETS;
}

struct storage_log *storage_log_peek(struct storage *storage, const struct storage_id *id)
{
    KN_LOCKED(&storage->lock);
    struct storage_log *log = storage->logs[bucket_of(id)];
    while (log && storage_id_cmp(&log->id, id) != 0)
        log = log->bucket_next;
    return log;
}

static void log_free(struct storage_log *log)
{
    kn_assert(!log->first && !log->op_first);
    storage_arrival_spare_done(log);
    storage_chunk_unref(log->open);
    storage_chunk_unref(log->fence_due);
    storage_directory_done(&log->directory);
    free(log->holds);
    kn_gate_done(&log->persisted);
    kn_gate_done(&log->gate);
    kn_lock_done(&log->lock);
    kn_lock_done(&log->slow);
    free(log);
}

struct storage_log *storage_log_of(struct storage *storage, const struct storage_id *id)
{
    struct storage_log *log = storage_log_peek(storage, id);
    if (log)
        return log;
    log = calloc(1, sizeof(*log));
    if (!log)
        return NULL;
    log->storage = storage;
    log->id = *id;
    kn_gate_init(&log->gate);
    kn_gate_init(&log->persisted);
    log->events_seq = UINT64_MAX;
    log->gate.joined = storage_log_followed;
    kn_lock_init(&log->lock);
    kn_lock_init(&log->slow);
    struct storage_hold_range *room = storage_log_holds_room();
    if (!room) {
        log_free(log);
        return NULL;
    }
    storage_log_install_holds(log, room);
    kn_lock_take(&storage->lock);
    struct storage_log **bucket = &storage->logs[bucket_of(id)], *there = *bucket;
    while (there && storage_id_cmp(&there->id, id) != 0)
        there = there->bucket_next;
    if (!there) {
        log->bucket_next = *bucket;
        *bucket = log;
    }
    kn_lock_give(&storage->lock);
    if (!there)
        return log;
    log_free(log); /* somebody was faster */
    return there;
}

/* --- work ------------------------------------------------------------------------------------- */
void storage_work_begin(struct storage *storage)
{
    storage->work++;
}

void storage_work_end(struct storage *storage)
{
    if (--storage->work > 0)
        return;
    KN_LOCKED(&storage->lock);
    kn_cond_broadcast(&storage->idle);
}

void storage_work_wait(struct storage *storage)
{
    KN_LOCKED(&storage->lock);
    while (storage->work > 0)
        kn_cond_wait(&storage->idle, &storage->lock);
}

/* --- opening ---------------------------------------------------------------------------------- */
int storage_folder_take(const char *dir, bool shared, int *ret_fd, struct kn_err *err)
{
    char path[PATH_BYTES_MAX];
    int n = snprintf(path, sizeof(path), "%s/kinema.lock", dir);
    if (n < 0 || (size_t) n >= sizeof(path))
        return kn_fail(err, -EMSGSIZE, "the folder's path is too long");
    int fd = open(path, (shared ? O_RDONLY : O_RDWR | O_CREAT) | O_CLOEXEC, 0600);
    if (fd < 0 && (!shared || errno != ENOENT))
        return kn_fail(err, errno == ENOENT ? -ENOENT : -EIO, "%s: %s", path, kn_errsay(errno));
    if (fd >= 0 && flock(fd, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB) < 0) {
        close(fd);
        return kn_fail(err, -EBUSY,
                       shared ? "a server has %s: stop it first" : "another server has %s", dir);
    }
    *ret_fd = fd;
    return 0;
}

static int make_chunks_folder(struct storage *storage, struct kn_err *err)
{
    char path[PATH_BYTES_MAX];
    snprintf(path, sizeof(path), "%s/chunks", storage->dir);
    int r = storage->fs->ops->mkdir(storage->fs, path);
    if (r == -EEXIST)
        r = 0;
    if (r == 0)
        r = storage->fs->ops->sync_dir(storage->fs, storage->dir);
    return r < 0 ? kn_fail(err, r, "%s: %s", path, kn_errsay(r)) : 0;
}

static int drop_stream(void *ctx, const struct storage_id *id)
{
    return storage_log_drop(ctx, id);
}

/* What the first upload would have to wait for: numbers, and folders. What fails here is done, and
 * its failure told, when that upload comes. */
static void stream_made(void *ctx, const struct storage_stream *stream)
{
    struct storage_log *log = storage_log_of(ctx, &stream->id);
    if (!log || storage_numbers_reserve(log) < 0)
        return;
    if (stream->retention_hours > 0)
        log->folders = storage_chunk_make_folders(ctx, &stream->id);
}

static void stream_changed(void *ctx, const struct storage_stream *now)
{
    struct storage *storage = ctx;
    (void) now;
    kn_gate_bump(&storage->streams_gate);
}

static int start_threads(struct storage *storage, struct kn_err *err)
{
    int r = storage_block_pool_init(&storage->blocks, storage->conf.window_total_bytes_max);
    if (r == 0)
        r = storage_committer_start(&storage->committer, storage);
    if (r == 0)
        r = storage_intents_start(&storage->intents, storage);
    if (r == 0)
        r = storage_io_start(&storage->io, (unsigned) storage->conf.io_threads);
    return r < 0 ? kn_fail(err, r, "threads of the data folder: %s", kn_errname(r)) : 0;
}

static int open_all(struct storage *storage, struct storage_report *report, struct kn_err *err)
{
    int r = storage_folder_take(storage->dir, false, &storage->lock_fd, err);
    if (r == 0)
        r = make_chunks_folder(storage, err);
    if (r == 0)
        r = storage_catalogue_open(storage->dir, &storage->conf, storage->clock,
                                   &storage->catalogue, err);
    if (r < 0)
        return r;
    storage->meta = storage_catalogue_meta(storage->catalogue);
    report->clean = storage_clean_mark_take(storage) == 0;
    r = start_threads(storage, err);
    if (r == 0)
        r = storage_recover(storage, report, err);
    if (r < 0)
        return r;
    struct storage_catalogue_events events = {
        .drop = drop_stream, .made = stream_made, .changed = stream_changed, .ctx = storage};
    r = storage_catalogue_start(storage->catalogue, &events);
    if (r == 0)
        r = storage_keeper_start(storage);
    return r < 0 ? kn_fail(err, r, "threads of the data folder: %s", kn_errname(r)) : 0;
}

int storage_open(const char *dir, const struct storage_conf *conf, struct kn_fs *fs,
                 struct kn_clock *clock, struct storage **ret, struct storage_report *ret_report,
                 struct kn_err *err)
{
    struct storage *storage = calloc(1, sizeof(*storage));
    if (!storage)
        return kn_fail(err, -ENOMEM, "out of memory");
    storage->conf = *conf;
    if (storage->conf.window_bytes_max < 2 * storage->conf.part_bytes)
        storage->conf.window_bytes_max = 2 * storage->conf.part_bytes; /* or a part never fills */
    storage->fs = fs;
    storage->clock = clock;
    storage->lock_fd = -1;
    kn_lock_init(&storage->lock);
    kn_cond_init(&storage->idle);
    kn_lock_init(&storage->keeper_lock);
    kn_cond_init(&storage->keeper_wake);
    kn_gate_init(&storage->streams_gate);
    storage->dir = strdup(dir);
    struct storage_report report = {0};
    int64_t start_ns = kn_mono_ns(clock);
    int r = storage->dir ? open_all(storage, &report, err) : -ENOMEM;
    if (r < 0) {
        storage->failed = true;
        storage_close(storage);
        return r;
    }
    report.took_ms = (kn_mono_ns(clock) - start_ns) / 1000000;
    storage_metrics_recovered(&report);
    if (ret_report)
        *ret_report = report;
    *ret = storage;
    return 0;
}

/* --- closing ---------------------------------------------------------------------------------- */
static void seal_open_chunks(struct storage *storage)
{
    for (size_t i = 0; i < STORAGE_LOG_BUCKETS; i++) {
        for (struct storage_log *log = storage->logs[i]; log; log = log->bucket_next) {
            KN_LOCKED(&log->lock);
            kn_assert(!log->writer);
            if (log->open)
                storage_chunk_close_locked(log, log->open);
        }
    }
    storage_work_wait(storage);
}

static void free_logs(struct storage *storage)
{
    for (size_t i = 0; i < STORAGE_LOG_BUCKETS; i++) {
        while (storage->logs[i]) {
            struct storage_log *log = storage->logs[i];
            storage->logs[i] = log->bucket_next;
            log_free(log);
        }
    }
}

void storage_close(struct storage *storage)
{
    if (!storage)
        return;
    storage->stopping = true;
    storage_keeper_stop(storage); /* it removes segments of shards */
    storage_shards_stop(storage->shards);
    storage->shards = NULL;
    if (storage->catalogue)
        storage_catalogue_stop(storage->catalogue);
    if (storage->io.count > 0) {
        storage_work_wait(storage);
        seal_open_chunks(storage);
        storage_io_stop(&storage->io);
    }
    if (storage->intents.storage)
        storage_intents_stop(&storage->intents);
    if (storage->committer.storage)
        storage_committer_stop(&storage->committer);
    if (storage->catalogue && !storage->failed)
        storage_clean_end(storage);
    storage_sealed_clear(storage);
    free_logs(storage);
    storage_headers_clear(storage);
    if (storage->blocks.bytes_max > 0)
        storage_block_pool_done(&storage->blocks);
    if (storage->catalogue)
        storage_catalogue_close(storage->catalogue);
    if (storage->lock_fd >= 0)
        close(storage->lock_fd);
    kn_gate_done(&storage->streams_gate);
    kn_cond_done(&storage->keeper_wake);
    kn_lock_done(&storage->keeper_lock);
    kn_cond_done(&storage->idle);
    kn_lock_done(&storage->lock);
    free(storage->dir);
    free(storage);
}

const char *storage_dir(struct storage *storage)
{
    return storage->dir;
}

struct kn_clock *storage_clock(struct storage *storage)
{
    return storage->clock;
}

unsigned storage_ailments(struct storage *storage)
{
    return (storage->full_said ? STORAGE_VOLUME_FULL : 0) |
           (storage_meta_failing(storage->meta) ? STORAGE_CATALOGUE_FAILED : 0) |
           (storage->exhausted ? STORAGE_RETENTION_EXHAUSTED : 0);
}
