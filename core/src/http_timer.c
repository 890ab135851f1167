/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A heap of deadlines. Its nodes have four children, which lie side by side: a thousand timers are
 * five levels, and a level touches one timer, which is seldom in the processor's cache. Most
 * deadlines (idle, stall) only ever move later, at each byte that passes: moving later writes one
 * number and leaves the heap alone; when the old time comes, the timer is filed again under the new
 * one.
 */
#include "http_timer.h"

#include <errno.h>

enum {
    CHILDREN = 4
};

static void place(struct kn_http_timers *timers, size_t i, struct kn_http_timer_place entry)
{
    timers->heap[i] = entry;
    entry.timer->at = i + 1;
}

static void sift_up(struct kn_http_timers *timers, size_t i, struct kn_http_timer_place entry)
{
    while (i > 0) {
        size_t parent = (i - 1) / CHILDREN;
        if (timers->heap[parent].ns <= entry.ns)
            break;
        place(timers, i, timers->heap[parent]);
        i = parent;
    }
    place(timers, i, entry);
}

static void sift_down(struct kn_http_timers *timers, size_t i, struct kn_http_timer_place entry)
{
    for (;;) {
        size_t first = CHILDREN * i + 1, child = first;
        if (first >= timers->count)
            break;
        for (size_t at = first + 1; at < timers->count && at < first + CHILDREN; at++) {
            if (timers->heap[at].ns < timers->heap[child].ns)
                child = at;
        }
        if (timers->heap[child].ns >= entry.ns)
            break;
        place(timers, i, timers->heap[child]);
        i = child;
    }
    place(timers, i, entry);
}

void kn_http_timers_done(struct kn_http_timers *timers)
{
    kn_assert(timers->count == 0);
    free(timers->heap);
    *timers = (struct kn_http_timers){0};
}

int kn_http_timers_reserve(struct kn_http_timers *timers, size_t count)
{
    size_t need = timers->reserved + count;
    if (need > timers->cap) {
        size_t cap = timers->cap ? timers->cap * 2 : 64;
        while (cap < need)
            cap *= 2;
        struct kn_http_timer_place *heap = realloc(timers->heap, cap * sizeof(*heap));
        if (!heap)
            return -ENOMEM;
        timers->heap = heap;
        timers->cap = cap;
    }
    timers->reserved = need;
    return 0;
}

void kn_http_timers_give_back(struct kn_http_timers *timers, size_t count)
{
    kn_assert(timers->reserved >= count);
    timers->reserved -= count;
}

void kn_http_timer_set(struct kn_http_timers *timers, struct kn_http_timer *timer, int64_t due_ns)
{
    timer->due_ns = due_ns;
    if (timer->at) {
        if (due_ns < timers->heap[timer->at - 1].ns)
            sift_up(timers, timer->at - 1, (struct kn_http_timer_place){due_ns, timer});
        return;
    }
    kn_assert(timers->count < timers->reserved);
    sift_up(timers, timers->count++, (struct kn_http_timer_place){due_ns, timer});
}

void kn_http_timer_clear(struct kn_http_timers *timers, struct kn_http_timer *timer)
{
    if (!timer->at)
        return;
    size_t i = timer->at - 1;
    timer->at = 0;
    struct kn_http_timer_place last = timers->heap[--timers->count];
    if (last.timer == timer)
        return;
    if (i > 0 && last.ns < timers->heap[(i - 1) / CHILDREN].ns)
        sift_up(timers, i, last);
    else
        sift_down(timers, i, last);
}

void kn_http_timers_run(struct kn_http_timers *timers, int64_t now_ns)
{
    while (timers->count > 0 && timers->heap[0].ns <= now_ns) {
        struct kn_http_timer *timer = timers->heap[0].timer;
        if (timer->due_ns > now_ns) { /* it was moved later meanwhile */
            sift_down(timers, 0, (struct kn_http_timer_place){timer->due_ns, timer});
            continue;
        }
        kn_http_timer_clear(timers, timer);
        timer->fire(timer);
    }
}

int64_t kn_http_timers_next(const struct kn_http_timers *timers)
{
    return timers->count > 0 ? timers->heap[0].ns : INT64_MAX;
}
