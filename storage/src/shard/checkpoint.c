/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints: what full journals hold is written out to the shards' segments, so that they can be
 * used again. In this order, so that it can be cut anywhere and done again from the journals:
 * rows that say which files are to come; files, flushed together; rows that say how many bytes of
 * them count, and each shard's own; and last the newest generation that is not needed any more.
 *
 * What goes wrong with a shard's own files stops that shard alone: its records are held (held.c),
 * and each second its files are tried again. What goes wrong with the catalogue, or with holding,
 * leaves the journals full.
 */
#include "checkpoint.h"

#include "metrics.h"
#include "pack.h"

#include <sched.h>
#include <stdio.h>

#include "core/log.h"

enum {
    FEW_SHARDS = 64,
    MORE_MS = 1000, /* how long one full journal waits for others, with more shards */
    SLICE = 256,    /* shards at a time: files open side by side */
    SLICE_MAX = STORAGE_PACK_SEGMENTS_MAX, /* of those that go to one pack */
    RETRY_MS = 1000,
    YIELDS_MAX = 1000,
    REST_MS = 200, /* between two parts of a round of retention */
};
static const int64_t TRIM_EVERY_NS = 500000000;
static const char generation_key[] = "y/journal";

/* --- the generation --------------------------------------------------------------------------- */
int storage_checkpoint_generation(struct storage_shards *shards, uint64_t *ret)
{
    struct kn_buf value;
    uint64_t version;
    kn_buf_init(&value, 64);
    int r = storage_meta_get(shards->storage->meta, kn_bytes_of(kn_str_from(generation_key)),
                             &value, &version);
    struct kn_reader in = kn_reader_of(kn_buf_bytes(&value));
    *ret = 0;
    if (r == 0)
        r = kn_read_u64le(&in, ret) < 0 ? -EBADMSG : 0;
    uint8_t held = 0;
    if (r == 0 && kn_reader_left(&in) > 0)
        r = kn_read_u8(&in, &held);
    shards->held_slot = held;
    kn_buf_done(&value);
    if (r == 0)
        shards->checkpoint_version = version;
    shards->checkpointed = *ret;
    return r == -ENOENT ? 0 : r;
}

static int put_generation(struct storage_shards *shards, uint64_t generation, unsigned held)
{
    uint8_t value[9];
    uint64_t version;
    kn_put_u64le(value, generation);
    value[8] = (uint8_t) held;
    int r = storage_meta_put(shards->storage->meta, kn_bytes_of(kn_str_from(generation_key)),
                             (struct kn_bytes){value, sizeof(value)}, shards->checkpoint_version,
                             &version);
    if (r == 0)
        shards->checkpoint_version = version;
    return r;
}

/* --- a slice of shards ------------------------------------------------------------------------ */
struct slice {
    struct storage_outgoing outs[SLICE_MAX];
    struct kn_file *files[SLICE];
    int results[SLICE];
    struct storage_outgoing *of_file[SLICE];
    struct storage_meta_change changes[3 * SLICE_MAX];
    char keys[3 * SLICE_MAX][STORAGE_SHARD_KEY_BYTES];
    uint8_t rows[2 * SLICE_MAX][STORAGE_SEGMENT_ROW_BYTES];
    struct kn_buf shard_rows[SLICE_MAX];
    struct storage_outgoing *of_change[3 * SLICE_MAX];
    size_t count, change_count, row_count;
};

static void add_change(struct slice *slice, struct storage_outgoing *out, struct kn_bytes key,
                       struct kn_bytes value, uint64_t expect)
{
    slice->of_change[slice->change_count] = out;
    slice->changes[slice->change_count++] =
        (struct storage_meta_change){.key = key, .value = value, .expect = expect};
}

static void add_segment_row(struct slice *slice, struct storage_outgoing *out,
                            const struct storage_segment_row *row, uint64_t expect)
{
    uint8_t *value = slice->rows[slice->row_count++];
    size_t len = storage_segment_row_encode(row, value);
    add_change(slice, out,
               storage_segment_key(&out->shard->id, row->first, slice->keys[slice->change_count]),
               (struct kn_bytes){value, len}, expect);
}

