/* SPDX-License-Identifier: Apache-2.0 */
/* Threads in a seeded order; see sim_thread.h. The baton passes by semaphores. */
#include "sim_thread.h"

#include "sim_memory.h"
#include "sim_plan.h"

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/crypto.h"
#include "core/err.h"
#include "core/thread.h"

enum {
    THREADS_MAX = 64,
    IDLE_JUMPS_MAX = 200,         /* time-outs in a row while the first thread waits */
    STEPS_MAX = 50 * 1000 * 1000, /* a round takes some ten thousand */
    TICK_NS_MAX = 4000,
    SPURIOUS_ONE_IN = 64,
};

enum state {
    UNUSED,
    READY,
    ON_LOCK,
    ON_COND,
    ON_JOIN,
    ENDED
};

struct thread {
    enum state state;
    const void *on;
    int64_t until_ns; /* ON_COND: with a time-out */
    bool woken;
    sem_t turn;
    pthread_t handle;
    char name[16];
    void *(*main)(void *arg);
    void *arg;
};

static struct {
    bool on;
    struct thread threads[THREADS_MAX];
    unsigned current;
    uint64_t random, bias;
    int64_t now_ns;
    uint64_t steps, idle_jumps;
} sim;
static _Thread_local unsigned self;
static _Thread_local int inside; /* > 0: in a call of the engine */

/* What stands behind when the simulation is off. */
void __real_kn_lock_take(struct kn_lock *l);
void __real_kn_lock_give(struct kn_lock *l);
void __real_kn_lock_assert_held(struct kn_lock *l);
void __real_kn_cond_wait(struct kn_cond *c, struct kn_lock *l);
bool __real_kn_cond_wait_for(struct kn_cond *c, struct kn_lock *l, int64_t timeout_ns);
void __real_kn_cond_signal(struct kn_cond *c);
void __real_kn_cond_broadcast(struct kn_cond *c);
int __real_kn_thread_start(pthread_t *ret, const char *name, void *(*main)(void *), void *arg);
int __real_pthread_join(pthread_t thread, void **ret);
struct kn_clock *__real_kn_clock_system(void);
void __real_kn_random(void *dst, size_t len);
void __real_kn_random_name(void *dst, size_t len);
uint64_t __real_kn_random_u64(void);

void __wrap_kn_lock_take(struct kn_lock *l);
void __wrap_kn_lock_give(struct kn_lock *l);
void __wrap_kn_lock_assert_held(struct kn_lock *l);
void __wrap_kn_cond_wait(struct kn_cond *c, struct kn_lock *l);
bool __wrap_kn_cond_wait_for(struct kn_cond *c, struct kn_lock *l, int64_t timeout_ns);
void __wrap_kn_cond_signal(struct kn_cond *c);
void __wrap_kn_cond_broadcast(struct kn_cond *c);
int __wrap_kn_thread_start(pthread_t *ret, const char *name, void *(*main)(void *), void *arg);
int __wrap_pthread_join(pthread_t thread, void **ret);
struct kn_clock *__wrap_kn_clock_system(void);
void __wrap_kn_random(void *dst, size_t len);
void __wrap_kn_random_name(void *dst, size_t len);
uint64_t __wrap_kn_random_u64(void);

