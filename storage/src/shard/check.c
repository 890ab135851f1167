/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fsck of shards: each segment of the catalogue is read whole, its frames, their order and its
 * row compared, and one segment with the next; each journal that is still needed is read as a start
 * would, and the order of every shard's frames over all of them looked at; and every file is looked
 * for in the catalogue. Changes nothing.
 */
#include "inspect.h"
#include "order.h"
#include "pack.h"

#include <stdio.h>

#include "../patient.h"
#include "core/crypto.h"

enum {
    LINE_BYTES_MAX = 512,
};

struct walk {
    struct storage_shards shards; /* for paths and journals; first: replay hands it back */
    struct storage_shard_check *c;
    struct storage_id last_shard;
    struct storage_segment_row newer; /* of that shard; first == next: none yet */
    bool any;
    struct storage_shard_order order; /* of the journals read so far */
    const char *journal;              /* the one that is read */
};

static void line(struct storage_shard_check *c, bool problem, const char *fmt, ...) KN_PRINTF(3, 4);
static void line(struct storage_shard_check *c, bool problem, const char *fmt, ...)
{
    char text[LINE_BYTES_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    c->problems += problem;
    c->say(c->ctx, text);
}

/* --- a segment -------------------------------------------------------------------------------- */
struct tally {
    uint64_t next, records, data_bytes;
    int64_t first_ms, last_ms;
};

static void count_frame(struct walk *w, const char *path, const struct storage_segment_row *row,
                        const struct storage_shard_frame *frame, struct kn_bytes payload,
                        struct tally *t)
{
    if (storage_id_cmp(&frame->shard, &w->last_shard) != 0 ||
        frame->kind != STORAGE_BATCH_RECORDS || frame->count == 0 || frame->first_index < t->next ||
        frame->arrival_ms < t->last_ms || frame->first_index + frame->count > row->next)
        line(w->c, true, "problem order file=%s at=%" PRIu64 " first=%" PRIu64, path, frame->at,
             frame->first_index);
    if (storage_shard_payload_check(payload, frame->count) < 0)
        line(w->c, true, "problem records file=%s at=%" PRIu64, path, frame->at);
    if (t->records == 0)
        t->first_ms = frame->arrival_ms;
    t->next = frame->first_index + frame->count;
    t->last_ms = frame->arrival_ms;
    t->records += frame->count;
    t->data_bytes += frame->data_bytes;
}

static int read_frames(struct walk *w, const char *path, const struct storage_segment_row *row,
                       struct storage_shard_file *f)
{
    struct tally t = {.next = row->first, .last_ms = INT64_MIN};
    bool damaged = false;
    int r = 0;
    f->end = kn_min_u64(f->end, row->bytes);
    while (r == 0 && f->at < f->end) {
        struct storage_shard_frame frame;
        struct kn_bytes payload;
        uint64_t at = f->at;
        r = storage_shard_file_next(f, &frame, &payload);
        if (r == 0)
            count_frame(w, path, row, &frame, payload, &t);
        if (r != -EBADMSG && r != -ENODATA)
            continue;
        damaged = true;
        line(w->c, true, "problem frame file=%s at=%" PRIu64 " what=%s", path, at,
             r == -EBADMSG ? "payload" : "header");
        r = r == -EBADMSG ? 0 : storage_shard_file_seek(f);
    }
    w->c->records += t.records;
    w->c->bytes += t.data_bytes;
    if (!damaged && (f->at != row->bytes || t.next != row->next || t.records != row->records ||
                     t.data_bytes != row->data_bytes || t.first_ms != row->first_ms ||
                     t.last_ms != row->last_ms))
        line(w->c, true, "problem catalogue file=%s what=row differs from the segment", path);
    return r == -ENODATA ? 0 : r;
}

/* Its file goes before its row. */
static bool is_on_its_way_out(struct walk *w, const struct storage_segment_row *row)
{
    int64_t trim_ms = INT64_MIN;
    return storage_shard_is_dropped(&w->shards, &w->last_shard) == 1 ||
           (storage_trim_get(w->c->nowhere->meta, &w->last_shard, &trim_ms) == 0 &&
            row->last_ms <= trim_ms);
}

static int check_segment(struct walk *w, const struct storage_segment_row *row)
{
    char path[STORAGE_SHARD_PATH_BYTES];
    struct storage_shard_file f;
    if (row->next == row->first) /* an intent: nothing counts yet */
        return 0;
    int r = storage_segment_file(&w->shards, &w->last_shard, row, path);
    if (r == 0)
        r = storage_shard_file_open(w->c->nowhere->fs, path, row->place, &f);
    if (r == -ENOENT && is_on_its_way_out(w, row))
        return 0;
    w->c->segments++;
    if (r < 0) {
        line(w->c, true, "problem segment file=%s error=%s", path, kn_errname(r));
        return r == -ENOMEM ? r : 0;
    }
    if (f.is_journal || memcmp(f.id, row->id, sizeof(f.id)) != 0 || f.first != row->first ||
        storage_id_cmp(&f.shard, &w->last_shard) != 0)
        line(w->c, true, "problem segment file=%s what=its header is another one's", path);
    else
        r = read_frames(w, path, row, &f);
    storage_shard_file_close(&f);
    if (r == -EIO)
        line(w->c, true, "problem segment file=%s error=EIO", path);
    return r == -EIO ? 0 : r;
}

/* Rows come from the newest segment of a shard to its oldest. */
static int on_segment(void *ctx, struct kn_bytes key, struct kn_bytes value, uint64_t version)
{
    struct walk *w = ctx;
    struct storage_segment_row row;
    struct storage_id id;
    (void) version;
    struct kn_str text = kn_str_skip(kn_str_of(key), sizeof("x/") - 1);
    text.len = kn_min_u64(text.len, STORAGE_ID_TEXT_BYTES - 1);
    if (kn_hex_decode(text, id.bytes, sizeof(id.bytes)) < 0 ||
        storage_segment_row_decode(value, &row) < 0) {
        line(w->c, true, "problem catalogue key=" KN_STR_FMT " what=unreadable",
             KN_STR_ARG(kn_str_of(key)));
        return 0;
    }
    bool same = w->any && memcmp(&id, &w->last_shard, sizeof(id)) == 0;
    w->c->shards += !same;
    if (same && w->newer.first != row.next && row.next > row.first)
        line(w->c, true, "problem gap shard=" KN_STR_FMT " ends=%" PRIu64 " next_begins=%" PRIu64,
             KN_STR_ARG(text), row.next, w->newer.first);
    w->any = true;
    w->last_shard = id;
    w->newer = row;
    return check_segment(w, &row);
}

/* --- journals --------------------------------------------------------------------------------- */
static int on_frame(struct storage_shards *shards, const struct storage_shard_frame *frame,
                    struct kn_bytes payload, uint64_t generation)
{
    struct walk *w = KN_CONTAINER_OF(shards, struct walk, shards);
    (void) generation;
    int r = storage_shard_payload_check(payload, frame->count);
    if (r < 0)
        return r;
    r = storage_shard_order_take(&w->order, frame);
    if (r != -EBADMSG)
        return r;
    line(w->c, true, "problem order file=%s at=%" PRIu64 " first=%" PRIu64, w->journal, frame->at,
         frame->first_index);
    return 0;
}

struct journal {
    struct storage_shard_file f;
    bool there;
    char path[STORAGE_SHARD_PATH_BYTES];
};

static void say_journal(struct walk *w, const struct journal *j, const char *what, uint64_t until)
{
    struct storage_journal journal = {
        .file = j->f.file,
        .patient = storage_patient_of(j->f.file), /* what it gave up is no end of the journal */
        .capacity = j->f.end,
        .generation = j->f.journal.generation,
        .seed = j->f.seed};
    struct storage_shards_report report = {0};
    w->journal = j->path;
    int r = storage_journal_replay(&w->shards, &journal, until, on_frame, &report);
    line(w->c, false,
         "%s file=%s generation=%" PRIu64 " batches=%" PRIu64 " records=%" PRIu64 " bytes=%" PRIu64,
         what, j->path, journal.generation, report.batches, report.records, journal.tail);
    w->c->records += report.records;
    if (r < 0 || report.bad_frames > 0)
        line(w->c, true,
             "problem journal file=%s damaged=%" PRIu64 " damaged_bytes=%" PRIu64 " error=%s",
             j->path, report.bad_frames, report.bad_bytes, kn_errname(r));
}

static int open_journal(struct walk *w, struct journal *j, const char *name)
{
    int n = snprintf(j->path, sizeof(j->path), "%s/journal/%s", w->c->nowhere->dir, name);
    if (n < 0 || (size_t) n >= sizeof(j->path))
        return -EMSGSIZE;
    int r = storage_shard_file_open(w->c->nowhere->fs, j->path, 0, &j->f);
    j->there = r == 0 && j->f.is_journal;
    if (r == 0 && !j->there)
        storage_shard_file_close(&j->f);
    if (r == -EIO) {
        line(w->c, true, "problem journal file=%s error=EIO", j->path);
        return 0;
    }
    return r == -ENOENT || r == -EBADMSG || r == -ENODATA ? 0 : r; /* not flushed yet: not needed */
}

static uint64_t until_of(const struct journal *journals, uint64_t generation)
{
    for (unsigned i = 0; i < STORAGE_JOURNALS_MAX; i++) {
        if (journals[i].there && journals[i].f.journal.before_generation == generation)
            return journals[i].f.journal.before_bytes;
    }
    return UINT64_MAX;
}

static void check_chain(struct walk *w, const struct journal *journals, uint64_t checkpointed)
{
    for (uint64_t done = checkpointed;;) {
        const struct journal *next = NULL;
        for (unsigned i = 0; i < STORAGE_JOURNALS_MAX; i++) {
            const struct journal *j = &journals[i];
            if (j->there && j->f.journal.generation > done &&
                (!next || next->f.journal.generation > j->f.journal.generation))
                next = j;
        }
        if (!next)
            return;
        if (storage_journal_lacks(&next->f.journal, done))
            line(w->c, true, "problem journal generation=%" PRIu64 " error=is gone",
                 next->f.journal.before_generation);
        done = next->f.journal.generation;
        say_journal(w, next, "journal", until_of(journals, done));
    }
}

static int check_held(struct walk *w)
{
    struct journal *held = calloc(1, sizeof(*held));
    char name[16];
    if (!held)
        return -ENOMEM;
    snprintf(name, sizeof(name), "held.%u", w->shards.held_slot);
    int r = w->shards.held_slot > 0 ? open_journal(w, held, name) : 0;
    if (held->there) {
        say_journal(w, held, "held", held->f.journal.before_bytes);
        storage_shard_file_close(&held->f);
    } else if (w->shards.held_slot > 0) {
        line(w->c, true, "problem held file=%s error=%s", held->path, kn_errname(r));
    }
    free(held);
    return r;
}

static int check_journals(struct walk *w)
{
    struct journal *journals = calloc(STORAGE_JOURNALS_MAX, sizeof(*journals));
    uint64_t checkpointed = 0;
    int r = journals ? storage_checkpoint_generation(&w->shards, &checkpointed) : -ENOMEM;
    for (unsigned i = 0; r == 0 && i < STORAGE_JOURNALS_MAX; i++) {
        char name[16];
        snprintf(name, sizeof(name), "%u", i);
        r = open_journal(w, &journals[i], name);
    }
    if (r == 0)
        check_chain(w, journals, checkpointed);
    for (unsigned i = 0; journals && i < STORAGE_JOURNALS_MAX; i++) {
        if (journals[i].there)
            storage_shard_file_close(&journals[i].f);
    }
    free(journals);
    storage_shard_order_done(&w->order); /* what is held may be in the journals too */
    if (r == 0)
        r = check_held(w);
    storage_shard_order_done(&w->order);
    return r;
}

/* --- files nobody knows ----------------------------------------------------------------------- */
struct folder {
    struct walk *w;
    struct storage_id shard;
    char path[STORAGE_SHARD_PATH_BYTES];
};

static int on_file(void *ctx, const char *name, bool is_dir)
{
    struct folder *folder = ctx;
    struct walk *w = folder->w;
    struct storage_segment_row row;
    char known[32];
    uint64_t first, version;
    struct kn_str digits;
    (void) kn_str_cut(kn_str_from(name), '.', &digits);
    bool is_known =
        !is_dir && kn_str_to_u64(digits, UINT64_MAX, &first) == 0 &&
        storage_segment_row_at(w->c->nowhere->meta, &folder->shard, first, &row, &version) == 0 &&
        row.first == first;
    snprintf(known, sizeof(known), "%020" PRIu64 ".seg", is_known ? first : 0);
    if ((is_known && strcmp(known, name) == 0) ||
        storage_shard_is_dropped(&w->shards, &folder->shard) == 1)
        return 0;
    line(w->c, true, "problem unknown file=%s/%s", folder->path, name);
    return 0;
}

/* A folder that cannot be listed keeps nobody from the others. */
static int list(struct walk *w, const char *path, kn_fs_entry_fn *entry, void *ctx)
{
    struct kn_fs *fs = w->c->nowhere->fs;
    int r = fs->ops->list(fs, path, entry, ctx);
    if (r != -EIO)
        return r;
    line(w->c, true, "problem folder path=%s error=EIO", path);
    return 0;
}

static int on_folder(void *ctx, const char *name, bool is_dir)
{
    struct walk *w = ctx;
    struct folder *folder = calloc(1, sizeof(*folder));
    if (!folder)
        return -ENOMEM;
    folder->w = w;
    int r = 0;
    int n = snprintf(folder->path, sizeof(folder->path), "%s/shards/%s", w->c->nowhere->dir, name);
    if (n < 0 || (size_t) n >= sizeof(folder->path))
        r = -EMSGSIZE;
    else if (!is_dir ||
             kn_hex_decode(kn_str_from(name), folder->shard.bytes, sizeof(folder->shard)) < 0)
        line(w->c, true, "problem unknown file=%s", folder->path);
    else
        r = list(w, folder->path, on_file, folder);
    free(folder);
    return r;
}

static int on_pack_file(void *ctx, const char *name, bool is_dir)
{
    struct walk *w = ctx;
    char text[STORAGE_SHARD_KEY_BYTES], known[40] = "";
    struct kn_str digits;
    struct kn_buf value;
    uint64_t number, version;
    (void) kn_str_cut(kn_str_from(name), '.', &digits);
    kn_buf_init(&value, STORAGE_SHARD_KEY_BYTES);
    if (!is_dir && kn_str_to_u64(digits, UINT64_MAX, &number) == 0 &&
        storage_meta_get(w->c->nowhere->meta, storage_pack_key(number, text), &value, &version) ==
            0)
        snprintf(known, sizeof(known), "%020" PRIu64 ".pack", number);
    kn_buf_done(&value);
    if (strcmp(known, name) != 0)
        line(w->c, true, "problem unknown file=%s/packs/%s", w->c->nowhere->dir, name);
    return 0;
}

/* What its list says is not needed to read; but without it the pack is never removed. */
static int on_pack(void *ctx, struct kn_bytes key, struct kn_bytes value, uint64_t version)
{
    struct walk *w = ctx;
    struct storage_pack_row row;
    struct storage_pack_entry *entries = NULL;
    char path[STORAGE_SHARD_PATH_BYTES];
    struct kn_file *file = NULL;
    uint64_t number = 0;
    size_t count;
    (void) version;
    int r = storage_pack_row_decode(value, &row);
    if (r < 0)
        line(w->c, true, "problem catalogue key=" KN_STR_FMT " what=unreadable",
             KN_STR_ARG(kn_str_of(key)));
    if (r < 0 || row.bytes == 0) /* an intent */
        return 0;
    r = storage_pack_path(&w->shards, row.number, path);
    if (r == 0)
        r = w->c->nowhere->fs->ops->open(w->c->nowhere->fs, path, KN_FS_READ, &file);
    if (r == -ENOENT) /* it goes before its row; who is in it misses it */
        return 0;
    if (r == 0)
        r = storage_pack_head_read(file, &number, &entries, &count);
    if (file)
        file->fs->ops->close(file);
    free(entries);
    if (r < 0 || number != row.number)
        line(w->c, true, "problem pack file=%s error=%s", path, kn_errname(r));
    return r == -ENOMEM ? r : 0;
}

static int check_packs(struct walk *w)
{
    char path[STORAGE_SHARD_PATH_BYTES];
    int r = storage_meta_list(w->c->nowhere->meta, kn_bytes_of(KN_STR("xp/")),
                              (struct kn_bytes){NULL, 0}, SIZE_MAX, on_pack, w);
    int n = snprintf(path, sizeof(path), "%s/packs", w->c->nowhere->dir);
    if (n < 0 || (size_t) n >= sizeof(path))
        return -EMSGSIZE;
    if (r == 0)
        r = list(w, path, on_pack_file, w);
    return r == -ENOENT ? 0 : r;
}

static int check_files(struct walk *w)
{
    char path[STORAGE_SHARD_PATH_BYTES];
    int n = snprintf(path, sizeof(path), "%s/shards", w->c->nowhere->dir);
    if (n < 0 || (size_t) n >= sizeof(path))
        return -EMSGSIZE;
    int r = list(w, path, on_folder, w);
    return r == -ENOENT ? 0 : r;
}

int storage_shards_check(struct storage_shard_check *check)
{
    struct walk *w = calloc(1, sizeof(*w));
    if (!w)
        return -ENOMEM;
    w->c = check;
    w->shards.storage = check->nowhere;
    int r = storage_meta_list(check->nowhere->meta, kn_bytes_of(KN_STR("x/")),
                              (struct kn_bytes){NULL, 0}, SIZE_MAX, on_segment, w);
    if (r >= 0)
        r = check_journals(w);
    if (r >= 0)
        r = check_files(w);
    if (r >= 0)
        r = check_packs(w);
    free(w);
    return r;
}
