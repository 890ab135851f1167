/* SPDX-License-Identifier: Apache-2.0 */
/* Locks, conditions, threads and the worker pool, over pthreads. */
#include "core/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>

static uintptr_t self(void)
{
    return (uintptr_t) pthread_self();
}

void kn_lock_init(struct kn_lock *l)
{
    pthread_mutexattr_t attr;

    /* What a lock guards here takes less than a microsecond: who finds it taken looks a hundred
     * times before sleeping, which costs two switches of threads. */
    kn_assert(pthread_mutexattr_init(&attr) == 0);
    kn_assert(pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP) == 0);
    kn_assert(pthread_mutex_init(&l->mutex, &attr) == 0);
    (void) pthread_mutexattr_destroy(&attr);
    l->owner = 0;
}

void kn_lock_done(struct kn_lock *l)
{
    kn_assert(pthread_mutex_destroy(&l->mutex) == 0);
}

void kn_lock_take(struct kn_lock *l)
{
    kn_assert(pthread_mutex_lock(&l->mutex) == 0);
    atomic_store_explicit(&l->owner, self(), memory_order_relaxed);
}

void kn_lock_give(struct kn_lock *l)
{
    atomic_store_explicit(&l->owner, 0, memory_order_relaxed);
    kn_assert(pthread_mutex_unlock(&l->mutex) == 0);
}

void kn_lock_assert_held(struct kn_lock *l)
{
    kn_assert(atomic_load_explicit(&l->owner, memory_order_relaxed) == self());
}

void kn_cond_init(struct kn_cond *c)
{
    pthread_condattr_t attr;

    kn_assert(pthread_condattr_init(&attr) == 0);
    kn_assert(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    kn_assert(pthread_cond_init(&c->cond, &attr) == 0);
    (void) pthread_condattr_destroy(&attr);
}

void kn_cond_done(struct kn_cond *c)
{
    kn_assert(pthread_cond_destroy(&c->cond) == 0);
}

void kn_cond_wait(struct kn_cond *c, struct kn_lock *l)
{
    atomic_store_explicit(&l->owner, 0, memory_order_relaxed);
    kn_assert(pthread_cond_wait(&c->cond, &l->mutex) == 0);
    atomic_store_explicit(&l->owner, self(), memory_order_relaxed);
}

bool kn_cond_wait_for(struct kn_cond *c, struct kn_lock *l, int64_t timeout_ns)
{
    struct timespec until;
    int r;

    clock_gettime(CLOCK_MONOTONIC, &until);
    timeout_ns = kn_max_i64(timeout_ns, 0);
    until.tv_sec += (time_t) (timeout_ns / 1000000000);
    until.tv_nsec += (long) (timeout_ns % 1000000000);
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    atomic_store_explicit(&l->owner, 0, memory_order_relaxed);
    r = pthread_cond_timedwait(&c->cond, &l->mutex, &until);
    atomic_store_explicit(&l->owner, self(), memory_order_relaxed);
    kn_assert(r == 0 || r == ETIMEDOUT);
    return r == 0;
}

void kn_cond_signal(struct kn_cond *c)
{
    (void) pthread_cond_signal(&c->cond);
}

void kn_cond_broadcast(struct kn_cond *c)
{
    (void) pthread_cond_broadcast(&c->cond);
}

int kn_thread_start(pthread_t *ret, const char *name, void *(*thread_main)(void *), void *arg)
{
    sigset_t all, before;
    int r;

    sigfillset(&all);
    (void) pthread_sigmask(SIG_SETMASK, &all, &before); /* the new thread inherits: none for it */
    r = pthread_create(ret, NULL, thread_main, arg);
    (void) pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r != 0)
        return -r;
    (void) pthread_setname_np(*ret, name);
    return 0;
}

struct job {
    void (*run)(void *arg);
    void *arg;
};

struct kn_pool {
    struct kn_lock lock;
    struct kn_cond work;
    struct job *queue; /* ring; guarded by lock, as all below */
    size_t queue_max, head, count;
    bool stopping;
    unsigned thread_count;
    pthread_t threads[];
};

static void *pool_main(void *arg)
{
    struct kn_pool *pool = arg;

    kn_lock_take(&pool->lock);
    for (;;) {
        struct job job;

        while (pool->count == 0 && !pool->stopping)
            kn_cond_wait(&pool->work, &pool->lock);
        if (pool->count == 0)
            break;
        job = pool->queue[pool->head];
        pool->head = (pool->head + 1) % pool->queue_max;
        pool->count--;
        kn_lock_give(&pool->lock);
        job.run(job.arg);
        kn_lock_take(&pool->lock);
    }
    kn_lock_give(&pool->lock);
    return NULL;
}

int kn_pool_new(const char *name, unsigned threads, size_t queue_max, struct kn_pool **ret)
{
    struct kn_pool *pool = calloc(1, sizeof *pool + threads * sizeof pool->threads[0]);
    int r;

    kn_assert(threads > 0 && queue_max > 0);
    if (!pool)
        return -ENOMEM;
    kn_lock_init(&pool->lock);
    kn_cond_init(&pool->work);
    pool->queue_max = queue_max;
    pool->queue = calloc(queue_max, sizeof pool->queue[0]);
    r = pool->queue ? 0 : -ENOMEM;
    for (unsigned i = 0; r == 0 && i < threads; i++) {
        r = kn_thread_start(&pool->threads[i], name, pool_main, pool);
        if (r == 0)
            pool->thread_count++;
    }
    if (r < 0) {
        kn_pool_free(pool);
        return r;
    }
    *ret = pool;
    return 0;
}

void kn_pool_free(struct kn_pool *pool)
{
    if (!pool)
        return;
    kn_lock_take(&pool->lock);
    pool->stopping = true;
    kn_cond_broadcast(&pool->work);
    kn_lock_give(&pool->lock);
    for (unsigned i = 0; i < pool->thread_count; i++)
        (void) pthread_join(pool->threads[i], NULL);
    kn_cond_done(&pool->work);
    kn_lock_done(&pool->lock);
    free(pool->queue);
    free(pool);
}

int kn_pool_run(struct kn_pool *pool, void (*job)(void *arg), void *arg)
{
    KN_LOCKED(&pool->lock);

    if (pool->stopping)
        return -ESHUTDOWN;
    if (pool->count == pool->queue_max)
        return -EAGAIN;
    pool->queue[(pool->head + pool->count++) % pool->queue_max] = (struct job){job, arg};
    kn_cond_signal(&pool->work);
    return 0;
}

size_t kn_pool_waiting(struct kn_pool *pool)
{
    KN_LOCKED(&pool->lock);

    return pool->count;
}