static uint64_t next_random(void) /* splitmix64 */
{
    uint64_t z = sim.random += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* --- who runs next ---------------------------------------------------------------------------- */
static bool can_run(struct thread *t)
{
    switch (t->state) {
    case READY:
        return true;
    case ON_LOCK:
        return ((const struct kn_lock *) t->on)->owner == 0;
    case ON_COND:
        return t->until_ns <= sim.now_ns;
    case ON_JOIN:
        return ((const struct thread *) t->on)->state == ENDED;
    case UNUSED:
    case ENDED:
        break;
    }
    return false;
}

KN_NORETURN static void hang(const char *why)
{
    static const char *const states[] = {"", "ready", "lock", "condition", "join", "ended"};
    fprintf(stderr, "simulation: %s\n", why);
    for (unsigned i = 0; i < THREADS_MAX; i++) {
        const struct thread *t = &sim.threads[i];
        if (t->state != UNUSED && t->state != ENDED)
            fprintf(stderr, "  %-15s %s %p\n", t->name, states[t->state], t->on);
    }
    _exit(SIM_EXIT_HANG);
}

static int64_t earliest(void)
{
    int64_t at = INT64_MAX;
    for (unsigned i = 0; i < THREADS_MAX; i++) {
        if (sim.threads[i].state == ON_COND)
            at = kn_min_i64(at, sim.threads[i].until_ns);
    }
    return at;
}

static unsigned pick(void)
{
    for (;;) {
        unsigned able[THREADS_MAX], count = 0;
        for (unsigned i = 0; i < THREADS_MAX; i++) {
            if (can_run(&sim.threads[i]))
                able[count++] = i;
        }
        if (count > 0) {
            unsigned chosen = able[next_random() % count];
            if (chosen == 0)
                sim.idle_jumps = 0;
            return chosen;
        }
        int64_t at = earliest();
        if (at == INT64_MAX)
            hang("every thread waits for another");
        if (sim.idle_jumps++ > IDLE_JUMPS_MAX)
            hang("the first thread waits for something that does not come");
        sim.now_ns = at;
    }
}

static void await_turn(void)
{
    while (sem_wait(&sim.threads[self].turn) < 0)
        kn_assert(errno == EINTR);
}

/* Passes the baton; the caller's state says what it waits for. */
static void pass(void)
{
    struct thread *me = &sim.threads[self];
    unsigned next = pick();
    sim.current = next;
    if (next != self) {
        sem_post(&sim.threads[next].turn);
        await_turn();
    }
    me->state = READY;
    me->on = NULL;
}

void sim_thread_pause(void)
{
    if (!sim.on)
        return;
    if (++sim.steps > STEPS_MAX)
        hang("no end in sight");
    sim.now_ns += (int64_t) (next_random() % TICK_NS_MAX);
    if (next_random() % sim.bias == 0)
        pass();
}

/* --- begin ------------------------------------------------------------------------------------ */
void sim_thread_begin(uint64_t seed)
{
    static const uint8_t biases[] = {2, 5, 20, 100}; /* from breathless to leisurely */
    kn_assert(!sim.on);
    sim.random = seed;
    sim.bias = biases[next_random() % sizeof(biases)];
    sim.now_ns = 1000000000;
    sim.threads[0] = (struct thread){.state = READY, .name = "main", .until_ns = INT64_MAX};
    sem_init(&sim.threads[0].turn, 0, 0);
    self = 0;
    sim.on = true;
}

bool sim_thread_is_on(void)
{
    return sim.on;
}

void sim_thread_enter(void)
{
    inside++;
}

void sim_thread_leave(void)
{
    inside--;
}

bool sim_thread_is_inside(void)
{
    return sim.on && inside > 0;
}

/* --- locks and conditions --------------------------------------------------------------------- */
static void take(struct kn_lock *l)
{
    struct thread *me = &sim.threads[self];
    kn_assert(l->owner != self + 1);
    while (l->owner != 0) {
        me->state = ON_LOCK;
        me->on = l;
        pass();
    }
    l->owner = self + 1;
}

void __wrap_kn_lock_take(struct kn_lock *l)
{
    if (!sim.on) {
        __real_kn_lock_take(l);
        return;
    }
    sim_thread_pause();
    take(l);
}

void __wrap_kn_lock_give(struct kn_lock *l)
{
    if (!sim.on) {
        __real_kn_lock_give(l);
        return;
    }
    kn_assert(l->owner == self + 1);
    l->owner = 0;
}

void __wrap_kn_lock_assert_held(struct kn_lock *l)
{
    if (sim.on)
        kn_assert(l->owner == self + 1);
    else
        __real_kn_lock_assert_held(l);
}

/* true: woken by a signal, or for no reason, which is allowed. */
static bool wait_until(struct kn_cond *c, struct kn_lock *l, int64_t until_ns)
{
    struct thread *me = &sim.threads[self];
    kn_assert(l->owner == self + 1);
    l->owner = 0;
    me->woken = false;
    if (next_random() % SPURIOUS_ONE_IN != 0) {
        me->until_ns = until_ns;
        me->state = ON_COND;
        me->on = c;
        pass();
    } else {
        me->woken = true;
        pass();
    }
    me->until_ns = INT64_MAX;
    take(l);
    return me->woken;
}

void __wrap_kn_cond_wait(struct kn_cond *c, struct kn_lock *l)
{
    if (sim.on)
        (void) wait_until(c, l, INT64_MAX);
    else
        __real_kn_cond_wait(c, l);
}

bool __wrap_kn_cond_wait_for(struct kn_cond *c, struct kn_lock *l, int64_t timeout_ns)
{
    if (!sim.on)
        return __real_kn_cond_wait_for(c, l, timeout_ns);
    return wait_until(c, l, sim.now_ns + kn_max_i64(timeout_ns, 0));
}

static void wake(struct thread *t)
{
    t->woken = true;
    t->state = READY;
}

void __wrap_kn_cond_signal(struct kn_cond *c)
{
    if (!sim.on) {
        __real_kn_cond_signal(c);
        return;
    }
    struct thread *waiting[THREADS_MAX];
    unsigned count = 0;
    for (unsigned i = 0; i < THREADS_MAX; i++) {
        if (sim.threads[i].state == ON_COND && sim.threads[i].on == c)
            waiting[count++] = &sim.threads[i];
    }
    if (count > 0)
        wake(waiting[next_random() % count]);
}

void __wrap_kn_cond_broadcast(struct kn_cond *c)
{
    if (!sim.on) {
        __real_kn_cond_broadcast(c);
        return;
    }
    for (unsigned i = 0; i < THREADS_MAX; i++) {
        if (sim.threads[i].state == ON_COND && sim.threads[i].on == c)
            wake(&sim.threads[i]);
    }
}

/* --- threads ---------------------------------------------------------------------------------- */
static void *thread_main(void *arg)
{
    struct thread *me = arg;
    self = (unsigned) (me - sim.threads);
    inside = 1;
    await_turn();
    me->main(me->arg);
    me->state = ENDED;
    unsigned next = pick();
    sim.current = next;
    sem_post(&sim.threads[next].turn);
    return NULL;
}

int __wrap_kn_thread_start(pthread_t *ret, const char *name, void *(*main)(void *), void *arg)
{
    if (!sim.on)
        return __real_kn_thread_start(ret, name, main, arg);
    int r = sim_memory_step();
    if (r < 0)
        return r;
    unsigned at = 0;
    while (at < THREADS_MAX && sim.threads[at].state != UNUSED)
        at++;
    kn_assert(at < THREADS_MAX);
    struct thread *t = &sim.threads[at];
    *t = (struct thread){.state = READY, .main = main, .arg = arg, .until_ns = INT64_MAX};
    snprintf(t->name, sizeof(t->name), "%s", name);
    sem_init(&t->turn, 0, 0);
    r = __real_kn_thread_start(&t->handle, name, thread_main, t);
    kn_assert(r == 0);
    *ret = t->handle;
    return 0;
}

int __wrap_pthread_join(pthread_t handle, void **ret)
{
    struct thread *t = NULL;
    for (unsigned i = 1; sim.on && i < THREADS_MAX; i++) {
        if (sim.threads[i].state != UNUSED && pthread_equal(sim.threads[i].handle, handle))
            t = &sim.threads[i];
    }
    if (!t)
        return __real_pthread_join(handle, ret);
    struct thread *me = &sim.threads[self];
    me->state = ON_JOIN;
    me->on = t;
    pass();
    int r = __real_pthread_join(handle, ret);
    sem_destroy(&t->turn);
    t->state = UNUSED;
    return r;
}

/* --- time and chance
 * ------------------------------------------------------------------------------
 */
static int64_t sim_wall_ms(struct kn_clock *clock KN_UNUSED)
{
    return 1763851000000 + sim.now_ns / 1000000;
}

static int64_t sim_mono_ns(struct kn_clock *clock KN_UNUSED)
{
    return sim.now_ns;
}

struct kn_clock *__wrap_kn_clock_system(void)
{
    static struct kn_clock clock = {.wall_ms = sim_wall_ms, .mono_ns = sim_mono_ns};
    return sim.on ? &clock : __real_kn_clock_system();
}

static void fill_random(uint8_t *to, size_t len)
{
    for (; len > 0; len--)
        *to++ = (uint8_t) next_random();
}

void __wrap_kn_random(void *dst, size_t len)
{
    if (sim.on)
        fill_random(dst, len);
    else
        __real_kn_random(dst, len);
}

void __wrap_kn_random_name(void *dst, size_t len)
{
    if (sim.on)
        fill_random(dst, len);
    else
        __real_kn_random_name(dst, len);
}

uint64_t __wrap_kn_random_u64(void)
{
    return sim.on ? next_random() : __real_kn_random_u64();
}
