/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A binary heap of deadlines. Most deadlines (idle, stall) only ever move later, at each byte that
 * passes: moving later writes one number and leaves the heap alone; when the old time comes, the
 * timer is filed again under the new one.
 */
#include "http_timer.h"

#include <errno.h>

static void place(struct kn_http_timers *timers, size_t i, struct kn_http_timer_place entry)
{
    timers->heap[i] = entry;
    entry.timer->at = i + 1;
}

static void sift_up(struct kn_http_timers *timers, size_t i, struct kn_http_timer_place entry)
{
    while (i > 0) {
        size_t parent = (i - 1) / 2;
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
        size_t child = 2 * i + 1;
        if (child >= timers->count)
            break;
        if (child + 1 < timers->count && timers->heap[child + 1].ns < timers->heap[child].ns)
            child++;
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
    if (i > 0 && last.ns < timers->heap[(i - 1) / 2].ns)
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