/* Those that failed say so; what is returned concerns all. */
static int make_changes(struct storage_shards *shards, struct slice *slice)
{
    int r = 0;
    storage_meta_change_all(shards->storage->meta, slice->changes, slice->change_count);
    for (size_t i = 0; i < slice->change_count; i++) {
        int result = slice->changes[i].result;
        if (result < 0 && slice->of_change[i]->result == 0)
            slice->of_change[i]->result = result;
        if (result < 0 && result != -EEXIST && result != -ESTALE)
            r = r < 0 ? r : result;
    }
    slice->change_count = slice->row_count = 0;
    return r;
}

/* Rows of files that are to come: they say that nothing in them counts yet. */
static int declare(struct storage_shards *shards, struct slice *slice)
{
    for (size_t i = 0; i < slice->count; i++) {
        struct storage_outgoing *out = &slice->outs[i];
        if (out->result < 0 || !out->any_records || !out->is_new)
            continue;
        struct storage_segment_row intent = out->row;
        intent.next = intent.first;
        intent.bytes = intent.data_bytes = intent.records = 0;
        add_segment_row(slice, out, &intent, out->version);
    }
    return slice->change_count > 0 ? make_changes(shards, slice) : 0;
}

/* The versions that the intents were given. */
static void look_up_versions(struct storage_shards *shards, struct slice *slice)
{
    for (size_t i = 0; i < slice->count; i++) {
        struct storage_outgoing *out = &slice->outs[i];
        struct storage_segment_row row;
        if (out->result == 0 && out->any_records && out->is_new)
            out->result = storage_segment_row_at(shards->storage->meta, &out->shard->id,
                                                 out->row.first, &row, &out->version);
    }
}

/* Names of new files and folders. */
static void flush_names(struct storage_shards *shards, struct slice *slice)
{
    struct kn_fs *fs = shards->storage->fs;
    char path[STORAGE_SHARD_PATH_BYTES];
    bool any = false;
    for (size_t i = 0; i < slice->count; i++) {
        struct storage_outgoing *out = &slice->outs[i];
        if (out->result == 0 && out->any_records && out->is_new)
            out->result = storage_outgoing_sync_folder(out);
        any |= out->result == 0 && out->in_new_folder;
    }
    int n = snprintf(path, sizeof(path), "%s/shards", shards->storage->dir);
    kn_assert(n > 0 && (size_t) n < sizeof(path)); /* the longer ones did fit */
    int r = any ? fs->ops->sync_dir(fs, path) : 0;
    for (size_t i = 0; r < 0 && i < slice->count; i++) {
        if (slice->outs[i].result == 0 && slice->outs[i].in_new_folder)
            slice->outs[i].result = r;
    }
}

static void write_and_flush(struct storage_shards *shards, struct slice *slice)
{
    size_t files = 0;
    for (size_t i = 0; i < slice->count; i++) {
        struct storage_outgoing *out = &slice->outs[i];
        if (out->result < 0)
            continue;
        out->result = storage_outgoing_write(out);
        if (out->result == 0 && out->file) {
            slice->of_file[files] = out;
            slice->files[files++] = out->file;
        }
    }
    if (files > 0)
        storage_flush_team_sync(&shards->team, slice->files, slice->results, files);
    for (size_t i = 0; i < files; i++)
        slice->of_file[i]->result = slice->results[i];
    flush_names(shards, slice);
    for (size_t i = 0; i < slice->count; i++) {
        struct storage_outgoing *out = &slice->outs[i];
        if (out->result < 0 && out->any_records && !out->is_new)
            out->shard->fenced = true;
    }
}

/* Where it only says what the newest segment's row says it is not written: with many shards it is
 * half of what a checkpoint costs. */
static bool needs_shard_row(const struct storage_outgoing *out)
{
    struct storage_shard *shard = out->shard;
    if (!out->any_records || out->closes || !shard->has_row || shard->shards->leap > 0 ||
        (shard->is_told && shard->retention_ms != shard->retention_stored_ms))
        return true;
    KN_LOCKED(&shard->lock);
    return shard->sources_version != shard->sources_stored;
}

