/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that commits: it takes all batches that wait, so the next round is what came during
 * the last flush, and nothing lingers. Indexes and arrivals are given here, in the order of the
 * queue, and a batch is shown to readers only after its flush.
 *
 * After a failed write or flush the journal is believed up to its last good flush. Its batches are
 * answered -EIO once the header of the next journal says so on disk, since only then is it certain
 * that no later start finds them; until then their outcome is unknown.
 */
#include "metrics.h"
#include "shards.h"

#include "core/crypto.h"

enum {
    ROUND_BATCHES_MAX = 1000, /* of two calls as large as they may be */
    STEPS_AHEAD = 4,          /* of many shards each is far away: it is fetched before its turn */
};

struct round {
    struct storage_batch *batches[ROUND_BATCHES_MAX];
    struct iovec iov[2 * ROUND_BATCHES_MAX];
    size_t count; /* of batches, those that are refused among them */
    int iov_count;
    uint64_t bytes;
};

/* The thread is woken when the lock is free, so that it does not wake only to wait for it. */
void storage_commit_add(struct storage_shards *shards, struct storage_appends *appends)
{
    kn_lock_take(&shards->lock);
    bool first = !shards->first;
    if (first)
        shards->first = appends->first;
    else
        shards->last->next = appends->first;
    shards->last = appends->last;
    kn_lock_give(&shards->lock);
    if (first)
        kn_cond_signal(&shards->wake);
}

/* --- giving indexes --------------------------------------------------------------------------- */
static int assign(struct storage_shards *shards, struct storage_batch *batch, int64_t now_ms)
{
    struct storage_shard *shard = batch->shard;
    KN_LOCKED(&shard->lock);
    if (shard->dropped)
        return -ENOENT;
    if (shard->closing)
        return -ESHUTDOWN;
    if (shards->storage->no_space && batch->kind == STORAGE_BATCH_RECORDS)
        return -ENOSPC; /* below the volume's floor; closing is part of making room */
    if (shard->stuck < 0 && batch->kind == STORAGE_BATCH_RECORDS &&
        shards->stuck_bytes + batch->len > storage_held_bytes_max(shards))
        return shard->stuck == -ENOSPC ? -ENOSPC : -EIO;
    int r = storage_shard_tail_reserve_locked(shard, shard->pending + 1);
    if (r == 0)
        r = storage_shard_learn_locked(shard, batch, true);
    if (r < 0)
        return r;
    shard->assigned_ms = kn_max_i64(shard->assigned_ms, now_ms);
    batch->first_index = shard->assigned;
    batch->arrival_ms = shard->assigned_ms;
    shard->assigned += batch->count;
    shard->pending++;
    shard->closing = batch->kind == STORAGE_BATCH_CLOSE;
    return 0;
}

static void add_frame(struct storage_journal *journal, struct round *round,
                      struct storage_batch *batch)
{
    struct storage_shard_frame frame = {.shard = batch->shard->id,
                                        .at = journal->tail + round->bytes,
                                        .first_index = batch->first_index,
                                        .arrival_ms = batch->arrival_ms,
                                        .payload_bytes = (uint32_t) batch->len,
                                        .payload_crc = batch->crc,
                                        .count = batch->count,
                                        .data_bytes = batch->data_bytes,
                                        .flushed = (uint32_t) journal->tail,
                                        .kind = (uint8_t) batch->kind};
    bool is_own = batch->bytes == batch->own; /* and lies behind the header */
    storage_shard_frame_encode(&frame, journal->seed, batch->head);
    batch->generation = journal->generation;
    round->iov[round->iov_count++] =
        (struct iovec){batch->head, STORAGE_SHARD_FRAME_BYTES + (is_own ? batch->len : 0)};
    if (batch->len > 0 && !is_own)
        round->iov[round->iov_count++] = (struct iovec){batch->bytes, batch->len};
    round->bytes += STORAGE_SHARD_FRAME_BYTES + batch->len;
}

/* Into the processor's cache. */
static void fetch_shard(const struct storage_shard *shard)
{
    __builtin_prefetch(&shard->id);
    __builtin_prefetch(&shard->lock);
    __builtin_prefetch(&shard->assigned_ms);
    __builtin_prefetch(&shard->closing);
    __builtin_prefetch(&shard->tail);
}

