/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Removing: segments that are wholly behind retention, a few at a time, and shards that are
 * dropped. Readers are told first, then files go, then rows. Records of a dropped shard may still
 * lie in journals: "wd/<shard>" says so, with the newest generation that may, and goes when that is
 * checkpointed.
 */
#include "metrics.h"
#include "pack.h"
#include "page.h"
#include "segment.h"

#include <stdio.h>

#include "core/crypto.h"

enum {
    SLICE = 32,
    ROUND_MS_MAX = 200, /* then checkpoints have their turn */
    DROPPED_A_ROUND = 1000,
};

/* --- files ------------------------------------------------------------------------------------ */
struct segments {
    struct storage_segment_row rows[SLICE];
    size_t count;
};

static int take_row(void *ctx, struct kn_bytes key, struct kn_bytes value, uint64_t version)
{
    struct segments *segments = ctx;
    (void) key;
    (void) version;
    return storage_segment_row_decode(value, &segments->rows[segments->count++]);
}

/* The oldest first. */
static int oldest_rows(struct storage_shards *shards, const struct storage_id *id,
                       struct segments *ret)
{
    char prefix[STORAGE_SHARD_KEY_BYTES];
    ret->count = 0;
    return storage_meta_list_last(shards->storage->meta, storage_segment_prefix(id, prefix), SLICE,
                                  take_row, ret);
}

static int unlink_files(struct storage_shards *shards, const struct storage_id *id,
                        const struct segments *segments)
{
    struct kn_fs *fs = shards->storage->fs;
    char path[STORAGE_SHARD_PATH_BYTES];
    bool any = false;
    for (size_t i = 0; i < segments->count; i++) {
        if (segments->rows[i].pack > 0)
            continue;
        any = true;
        int r = storage_segment_path(shards, id, segments->rows[i].first, path);
        if (r == 0)
            r = fs->ops->unlink(fs, path);
        if (r < 0 && r != -ENOENT)
            return r;
    }
    int r = any ? storage_segment_folder(shards, id, path) : 0;
    if (r == 0 && any)
        r = fs->ops->sync_dir(fs, path);
    return r == -ENOENT ? 0 : r;
}

