/* SPDX-License-Identifier: Apache-2.0 */
/* Sums that outlive a restart, and the mark of a clean end; see sums.h. Bytes:
 * docs/format-chunk.md, "Catalogue". */
#include "sums.h"

#include <stdio.h>

#include "core/crypto.h"

enum {
    SUMS_VERSION = 1,
    SUMS_BYTES = 80,
};
static const char clean_key[] = "v/clean"; /* there while no server has the folder */
static const char family[] = "cs/";
static const uint8_t nobody[STORAGE_END_BYTES];

/* --- the mark --------------------------------------------------------------------------------- */
int storage_clean_mark_take(struct storage *storage)
{
    struct kn_bytes key = kn_bytes_of(kn_str_from(clean_key));
    struct kn_buf value;
    uint64_t version;
    kn_buf_init(&value, STORAGE_META_VALUE_BYTES_MAX);
    int r = storage_meta_get(storage->meta, key, &value, &version);
    if (r == 0)
        r = storage_meta_remove(storage->meta, key, 0);
    if (r == 0 && value.len == STORAGE_END_BYTES)
        memcpy(storage->last_end, value.ptr, STORAGE_END_BYTES);
    storage->mark_left = r < 0 && r != -ENOENT;
    kn_buf_done(&value);
    return r;
}

int storage_clean_mark_ensure_gone(struct storage *storage)
{
    if (!storage->mark_left)
        return 0;
    int r = storage_meta_remove(storage->meta, kn_bytes_of(kn_str_from(clean_key)), 0);
    if (r < 0 && r != -ENOENT)
        return r;
    storage->mark_left = false;
    return 0;
}

/* --- values ----------------------------------------------------------------------------------- */
struct sums {
    uint8_t end[STORAGE_END_BYTES];
    struct storage_cold all; /* of the sealed chunks that readers see */
    uint64_t last_seq;       /* name of the newest row */
};

struct kn_bytes storage_sums_key(const struct storage_id *stream, char dst[STORAGE_CHUNK_KEY_BYTES])
{
    char id[STORAGE_ID_TEXT_BYTES];
    storage_id_text(stream, id);
    int n = snprintf(dst, STORAGE_CHUNK_KEY_BYTES, "%s%s", family, id);
    return (struct kn_bytes){(const uint8_t *) dst, (size_t) n};
}

static void encode(const struct sums *sums, uint8_t dst[SUMS_BYTES])
{
    memset(dst, 0, SUMS_BYTES);
    kn_put_u32le(dst, SUMS_VERSION);
    memcpy(dst + 8, sums->end, STORAGE_END_BYTES);
    kn_put_u64le(dst + 24, sums->all.chunks);
    kn_put_u64le(dst + 32, sums->all.fragments);
    kn_put_u64le(dst + 40, sums->all.bytes);
    kn_put_u64le(dst + 48, sums->all.kept_count);
    kn_put_u64le(dst + 56, sums->all.kept_bytes);
    kn_put_u64le(dst + 64, (uint64_t) sums->all.oldest_ms);
    kn_put_u64le(dst + 72, sums->last_seq);
}

static int decode(struct kn_bytes value, struct sums *ret)
{
    if (value.len != SUMS_BYTES || storage_get_u32(value.ptr) != SUMS_VERSION)
        return -EBADMSG;
    const uint8_t *p = value.ptr;
    *ret = (struct sums){
        .all = {.known = true,
                .chunks = storage_get_u64(p + 24),
                .fragments = storage_get_u64(p + 32),
                .bytes = storage_get_u64(p + 40),
                .kept_count = storage_get_u64(p + 48),
                .kept_bytes = storage_get_u64(p + 56),
                .oldest_ms = (int64_t) storage_get_u64(p + 64)},
        .last_seq = storage_get_u64(p + 72),
    };
    memcpy(ret->end, p + 8, STORAGE_END_BYTES);
    return 0;
}

/* --- at the start ----------------------------------------------------------------------------- */
static int note_seq(void *ctx, struct kn_bytes key, struct kn_bytes value, uint64_t version)
{
    struct storage_id id;
    (void) value;
    (void) version;
    return storage_chunk_key_parse(key, &id, ctx);
}

/* Name of the newest row; 0: there is none. */
static int newest_row(struct storage *storage, const struct storage_id *stream, uint64_t *ret)
{
    char prefix[STORAGE_CHUNK_KEY_BYTES];
    *ret = 0;
    return storage_meta_list_last(storage->meta, storage_chunk_prefix('c', stream, prefix), 1,
                                  note_seq, ret);
}

static bool knows_end(const struct storage *storage)
{
    return memcmp(storage->last_end, nobody, sizeof(nobody)) != 0;
}

void storage_sums_recall(struct storage_log *log)
{
    struct storage *storage = log->storage;
    kn_lock_assert_held(&log->slow);
    if (!knows_end(storage))
        return;
    char key[STORAGE_CHUNK_KEY_BYTES];
    struct kn_buf value;
    struct sums sums;
    uint64_t version, newest = 0;
    kn_buf_init(&value, STORAGE_META_VALUE_BYTES_MAX);
    int r = storage_meta_get(storage->meta, storage_sums_key(&log->id, key), &value, &version);
    if (r == 0)
        r = decode(kn_buf_bytes(&value), &sums);
    if (r == 0)
        r = newest_row(storage, &log->id, &newest);
    kn_buf_done(&value);
    if (r < 0 || memcmp(sums.end, storage->last_end, STORAGE_END_BYTES) != 0 ||
        newest != sums.last_seq)
        return;
    KN_LOCKED(&log->lock);
    if (!log->numbered && !log->loaded && log->directory.count == 0)
        log->cold = sums.all;
}

