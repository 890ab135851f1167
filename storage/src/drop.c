/* SPDX-License-Identifier: Apache-2.0 */
/* Deleting all that a stream has stored, once it is marked so: chunks with their keys, slice by
 * slice, then the numbers. Idempotent, so that a crash only means doing it again. */
#include "sums.h"

static int remove_chunk(struct storage_log *log, const struct storage_number *name, char family)
{
    struct storage *storage = log->storage;
    struct storage_chunk_path *path = malloc(sizeof(*path));
    if (!path)
        return -ENOMEM;
    char key[STORAGE_CHUNK_KEY_BYTES];
    storage_sealed_forget(storage, &log->id, name->seq);
    int r = storage_chunk_path_of(storage->dir, &log->id, name, path);
    if (r == 0)
        r = storage_chunk_unlink(storage->fs, path);
    if (r == 0)
        r = storage_meta_remove(storage->meta, storage_chunk_key(family, &log->id, name->seq, key),
                                0);
    free(path);
    return r == -ENOENT ? 0 : r;
}

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
    KN_LOCKED(&log->slow); /* retention shows no metric of it after this */
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
    r = storage_chunk_remove_folders(storage, id);
    if (r < 0)
        return r;
    char key[STORAGE_CHUNK_KEY_BYTES];
    r = storage_meta_remove(storage->meta, storage_sums_key(id, key), 0);
    if (r == 0 || r == -ENOENT)
        r = storage_meta_remove(storage->meta, storage_numbers_key(id, key), 0);
    return r == -ENOENT ? 0 : r;
}