/* Takes from the list what fits into the journal, in order. */
static void gather(struct storage_shards *shards, struct storage_batch **list, struct round *round)
{
    struct storage_journal *journal = shards->active;
    int64_t now_ms = kn_wall_ms(shards->storage->clock);
    struct storage_batch *ahead = *list;
    for (unsigned i = 0; ahead && i < STEPS_AHEAD; i++)
        ahead = ahead->next;
    round->count = 0;
    round->iov_count = 0;
    round->bytes = 0;
    while (*list && round->count < ROUND_BATCHES_MAX) {
        struct storage_batch *batch = *list;
        uint64_t room = journal->capacity - journal->tail - round->bytes;
        if (STORAGE_SHARD_FRAME_BYTES + batch->len > room)
            break;
        *list = batch->next;
        if (ahead) {
            fetch_shard(ahead->shard);
            ahead = ahead->next;
        }
        batch->result = assign(shards, batch, now_ms);
        if (batch->result == 0)
            add_frame(journal, round, batch);
        round->batches[round->count++] = batch;
    }
}

/* --- answering -------------------------------------------------------------------------------- */
static void show_locked(struct storage_shard *shard, struct storage_batch *batch)
{
    if (shard->dropped) {
        batch->result = -ENOENT;
        return;
    }
    int r = storage_shard_learn_locked(shard, batch, false);
    kn_assert(r == 0); /* room was made */
    shard->next = batch->first_index + batch->count;
    shard->closed = batch->kind == STORAGE_BATCH_CLOSE;
    if (batch->count > 0) {
        shard->newest_ms = batch->arrival_ms;
        shard->records += batch->count;
        shard->bytes += batch->data_bytes;
    }
    if (shard->stuck < 0)
        shard->shards->stuck_bytes += batch->len;
    storage_batch_ref(batch);
    storage_shard_tail_push_locked(shard, batch);
}

/* Most of a round were written: these are counted together. */
static void count_all(const struct round *round)
{
    uint64_t records = 0, bytes = 0;
    for (size_t i = 0; i < round->count; i++) {
        const struct storage_batch *batch = round->batches[i];
        bool is_written = batch->result == 0;
        if (!is_written && batch->kind == STORAGE_BATCH_RECORDS)
            storage_shard_metrics_append(batch->result, batch->count, batch->data_bytes);
        records += is_written ? batch->count : 0;
        bytes += is_written ? batch->data_bytes : 0;
    }
    if (records > 0)
        storage_shard_metrics_append(0, records, bytes);
}

static void answer(struct storage_batch *batch)
{
    struct storage_shard *shard = batch->shard;
    batch->done(batch->ctx, batch->first_index, batch->arrival_ms, batch->result);
    batch->shard = NULL;
    storage_batch_free(batch);
    storage_shard_unref(shard);
}

/* Of a batch that was given its indexes. */
static void settle(struct storage_batch *batch, int result)
{
    struct storage_shard *shard = batch->shard;
    batch->result = result;
    kn_lock_take(&shard->lock);
    shard->pending--;
    if (result == 0)
        show_locked(shard, batch);
    else if (batch->kind == STORAGE_BATCH_CLOSE)
        shard->closing = false;
    kn_lock_give(&shard->lock);
    if (batch->result == 0)
        kn_gate_bump(&shard->gate);
}

static void answer_all(struct round *round, int result)
{
    for (size_t i = 0; i < round->count; i++) {
        if (i + STEPS_AHEAD < round->count)
            fetch_shard(round->batches[i + STEPS_AHEAD]->shard);
        if (round->batches[i]->result == 0)
            settle(round->batches[i], result);
    }
    count_all(round);
    for (size_t i = 0; i < round->count; i++)
        answer(round->batches[i]);
}

static void refuse_all(struct storage_batch *list, int result)
{
    while (list) {
        struct storage_batch *batch = list;
        list = batch->next;
        batch->result = result;
        if (batch->kind == STORAGE_BATCH_RECORDS)
            storage_shard_metrics_append(result, batch->count, batch->data_bytes);
        answer(batch);
    }
}

/* --- journals --------------------------------------------------------------------------------- */
static struct storage_journal *find_free_locked(struct storage_shards *shards)
{
    for (unsigned i = 0; i < STORAGE_JOURNALS_MAX; i++) {
        if (shards->journals[i].state == STORAGE_JOURNAL_FREE)
            return &shards->journals[i];
    }
    return NULL;
}

/* The active journal is done; its checkpoint may begin. */
static void leave_locked(struct storage_shards *shards)
{
    struct storage_journal *journal = shards->active;
    if (!journal)
        return;
    shards->before_generation = journal->generation;
    shards->before_bytes = journal->tail;
    journal->state = STORAGE_JOURNAL_FULL;
    shards->active = NULL;
    storage_journals_show_locked(shards);
    kn_cond_signal(&shards->check);
}

