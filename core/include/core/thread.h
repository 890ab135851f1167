/* SPDX-License-Identifier: Apache-2.0 */
/* Locks that know their owner, threads with names, and a bounded worker pool. */
#ifndef CORE_THREAD_H
#define CORE_THREAD_H

#include <pthread.h>

#include "core/base.h"

struct kn_lock {
    pthread_mutex_t mutex;
    _Atomic uintptr_t owner;
};

void kn_lock_init(struct kn_lock *l);
void kn_lock_done(struct kn_lock *l);
void kn_lock_take(struct kn_lock *l);
void kn_lock_give(struct kn_lock *l);
void kn_lock_assert_held(struct kn_lock *l);

static inline void kn_lock_givep(struct kn_lock **l)
{
    if (*l)
        kn_lock_give(*l);
}
static inline struct kn_lock *kn_lock_taken(struct kn_lock *l)
{
    kn_lock_take(l);
    return l;
}
/* Holds the lock until the end of the scope. */
#define KN_LOCKED(l)                                                                               \
    KN_CLEANUP(kn_lock_givep) struct kn_lock *kn_locked_ KN_UNUSED = kn_lock_taken(l)

struct kn_cond {
    pthread_cond_t cond;
};
void kn_cond_init(struct kn_cond *c);
void kn_cond_done(struct kn_cond *c);
void kn_cond_wait(struct kn_cond *c, struct kn_lock *l);
/* false when timeout_ns (monotonic, relative) has passed */
bool kn_cond_wait_for(struct kn_cond *c, struct kn_lock *l, int64_t timeout_ns);
void kn_cond_signal(struct kn_cond *c);
void kn_cond_broadcast(struct kn_cond *c);

/* name: at most 15 characters, seen in ps and perf. All signals are blocked in it. */
int kn_thread_start(pthread_t *ret, const char *name, void *(*main)(void *), void *arg) KN_MUSTUSE;

/* A few threads that run jobs which may block. */
struct kn_pool;
int kn_pool_new(const char *name, unsigned threads, size_t queue_max, struct kn_pool **ret)
    KN_MUSTUSE;
void kn_pool_free(struct kn_pool *pool); /* finishes what is queued, then joins */
/* -EAGAIN when queue_max jobs wait. Any thread; never blocks. */
int kn_pool_run(struct kn_pool *pool, void (*job)(void *arg), void *arg) KN_MUSTUSE;
size_t kn_pool_waiting(struct kn_pool *pool);

#endif
