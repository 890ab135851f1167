/* SPDX-License-Identifier: Apache-2.0 */
/* The team that flushes a batch of files; see flush_team.h. */
#include "flush_team.h"

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

void storage_flush_team_sync(struct storage_flush_team *team, struct kn_file *const *files,
                             int *results, size_t count)
{
    for (size_t i = 0; i < count; i++)
        results[i] = count > 1 ? files[i]->fs->ops->sync_start(files[i]) : 0;
    kn_lock_take(&team->lock);
    team->files = files;
    team->results = results;
    team->count = count;
    team->next = team->ended = 0;
    for (size_t i = 1; i < count && i <= team->thread_count; i++)
        kn_cond_signal(&team->work);
    work_locked(team);
    while (team->ended < count)
        kn_cond_wait(&team->done, &team->lock);
    team->files = NULL;
    team->count = team->next = 0;
    kn_lock_give(&team->lock);
}