/* --- at the end ------------------------------------------------------------------------------- */
struct row {
    struct sums sums;
    uint64_t version; /* of the row that is there; 0: none */
    char key[STORAGE_CHUNK_KEY_BYTES];
    uint8_t value[SUMS_BYTES];
};

struct ending {
    struct storage *storage;
    struct row *rows;
    size_t count, cap;
};

static int add(struct ending *e, const struct storage_id *stream, const struct sums *sums,
               uint64_t version)
{
    if (e->count == e->cap) {
        size_t cap = e->cap ? e->cap * 2 : 64;
        struct row *rows = realloc(e->rows, cap * sizeof(*rows));
        if (!rows)
            return -ENOMEM;
        e->rows = rows;
        e->cap = cap;
    }
    struct row *row = &e->rows[e->count++];
    row->sums = *sums;
    row->version = version;
    (void) storage_sums_key(stream, row->key);
    return 0;
}

/* Nobody has asked about its chunks in this run, so nothing of them has changed. */
static bool is_untouched(struct storage *storage, const struct storage_id *stream)
{
    struct storage_log *log = storage_log_peek(storage, stream);
    if (!log)
        return true;
    KN_LOCKED(&log->slow);
    return !log->stored_read;
}

static int carry_on(void *ctx, struct kn_bytes key, struct kn_bytes value, uint64_t version)
{
    struct ending *e = ctx;
    struct sums sums;
    struct storage_id stream;
    struct kn_str hex = {(const char *) key.ptr + strlen(family), key.len - strlen(family)};
    if (hex.len != 2 * sizeof(stream.bytes) ||
        kn_hex_decode(hex, stream.bytes, sizeof(stream.bytes)) < 0 || decode(value, &sums) < 0 ||
        memcmp(sums.end, e->storage->last_end, STORAGE_END_BYTES) != 0 ||
        !is_untouched(e->storage, &stream))
        return 0;
    return add(e, &stream, &sums, version);
}

/* False: they are not all known, or some chunk is in memory or not sealed, or rows are so few that
 * they are read anyway. */
static bool count_up(struct storage_log *log, struct storage_cold *ret)
{
    KN_LOCKED(&log->lock);
    const struct storage_directory *dir = &log->directory;
    struct storage_cold all = log->cold;
    if (log->dropped || (!log->loaded && !all.known) ||
        all.chunks + dir->count <= STORAGE_TAIL_ROWS)
        return false;
    for (size_t i = 0; i < dir->count; i++) {
        if (dir->rows[i].live)
            return false;
    }
    if (all.chunks == 0)
        all.oldest_ms = dir->rows[0].first_server_ts_ms;
    all.chunks += dir->count;
    all.fragments += dir->fragments;
    all.bytes += dir->bytes;
    all.kept_count += dir->kept_count;
    all.kept_bytes += dir->kept_bytes;
    *ret = all;
    return true;
}

static int add_log(struct ending *e, struct storage_log *log)
{
    struct sums sums = {.last_seq = 0};
    char key[STORAGE_CHUNK_KEY_BYTES];
    struct kn_buf value;
    uint64_t version = 0;
    if (!count_up(log, &sums.all))
        return 0;
    kn_buf_init(&value, STORAGE_META_VALUE_BYTES_MAX);
    int r = storage_meta_get(e->storage->meta, storage_sums_key(&log->id, key), &value, &version);
    kn_buf_done(&value);
    if (r == 0 || r == -ENOENT)
        r = newest_row(e->storage, &log->id, &sums.last_seq);
    return r < 0 ? r : add(e, &log->id, &sums, version);
}

static int collect(struct ending *e)
{
    struct storage *storage = e->storage;
    int r = 0;
    if (knows_end(storage))
        r = storage_meta_list(storage->meta, kn_bytes_of(kn_str_from(family)),
                              (struct kn_bytes){NULL, 0}, SIZE_MAX, carry_on, e);
    for (size_t i = 0; r >= 0 && i < STORAGE_LOG_BUCKETS; i++) {
        for (struct storage_log *log = storage->logs[i]; r >= 0 && log; log = log->bucket_next)
            r = add_log(e, log);
    }
    return r;
}

/* Those that cannot be written keep the identity of an older end, which nobody believes. */
static void write_rows(struct ending *e, const uint8_t end[STORAGE_END_BYTES])
{
    struct storage_meta_change *changes = calloc(e->count + 1, sizeof(*changes));
    for (size_t i = 0; changes && i < e->count; i++) {
        struct row *row = &e->rows[i];
        memcpy(row->sums.end, end, STORAGE_END_BYTES);
        encode(&row->sums, row->value);
        changes[i] = (struct storage_meta_change){
            .key = kn_bytes_of(kn_str_from(row->key)),
            .value = {row->value, sizeof(row->value)},
            .expect = row->version
        };
    }
    if (changes && e->count > 0)
        storage_meta_change_all(e->storage->meta, changes, e->count);
    free(changes);
}

void storage_clean_end(struct storage *storage)
{
    struct ending e = {.storage = storage};
    uint8_t end[STORAGE_END_BYTES];
    uint64_t version;
    kn_random(end, sizeof(end));
    if (storage_clean_mark_ensure_gone(storage) < 0)
        return;
    if (collect(&e) >= 0)
        write_rows(&e, end);
    free(e.rows);
    /* Without it the next start says that this one did not end in order: true enough. */
    int r = storage_meta_put(storage->meta, kn_bytes_of(kn_str_from(clean_key)),
                             (struct kn_bytes){end, sizeof(end)}, 0, &version);
    (void) r;
}
