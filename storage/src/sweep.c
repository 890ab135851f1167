/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Removing a stream's oldest chunks, a slice at a time.
 *
 * Order: chunks that a hold covers are marked kept in their rows; the trim horizon is stored; then
 * readers stop seeing what lies behind it and is not kept; then files go, their folders are
 * flushed, and their rows go. Each step may be repeated after a crash: a row behind the horizon
 * that is not kept is one whose removal had begun. A kept row whose hold was lifted loses its mark
 * first. So what a reader was once refused it never sees again, whatever holds are set later.
 *
 * Everything up to the stored horizon happens under log.slow, which setting and lifting a hold take
 * too.
 */
#include "sweep.h"

#include "sums.h"

#include "storage/events.h"

enum {
    VISITS_MAX = 4096, /* rows looked at in one slice: kept ones are passed over */
};

enum fate {
    GOES,
    STAYS,  /* a hold covers it: marked, and the horizon passes it */
    LET_GO, /* it was kept, and no hold covers it any more */
};

struct pick {
    struct storage_chunk_row row;
    uint64_t version;
    enum fate fate;
    bool leftover; /* gone for readers before this run of the keeper: a crash came between */
    bool failed;   /* its file could not be removed: the next round tries again */
    char key[STORAGE_CHUNK_KEY_BYTES];
    uint8_t value[STORAGE_CHUNK_ROW_BYTES];
};

struct slice {
    struct storage_log *log;
    const struct storage_sweep *what;
    struct pick *picks;
    size_t count, max, visits;
    uint64_t taken_bytes;
    uint64_t passed_seq; /* name of the last row that needs no second look */
    bool more;
    bool next_known; /* begin of the first row behind it */
    int64_t next_start_ms;
};

/* --- choosing, under log.slow ----------------------------------------------------------------- */
static bool is_behind(const struct storage_log *log, const struct storage_chunk_row *row)
{
    return storage_row_last_seq(row) <= log->stored.trim_seq;
}

/* Fragments in it wait for their events, and have not for too long: since they were due by age, or
 * since they were recorded. */
static bool waits(const struct slice *s, const struct storage_chunk_row *row)
{
    if (s->what->rule == STORAGE_RULE_SPACE || row->count == 0 ||
        row->last_seq <= s->log->events_seq)
        return false;
    int64_t since_ms =
        s->what->rule == STORAGE_RULE_AGE ? s->what->before_ms : kn_wall_ms(s->log->storage->clock);
    return since_ms - row->last_end_ms < STORAGE_EVENTS_WAIT_MS;
}

/* Whether the rules reach the row, which no reader was refused yet. */
static bool is_due(const struct slice *s, const struct storage_chunk_row *row)
{
    if (s->taken_bytes >= s->what->bytes || waits(s, row))
        return false;
    return row->count == 0 || row->last_end_ms < s->what->before_ms;
}

static uint64_t bytes_of(const struct slice *s, const struct pick *pick)
{
    if (s->what->rule == STORAGE_RULE_SPACE)
        return pick->fate == STAYS ? 0 : pick->row.file_bytes;
    return pick->fate == LET_GO ? 0 : pick->row.bytes; /* what is kept does not count already */
}

static int choose(void *ctx, struct kn_bytes key, struct kn_bytes value, uint64_t version)
{
    struct slice *s = ctx;
    struct pick pick = {.version = version};
    (void) key;
    if (storage_chunk_row_decode(value, &pick.row) < 0)
        return -EBADMSG;
    if (s->visits++ == VISITS_MAX || s->count == s->max) {
        s->more = true;
        s->next_known = !is_behind(s->log, &pick.row) && pick.row.count > 0;
        s->next_start_ms = pick.row.first_server_ts_ms;
        return -ECANCELED;
    }
    bool behind = is_behind(s->log, &pick.row);
    bool held = storage_log_holds(s->log, &pick.row);
    if (behind && pick.row.kept && held) {
        if (s->count == 0)
            s->passed_seq = pick.row.name.seq;
        return 0;
    }
    if (!behind && !is_due(s, &pick.row)) {
        s->log->front_end_ms = pick.row.last_end_ms;
        s->log->front_start_ms =
            pick.row.count > 0 ? pick.row.first_server_ts_ms : pick.row.name.server_ts_ms;
        s->log->front_known = true;
        return -ECANCELED; /* they are in order: the rest is younger */
    }
    pick.leftover = behind && !pick.row.kept;
    pick.fate = behind ? (pick.row.kept ? LET_GO : GOES) : held ? STAYS : GOES;
    s->taken_bytes += bytes_of(s, &pick);
    s->picks[s->count++] = pick;
    return 0;
}

