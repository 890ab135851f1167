/* SPDX-License-Identifier: Apache-2.0 */
/* The team that flushes a batch of files; see flush_team.h. */
#include "flush_team.h"

#include "core/clock.h"

#define ALONE_NS_MAX INT64_C(10000000)

/* Flushes files until none is left to take; called and left with the lock held. */
static void work_locked(struct storage_flush_team *team)
{
    while (team->next < team->count) {
        size_t at = team->next++;
        struct kn_file *file = team->files[at];
        int *result = &team->results[at];
        kn_lock_give(&team->lock);
        int r = file->fs->ops->sync(file);
        kn_lock_take(&team->lock);
        if (*result == 0)
            *result = r;
        if (++team->ended == team->count)
            kn_cond_signal(&team->done);
    }
}

static void *team_main(void *arg)
{
    struct storage_flush_team *team = arg;
    kn_lock_take(&team->lock);
    while (!team->stopping) {
        work_locked(team);
        if (!team->stopping)
            kn_cond_wait(&team->work, &team->lock);
    }
    kn_lock_give(&team->lock);
    return NULL;
}

int storage_flush_team_start(struct storage_flush_team *team, unsigned threads)
{
    kn_assert(threads <= STORAGE_FLUSH_THREADS_MAX);
    *team = (struct storage_flush_team){.files = NULL};
    kn_lock_init(&team->lock);
    kn_cond_init(&team->work);
    kn_cond_init(&team->done);
    while (team->thread_count < threads) {
        int r =
            kn_thread_start(&team->threads[team->thread_count], "storage-sync", team_main, team);
        if (r < 0) {
            storage_flush_team_stop(team);
            return r;
        }
        team->thread_count++;
    }
    return 0;
}

void storage_flush_team_stop(struct storage_flush_team *team)
{
    kn_lock_take(&team->lock);
    team->stopping = true;
    kn_cond_broadcast(&team->work);
    kn_lock_give(&team->lock);
    for (unsigned i = 0; i < team->thread_count; i++)
        pthread_join(team->threads[i], NULL);
    kn_cond_done(&team->done);
    kn_cond_done(&team->work);
    kn_lock_done(&team->lock);
}

/* Waking helpers costs as much as a quick disk takes for a few files: whoever asks flushes what it
 * can in a moment. Returns how many that were. */
static size_t flush_alone(struct kn_file *const *files, int *results, size_t count)
{
    int64_t until_ns = kn_mono_ns(kn_clock_system()) + ALONE_NS_MAX;
    size_t done = 0;
    do {
        int r = files[done]->fs->ops->sync(files[done]);
        if (results[done] == 0)
            results[done] = r;
    } while (++done < count && kn_mono_ns(kn_clock_system()) < until_ns);
    return done;
}

void storage_flush_team_sync(struct storage_flush_team *team, struct kn_file *const *files,
                             int *results, size_t count)
{
    for (size_t i = 0; i < count; i++)
        results[i] = count > 1 ? files[i]->fs->ops->sync_start(files[i]) : 0;
    size_t done = count > 0 ? flush_alone(files, results, count) : 0;
    if (done == count)
        return;
    files += done;
    results += done;
    count -= done;
    /* Who is woken is worth it while there is as much left for each as one does in that moment. */
    size_t helpers = kn_min_u64(count / done, team->thread_count);
    kn_lock_take(&team->lock);
    team->files = files;
    team->results = results;
    team->count = count;
    team->next = team->ended = 0;
    kn_lock_give(&team->lock); /* or whom we wake meets us at it */
    for (size_t i = 0; i < helpers; i++)
        kn_cond_signal(&team->work);
    kn_lock_take(&team->lock);
    work_locked(team);
    while (team->ended < count)
        kn_cond_wait(&team->done, &team->lock);
    team->files = NULL;
    team->count = team->next = 0;
    kn_lock_give(&team->lock);
}