static int add_shard_row(struct storage_shards *shards, struct slice *slice,
                         struct storage_outgoing *out, struct kn_buf *value)
{
    struct storage_shard *shard = out->shard;
    struct storage_shard_row row = {.next = 0}, old = {.next = 0};
    uint64_t version = 0;
    int r = storage_shard_row_get(shards->storage->meta, &shard->id, &old, &version);
    if (r < 0 && r != -ENOENT)
        return r;
    free(old.sources);
    bool had = r == 0;
    /* Without records of its own it says what segments say. */
    r = out->any_records
            ? 0
            : storage_shard_row_raise_to_newest(shards->storage->meta, &shard->id, &old);
    if (r < 0)
        return r;
    kn_lock_take(&shard->lock);
    row.closed = out->closes || old.closed;
    row.retention_ms = shard->is_told || !had ? shard->retention_ms : old.retention_ms;
    row.next = out->any_records ? out->row.next : shard->flushed;
    row.give = kn_max_u64(old.give, shards->leap > 0 ? shard->next : 0);
    row.newest_ms = out->any_records ? out->row.last_ms : shard->flushed_ms;
    if (out->any_records) {
        row.bytes = out->row.bytes_before + out->row.data_bytes;
        row.records = out->row.records_before + out->row.records;
    } else {
        row.bytes = old.bytes;
        row.records = old.records;
    }
    row.sources = shard->sources;
    row.source_count = shard->source_count;
    out->shard_row = true;
    out->retention_ms = row.retention_ms;
    out->sources_version = shard->sources_version;
    r = storage_shard_row_encode(&row, value);
    kn_lock_give(&shard->lock);
    if (r < 0)
        return r;
    add_change(slice, out, storage_shard_key(&shard->id, slice->keys[slice->change_count]),
               kn_buf_bytes(value), version);
    return 0;
}

/* After a failed flush what the file shows past its flushed bytes is not to be believed: it ends
 * there, and the records go to a new one. */
static void add_sealed(struct storage_shards *shards, struct slice *slice,
                       struct storage_outgoing *out)
{
    struct storage_segment_row row;
    uint64_t version;
    if (out->is_new || !out->any_records ||
        storage_segment_row_at(shards->storage->meta, &out->shard->id, UINT64_MAX, &row, &version) <
            0)
        return;
    row.sealed = true;
    add_segment_row(slice, out, &row, version);
}

/* What counts now. */
static int record(struct storage_shards *shards, struct slice *slice)
{
    for (size_t i = 0; i < slice->count; i++) {
        struct storage_outgoing *out = &slice->outs[i];
        if (out->count == 0)
            continue;
        if (out->result < 0) {
            add_sealed(shards, slice, out);
            continue;
        }
        if (needs_shard_row(out))
            out->result = add_shard_row(shards, slice, out, &slice->shard_rows[i]);
        if (out->result < 0)
            continue;
        if (out->seals_before)
            add_segment_row(slice, out, &out->before, out->before_version);
        if (out->any_records)
            add_segment_row(slice, out, &out->row, out->version);
    }
    return slice->change_count > 0 ? make_changes(shards, slice) : 0;
}

/* What is on disk is recorded, and let go in memory. */
static int end_slice(struct storage_shards *shards, struct slice *slice)
{
    int r = record(shards, slice);
    for (size_t i = 0; i < slice->count; i++) {
        const struct storage_outgoing *out = &slice->outs[i];
        if (i + 2 < slice->count)
            storage_outgoing_fetch(out + 2);
        if (out->result < 0)
            continue;
        if (out->any_records)
            storage_shard_metrics_written(out->is_new, out->row.bytes - out->write_at);
        storage_outgoing_publish(&slice->outs[i]);
    }
    return r;
}

/* What went wrong for all; for one alone, its result says it. */
static int run_slice(struct storage_shards *shards, struct slice *slice)
{
    int r = declare(shards, slice);
    if (r < 0)
        return r;
    look_up_versions(shards, slice);
    write_and_flush(shards, slice);
    return end_slice(shards, slice);
}