/* Rows after what earlier slices are done with. */
static int choose_all(struct slice *s)
{
    struct storage_log *log = s->log;
    char prefix[STORAGE_CHUNK_KEY_BYTES], after[STORAGE_CHUNK_KEY_BYTES];
    struct kn_bytes start = {NULL, 0};
    if (log->swept_seq > 0)
        start = storage_chunk_key('c', &log->id, log->swept_seq, after);
    log->front_known = false;
    int r = storage_meta_list(log->storage->meta, storage_chunk_prefix('c', &log->id, prefix),
                              start, VISITS_MAX + 1, choose, s);
    return r == -ECANCELED ? 0 : r;
}

/* Rows of those that stay get their mark, those let go lose it. What cannot be marked ends the
 * slice before it. */
static int mark(struct slice *s)
{
    struct storage_meta_change *changes = calloc(s->count + 1, sizeof(*changes));
    size_t *of = calloc(s->count + 1, sizeof(*of)), n = 0;
    int r = changes && of ? 0 : -ENOMEM;
    for (size_t i = 0; r == 0 && i < s->count; i++) {
        struct pick *pick = &s->picks[i];
        struct kn_bytes key = storage_chunk_key('c', &s->log->id, pick->row.name.seq, pick->key);
        if (pick->fate == GOES)
            continue;
        pick->row.kept = pick->fate == STAYS;
        storage_chunk_row_encode(&pick->row, pick->value);
        of[n] = i;
        changes[n++] = (struct storage_meta_change){
            .key = key, .value = {pick->value, sizeof(pick->value)},
                 .expect = pick->version
        };
    }
    if (n > 0)
        storage_meta_change_all(s->log->storage->meta, changes, n);
    for (size_t i = 0; r == 0 && i < n; i++) {
        if (changes[i].result < 0) {
            s->count = of[i];
            r = changes[i].result;
        }
    }
    if (!changes || !of)
        s->count = 0;
    free(changes);
    free(of);
    return r;
}

/* The horizon passes all that were picked, stored before anything goes. */
static int raise_horizon(struct slice *s)
{
    struct storage_log *log = s->log;
    const struct storage_chunk_row *last = &s->picks[s->count - 1].row;
    uint64_t seq = storage_row_last_seq(last);
    struct storage_numbers before = log->stored;
    struct storage_numbers *n = &log->stored;
    if (seq <= n->trim_seq)
        return 0;
    n->trim_seq = seq;
    n->reserved_seq = kn_max_u64(n->reserved_seq, seq + 1);
    n->trim_server_ts_ms = kn_max_i64(n->trim_server_ts_ms, last->last_server_ts_ms);
    n->ordinal = kn_max_u64(n->ordinal, last->next_ordinal);
    n->discontinuity = kn_max_u64(n->discontinuity, last->next_discontinuity);
    int r = storage_numbers_put(log);
    if (r < 0)
        log->stored = before;
    return r;
}

struct hidden {       /* of rows that are not in memory */
    bool oldest;      /* the oldest is among those that go */
    int64_t stays_ms; /* of the first that stays */
};

/* The sums of a row that is not in memory. */
static void hide_cold_locked(struct storage_log *log, const struct pick *pick,
                             struct hidden *hidden)
{
    struct storage_cold *cold = &log->cold;
    if (log->loaded || !cold->known || pick->leftover)
        return;
    if (pick->fate == STAYS) {
        hidden->stays_ms = kn_min_i64(hidden->stays_ms, pick->row.first_server_ts_ms);
        cold->kept_count++;
        cold->kept_bytes += pick->row.bytes;
        return;
    }
    hidden->oldest |= pick->row.first_server_ts_ms <= cold->oldest_ms;
    cold->chunks -= kn_min_u64(cold->chunks, 1);
    cold->fragments -= kn_min_u64(cold->fragments, pick->row.count);
    cold->bytes -= kn_min_u64(cold->bytes, pick->row.bytes);
    if (pick->fate == LET_GO) {
        cold->kept_count -= kn_min_u64(cold->kept_count, 1);
        cold->kept_bytes -= kn_min_u64(cold->kept_bytes, pick->row.bytes);
    }
}