static int remove_rows(struct storage_shards *shards, const struct storage_id *id,
                       const struct segments *segments)
{
    struct storage_meta_change changes[SLICE];
    char keys[SLICE][STORAGE_SHARD_KEY_BYTES];
    for (size_t i = 0; i < segments->count; i++)
        changes[i] = (struct storage_meta_change){
            .key = storage_segment_key(id, segments->rows[i].first, keys[i]), .remove = true};
    storage_meta_change_all(shards->storage->meta, changes, segments->count);
    for (size_t i = 0; i < segments->count; i++) {
        if (changes[i].result < 0 && changes[i].result != -ENOENT)
            return changes[i].result;
        int r = changes[i].result == 0 && segments->rows[i].pack > 0
                    ? storage_pack_lost(shards, segments->rows[i].pack)
                    : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

static int remove_segments(struct storage_shards *shards, const struct storage_id *id,
                           const struct segments *segments)
{
    int r = unlink_files(shards, id, segments);
    return r < 0 ? r : remove_rows(shards, id, segments);
}

/* --- retention -------------------------------------------------------------------------------- */
/* The shard's own row says what the row of its newest segment did. */
static int tell_own_row(struct storage_shard *shard, const struct storage_segment_row *newest)
{
    struct storage_meta *meta = shard->shards->storage->meta;
    struct storage_shard_row own;
    uint64_t version;
    int r = storage_shard_row_get(meta, &shard->id, &own, &version);
    if (r < 0)
        return r;
    bool knows = own.next >= newest->next && own.newest_ms >= newest->last_ms;
    char key[STORAGE_SHARD_KEY_BYTES];
    struct kn_buf value;
    kn_buf_init(&value, STORAGE_META_VALUE_BYTES_MAX);
    storage_shard_row_raise(&own, newest);
    if (!knows)
        r = storage_shard_row_encode(&own, &value);
    if (r == 0 && !knows)
        r = storage_meta_put(meta, storage_shard_key(&shard->id, key), kn_buf_bytes(&value),
                             version, &version);
    kn_buf_done(&value);
    free(own.sources);
    return r;
}

/* So many of the oldest: a newer one stays, or the shard's own row says what the last one did. */
static bool may_lose(struct storage_shard *shard, const struct segments *segments, size_t count)
{
    if (count < segments->count && segments->rows[count].next > segments->rows[count].first)
        return true;
    return tell_own_row(shard, &segments->rows[count - 1]) == 0;
}

static void choose(struct storage_shard *shard, struct segments *segments)
{
    int64_t horizon = storage_shard_horizon(shard);
    size_t count = 0;
    while (count < segments->count && segments->rows[count].next > segments->rows[count].first &&
           segments->rows[count].last_ms < horizon)
        count++;
    if (count > 0 && !may_lose(shard, segments, count))
        count--;
    segments->count = count;
}

/* after: the oldest that stays. */
static void tell_readers(struct storage_shard *shard, const struct segments *segments,
                         const struct storage_segment_row *after)
{
    const struct storage_segment_row *last = &segments->rows[segments->count - 1];
    KN_LOCKED(&shard->lock);
    shard->oldest = last->next;
    shard->oldest_ms = after ? after->first_ms : 0;
    shard->bytes_dropped = last->bytes_before + last->data_bytes;
    shard->records_dropped = last->records_before + last->records;
}

/* A closed shard needs no folder any more. */
static void leave_folder(struct storage_shard *shard)
{
    struct kn_fs *fs = shard->shards->storage->fs;
    char path[STORAGE_SHARD_PATH_BYTES];
    kn_lock_take(&shard->lock);
    bool all = shard->closed && shard->tail_count == 0 && shard->oldest == shard->flushed;
    kn_lock_give(&shard->lock);
    if (all && storage_segment_folder(shard->shards, &shard->id, path) == 0)
        (void) fs->ops->rmdir(fs, path); /* if something is in it, it stays */
}

/* Those that were chosen, of all that were looked at. */
static int remove_first(struct storage_shard *shard, struct segments *segments, size_t all,
                        enum storage_rule rule)
{
    if (segments->count == 0)
        return 0;
    shard->newest_known = false;
    tell_readers(shard, segments, segments->count < all ? &segments->rows[segments->count] : NULL);
    storage_segments_forget(shard->shards, &shard->id);
    int r = remove_segments(shard->shards, &shard->id, segments);
    if (r < 0)
        return r;
    uint64_t bytes = 0;
    for (size_t i = 0; i < segments->count; i++)
        bytes += segments->rows[i].bytes;
    storage_shard_metrics_removed(rule, segments->count, bytes);
    leave_folder(shard);
    return 0;
}

int storage_shard_retire_in_round(struct storage_shard *shard, bool *ret_more)
{
    struct segments *segments = malloc(sizeof(*segments));
    *ret_more = false;
    int r = segments ? oldest_rows(shard->shards, &shard->id, segments) : -ENOMEM;
    if (r == 0) {
        size_t all = segments->count;
        choose(shard, segments);
        r = remove_first(shard, segments, all, STORAGE_RULE_AGE);
        *ret_more = r == 0 && segments->count == SLICE;
    }
    free(segments);
    return r;
}

/* --- the rule of space ------------------------------------------------------------------------ */
/* Nothing is added to it any more. */
static bool is_done(const struct storage_shards *shards, const struct storage_segment_row *row)
{
    int64_t age_ms = kn_wall_ms(shards->storage->clock) - row->first_ms;
    return row->next > row->first &&
           (row->sealed || age_ms > (int64_t) shards->conf.segment_ms_max);
}

int storage_shard_front(struct storage *storage, const struct storage_id *shard,
                        int64_t *ret_end_ms)
{
    struct storage_segment_row row;
    int r = storage_segment_row_oldest(storage->meta, shard, &row);
    if (r < 0)
        return r;
    *ret_end_ms = row.last_ms;
    return is_done(storage->shards, &row) ? 0 : -ENOENT;
}

static void choose_for_space(struct storage_shard *shard, struct segments *segments,
                             int64_t before_ms, uint64_t bytes)
{
    size_t count = 0;
    uint64_t taken = 0;
    while (count < segments->count && taken < bytes &&
           is_done(shard->shards, &segments->rows[count]) &&
           segments->rows[count].last_ms < before_ms)
        taken += segments->rows[count++].bytes;
    if (count > 0 && !may_lose(shard, segments, count))
        count--;
    segments->count = count;
}

/* So that a start that finds files gone and rows there, since a crash came between, takes that for
 * what it is. Records that arrived together with the last one that goes stay. */
static int trim_upto(struct storage_shard *shard, int64_t ms)
{
    struct storage_trim trim = {.id = shard->id, .ms = ms};
    if (ms <= storage_shard_horizon(shard))
        return 0;
    int r = storage_trims_put(shard->shards->storage->meta, &trim, 1);
    if (r == 0)
        shard->trim_ms = ms;
    return r;
}

static int relieve_in_round(struct storage_shard *shard, int64_t before_ms, uint64_t bytes,
                            struct segments *segments)
{
    int r = oldest_rows(shard->shards, &shard->id, segments);
    if (r < 0)
        return r;
    size_t all = segments->count;
    choose_for_space(shard, segments, before_ms, bytes);
    if (segments->count > 0)
        r = trim_upto(shard, segments->rows[segments->count - 1].last_ms);
    return r < 0 ? r : remove_first(shard, segments, all, STORAGE_RULE_SPACE);
}

int storage_shard_relieve(struct storage *storage, const struct storage_id *id, int64_t before_ms,
                          uint64_t bytes, uint64_t *ret_segments, uint64_t *ret_bytes)
{
    struct storage_shards *shards = storage->shards;
    struct segments *segments = malloc(sizeof(*segments));
    struct storage_shard *shard = NULL;
    *ret_segments = *ret_bytes = 0;
    if (!segments)
        return -ENOMEM;
    kn_lock_take(&shards->round);
    int r = storage_shard_load_in_round(shards, id, &shard);
    if (r == 0)
        r = relieve_in_round(shard, before_ms, bytes, segments);
    kn_lock_give(&shards->round);
    storage_shard_unref(shard);
    if (r == 0) {
        *ret_segments = segments->count;
        for (size_t i = 0; i < segments->count; i++)
            *ret_bytes += segments->rows[i].bytes;
    }
    free(segments);
    return r;
}

static bool is_due(struct storage_shard *shard)
{
    int64_t horizon = storage_shard_horizon(shard);
    if (!shard->is_told) /* its row may know better meanwhile */
        return false;
    KN_LOCKED(&shard->lock);
    return !shard->dropped && shard->oldest < shard->flushed && shard->oldest_ms < horizon;
}

/* The next shard from this bucket on that has something to remove, with a reference. */
static struct storage_shard *next_due(struct storage_shards *shards, size_t *bucket)
{
    KN_LOCKED(&shards->lock);
    for (; *bucket < STORAGE_SHARD_BUCKETS; (*bucket)++) {
        for (struct storage_shard *s = shards->buckets[*bucket]; s; s = s->bucket_next) {
            if (s->retired_round == shards->retire_round || !is_due(s))
                continue;
            s->retired_round = shards->retire_round;
            s->refs++;
            return s;
        }
    }
    return NULL;
}

static bool is_late(int64_t until_ns)
{
    return kn_mono_ns(kn_clock_system()) >= until_ns;
}

static int retire_known(struct storage_shards *shards, int64_t until_ns)
{
    size_t bucket = 0;
    int result = 0;
    bool more;
    struct storage_shard *shard;
    while ((shard = next_due(shards, &bucket))) {
        kn_lock_take(&shards->round);
        int r = storage_shard_retire_in_round(shard, &more);
        kn_lock_give(&shards->round);
        storage_shard_unref(shard);
        result = result < 0 ? result : r;
        shards->retire_more = is_late(until_ns);
        if (shards->retire_more)
            break;
    }
    return result;
}

int storage_shards_retire(struct storage_shards *shards)
{
    int64_t until_ns = kn_mono_ns(kn_clock_system()) + ROUND_MS_MAX * INT64_C(1000000);
    if (!shards->retire_more)
        shards->retire_round++;
    shards->retire_more = false;
    int r = storage_retention_store(shards);
    int trimmed = storage_shards_trim(shards, false);
    int known = retire_known(shards, until_ns);
    r = r < 0 ? r : trimmed < 0 ? trimmed : known;
    kn_lock_take(&shards->round);
    int tidied = storage_packs_tidy(shards);
    kn_lock_give(&shards->round);
    r = r < 0 ? r : tidied;
    while (!shards->retire_more) {
        bool end;
        int idle = storage_retire_page(shards, &end);
        r = r < 0 ? r : idle;
        if (end || idle < 0)
            break;
        shards->retire_more = is_late(until_ns);
    }
    return r;
}

/* --- dropping --------------------------------------------------------------------------------- */
static struct kn_bytes dropped_key(const struct storage_id *id, char dst[STORAGE_SHARD_KEY_BYTES])
{
    char text[STORAGE_ID_TEXT_BYTES];
    storage_id_text(id, text);
    int n = snprintf(dst, STORAGE_SHARD_KEY_BYTES, "wd/%s", text);
    return (struct kn_bytes){(const uint8_t *) dst, (size_t) n};
}

int storage_shard_is_dropped(struct storage_shards *shards, const struct storage_id *id)
{
    char key[STORAGE_SHARD_KEY_BYTES];
    struct kn_buf value;
    uint64_t version;
    kn_buf_init(&value, 64);
    int r = storage_meta_get(shards->storage->meta, dropped_key(id, key), &value, &version);
    kn_buf_done(&value);
    return r == 0 ? 1 : r == -ENOENT ? 0 : r;
}

/* From here on nothing is acknowledged, and nothing read. */
static void forget_memory(struct storage_shard *shard)
{
    kn_lock_take(&shard->lock);
    shard->dropped = true;
    bool any = shard->tail_count > 0;
    for (; shard->tail_count > 0; shard->tail_count--)
        storage_batch_free(shard->tail[shard->tail_at++]);
    shard->tail_bytes = 0;
    kn_lock_give(&shard->lock);
    if (any)
        storage_shard_unref(shard); /* the caller has another */
    kn_gate_bump(&shard->gate);
}

/* What is on its way may still go to the journal after the active one. */
static int note_dropped(struct storage_shards *shards, const struct storage_id *id)
{
    char key[STORAGE_SHARD_KEY_BYTES];
    uint8_t value[8];
    uint64_t version;
    kn_lock_take(&shards->lock);
    kn_put_u64le(value, shards->generation + 1);
    kn_lock_give(&shards->lock);
    int r = storage_meta_put(shards->storage->meta, dropped_key(id, key),
                             (struct kn_bytes){value, sizeof(value)}, 0, &version);
    return r == -EEXIST ? 0 : r;
}

static int drop_files(struct storage_shards *shards, const struct storage_id *id)
{
    struct kn_fs *fs = shards->storage->fs;
    struct segments *segments = malloc(sizeof(*segments));
    char path[STORAGE_SHARD_PATH_BYTES], key[STORAGE_SHARD_KEY_BYTES];
    int r = segments ? 0 : -ENOMEM;
    while (r == 0) {
        r = oldest_rows(shards, id, segments);
        if (r == 0 && segments->count == 0)
            break;
        if (r == 0)
            r = remove_segments(shards, id, segments);
    }
    free(segments);
    if (r == 0)
        r = storage_segment_folder(shards, id, path);
    if (r == 0)
        r = fs->ops->rmdir(fs, path);
    if (r == 0 || r == -ENOENT)
        r = storage_trim_remove(shards->storage->meta, id);
    if (r == 0)
        r = storage_meta_remove(shards->storage->meta, storage_shard_key(id, key), 0);
    return r == -ENOENT ? 0 : r;
}

int storage_shard_drop(struct storage *storage, const struct storage_id *id)
{
    struct storage_shards *shards = storage->shards;
    KN_LOCKED(&shards->round);
    struct storage_shard *shard = NULL;
    int r = storage_shard_load_in_round(shards, id, &shard);
    if (r == -ENOENT) /* dropped before; perhaps not to the end */
        return drop_files(shards, id);
    if (r < 0)
        return r;
    forget_memory(shard);
    storage_segments_forget(shards, id);
    r = note_dropped(shards, id);
    if (r == 0)
        r = drop_files(shards, id);
    storage_shard_unref(shard);
    return r;
}

struct passed {
    struct storage_meta_change changes[DROPPED_A_ROUND];
    char keys[DROPPED_A_ROUND][STORAGE_SHARD_KEY_BYTES];
    struct storage_id ids[DROPPED_A_ROUND];
    size_t count;
    uint64_t generation;
};

static int take_passed(void *ctx, struct kn_bytes key, struct kn_bytes value, uint64_t version)
{
    struct passed *passed = ctx;
    struct kn_reader in = kn_reader_of(value);
    uint64_t generation;
    (void) version;
    if (kn_read_u64le(&in, &generation) < 0 || key.len > STORAGE_SHARD_KEY_BYTES)
        return -EBADMSG;
    if (generation > passed->generation)
        return 0;
    struct kn_str text = kn_str_skip(kn_str_of(key), sizeof("wd/") - 1);
    struct storage_id *id = &passed->ids[passed->count];
    if (kn_hex_decode(text, id->bytes, sizeof(id->bytes)) < 0)
        return -EBADMSG;
    memcpy(passed->keys[passed->count], key.ptr, key.len);
    passed->changes[passed->count] = (struct storage_meta_change){
        .key = {(const uint8_t *) passed->keys[passed->count], key.len},
          .remove = true
    };
    passed->count++;
    return 0;
}

/* Those whose files are all gone; a drop that met an error or a crash is brought to its end. */
static void finish_drops(struct storage_shards *shards, struct passed *passed)
{
    size_t count = 0;
    for (size_t i = 0; i < passed->count; i++) {
        if (drop_files(shards, &passed->ids[i]) < 0)
            continue;
        if (count < i)
            memcpy(passed->keys[count], passed->keys[i], sizeof(passed->keys[i]));
        count++; /* the views of keys are by place, and all keys are of one length */
    }
    passed->count = count;
}

/* The journals up to this generation are not read again. Those that stay are met next time. */
void storage_shards_forget_dropped(struct storage_shards *shards, uint64_t generation)
{
    struct passed *passed = malloc(sizeof(*passed));
    if (!passed)
        return;
    passed->count = 0;
    passed->generation = generation;
    int r = storage_meta_list(shards->storage->meta, kn_bytes_of(KN_STR("wd/")),
                              (struct kn_bytes){NULL, 0}, DROPPED_A_ROUND, take_passed, passed);
    if (r == 0)
        finish_drops(shards, passed);
    if (r == 0 && passed->count > 0)
        storage_meta_change_all(shards->storage->meta, passed->changes, passed->count);
    free(passed);
}