/* --- a checkpoint ----------------------------------------------------------------------------- */
/* Shards that have something in memory; a reference to each. */
static int collect(struct storage_shards *shards, struct storage_shard ***ret, size_t *ret_count)
{
    struct storage_shard **list = NULL;
    size_t count = 0, cap = 0;
    KN_LOCKED(&shards->lock);
    for (size_t i = 0; i < STORAGE_SHARD_BUCKETS; i++) {
        storage_shards_fetch(shards->buckets, i, STORAGE_SHARD_BUCKETS); /* the first of each */
        for (struct storage_shard *s = shards->buckets[i]; s; s = s->bucket_next) {
            kn_lock_take(&s->lock);
            bool any = s->tail_count > 0;
            kn_lock_give(&s->lock);
            if (!any)
                continue;
            if (count == cap) {
                cap = cap ? cap * 2 : 64;
                struct storage_shard **grown = realloc(list, cap * sizeof(*list));
                if (!grown)
                    goto no_memory;
                list = grown;
            }
            s->refs++;
            list[count++] = s;
        }
    }
    *ret = list;
    *ret_count = count;
    return 0;
no_memory:
    while (count > 0) /* none is the last: each is in the table */
        list[--count]->refs--;
    free(list);
    return -ENOMEM;
}

static void note_stuck(struct storage_shard *shard, int result)
{
    char id[STORAGE_ID_TEXT_BYTES];
    if (result == 0 && shard->stuck == 0) /* nobody else says otherwise */
        return;
    kn_lock_take(&shard->lock);
    int before = shard->stuck;
    shard->stuck = shard->dropped ? 0 : result;
    kn_lock_give(&shard->lock);
    storage_id_text(&shard->id, id);
    if (result < 0 && before == 0)
        kn_log_warn("shard_stuck",
                    "shard=%s error=%s said=\"its files cannot be written: its records are held "
                    "beside the journals, new ones refused once those are too many; other shards "
                    "go on\"",
                    id, kn_errname(result));
    else if (result == 0 && before < 0)
        kn_log_info("shard_written_again", "shard=%s", id);
}

/* Between two slices each shard is whole: who waits to open one has its turn. */
static int pause_round(struct storage_shards *shards)
{
    kn_lock_give(&shards->round);
    for (unsigned i = 0; i < YIELDS_MAX && shards->round_waiters > 0; i++)
        sched_yield();
    kn_lock_take(&shards->round);
    KN_LOCKED(&shards->lock);
    return shards->check_stopping ? -ECANCELED : 0;
}

static void plan_slice(struct slice *slice, struct storage_shard **list, size_t count,
                       uint64_t generation, bool packed)
{
    slice->count = count;
    for (size_t i = 0; i < count; i++) {
        storage_shards_fetch(list, i, count);
        storage_shard_ref(list[i]);
        int planned = storage_outgoing_plan(&slice->outs[i], list[i], generation, packed);
        slice->outs[i].result = planned;
    }
}

static void leave_slice(struct slice *slice, bool told)
{
    for (size_t i = 0; i < slice->count; i++) {
        if (told)
            note_stuck(slice->outs[i].shard, slice->outs[i].result);
        storage_outgoing_done(&slice->outs[i]);
    }
}

static int write_out(struct storage_shards *shards, struct slice *slice, uint64_t generation,
                     struct storage_shard **list, size_t count)
{
    int r = 0;
    for (size_t at = 0; at < count; at += slice->count) {
        if (at > 0 && pause_round(shards) < 0)
            return -ECANCELED; /* the next start does it */
        plan_slice(slice, list + at, kn_min_u64(count - at, SLICE), generation, false);
        int ran = run_slice(shards, slice);
        r = r < 0 ? r : ran;
        leave_slice(slice, ran == 0);
    }
    return r;
}

/* --- those that have little ------------------------------------------------------------------- */
static int write_packed(struct storage_shards *shards, struct slice *slice, uint64_t generation,
                        struct storage_shard **list, size_t count)
{
    int r = 0;
    for (size_t at = 0, some; r == 0 && at < count; at += some) {
        int file = 0;
        if (at > 0 && pause_round(shards) < 0)
            return -ECANCELED;
        some = kn_min_u64(count - at, SLICE_MAX);
        plan_slice(slice, list + at, some, generation, true);
        r = storage_pack_write(shards, slice->outs, some, &file);
        if (r == 0 && file == 0)
            r = end_slice(shards, slice);
        leave_slice(slice, r == 0 && file == 0);
        if (r == 0 && file < 0) /* a file of its own for each, and each alone may fail */
            r = write_out(shards, slice, generation, list + at, some);
    }
    return r;
}

