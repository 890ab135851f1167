/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fsck of a data folder: every chunk of the catalogue is read whole, records and payload are
 * compared with their checksums, the index with the records, the catalogue's row with the index;
 * and every file is looked for in the catalogue. Changes nothing.
 */
#include "catalogue_state.h"
#include "frames.h"
#include "patient.h"
#include "scan.h"

#include <stdio.h>
#include <unistd.h>

#include "core/crypto.h"
#include "shard/inspect.h"

enum {
    LINE_BYTES_MAX = 512,
    PATH_BYTES_MAX = 4096,
    KNOWN_CHUNKS_STEP = 1024
};

struct known { /* a chunk the catalogue names */
    struct storage_id stream;
    struct storage_number name;
    bool open;
    struct storage_chunk_row row; /* sealed */
    struct storage_intent intent; /* open */
};

struct check {
    struct storage_meta *meta;
    struct storage nowhere; /* dir, clock and fs, for paths and files */
    struct storage_patient_fs patience;
    struct storage_check_result result;
    storage_say_fn *say;
    void *ctx;
    struct known *list;
    size_t count, cap;
    struct storage_id last_stream;
    uint64_t last_seq; /* of the stream's fragments so far */
    int64_t last_ts_ms;
};

static void line(struct check *c, bool problem, const char *fmt, ...) KN_PRINTF(3, 4);
static void line(struct check *c, bool problem, const char *fmt, ...)
{
    char text[LINE_BYTES_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    c->result.problems += problem;
    c->say(c->ctx, text);
}

static void on_refused(void *ctx, const char *path, uint64_t sector)
{
    line(ctx, true, "problem sector file=%s offset=%" PRIu64 " bytes=%d error=EIO", path, sector,
         STORAGE_SICK_SECTOR_BYTES);
}

/* --- what the catalogue names ----------------------------------------------------------------- */
static int remember(struct check *c, const struct known *known)
{
    if (c->count == c->cap) {
        size_t cap = c->cap + KNOWN_CHUNKS_STEP;
        struct known *list = realloc(c->list, cap * sizeof(*list));
        if (!list)
            return -ENOMEM;
        c->list = list;
        c->cap = cap;
    }
    c->list[c->count++] = *known;
    return 0;
}

/* Also one without a chunk. */
static int on_stream(void *ctx, struct kn_bytes key, struct kn_bytes value, uint64_t version)
{
    (void) key;
    (void) value;
    (void) version;
    struct check *c = ctx;
    c->result.streams++;
    return 0;
}

static int on_sealed(void *ctx, struct kn_bytes key, struct kn_bytes value, uint64_t version)
{
    (void) version;
    struct check *c = ctx;
    struct known known = {.open = false};
    uint64_t seq;
    if (storage_chunk_key_parse(key, &known.stream, &seq) < 0 ||
        storage_chunk_row_decode(value, &known.row) < 0 || known.row.name.seq != seq) {
        line(c, true, "problem catalogue key=" KN_STR_FMT " what=unreadable",
             KN_STR_ARG(kn_str_of(key)));
        return 0;
    }
    known.name = known.row.name;
    return remember(c, &known);
}

static int on_open(void *ctx, struct kn_bytes key, struct kn_bytes value, uint64_t version)
{
    (void) version;
    struct check *c = ctx;
    struct known known = {.open = true};
    uint64_t seq;
    if (storage_chunk_key_parse(key, &known.stream, &seq) < 0 ||
        storage_intent_decode(value, &known.intent) < 0 || known.intent.head.name.seq != seq) {
        line(c, true, "problem catalogue key=" KN_STR_FMT " what=unreadable",
             KN_STR_ARG(kn_str_of(key)));
        return 0;
    }
    known.name = known.intent.head.name;
    return remember(c, &known);
}

static int compare_known(const void *a, const void *b)
{
    const struct known *x = a, *y = b;
    int order = storage_id_cmp(&x->stream, &y->stream);
    if (order == 0)
        order = x->name.seq < y->name.seq ? -1 : x->name.seq > y->name.seq;
    return order ? order : (int) x->open - (int) y->open; /* sealed first */
}

/* --- one chunk -------------------------------------------------------------------------------- */
static void check_fragment(struct check *c, struct storage_chunk *chunk, uint32_t at,
                           const char *path, struct kn_buf *buf)
{
    struct storage_fragment f;
    struct storage_record record;
    uint32_t crc;
    storage_index_get(&chunk->index, at, &f, &crc);
    c->result.fragments++;
    c->result.bytes += f.bytes;
    int r = storage_scan_record(chunk->file, f.offset + f.bytes, chunk->seed, buf, &record);
    if (r < 0 || record.kind != STORAGE_RECORD_FRAGMENT || record.body.len < STORAGE_ENTRY_BYTES ||
        memcmp(record.body.ptr, storage_index_entry(&chunk->index, at), STORAGE_ENTRY_BYTES) != 0) {
        line(c, true, "problem record file=%s fragment=%" PRIu32 " offset=%" PRIu64 " error=%s",
             path, at, f.offset + f.bytes, r < 0 ? kn_errname(r) : "differs from the index");
    } else {
        struct storage_frames *frames;
        r = storage_frames_decode((struct kn_bytes){record.body.ptr + STORAGE_ENTRY_BYTES,
                                                    record.body.len - STORAGE_ENTRY_BYTES},
                                  f.frame_count, f.bytes, &frames);
        if (r < 0)
            line(c, true, "problem frames file=%s fragment=%" PRIu32 " error=%s", path, at,
                 kn_errname(r));
        else
            storage_frames_free(frames);
    }
    r = storage_scan_payload(chunk->file, &f, crc);
    if (r < 0)
        line(c, true, "problem payload file=%s fragment=%" PRIu32 " offset=%" PRIu64 " error=%s",
             path, at, f.offset, kn_errname(r));
    if (f.number.seq <= c->last_seq || f.number.server_ts_ms <= c->last_ts_ms)
        line(c, true, "problem order file=%s fragment=%" PRIu32 " seq=%" PRIu64, path, at,
             f.number.seq);
    c->last_seq = f.number.seq;
    c->last_ts_ms = f.number.server_ts_ms;
}

static bool same_row(const struct storage_chunk_row *a, const struct storage_chunk_row *b)
{
    return a->count == b->count && a->footer_offset == b->footer_offset &&
           a->file_bytes == b->file_bytes && a->bytes == b->bytes &&
           (a->count == 0 ||
            (a->first_seq == b->first_seq && a->last_seq == b->last_seq &&
             a->first_server_ts_ms == b->first_server_ts_ms && a->last_end_ms == b->last_end_ms &&
             a->producer_ts_ms_min == b->producer_ts_ms_min &&
             a->producer_ts_ms_max == b->producer_ts_ms_max && a->next_ordinal == b->next_ordinal));
}

static int open_sealed(struct check *c, const struct known *k, const char *path,
                       struct storage_chunk **ret)
{
    KN_CLEANUP(storage_chunk_unrefp) struct storage_chunk *chunk = NULL;
    int r = storage_scan_open(&c->nowhere, path, false, &chunk);
    if (r < 0)
        return r;
    r = storage_scan_footer(chunk);
    if (r == -EBADMSG) { /* its fragments by their records */
        struct storage_scan scan;
        line(c, true, "problem footer file=%s error=%s", path, kn_errname(r));
        r = storage_scan_tail(chunk, UINT64_MAX, &scan);
        if (r == 0)
            *ret = KN_MOVE(chunk);
        return r;
    }
    if (r < 0)
        return r;
    struct storage_chunk_row row;
    storage_chunk_row_of(chunk, &row);
    if (storage_id_cmp(&chunk->stream, &k->stream) != 0 || !same_row(&row, &k->row))
        line(c, true, "problem catalogue file=%s what=row differs from the chunk", path);
    *ret = KN_MOVE(chunk);
    return 0;
}

static int open_open(struct check *c, const struct known *k, const char *path,
                     struct storage_chunk **ret)
{
    struct storage_scan scan;
    int r = storage_scan_open_intent(&c->nowhere, path, false, &k->intent, &scan, ret);
    if (r < 0)
        return r;
    if (scan.cut_bytes > 0)
        line(c, false, "open file=%s unfinished_bytes=%" PRIu64, path, scan.cut_bytes);
    if (scan.bad_records > 0)
        line(c, true, "problem records file=%s damaged=%" PRIu64, path, scan.bad_records);
    return 0;
}

static int get(struct check *c, struct kn_bytes key, struct kn_buf *value)
{
    uint64_t version;
    return storage_meta_get(c->meta, key, value, &version);
}

/* Its stream is being deleted, or it lies behind the horizon: the file goes before its row. */
static bool is_on_its_way_out(struct check *c, const struct known *k)
{
    struct kn_buf value;
    struct storage_numbers numbers;
    struct storage_stream *stream = NULL;
    char key[STORAGE_CHUNK_KEY_BYTES], name[STORAGE_STREAM_KEY_BYTES];
    kn_buf_init(&value, STORAGE_META_VALUE_BYTES_MAX);
    bool out = get(c, storage_numbers_key(&k->stream, key), &value) == 0 &&
               storage_numbers_decode(kn_buf_bytes(&value), &numbers) == 0 &&
               storage_row_last_seq(&k->row) <= numbers.trim_seq && !k->row.kept;
    kn_buf_clear(&value);
    if (!out && get(c, storage_stream_key(&k->stream, name), &value) == 0 &&
        storage_stream_decode(&k->stream, kn_buf_bytes(&value), 0, &stream) == 0)
        out = stream->status == STORAGE_STREAM_DELETING;
    storage_stream_unref(stream);
    kn_buf_done(&value);
    return out;
}

static int check_chunk(struct check *c, const struct known *k, struct kn_buf *buf)
{
    struct storage_chunk_path *path = malloc(sizeof(*path));
    if (!path)
        return -ENOMEM;
    KN_CLEANUP(storage_chunk_unrefp) struct storage_chunk *chunk = NULL;
    int r = storage_chunk_path_of(c->nowhere.dir, &k->stream, &k->name, path);
    if (r == 0)
        r = k->open ? open_open(c, k, path->file, &chunk) : open_sealed(c, k, path->file, &chunk);
    bool unborn = k->open && (r == -ENOENT || r == -ENODATA); /* a crash before its first flush */
    bool going = !k->open && r == -ENOENT && is_on_its_way_out(c, k);
    if (r < 0 && r != -ENOMEM && !unborn && !going)
        line(c, true, "problem chunk file=%s error=%s", path->file, kn_errname(r));
    for (uint32_t i = 0; r == 0 && i < chunk->index.count; i++)
        check_fragment(c, chunk, i, path->file, buf);
    c->result.chunks++;
    free(path);
    return r == -ENOMEM ? r : 0;
}

static int check_chunks(struct check *c)
{
    struct kn_buf buf;
    kn_buf_init(&buf, STORAGE_RECORD_BYTES_MAX);
    int r = 0;
    for (size_t i = 0; i < c->count && r == 0; i++) {
        const struct known *k = &c->list[i];
        bool same_stream = i > 0 && storage_id_cmp(&k[-1].stream, &k->stream) == 0;
        if (!same_stream) {
            c->last_seq = 0;
            c->last_ts_ms = 0;
        } else if (k[-1].name.seq == k->name.seq) {
            continue; /* sealed, and its intent not yet removed */
        }
        r = check_chunk(c, k, &buf);
    }
    kn_buf_done(&buf);
    return r;
}

/* --- files nobody knows ----------------------------------------------------------------------- */
struct walk {
    struct check *c;
    const char *path;
    unsigned depth; /* 0 chunks/, 1 a stream, 2 a day */
    struct storage_id stream;
};

/* The list is sorted; the file's name is the chunk's number. */
static bool is_known(const struct walk *w, const char *name, const char *path)
{
    struct known key = {.stream = w->stream};
    struct kn_str digits;
    bool exact;
    (void) kn_str_cut(kn_str_from(name), '.', &digits);
    if (storage_number_parse(digits, &key.name, &exact) < 0 || w->c->count == 0)
        return false;
    const struct known *found = NULL;
    for (int open = 0; open <= 1 && !found; open++) {
        key.open = open;
        found = bsearch(&key, w->c->list, w->c->count, sizeof(key), compare_known);
    }
    struct storage_chunk_path *known = found ? malloc(sizeof(*known)) : NULL;
    bool same = known &&
                storage_chunk_path_of(w->c->nowhere.dir, &w->stream, &found->name, known) == 0 &&
                strcmp(known->file, path) == 0;
    free(known);
    return same;
}

static int on_entry(void *ctx, const char *name, bool is_dir);

/* A folder that cannot be listed keeps nobody from the others. */
static int walk_folder(struct walk *w)
{
    struct kn_fs *fs = w->c->nowhere.fs;
    int r = fs->ops->list(fs, w->path, on_entry, w);
    if (r != -EIO)
        return r == -ENOENT && w->depth == 0 ? 0 : r;
    line(w->c, true, "problem folder path=%s error=EIO", w->path);
    return 0;
}

/* Three levels, so recursion has an end. */
static int on_entry(void *ctx, const char *name, bool is_dir)
{
    struct walk *w = ctx;
    char path[PATH_BYTES_MAX];
    int n = snprintf(path, sizeof(path), "%s/%s", w->path, name);
    if (n < 0 || (size_t) n >= sizeof(path))
        return -EMSGSIZE;
    if (is_dir && w->depth < 2) {
        struct walk down = {w->c, path, w->depth + 1, w->stream};
        if (w->depth > 0 ||
            kn_hex_decode(kn_str_from(name), down.stream.bytes, sizeof(down.stream.bytes)) == 0)
            return walk_folder(&down);
    }
    if (is_dir || w->depth < 2 || !is_known(w, name, path))
        line(w->c, true, "problem unknown file=%s", path);
    return 0;
}

static int check_files(struct check *c)
{
    char path[PATH_BYTES_MAX];
    int n = snprintf(path, sizeof(path), "%s/chunks", c->nowhere.dir);
    if (n < 0 || (size_t) n >= sizeof(path))
        return -EMSGSIZE;
    return walk_folder(&(struct walk){.c = c, .path = path});
}

static int check_shards(struct check *c)
{
    c->nowhere.meta = c->meta;
    struct storage_shard_check shards = {.nowhere = &c->nowhere, .say = c->say, .ctx = c->ctx};
    int r = storage_shards_check(&shards);
    c->result.shards = shards.shards;
    c->result.segments = shards.segments;
    c->result.records = shards.records;
    c->result.bytes += shards.bytes;
    c->result.problems += shards.problems;
    return r;
}

static int check_all(struct check *c)
{
    struct kn_bytes start = {NULL, 0};
    int r = storage_meta_list(c->meta, kn_bytes_of(KN_STR("s/")), start, SIZE_MAX, on_stream, c);
    if (r >= 0)
        r = storage_meta_list(c->meta, kn_bytes_of(KN_STR("c/")), start, SIZE_MAX, on_sealed, c);
    if (r >= 0)
        r = storage_meta_list(c->meta, kn_bytes_of(KN_STR("o/")), start, SIZE_MAX, on_open, c);
    if (r < 0)
        return r;
    if (c->count > 0)
        qsort(c->list, c->count, sizeof(*c->list), compare_known);
    r = check_chunks(c);
    if (r >= 0)
        r = check_files(c);
    return r < 0 ? r : check_shards(c);
}

int storage_check(const char *dir, const struct storage_look *look,
                  struct storage_check_result *ret, struct kn_err *err)
{
    enum {
        MAP_BYTES = 1 << 30
    }; /* LMDB takes the larger of this and what is there */
    struct check c = {
        .nowhere = {.fs = look->fs, .clock = look->clock},
          .say = look->say, .ctx = look->ctx
    };
    char path[PATH_BYTES_MAX];
    int n = snprintf(path, sizeof(path), "%s/catalogue", dir);
    if (n < 0 || (size_t) n >= sizeof(path))
        return kn_fail(err, -EMSGSIZE, "the folder's path is too long");
    storage_patient_fs_init(&c.patience, &c.nowhere, on_refused, &c);
    c.nowhere.dir = strdup(dir);
    if (!c.nowhere.dir)
        return kn_fail(err, -ENOMEM, "out of memory");
    int lock_fd = -1;
    int r = storage_folder_take(dir, true, &lock_fd, err);
    if (r == 0)
        r = storage_meta_open(path, MAP_BYTES, &c.meta, err);
    if (r == 0) {
        r = check_all(&c);
        if (r < 0)
            kn_fail(err, r, "check of %s: %s", dir, kn_errname(r));
        storage_meta_close(c.meta);
    }
    if (lock_fd >= 0)
        close(lock_fd);
    free(c.nowhere.dir);
    free(c.list);
    if (r < 0)
        return r;
    *ret = c.result;
    return 0;
}
