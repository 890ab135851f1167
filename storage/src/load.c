/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log's directory out of the catalogue. Writing, and reading what is new, needs the newest rows
 * only; ten years of a stream are half a million rows, 76 MB, which are read when somebody asks for
 * what is old and given back when directories take more memory than directory_bytes_max, those
 * first that were not walked for longest.
 */
#include "log.h"

static_assert((int) STORAGE_TAIL_ROWS <= (int) STORAGE_META_LAST_MAX, "one list reads the tail");

struct load {
    struct storage_directory directory;
    struct storage_log *log;
    size_t seen;
    uint64_t first_seq; /* name of the oldest row seen */
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
    if (load->seen++ == 0 || seq < load->first_seq)
        load->first_seq = seq;
    if (behind_horizon(load->log, &row)) /* a crash came before its file went */
        return 0;
    int r = storage_directory_reserve(&load->directory);
    if (r < 0)
        return r;
    storage_directory_insert(&load->directory, &row);
    return 0;
}

/* Joins what the catalogue says with the chunks that recovery or this run already know. */
static int join_locked(struct storage_log *log, struct load *load)
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
    return 0;
}

/* Once in a run: later the log itself knows better. */
static void number_locked(struct storage_log *log)
{
    const struct storage_numbers *n = &log->stored;
    log->next_seq = kn_max_u64(n->reserved_seq, log->next_seq);
    log->last_server_ts_ms = kn_max_i64(n->trim_server_ts_ms, log->last_server_ts_ms);
    log->next_ordinal = kn_max_u64(n->ordinal, log->next_ordinal);
    log->discontinuity = kn_max_u64(n->discontinuity, log->discontinuity);
    for (size_t i = 0; i < log->directory.count; i++) {
        const struct storage_chunk_row *row = &log->directory.rows[i];
        log->next_seq = kn_max_u64(log->next_seq, storage_row_last_seq(row) + 1);
        log->last_server_ts_ms = kn_max_i64(
            log->last_server_ts_ms, row->count ? row->last_server_ts_ms : row->name.server_ts_ms);
        log->next_ordinal = kn_max_u64(log->next_ordinal, row->next_ordinal);
        log->discontinuity = kn_max_u64(log->discontinuity, row->next_discontinuity);
    }
    log->numbered = true;
}

/* All chunks from `seq` on are in the directory. */
static void set_tail_locked(struct storage_log *log, uint64_t seq)
{
    const struct storage_directory *dir = &log->directory;
    log->tail_seq = seq;
    log->tail_ts_ms = INT64_MAX;
    for (size_t i = 0; i < dir->count && log->tail_ts_ms == INT64_MAX; i++) {
        if (dir->rows[i].name.seq >= seq && dir->rows[i].count > 0)
            log->tail_ts_ms = dir->rows[i].first_server_ts_ms;
    }
}

/* Sums that were known before any row was: those read now are no longer in the catalogue only. */
static void warm_locked(struct storage_log *log, const struct storage_directory *tail)
{
    struct storage_cold *cold = &log->cold;
    if (!cold->known)
        return;
    if (cold->chunks < tail->count || cold->fragments < tail->fragments ||
        cold->bytes < tail->bytes || cold->kept_count < tail->kept_count ||
        cold->kept_bytes < tail->kept_bytes) {
        *cold = (struct storage_cold){.known = false}; /* they are not the sums of these rows */
        return;
    }
    cold->chunks -= tail->count;
    cold->fragments -= tail->fragments;
    cold->bytes -= tail->bytes;
    cold->kept_count -= tail->kept_count;
    cold->kept_bytes -= tail->kept_bytes;
}

static int install(struct storage_log *log, struct load *load, bool whole)
{
    KN_LOCKED(&log->lock);
    struct storage_directory tail = load->directory; /* its sums */
    int r = join_locked(log, load);
    if (r < 0)
        return r;
    if (!log->numbered)
        number_locked(log);
    log->loaded = whole;
    log->used = ++log->storage->uses;
    if (whole) {
        log->cold = (struct storage_cold){.known = true};
    } else {
        warm_locked(log, &tail);
        set_tail_locked(log, load->first_seq);
    }
    return 0;
}

static bool is_ready(struct storage_log *log, bool whole)
{
    KN_LOCKED(&log->lock);
    return whole ? log->loaded : log->numbered;
}

int storage_log_load_tail(struct storage_log *log)
{
    KN_LOCKED(&log->slow);
    if (is_ready(log, false))
        return 0;
    struct load load = {.log = log};
    char prefix[STORAGE_CHUNK_KEY_BYTES];
    int r = storage_numbers_read(log);
    if (r == 0)
        r = storage_meta_list_last(log->storage->meta, storage_chunk_prefix('c', &log->id, prefix),
                                   STORAGE_TAIL_ROWS, load_row, &load);
    if (r >= 0)
        r = install(log, &load, load.seen < STORAGE_TAIL_ROWS);
    storage_directory_done(&load.directory);
    return r;
}