/* --- what could not be written ---------------------------------------------------------------- */
/* Those that are stuck go to the front. */
static size_t gather_stuck(struct storage_shards *shards, struct storage_shard **list, size_t count)
{
    size_t stuck = 0;
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        struct storage_shard *shard = list[i];
        KN_LOCKED(&shard->lock);
        if (shard->stuck == 0 || shard->dropped)
            continue;
        for (size_t k = 0; k < shard->tail_count; k++) {
            struct storage_batch **at = &shard->tail[shard->tail_at + k];
            *at = storage_batch_alone(*at);
            bytes += (*at)->len;
        }
        list[i] = list[stuck];
        list[stuck++] = shard;
    }
    shards->stuck_bytes = bytes;
    storage_shard_metrics_stuck(stuck, bytes);
    return stuck;
}

/* The journals up to this generation are let go, once what has not found its way to segments is
 * held. */
static int let_go(struct storage_shards *shards, struct storage_shard **list, size_t count,
                  uint64_t generation)
{
    size_t stuck = gather_stuck(shards, list, count);
    bool again = generation == shards->checkpointed; /* nothing new; what is held holds all */
    unsigned had = shards->held_slot, slot = stuck == 0 ? 0 : had;
    int r = 0;
    if (again && (had == 0 || stuck > 0))
        return 0;
    if (stuck > 0) {
        slot = had == 1 ? 2 : 1;
        r = storage_held_write(shards, list, stuck, generation, slot);
    }
    if (r == 0)
        r = put_generation(shards, generation, slot);
    if (r < 0)
        return r;
    shards->held_slot = slot;
    kn_lock_take(&shards->lock);
    shards->checkpointed = generation;
    kn_lock_give(&shards->lock);
    if (had > 0 && had != slot) { /* what the row does not name is never read */
        int removed = storage_held_remove(shards, had);
        if (removed < 0)
            kn_log_warn("shard_held_not_removed", "error=%s", kn_errname(removed));
    }
    return 0;
}

static int make_folder(struct storage_shards *shards, const char *name)
{
    struct kn_fs *fs = shards->storage->fs;
    char path[STORAGE_SHARD_PATH_BYTES];
    int n = snprintf(path, sizeof(path), "%s/%s", shards->storage->dir, name);
    if (n < 0 || (size_t) n >= sizeof(path))
        return -EMSGSIZE;
    int r = fs->ops->mkdir(fs, path);
    return r < 0 && r != -EEXIST ? r : 0;
}

static int make_folders(struct storage_shards *shards)
{
    int r = make_folder(shards, "shards");
    (void) make_folder(shards, "packs"); /* else no pack can be made in it, and none is */
    return r < 0 ? r
                 : shards->storage->fs->ops->sync_dir(shards->storage->fs, shards->storage->dir);
}

static int run_round(struct storage_shards *shards, uint64_t generation)
{
    struct storage_shard **list = NULL;
    size_t count = 0;
    KN_LOCKED(&shards->round);
    struct slice *slice = calloc(1, sizeof(*slice));
    if (!slice)
        return -ENOMEM;
    for (size_t i = 0; i < SLICE_MAX; i++)
        kn_buf_init(&slice->shard_rows[i], STORAGE_META_VALUE_BYTES_MAX);
    size_t little = 0;
    int r = make_folders(shards);
    if (r == 0)
        r = collect(shards, &list, &count);
    shards->checkpoint_shards = count;
    if (r == 0)
        little = storage_checkpoint_little(shards, list, count, generation);
    if (r == 0)
        r = write_packed(shards, slice, generation, list, little);
    if (r == 0 && count > little)
        r = write_out(shards, slice, generation, list + little, count - little);
    if (r == 0)
        r = let_go(shards, list, count, generation);
    for (size_t i = 0; i < count; i++)
        storage_shard_unref(list[i]);
    free(list);
    for (size_t i = 0; i < SLICE_MAX; i++)
        kn_buf_done(&slice->shard_rows[i]);
    free(slice);
    if (r == 0)
        storage_shards_forget_dropped(shards, generation);
    return r;
}

/* Of the full journals the oldest, so that it is free again soonest; with many shards the newest
 * (all before it are full too), since then the number of files to be flushed is what it costs. 0:
 * none. */
