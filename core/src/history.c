/* SPDX-License-Identifier: Apache-2.0 */
#include "core/history.h"

#include <stdatomic.h>
#include <stdlib.h>

enum {
    FIRST_CAP = 4, /* buckets; doubled until all minutes have room */
};

static void bucket_add(struct kn_history_bucket *to, const struct kn_history_bucket *from)
{
    if (to->count == 0 || from->min < to->min)
        to->min = from->min;
    if (to->count == 0 || from->max > to->max)
        to->max = from->max;
    to->sum = to->count == 0 ? from->sum : to->sum + from->sum;
    to->count += from->count;
}

static const struct kn_history_bucket *old_at(const struct kn_history *h, size_t at)
{
    return &h->old[(h->first + at) % h->cap];
}

static bool budget_take(struct kn_history_budget *budget, size_t bytes)
{
    size_t used = atomic_load_explicit(&budget->used_bytes, memory_order_relaxed);
    do {
        if (used > budget->max_bytes || bytes > budget->max_bytes - used)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&budget->used_bytes, &used, used + bytes,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

static void budget_give(struct kn_history_budget *budget, size_t bytes)
{
    atomic_fetch_sub_explicit(&budget->used_bytes, bytes, memory_order_relaxed);
}

/* A larger ring, unwound. */
static bool grow(struct kn_history *h, struct kn_history_budget *budget)
{
    size_t cap = h->cap ? kn_min_u64((uint64_t) h->cap * 2, KN_HISTORY_MINUTES) : FIRST_CAP;
    if (cap == h->cap || !budget_take(budget, (cap - h->cap) * sizeof(*h->old)))
        return false;
    struct kn_history_bucket *old = malloc(cap * sizeof(*old));
    if (!old) {
        budget_give(budget, (cap - h->cap) * sizeof(*h->old));
        return false;
    }
    for (size_t i = 0; i < h->count; i++)
        old[i] = *old_at(h, i);
    free(h->old);
    h->old = old;
    h->first = 0;
    h->cap = (uint16_t) cap;
    return true;
}

static void push(struct kn_history *h, struct kn_history_budget *budget)
{
    while (h->count > 0 && old_at(h, 0)->minute + KN_HISTORY_MINUTES <= h->now.minute) {
        h->first = (uint16_t) ((h->first + 1) % h->cap);
        h->count--;
    }
    if (h->count == h->cap && !grow(h, budget)) {
        if (h->cap == 0)
            return; /* only the present minute is known */
        h->first = (uint16_t) ((h->first + 1) % h->cap);
        h->count--;
    }
    h->old[(h->first + h->count) % h->cap] = h->now;
    h->count++;
}

void kn_history_begin(struct kn_history *h, struct kn_history_budget *budget, uint32_t minute,
                      double value)
{
    if (h->now.count > 0)
        push(h, budget);
    h->now = (struct kn_history_bucket){minute, 1, value, value, value};
}

void kn_history_expire(struct kn_history *h, struct kn_history_budget *budget, uint32_t minute)
{
    if (h->count > 0 && old_at(h, h->count - 1u)->minute + KN_HISTORY_MINUTES > minute)
        return; /* what is there gives its room back all at once, or never while it is used */
    budget_give(budget, h->cap * sizeof(*h->old));
    free(KN_MOVE(h->old));
    h->first = h->count = h->cap = 0;
}

void kn_history_done(struct kn_history *h, struct kn_history_budget *budget)
{
    h->count = 0;
    kn_history_expire(h, budget, 0);
    h->now.count = 0;
}

static void read_one(const struct kn_history_bucket *bucket, uint32_t from, uint32_t period,
                     struct kn_history_bucket *buckets, size_t count)
{
    if (bucket->count == 0 || bucket->minute < from || (bucket->minute - from) / period >= count)
        return;
    bucket_add(&buckets[(bucket->minute - from) / period], bucket);
}

void kn_history_read(const struct kn_history *h, uint32_t from, uint32_t period,
                     struct kn_history_bucket *buckets, size_t count)
{
    for (size_t i = 0; i < h->count; i++)
        read_one(old_at(h, i), from, period, buckets, count);
    read_one(&h->now, from, period, buckets, count);
}
