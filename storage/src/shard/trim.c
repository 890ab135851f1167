/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What retention has trimmed. A shard's trim point is a time of arrival: what came before it is not
 * read any more. It only grows, and counts once it is in the catalogue ("wt/<shard>"), so that
 * nothing comes back when the retention is raised, the clock is set back or the server starts
 * again. It is moved by the checkpointer's thread: in each round of retention, and when a reader or
 * an opening finds it behind.
 *
 * It is never ahead of the newest record, and no later record arrives before it: a clock that was
 * wrong for a while cannot hide what comes after.
 */
#include "page.h"

#include <stdatomic.h>

enum {
    TRIMS_A_ROUND = 500,
    BEHIND_PARTS = 16, /* of the retention: more is asked for before the next round … */
    BEHIND_MS_MAX = 1000,
};

int64_t storage_shard_horizon(struct storage_shard *shard)
{
    return shard->trim_ms;
}

/* Where it should be: where it is, when nothing would go. */
static int64_t wanted_locked(struct storage_shard *shard)
{
    kn_lock_assert_held(&shard->lock);
    int64_t keep = shard->retention_ms, now = kn_wall_ms(shard->shards->storage->clock);
    int64_t have = shard->trim_ms, want = keep >= now ? INT64_MIN : now - keep, oldest;
    if (shard->oldest < shard->flushed)
        oldest = shard->oldest_ms;
    else if (shard->tail_count > 0)
        oldest = shard->tail[shard->tail_at]->arrival_ms;
    else
        return have;
    /* what is on its way may have the arrival of the newest */
    want = kn_min_i64(want, shard->newest_ms + (shard->pending == 0));
    return shard->dropped || want <= oldest ? have : kn_max_i64(have, want);
}

void storage_shard_trim_ask(struct storage_shard *shard)
{
    struct storage_shards *shards = shard->shards;
    int64_t keep = shard->retention_ms, now = kn_wall_ms(shards->storage->clock);
    int64_t have = shard->trim_ms, slack = kn_min_i64(keep / BEHIND_PARTS, BEHIND_MS_MAX);
    if (!shard->is_told || keep >= now || shard->trim_asked ||
        (have > INT64_MIN && now - keep - have <= slack))
        return;
    kn_lock_take(&shard->lock);
    bool behind = wanted_locked(shard) > have;
    kn_lock_give(&shard->lock);
    if (!behind || atomic_exchange(&shard->trim_asked, true))
        return;
    KN_LOCKED(&shards->lock);
    shards->trim_asked = true;
    kn_cond_signal(&shards->check);
}

/* --- a round ---------------------------------------------------------------------------------- */
struct trims {
    struct storage_shard *shards[TRIMS_A_ROUND]; /* references */
    struct storage_trim trims[TRIMS_A_ROUND];
    size_t count;
};

/* From here on no record arrives before the new point. */
static bool decide(struct storage_shard *shard, int64_t *ret_ms)
{
    KN_LOCKED(&shard->lock);
    *ret_ms = wanted_locked(shard);
    if (*ret_ms <= shard->trim_ms)
        return false;
    shard->assigned_ms = kn_max_i64(shard->assigned_ms, *ret_ms);
    return true;
}

int storage_shard_trim_in_round(struct storage_shard *shard)
{
    struct storage_trim trim = {.id = shard->id};
    if (!decide(shard, &trim.ms))
        return 0;
    int r = storage_trims_put(shard->shards->storage->meta, &trim, 1);
    if (r == 0)
        shard->trim_ms = trim.ms;
    return r;
}

static bool decide_open(struct storage_shard *shard, bool asked_only, int64_t *ret_ms)
{
    bool asked = atomic_exchange(&shard->trim_asked, false);
    if (!shard->is_told || (asked_only && !asked)) /* its row may know better meanwhile */
        return false;
    return decide(shard, ret_ms);
}

static void gather(struct storage_shards *shards, bool asked_only, size_t *bucket,
                   struct trims *trims)
{
    KN_LOCKED(&shards->lock);
    trims->count = 0;
    for (; *bucket < STORAGE_SHARD_BUCKETS && trims->count < TRIMS_A_ROUND; (*bucket)++) {
        for (struct storage_shard *s = shards->buckets[*bucket]; s; s = s->bucket_next) {
            int64_t ms;
            if (!decide_open(s, asked_only, &ms))
                continue;
            s->refs++;
            trims->trims[trims->count] = (struct storage_trim){.id = s->id, .ms = ms};
            trims->shards[trims->count++] = s;
            if (trims->count == TRIMS_A_ROUND)
                return; /* the rest of the bucket comes again */
        }
    }
}

int storage_shards_trim(struct storage_shards *shards, bool asked_only)
{
    struct trims *trims = malloc(sizeof(*trims));
    size_t bucket = 0;
    int result = trims ? 0 : -ENOMEM;
    bool more = trims != NULL;
    while (more) {
        KN_LOCKED(&shards->round); /* none is dropped meanwhile */
        gather(shards, asked_only, &bucket, trims);
        more = trims->count == TRIMS_A_ROUND;
        int r = trims->count > 0
                    ? storage_trims_put(shards->storage->meta, trims->trims, trims->count)
                    : 0;
        for (size_t i = 0; i < trims->count; i++) {
            if (trims->trims[i].result == 0)
                trims->shards[i]->trim_ms = trims->trims[i].ms;
            storage_shard_unref(trims->shards[i]);
        }
        result = result < 0 ? result : r;
        more = more && r == 0;
    }
    free(trims);
    return result;
}