/* --- giving back ------------------------------------------------------------------------------ */
/* Rows older than the newest, but for live ones, which are nowhere else. */
static void shorten_locked(struct storage_log *log)
{
    struct storage_directory *dir = &log->directory;
    struct storage_cold *cold = &log->cold;
    size_t end = dir->count - STORAGE_TAIL_ROWS;
    struct storage_directory before = *dir;
    uint64_t tail_seq = dir->rows[end].name.seq;
    int64_t oldest_ms = dir->rows[0].first_server_ts_ms;
    for (size_t i = 0; i < end;) {
        size_t count = 0;
        while (i + count < end && !dir->rows[i + count].live)
            count++;
        storage_directory_remove(dir, i, count);
        end -= count;
        i++; /* a live one */
    }
    if (cold->chunks == 0)
        cold->oldest_ms = oldest_ms;
    cold->chunks += before.count - dir->count;
    cold->fragments += before.fragments - dir->fragments;
    cold->bytes += before.bytes - dir->bytes;
    cold->kept_count += before.kept_count - dir->kept_count;
    cold->kept_bytes += before.kept_bytes - dir->kept_bytes;
    log->loaded = false;
    set_tail_locked(log, tail_seq);
    storage_directory_fit(dir);
}

static uint64_t bytes_of(struct storage_log *log)
{
    KN_LOCKED(&log->lock);
    return log->loaded && log->directory.count > STORAGE_TAIL_ROWS
               ? log->directory.cap * sizeof(*log->directory.rows)
               : 0;
}

static size_t list_logs(struct storage *storage, struct storage_log **out, size_t cap)
{
    KN_LOCKED(&storage->lock);
    size_t count = 0;
    for (size_t i = 0; i < STORAGE_LOG_BUCKETS; i++) {
        for (struct storage_log *log = storage->logs[i]; log; log = log->bucket_next) {
            if (count < cap)
                out[count] = log;
            count++;
        }
    }
    return count;
}

/* The one walked least recently that can be shortened; NULL. */
static struct storage_log *find_oldest(struct storage_log **logs, size_t count,
                                       const struct storage_log *but)
{
    struct storage_log *oldest = NULL;
    uint64_t used = UINT64_MAX;
    for (size_t i = 0; i < count; i++) {
        KN_LOCKED(&logs[i]->lock);
        if (logs[i] != but && logs[i]->loaded && logs[i]->cursors == 0 &&
            logs[i]->directory.count > STORAGE_TAIL_ROWS && logs[i]->used < used) {
            used = logs[i]->used;
            oldest = logs[i];
        }
    }
    return oldest;
}

/* Called when a long directory was read, with that log's slow held (others' locks come after). */
static void limit_memory(struct storage *storage, struct storage_log *just_read)
{
    size_t count = list_logs(storage, NULL, 0), cap = count;
    struct storage_log **logs = calloc(cap + 1, sizeof(struct storage_log *));
    if (!logs)
        return; /* the next one tries again */
    count = kn_min_u64(list_logs(storage, logs, cap), cap);
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += bytes_of(logs[i]);
    while (bytes > storage->conf.directory_bytes_max) {
        struct storage_log *log = find_oldest(logs, count, just_read);
        if (!log)
            break; /* one may be larger than the limit: it stays until another is read */
        KN_LOCKED(&log->lock);
        if (!log->loaded || log->cursors > 0 || log->directory.count <= STORAGE_TAIL_ROWS)
            continue;
        bytes -= kn_min_u64(bytes, log->directory.cap * sizeof(*log->directory.rows));
        shorten_locked(log);
    }
    free(logs);
}

int storage_log_load(struct storage_log *log)
{
    KN_LOCKED(&log->slow);
    if (is_ready(log, true))
        return 0;
    struct load load = {.log = log};
    char prefix[STORAGE_CHUNK_KEY_BYTES];
    int r = storage_numbers_read(log);
    if (r == 0)
        r = storage_meta_list(log->storage->meta, storage_chunk_prefix('c', &log->id, prefix),
                              (struct kn_bytes){NULL, 0}, SIZE_MAX, load_row, &load);
    if (r >= 0)
        r = install(log, &load, true);
    storage_directory_done(&load.directory);
    if (r == 0 && load.seen > STORAGE_TAIL_ROWS)
        limit_memory(log->storage, log);
    return r;
}