/* Which of those that are not in memory is the oldest now. Those kept are the oldest. */
static void find_oldest_locked(const struct slice *s, const struct hidden *hidden, bool kept_before)
{
    const struct storage_log *log = s->log;
    struct storage_cold *cold = &s->log->cold;
    if (cold->kept_count > 0 && !kept_before)
        cold->oldest_ms = hidden->stays_ms;
    else if (cold->kept_count == 0 && (log->front_known || s->next_known))
        cold->oldest_ms = log->front_known ? log->front_start_ms : s->next_start_ms;
    else if (hidden->oldest)
        cold->known = false; /* which is seldom; all are counted again */
}

static void hide(struct slice *s)
{
    struct storage_log *log = s->log;
    struct storage_directory *dir = &log->directory;
    struct hidden hidden = {.stays_ms = INT64_MAX};
    KN_LOCKED(&log->lock);
    bool kept_before = log->cold.kept_count > 0;
    for (size_t i = 0; i < s->count; i++) {
        struct storage_chunk_row *row = storage_directory_find(dir, s->picks[i].row.name.seq);
        if (!row)
            hide_cold_locked(log, &s->picks[i], &hidden);
        else if (s->picks[i].fate == STAYS)
            storage_directory_keep(dir, row);
        else
            storage_directory_remove(dir, (size_t) (row - dir->rows), 1);
    }
    find_oldest_locked(s, &hidden, kept_before);
}

static int decide(struct slice *s)
{
    struct storage_log *log = s->log;
    KN_LOCKED(&log->slow);
    int r = storage_clean_mark_ensure_gone(log->storage);
    if (r == 0)
        r = storage_numbers_read(log);
    if (r == 0)
        r = choose_all(s);
    if (r < 0) {
        s->count = 0;
        return r;
    }
    if (s->count > 0)
        r = mark(s);
    if (s->count > 0 && raise_horizon(s) < 0)
        s->count = 0, r = -EIO;
    if (s->count > 0)
        hide(s);
    if (r == 0)
        log->swept_seq = s->count ? s->picks[s->count - 1].row.name.seq
                                  : kn_max_u64(log->swept_seq, s->passed_seq);
    return r;
}

/* --- removing --------------------------------------------------------------------------------- */
/* Or a power cut brings back a file that nobody knows. Goes with its last chunk; only after a good
 * flush, since a folder that is gone counts as one without files. */
static void flush_day(struct storage *storage, const char *day, struct pick *from,
                      const struct pick *end)
{
    int r = storage->fs->ops->sync_dir(storage->fs, day);
    if (r == 0)
        (void) storage->fs->ops->rmdir(storage->fs, day);
    for (; r < 0 && r != -ENOENT && from < end; from++)
        from->failed = true;
}

static void unlink_files(struct slice *s, struct storage_chunk_path path[2])
{
    struct storage *storage = s->log->storage;
    struct kn_fs *fs = storage->fs;
    size_t day_first = 0;
    bool day_open = false;
    for (size_t i = 0; i < s->count; i++) {
        struct pick *pick = &s->picks[i];
        if (pick->fate == STAYS)
            continue;
        storage_sealed_forget(storage, &s->log->id, pick->row.name.seq);
        int r = storage_chunk_path_of(storage->dir, &s->log->id, &pick->row.name, &path[1]);
        if (day_open && strcmp(path[0].day, path[1].day) != 0) {
            flush_day(storage, path[0].day, &s->picks[day_first], pick);
            day_first = i;
        }
        if (r == 0)
            r = fs->ops->unlink(fs, path[1].file);
        pick->failed = r < 0 && r != -ENOENT;
        path[0] = path[1];
        day_open = true;
    }
    if (day_open)
        flush_day(storage, path[0].day, &s->picks[day_first], &s->picks[s->count]);
}