static uint64_t full_locked(struct storage_shards *shards)
{
    uint64_t oldest = UINT64_MAX, newest = 0;
    for (unsigned i = 0; i < STORAGE_JOURNALS_MAX; i++) {
        if (shards->journals[i].state != STORAGE_JOURNAL_FULL)
            continue;
        oldest = kn_min_u64(oldest, shards->journals[i].generation);
        newest = kn_max_u64(newest, shards->journals[i].generation);
    }
    return newest > 0 && shards->checkpoint_shards <= FEW_SHARDS ? oldest : newest;
}

/* With many shards a checkpoint costs by the shard more than by the record: what two journals have
 * for each goes out for little more than what one has. So it waits until half of them are full, a
 * moment only, and not while somebody may wait for it. */
static bool gathers_more_locked(struct storage_shards *shards)
{
    size_t full = 0;
    for (unsigned i = 0; i < STORAGE_JOURNALS_MAX; i++)
        full += shards->journals[i].state == STORAGE_JOURNAL_FULL;
    int64_t now_ns = kn_mono_ns(kn_clock_system());
    bool gathers = shards->checkpoint_shards > FEW_SHARDS && shards->check_error == 0 &&
                   full < shards->conf.journal_count / 2 &&
                   shards->memory_bytes < shards->conf.shard_memory_bytes_max / 2 &&
                   (shards->more_ns == 0 || now_ns < shards->more_ns);
    if (!gathers)
        shards->more_ns = 0;
    else if (shards->more_ns == 0)
        shards->more_ns = now_ns + MORE_MS * INT64_C(1000000);
    return gathers;
}

static void recycle_locked(struct storage_shards *shards, uint64_t generation)
{
    for (unsigned i = 0; i < STORAGE_JOURNALS_MAX; i++) {
        struct storage_journal *journal = &shards->journals[i];
        if (journal->state != STORAGE_JOURNAL_FULL || journal->generation > generation)
            continue;
        bool again = !journal->broken && journal->copied;
        journal->state = again ? STORAGE_JOURNAL_FREE : STORAGE_JOURNAL_ABSENT;
    }
}

/* --- the thread ------------------------------------------------------------------------------- */
/* A journal that is wanted and can be made; NULL: none. */
static struct storage_journal *absent_locked(struct storage_shards *shards)
{
    struct storage_journal *absent = NULL;
    for (unsigned i = 0; i < shards->conf.journal_count; i++) {
        if (shards->journals[i].state == STORAGE_JOURNAL_FREE)
            return NULL; /* there is one */
        if (shards->journals[i].state == STORAGE_JOURNAL_ABSENT && !absent)
            absent = &shards->journals[i];
    }
    return shards->wanted ? absent : NULL;
}

/* True once each so many ms of real time. */
static bool is_time(int64_t *due_ns, int64_t every_ms)
{
    int64_t now_ns = kn_mono_ns(kn_clock_system());
    if (now_ns < *due_ns)
        return false;
    *due_ns = now_ns + every_ms * 1000000;
    return true;
}

/* Called and left with the lock held. Journals that are absent are this thread's. */
static void set_aside_locked(struct storage_shards *shards)
{
    for (unsigned i = 0; i < STORAGE_JOURNALS_MAX; i++) {
        struct storage_journal *journal = &shards->journals[i];
        if (!journal->sick || journal->state != STORAGE_JOURNAL_ABSENT)
            continue;
        kn_lock_give(&shards->lock);
        int r = storage_journal_set_aside(shards, journal);
        if (r < 0)
            kn_log_warn("journal_not_set_aside", "error=%s", kn_errname(r));
        kn_lock_take(&shards->lock);
    }
}

/* Called and left with the lock held. False: there was nothing to do. */
static bool work_locked(struct storage_shards *shards, int *ret_result)
{
    uint64_t generation = full_locked(shards);
    struct storage_journal *absent = absent_locked(shards);
    if (generation > 0 && gathers_more_locked(shards))
        generation = 0;
    if (!absent && generation == 0 && shards->held_slot > 0 && is_time(&shards->retry_ns, RETRY_MS))
        generation = shards->checkpointed;
    if (!absent && generation == 0)
        return false;
    kn_lock_give(&shards->lock);
    /* First what makes the committer wait, and is quick. */
    int64_t began_ns = kn_mono_ns(kn_clock_system());
    int r = absent ? storage_journal_make(shards, absent) : run_round(shards, generation);
    if (!absent)
        storage_shard_metrics_checkpoint(kn_mono_ns(kn_clock_system()) - began_ns, r < 0);
    kn_lock_take(&shards->lock);
    if (r == 0 && absent)
        absent->state = STORAGE_JOURNAL_FREE;
    else if (r == 0)
        recycle_locked(shards, generation);
    set_aside_locked(shards);
    storage_journals_show_locked(shards);
    *ret_result = r;
    return true;
}

