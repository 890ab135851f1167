/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recovery of chunks that were open when the last run ended: those whose intent ("o/…") is still in
 * the catalogue. Procedure and proof obligations: docs/format-chunk.md, "Recovery".
 *
 * The newest record whose links lead back to the chunk's head is looked for from the end of the
 * file. What lies before its durable_upto was flushed and is believed; fragments after that are
 * read and compared with their checksum, and the first that fails ends the chunk. A broken link
 * below durable_upto is damage: it is reported, what lies before and after it is kept. The chunk is
 * then sealed like any other and never appended to.
 */
#include "scan.h"

#include <stdio.h>

#include "core/crypto.h"
#include "core/log.h"

struct recovery {
    struct storage *storage;
    struct storage_report *report;
    struct pending *list;
    size_t count, cap;
    struct storage_id last; /* to count streams */
};

struct pending {
    struct storage_id stream;
    uint64_t seq;
    struct storage_intent intent;
};

static int collect(void *ctx, struct kn_bytes key, struct kn_bytes value, uint64_t version)
{
    (void) version;
    struct recovery *rec = ctx;
    struct pending p;
    if (storage_chunk_key_parse(key, &p.stream, &p.seq) < 0 ||
        storage_intent_decode(value, &p.intent) < 0) {
        rec->report->bad_records++;
        return 0;
    }
    if (rec->count == rec->cap) {
        size_t cap = rec->cap ? rec->cap * 2 : 64;
        struct pending *list = realloc(rec->list, cap * sizeof(*list));
        if (!list)
            return -ENOMEM;
        rec->list = list;
        rec->cap = cap;
    }
    rec->list[rec->count++] = p;
    return 0;
}

static int forget_intent(struct storage *storage, const struct pending *p)
{
    char key[STORAGE_CHUNK_KEY_BYTES];
    int r = storage_meta_remove(storage->meta, storage_chunk_key('o', &p->stream, p->seq, key), 0);
    return r == -ENOENT ? 0 : r;
}

/* 1: yes, 0: no, or an error. */
static int is_in_catalogue(struct storage *storage, const struct pending *p)
{
    char key[STORAGE_CHUNK_KEY_BYTES];
    struct kn_buf value;
    uint64_t version;
    kn_buf_init(&value, STORAGE_META_VALUE_BYTES_MAX);
    int r = storage_meta_get(storage->meta, storage_chunk_key('c', &p->stream, p->seq, key), &value,
                             &version);
    kn_buf_done(&value);
    return r == 0 ? 1 : r == -ENOENT ? 0 : r;
}

/* The recovered chunk waits in its log to be sealed by the I/O threads. */
static int adopt(struct storage *storage, struct storage_chunk *chunk)
{
    struct storage_log *log = storage_log_of(storage, &chunk->stream);
    if (!log)
        return -ENOMEM;
    KN_LOCKED(&log->lock);
    int r = storage_directory_reserve(&log->directory);
    if (r < 0)
        return r;
    struct storage_chunk_row row;
    storage_chunk_row_of(chunk, &row);
    row.live = storage_chunk_ref(chunk);
    storage_directory_insert(&log->directory, &row);
    chunk->state = STORAGE_CHUNK_CLOSING;
    chunk->unflushed = true;
    storage_chunk_close_locked(log, chunk);
    return 0;
}

/* A file that never got as far as a durable header holds nothing that anybody was promised. */
static int drop_unborn(struct storage *storage, const struct pending *p,
                       const struct storage_chunk_path *path)
{
    int r = storage_chunk_unlink(storage->fs, path);
    return r < 0 ? r : forget_intent(storage, p);
}

/* Nothing of it can be shown, but it may hold what was promised. */
static int leave_out(struct recovery *rec, const struct pending *p,
                     const struct storage_chunk_path *path)
{
    kn_log_error("chunk_unreadable",
                 "file=" KN_LOG_QUOTED " said=\"not one fragment of it can be shown: acknowledged "
                 "fragments may be lost; the file is kept, and left alone\"",
                 kn_log_quote(kn_str_from(path->file)));
    rec->report->bad_records++;
    return forget_intent(rec->storage, p);
}

static int recover_one(struct recovery *rec, const struct pending *p,
                       const struct storage_chunk_path *path)
{
    struct storage *storage = rec->storage;
    struct storage_scan scan = {0};
    KN_CLEANUP(storage_chunk_unrefp) struct storage_chunk *chunk = NULL;
    int r = storage_scan_open_intent(storage, path->file, true, &p->intent, &scan, &chunk);
    if (scan.unreadable > 0 && (r == -ENODATA || (r == 0 && chunk->index.count == 0)))
        return leave_out(rec, p, path);
    if (r == -ENOENT || r == -ENODATA)
        return drop_unborn(storage, p, path);
    if (r == 0)
        r = storage_scan_void_gaps(chunk);
    if (r == -EIO && scan.unreadable > 0)
        r = 0; /* that is for players; records say where fragments are */
    if (r < 0)
        return r;
    rec->report->chunks_recovered++;
    rec->report->fragments_recovered += chunk->index.count;
    rec->report->tail_bytes_cut += scan.cut_bytes;
    rec->report->bad_records += scan.bad_records;
    return adopt(storage, chunk);
}

/* Folders of streams that the catalogue does not name: said, never touched. */
static int count_unknown(void *ctx, const char *name, bool is_dir)
{
    struct recovery *rec = ctx;
    struct storage_id id;
    (void) is_dir;
    struct storage_stream *stream =
        kn_hex_decode(kn_str_from(name), id.bytes, sizeof(id.bytes)) == 0
            ? storage_stream_find_id(rec->storage, &id)
            : NULL;
    if (stream)
        storage_stream_unref(stream);
    else
        rec->report->unknown_files++;
    return 0;
}

static int look_for_unknown(struct recovery *rec, struct storage_chunk_path *path)
{
    struct kn_fs *fs = rec->storage->fs;
    int n = snprintf(path->file, sizeof(path->file), "%s/chunks", rec->storage->dir);
    if (n < 0 || (size_t) n >= sizeof(path->file))
        return -EMSGSIZE;
    return fs->ops->list(fs, path->file, count_unknown, rec);
}

int storage_recover(struct storage *storage, struct storage_report *report, struct kn_err *err)
{
    struct recovery rec = {.storage = storage, .report = report};
    int r = storage_meta_list(storage->meta, kn_bytes_of(KN_STR("o/")), (struct kn_bytes){NULL, 0},
                              SIZE_MAX, collect, &rec);
    struct storage_chunk_path *path = malloc(sizeof(*path));
    if (r >= 0 && !path)
        r = -ENOMEM;
    for (size_t i = 0; i < rec.count && r >= 0; i++) {
        const struct pending *p = &rec.list[i];
        r = storage_chunk_path_of(storage->dir, &p->stream, &p->intent.head.name, path);
        if (r == 0)
            r = is_in_catalogue(storage, p);
        if (r > 0)
            r = forget_intent(storage, p);
        else if (r == 0)
            r = recover_one(&rec, p, path);
        if (r < 0)
            kn_fail(err, r, "%s: %s", path->file, kn_errname(r));
    }
    if (r >= 0)
        r = look_for_unknown(&rec, path);
    report->streams = storage_stream_count(storage);
    report->chunks = rec.count;
    free(path);
    free(rec.list);
    if (r < 0)
        return err && err->code ? r : kn_fail(err, r, "recovery: %s", kn_errname(r));
    return 0;
}