/* Waits for a journal that is free; fails while no checkpoint succeeds. */
static int take_free(struct storage_shards *shards, struct storage_journal **ret,
                     uint64_t *ret_generation)
{
    KN_LOCKED(&shards->lock);
    leave_locked(shards);
    struct storage_journal *journal;
    while (!(journal = find_free_locked(shards))) {
        shards->wanted = true;
        kn_cond_signal(&shards->check);
        if (shards->check_error < 0)
            return shards->check_error;
        kn_cond_wait(&shards->wake, &shards->lock);
    }
    journal->state = STORAGE_JOURNAL_ACTIVE;
    shards->wanted = find_free_locked(shards) == NULL; /* one in reserve */
    if (shards->wanted)
        kn_cond_signal(&shards->check);
    *ret_generation = ++shards->generation;
    *ret = journal;
    return 0;
}

/* The header is flushed with the first records. */
static int enter(struct storage_shards *shards)
{
    struct storage_journal *journal;
    uint64_t generation;
    int r = take_free(shards, &journal, &generation);
    if (r < 0)
        return r;
    r = storage_journal_begin(shards, journal, generation);
    if (r == 0) {
        shards->active = journal;
        return 0;
    }
    KN_LOCKED(&shards->lock);
    journal->broken = true; /* with nothing in it that counts */
    journal->state = STORAGE_JOURNAL_FULL;
    kn_cond_signal(&shards->check);
    return r;
}

static int flush(struct storage_journal *journal)
{
    int64_t began_ns = kn_mono_ns(kn_clock_system());
    int r = journal->file->fs->ops->sync(journal->file);
    storage_shard_metrics_flush(kn_mono_ns(kn_clock_system()) - began_ns);
    return r;
}

/* The journal has failed: what of the round's outcome can be said for certain? */
static int abandon(struct storage_shards *shards)
{
    shards->active->broken = true;
    int r = enter(shards);
    if (r == 0)
        r = flush(shards->active);
    shards->in_doubt = r < 0;
    if (r == 0)
        return -EIO;
    if (shards->active) {
        KN_LOCKED(&shards->lock);
        shards->active->broken = true;
        uint64_t generation = shards->before_generation, bytes = shards->before_bytes;
        leave_locked(shards);
        /* The header that is to come speaks of the last journal with records in it. */
        shards->before_generation = generation;
        shards->before_bytes = bytes;
    }
    return -ETIMEDOUT;
}

bool storage_shards_in_doubt(struct storage *storage)
{
    return storage->shards->in_doubt;
}

static void run_round(struct storage_shards *shards, struct round *round)
{
    struct storage_journal *journal = shards->active;
    int r = 0;
    if (round->bytes > 0) {
        r = kn_file_write_all(journal->file, round->iov, round->iov_count, journal->tail);
        if (r == 0)
            r = flush(journal);
        if (r < 0)
            r = abandon(shards);
        else
            journal->tail += round->bytes;
        if (r == 0 && shards->in_doubt)
            shards->in_doubt = false; /* the header said it, with these records */
    }
    answer_all(round, r);
}

static void run_list(struct storage_shards *shards, struct storage_batch *list, struct round *round)
{
    while (list) {
        int r = 0;
        if (shards->active)
            gather(shards, &list, round);
        if (!shards->active || round->count == 0)
            r = enter(shards);
        else
            run_round(shards, round);
        if (r < 0) {
            refuse_all(list, r == -ENOSPC ? -ENOSPC : -EIO);
            return;
        }
    }
}

/* A last frame says that all before it was acknowledged; without it the next start could not tell
 * damage of the last records from a flush that was cut. Nothing depends on it otherwise. */
static void end_journal(struct storage_shards *shards)
{
    struct storage_journal *journal = shards->active;
    if (!journal || journal->tail == STORAGE_JOURNAL_HEAD_BYTES ||
        journal->capacity - journal->tail < STORAGE_SHARD_FRAME_BYTES)
        return;
    struct storage_shard_frame frame = {
        .at = journal->tail, .flushed = (uint32_t) journal->tail, .kind = STORAGE_BATCH_END};
    uint8_t head[STORAGE_SHARD_FRAME_BYTES];
    storage_shard_frame_encode(&frame, journal->seed, head);
    struct iovec iov = {head, sizeof(head)};
    if (kn_file_write_all(journal->file, &iov, 1, journal->tail) == 0)
        (void) flush(journal);
}

void *storage_commit_main(void *arg)
{
    struct storage_shards *shards = arg;
    struct round *round = shards->round_memory;
    kn_lock_take(&shards->lock);
    for (;;) {
        if (!shards->first) {
            if (shards->stopping)
                break;
            kn_cond_wait(&shards->wake, &shards->lock);
            continue;
        }
        struct storage_batch *list = shards->first;
        shards->first = shards->last = NULL;
        kn_lock_give(&shards->lock);
        run_list(shards, list, round);
        kn_lock_take(&shards->lock);
    }
    kn_lock_give(&shards->lock);
    end_journal(shards);
    return NULL;
}

void *storage_commit_memory(void)
{
    return calloc(1, sizeof(struct round));
}
