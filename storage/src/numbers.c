/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers and the trim horizon of a stream, which outlive everything (rules: a number once seen is
 * never used again, the horizon only grows): value "q/<stream id>" of the catalogue. log.slow is
 * held over each change, so they follow one another.
 */
#include "log.h"

int storage_numbers_read(struct storage_log *log)
{
    kn_lock_assert_held(&log->slow);
    if (log->stored_read)
        return 0;
    char key[STORAGE_CHUNK_KEY_BYTES];
    struct kn_buf value;
    kn_buf_init(&value, STORAGE_META_VALUE_BYTES_MAX);
    uint64_t version;
    int r =
        storage_meta_get(log->storage->meta, storage_numbers_key(&log->id, key), &value, &version);
    struct storage_numbers n = {.reserved_seq = 1};
    if (r == 0)
        r = storage_numbers_decode(kn_buf_bytes(&value), &n);
    else if (r == -ENOENT)
        r = 0, version = 0;
    kn_buf_done(&value);
    if (r < 0)
        return r;
    log->stored = n;
    log->stored_version = version;
    log->stored_read = true;
    return 0;
}

int storage_numbers_put(struct storage_log *log)
{
    kn_lock_assert_held(&log->slow);
    char key[STORAGE_CHUNK_KEY_BYTES];
    uint8_t value[STORAGE_NUMBERS_BYTES];
    storage_numbers_encode(&log->stored, value);
    uint64_t version;
    int r =
        storage_meta_put(log->storage->meta, storage_numbers_key(&log->id, key),
                         (struct kn_bytes){value, sizeof(value)}, log->stored_version, &version);
    if (r < 0)
        return r;
    log->stored_version = version;
    return 0;
}

int storage_numbers_reserve(struct storage_log *log)
{
    int r = storage_log_load(log);
    if (r < 0)
        return r;
    KN_LOCKED(&log->slow);
    kn_lock_take(&log->lock);
    uint64_t next = log->next_seq;
    bool first = log->reserved_seq == 0;
    uint64_t ordinal = log->next_ordinal, discontinuity = log->discontinuity;
    kn_lock_give(&log->lock);

    struct storage_numbers before = log->stored;
    log->stored.reserved_seq = kn_max_u64(log->stored.reserved_seq, next) + STORAGE_NUMBER_BLOCK;
    if (first)
        log->stored.epoch++;
    /* What lives in memory only leaves no chunk behind that would tell where ordinals stand. */
    log->stored.ordinal = kn_max_u64(log->stored.ordinal, ordinal);
    log->stored.discontinuity = kn_max_u64(log->stored.discontinuity, discontinuity);
    r = storage_numbers_put(log);
    if (r < 0) {
        log->stored = before;
        return r;
    }
    kn_lock_take(&log->lock);
    if (first)
        log->next_seq = kn_max_u64(next, before.reserved_seq);
    log->reserved_seq = log->stored.reserved_seq;
    log->epoch = log->stored.epoch;
    kn_lock_give(&log->lock);
    return 0;
}

struct load {
    struct storage_directory directory;
    struct storage_log *log;
};

/* Trimmed, and not kept: no reader may see it again. */
static bool behind_horizon(const struct storage_log *log, const struct storage_chunk_row *row)
{
    return storage_row_last_seq(row) <= log->stored.trim_seq && !row->kept;
}

static int load_row(void *ctx, struct kn_bytes key, struct kn_bytes value, uint64_t version)
{
    (void) version;
    struct load *load = ctx;
    struct storage_id id;
    uint64_t seq;
    struct storage_chunk_row row;
    if (storage_chunk_key_parse(key, &id, &seq) < 0 || storage_chunk_row_decode(value, &row) < 0)
        return -EBADMSG;
    if (behind_horizon(load->log, &row)) /* a crash came before its file went */
        return 0;
    int r = storage_directory_reserve(&load->directory);
    if (r < 0)
        return r;
    storage_directory_insert(&load->directory, &row);
    return 0;
}

/* Joins what the catalogue says with the chunks that recovery or this run already know. */
static int install_locked(struct storage_log *log, struct load *load)
{
    struct storage_directory *from = &log->directory, *to = &load->directory;
    for (size_t i = 0; i < from->count; i++) {
        int r = storage_directory_reserve(to);
        if (r < 0)
            return r;
        struct storage_chunk_row row = from->rows[i];
        /* It was given up when a flush failed, and younger chunks have been trimmed since. */
        if (row.live && !row.live->memory && behind_horizon(log, &row) &&
            !storage_log_holds(log, &row))
            continue;
        if (row.live)
            storage_chunk_ref(row.live);
        storage_directory_insert(to, &row);
    }
    storage_directory_done(from);
    *from = *to;
    *to = (struct storage_directory){0};

    const struct storage_numbers *n = &log->stored;
    log->next_seq = kn_max_u64(n->reserved_seq, log->next_seq);
    log->trim_seq = kn_max_u64(n->trim_seq, log->trim_seq);
    log->last_server_ts_ms = kn_max_i64(n->trim_server_ts_ms, log->last_server_ts_ms);
    log->next_ordinal = kn_max_u64(n->ordinal, log->next_ordinal);
    log->discontinuity = kn_max_u64(n->discontinuity, log->discontinuity);
    for (size_t i = 0; i < from->count; i++) {
        const struct storage_chunk_row *row = &from->rows[i];
        log->next_seq = kn_max_u64(log->next_seq, (row->count ? row->last_seq : row->name.seq) + 1);
        log->last_server_ts_ms = kn_max_i64(
            log->last_server_ts_ms, row->count ? row->last_server_ts_ms : row->name.server_ts_ms);
        log->next_ordinal = kn_max_u64(log->next_ordinal, row->next_ordinal);
        log->discontinuity = kn_max_u64(log->discontinuity, row->next_discontinuity);
    }
    log->loaded = true;
    return 0;
}

int storage_log_load(struct storage_log *log)
{
    KN_LOCKED(&log->slow);
    kn_lock_take(&log->lock);
    bool loaded = log->loaded;
    kn_lock_give(&log->lock);
    if (loaded)
        return 0;
    struct load load = {.log = log};
    char prefix[STORAGE_CHUNK_KEY_BYTES];
    int r = storage_numbers_read(log);
    if (r == 0)
        r = storage_meta_list(log->storage->meta, storage_chunk_prefix('c', &log->id, prefix),
                              (struct kn_bytes){NULL, 0}, SIZE_MAX, load_row, &load);
    if (r >= 0) {
        kn_lock_take(&log->lock);
        r = install_locked(log, &load);
        kn_lock_give(&log->lock);
    }
    storage_directory_done(&load.directory);
    return r;
}
