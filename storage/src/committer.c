/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Group flush; see committer.h. A round takes every chunk that has asked and has the team flush
 * them together. A failed flush is never tried again and acknowledged: the chunk is fenced.
 */
#include "committer.h"

#include "log.h"
#include "storage_metrics.h"

#include "core/log.h"

enum {
    BATCH_MAX = 512,
    MANY = 8, /* chunks that wait */
};

/* How long one waits for others: all of linger_ms when there are many, two fifths when there are
 * few. Who is in a hurry waits so long only behind a round of others: many uploads that end one
 * after the other would have a round each. `newest` has just asked. */
static int64_t due_ns_locked(const struct storage_committer *c, const struct storage_chunk *newest)
{
    int64_t linger_ns = (int64_t) c->storage->conf.linger_ms * 1000000;
    if (c->count < MANY)
        linger_ns = linger_ns * 2 / 5;
    if (!c->hurry)
        return c->since_ns + linger_ns;
    bool alone = c->count == 1 && c->round_of == newest;
    return alone ? c->since_ns : kn_max_i64(c->since_ns, c->round_ns + linger_ns);
}

struct storage_commit_round {
    struct storage_chunk *chunks[BATCH_MAX];
    struct storage_log *logs[BATCH_MAX];
    struct kn_file *files[BATCH_MAX];
    uint64_t tails[BATCH_MAX];
    bool footers[BATCH_MAX];
    int results[BATCH_MAX];
    size_t count;
};

/* What the flush will cover: all that is in the file now. */
static void snapshot(struct storage_commit_round *round)
{
    for (size_t i = 0; i < round->count; i++) {
        struct storage_chunk *chunk = round->chunks[i];
        KN_LOCKED(&round->logs[i]->lock);
        round->tails[i] = chunk->tail;
        round->footers[i] = chunk->sealed_bytes != 0;
        round->files[i] = chunk->file;
    }
}

/* Once the flush of a volume has failed there is no other: it may have been another round's file
 * that failed, whose pages are clean now and of which the volume does not tell again. */
static void sync_files(struct storage_committer *c, struct storage_commit_round *round)
{
    if (!storage_flush_volume_wants(&c->volume, round->count)) {
        storage_flush_team_sync(&c->team, round->files, round->results, round->count);
        return;
    }
    int r = storage_flush_volume_sync(&c->volume, round->files, round->results, round->count);
    storage_metrics_flush_volume();
    if (r == 0)
        return;
    storage_flush_volume_close(&c->volume);
    kn_log_error(
        "flush_volume_failed",
        "error=%s chunks=%zu said=\"they are given up; each is flushed by itself until the "
        "next start\"",
        kn_errname(r), round->count);
}

static void flush(struct storage *storage, struct storage_commit_round *round)
{
    snapshot(round);
    int64_t start_ns = kn_mono_ns(storage->clock);
    sync_files(&storage->committer, round);
    storage_metrics_flush(kn_mono_ns(storage->clock) - start_ns, round->count);
    for (size_t i = 0; i < round->count; i++) {
        storage_log_flushed(round->logs[i], round->chunks[i], round->tails[i], round->footers[i],
                            round->results[i]);
        storage_chunk_unref(round->chunks[i]);
        storage_work_end(storage);
    }
}

static void take_batch_locked(struct storage_committer *c, struct storage_commit_round *round)
{
    round->count = 0;
    while (c->first && round->count < BATCH_MAX) {
        struct storage_chunk *chunk = c->first;
        c->first = chunk->flush_next;
        if (!c->first)
            c->last = NULL;
        chunk->flush_next = NULL;
        chunk->flush_queued = false;
        round->logs[round->count] = chunk->flush_log;
        round->chunks[round->count++] = chunk;
    }
    c->count -= round->count;
    c->round_ns = kn_mono_ns(kn_clock_system());
    c->round_of = round->count == 1 ? round->chunks[0] : NULL;
}

static void *committer_main(void *arg)
{
    struct storage_committer *c = arg;
    struct storage_commit_round *round = c->round;
    kn_lock_take(&c->lock);
    for (;;) {
        if (!c->first) {
            if (c->stopping)
                break;
            kn_cond_wait(&c->wake, &c->lock);
            continue;
        }
        int64_t wait_ns = c->due_ns - kn_mono_ns(kn_clock_system());
        if (wait_ns > 0) {
            (void) kn_cond_wait_for(&c->wake, &c->lock, wait_ns); /* the loop looks again */
            continue;
        }
        take_batch_locked(c, round);
        kn_lock_give(&c->lock);
        flush(c->storage, round);
        kn_lock_take(&c->lock);
    }
    kn_lock_give(&c->lock);
    return NULL;
}

int storage_committer_start(struct storage_committer *c, struct storage *storage)
{
    *c = (struct storage_committer){.storage = storage};
    kn_lock_init(&c->lock);
    kn_cond_init(&c->wake);
    c->round = malloc(sizeof(*c->round));
    int r = c->round ? storage_flush_team_start(&c->team, (unsigned) storage->conf.flush_threads)
                     : -ENOMEM;
    if (r < 0)
        return r;
    storage_flush_volume_open(&c->volume, storage->dir, storage->fs, &storage->conf);
    r = kn_thread_start(&c->thread, "storage-flush", committer_main, c);
    c->started = r == 0;
    if (r < 0)
        storage_flush_team_stop(&c->team);
    return r;
}

void storage_committer_stop(struct storage_committer *c)
{
    if (c->started) {
        kn_lock_take(&c->lock);
        c->stopping = true;
        kn_cond_signal(&c->wake);
        kn_lock_give(&c->lock);
        pthread_join(c->thread, NULL);
        storage_flush_team_stop(&c->team);
    }
    storage_flush_volume_close(&c->volume);
    free(c->round);
    kn_cond_done(&c->wake);
    kn_lock_done(&c->lock);
}

/* The linger is real time even in tests that own the clock: it only groups, it decides nothing. */
void storage_committer_add(struct storage_committer *c, struct storage_log *log,
                           struct storage_chunk *chunk, bool soon)
{
    KN_LOCKED(&c->lock);
    bool first = !c->first;
    if (first) {
        c->since_ns = kn_mono_ns(kn_clock_system());
        c->hurry = false;
    }
    c->count += !chunk->flush_queued;
    c->hurry |= soon;
    int64_t due_ns = due_ns_locked(c, chunk);
    if (first || due_ns < c->due_ns)
        kn_cond_signal(&c->wake);
    c->due_ns = due_ns;
    if (chunk->flush_queued)
        return;
    chunk->flush_queued = true;
    chunk->flush_log = log;
    storage_chunk_ref(chunk);
    storage_work_begin(c->storage);
    chunk->flush_next = NULL;
    if (c->last)
        c->last->flush_next = chunk;
    else
        c->first = chunk;
    c->last = chunk;
}
