/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was observed of one figure, minute by minute, for the last three hours: how many samples,
 * their sum, the smallest and the largest. Minutes without a sample take no room. All histories of
 * an owner share a budget; when that is spent, each goes less far back, down to the present minute.
 * One thread at a time; the budget is shared by any.
 */
#ifndef CORE_HISTORY_H
#define CORE_HISTORY_H

#include "core/base.h"

enum {
    KN_HISTORY_MINUTES = 180, /* how far back it goes */
};

struct kn_history_budget {
    _Atomic size_t used_bytes;
    size_t max_bytes;
};

struct kn_history_bucket {
    uint32_t minute; /* since 1970 */
    uint32_t count;  /* of samples; 0: none, and the rest means nothing */
    double sum, min, max;
};

struct kn_history {                /* begins zeroed */
    struct kn_history_bucket now;  /* the newest minute that has a sample */
    struct kn_history_bucket *old; /* those before it: a ring, the oldest at first */
    uint16_t first, count, cap;
};

/* The first sample of a newer minute; add calls it. */
void kn_history_begin(struct kn_history *history, struct kn_history_budget *budget, uint32_t minute,
                      double value);

/* A sample of that minute; of a minute before the newest one it counts for that (the clock was set
 * back). */
static inline void kn_history_add(struct kn_history *history, struct kn_history_budget *budget,
                                  uint32_t minute, double value)
{
    struct kn_history_bucket *now = &history->now;
    if (now->count == 0 || minute > now->minute) {
        kn_history_begin(history, budget, minute, value);
        return;
    }
    now->count++;
    now->sum += value;
    now->min = value < now->min ? value : now->min;
    now->max = value > now->max ? value : now->max;
}

/* Lets go of what lies too far back. */
void kn_history_expire(struct kn_history *history, struct kn_history_budget *budget,
                       uint32_t minute);
void kn_history_done(struct kn_history *history, struct kn_history_budget *budget);

/* Adds what it has to count buckets of `period` minutes each, the first of which begins at `from`;
 * their own minutes are the caller's. So several histories add up. */
void kn_history_read(const struct kn_history *history, uint32_t from, uint32_t period,
                     struct kn_history_bucket *buckets, size_t count);

#endif