/* Retention has its turn also while there is always something to write out. Real time also in tests
 * that own the clock: it decides when to look, not what goes. */
static bool retire_locked(struct storage_shards *shards, int64_t *due_ns)
{
    int64_t now_ns = kn_mono_ns(kn_clock_system());
    if (now_ns < *due_ns)
        return false;
    kn_lock_give(&shards->lock);
    int r = storage_shards_retire(shards);
    if (r < 0)
        kn_log_warn("shard_retention_failed", "error=%s", kn_errname(r));
    uint64_t rest_ms = shards->retire_more ? REST_MS : shards->storage->conf.retention_interval_ms;
    *due_ns = kn_mono_ns(kn_clock_system()) + (int64_t) rest_ms * 1000000;
    kn_lock_take(&shards->lock);
    return true;
}

/* What readers find behind its trim point; many of them for one change of the catalogue. */
static bool trim_locked(struct storage_shards *shards, int64_t *last_ns)
{
    int64_t now_ns = kn_mono_ns(kn_clock_system());
    if (!shards->trim_asked || now_ns - *last_ns < TRIM_EVERY_NS)
        return false;
    shards->trim_asked = false;
    *last_ns = now_ns;
    kn_lock_give(&shards->lock);
    int r = storage_shards_trim(shards, true);
    if (r < 0)
        kn_log_warn("shard_retention_failed", "error=%s", kn_errname(r));
    kn_lock_take(&shards->lock);
    return true;
}

/* Memory that batches do not need any more. */
static bool tidy_locked(struct storage_shards *shards)
{
    if (kn_mono_ns(kn_clock_system()) < storage_rooms_due_ns(shards))
        return false;
    kn_lock_give(&shards->lock);
    storage_rooms_tidy(shards);
    kn_lock_take(&shards->lock);
    return true;
}

void *storage_checkpoint_main(void *arg)
{
    struct storage_shards *shards = arg;
    int64_t trimmed_ns = 0;
    int64_t due_ns = kn_mono_ns(kn_clock_system()) +
                     (int64_t) shards->storage->conf.retention_interval_ms * 1000000;
    kn_lock_take(&shards->lock);
    while (!shards->check_stopping) {
        int r = 0;
        if (retire_locked(shards, &due_ns) || trim_locked(shards, &trimmed_ns) ||
            tidy_locked(shards))
            continue;
        if (!work_locked(shards, &r)) {
            int64_t next_ns = shards->held_slot > 0 ? kn_min_i64(due_ns, shards->retry_ns) : due_ns;
            if (shards->more_ns > 0)
                next_ns = kn_min_i64(next_ns, shards->more_ns);
            if (shards->trim_asked)
                next_ns = kn_min_i64(next_ns, trimmed_ns + TRIM_EVERY_NS);
            next_ns = kn_min_i64(next_ns, storage_rooms_due_ns(shards));
            (void) kn_cond_wait_for(&shards->check, &shards->lock,
                                    next_ns - kn_mono_ns(kn_clock_system()));
            continue;
        }
        if (r == -ENOSPC)
            storage_space_refused(shards->storage);
        if (r < 0 && r != -ECANCELED && shards->check_error == 0)
            kn_log_warn("shard_checkpoint_failed",
                        "error=%s said=\"journals stay full until it succeeds; once all are, "
                        "appends are refused, what is stored is read\"",
                        kn_errname(r));
        shards->check_error = r;
        shards->checkpoints++;
        kn_cond_broadcast(&shards->wake);
        kn_cond_broadcast(&shards->idle);
        if (r < 0 && !shards->check_stopping)
            (void) kn_cond_wait_for(&shards->retry, &shards->lock, RETRY_MS * INT64_C(1000000));
    }
    kn_lock_give(&shards->lock);
    return NULL;
}