static int remove_rows(struct slice *s)
{
    struct storage_meta_change *changes = calloc(s->count, sizeof(*changes));
    size_t n = 0;
    bool failed = false;
    if (!changes)
        return -ENOMEM;
    for (size_t i = 0; i < s->count; i++) {
        struct pick *pick = &s->picks[i];
        failed |= pick->failed;
        if (pick->fate != STAYS && !pick->failed)
            changes[n++] = (struct storage_meta_change){
                .key = storage_chunk_key('c', &s->log->id, pick->row.name.seq, pick->key),
                .remove = true};
    }
    if (n > 0)
        storage_meta_change_all(s->log->storage->meta, changes, n);
    for (size_t i = 0; i < n; i++)
        failed |= changes[i].result < 0 && changes[i].result != -ENOENT;
    free(changes);
    return failed ? -EIO : 0;
}

static void count_removed(const struct slice *s, struct storage_swept *ret,
                          struct storage_swept *total)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct pick *pick = &s->picks[i];
        ret->failed += pick->failed;
        if (pick->fate == STAYS || pick->failed)
            continue;
        enum storage_rule rule = pick->fate == LET_GO ? STORAGE_RULE_LIFTED : s->what->rule;
        struct storage_swept *both[] = {ret, &total[rule]};
        for (size_t j = 0; j < KN_ARRAY_LEN(both); j++) {
            both[j]->chunks++;
            both[j]->fragments += pick->row.count;
            both[j]->bytes += pick->row.bytes;
            both[j]->file_bytes += pick->row.file_bytes;
        }
        storage_metrics_trimmed(rule, 1, pick->row.count, pick->row.bytes);
    }
}

static void remove_all(struct slice *s)
{
    struct storage_chunk_path *path = calloc(2, sizeof(*path));
    int r = path ? 0 : -ENOMEM;
    if (r == 0) {
        unlink_files(s, path);
        r = remove_rows(s);
    }
    free(path);
    kn_gate_bump(&s->log->gate);
    if (r < 0) { /* they are gone for readers; the next round finds their rows again */
        KN_LOCKED(&s->log->slow);
        s->log->sweep_again = true;
    }
}

int storage_sweep_slice(struct storage_log *log, const struct storage_sweep *what,
                        struct storage_swept *ret, struct storage_swept *total)
{
    struct slice s = {.log = log, .what = what, .max = log->storage->conf.retention_slice_chunks};
    *ret = (struct storage_swept){0};
    s.picks = calloc(s.max, sizeof(*s.picks));
    if (!s.picks)
        return -ENOMEM;
    int r = decide(&s);
    if (s.count > 0) {
        remove_all(&s);
        count_removed(&s, ret, total);
    }
    total[what->rule].failed += ret->failed;
    ret->taken_bytes = s.taken_bytes;
    ret->more = s.more;
    free(s.picks);
    return r;
}

bool storage_sweep_begin(struct storage_log *log, int64_t before_ms)
{
    KN_LOCKED(&log->slow);
    if (log->sweep_again) {
        log->sweep_again = log->front_known = false;
        log->swept_seq = 0;
    }
    return !log->front_known || log->front_end_ms < before_ms;
}

struct front {
    const struct storage_log *log;
    int64_t end_ms;
    bool found;
};

static int find_front(void *ctx, struct kn_bytes key, struct kn_bytes value, uint64_t version)
{
    (void) key;
    (void) version;
    struct front *front = ctx;
    struct storage_chunk_row row;
    if (storage_chunk_row_decode(value, &row) < 0)
        return -EBADMSG;
    if (storage_log_holds(front->log, &row))
        return 0;
    front->end_ms = row.count > 0 ? row.last_end_ms : row.name.server_ts_ms;
    front->found = true;
    return -ECANCELED;
}

int storage_sweep_front(struct storage_log *log, int64_t *ret_end_ms)
{
    struct front front = {.log = log};
    char prefix[STORAGE_CHUNK_KEY_BYTES], after[STORAGE_CHUNK_KEY_BYTES];
    struct kn_bytes start = {NULL, 0};
    KN_LOCKED(&log->slow);
    if (log->swept_seq > 0)
        start = storage_chunk_key('c', &log->id, log->swept_seq, after);
    int r = storage_meta_list(log->storage->meta, storage_chunk_prefix('c', &log->id, prefix),
                              start, log->hold_count > 0 ? SIZE_MAX : 1, find_front, &front);
    if (r < 0 && r != -ECANCELED)
        return r;
    if (!front.found)
        return -ENOENT;
    *ret_end_ms = front.end_ms;
    return 0;
}
