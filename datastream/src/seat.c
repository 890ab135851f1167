/* SPDX-License-Identifier: Apache-2.0 */
#include "seat.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

static const int64_t ns_per_ms = 1000000;

static void tell(struct datastream_seat *seat, enum datastream_seat_state state)
{
    atomic_store(&seat->state, state);
    kn_http_wake(seat->ref, DATASTREAM_SEAT_WAKE);
}

static bool unlink_locked(struct datastream_consumer *consumer, struct datastream_seat *seat)
{
    struct datastream_seat **at = &consumer->seats;
    while (*at && *at != seat)
        at = &(*at)->next;
    if (!*at)
        return false;
    *at = seat->next;
    return true;
}

/* --- seats that were left, where that is remembered ------------------------------------------- */
/* Without memory the seat is free at once. */
static void remember_locked(struct datastream_consumer *consumer,
                            const struct datastream_seat *seat)
{
    if (!consumer->left)
        consumer->left = calloc(1, sizeof(*consumer->left));
    struct datastream_seats_left *left = consumer->left;
    if (!left)
        return;
    if (left->count == left->cap) {
        size_t cap = left->cap ? left->cap * 2 : 4;
        struct datastream_seat_left *items = realloc(left->items, cap * sizeof(*items));
        if (!items)
            return;
        left->items = items;
        left->cap = cap;
    }
    left->items[left->count++] = (struct datastream_seat_left){seat->shard, seat->since_ns};
}

/* Whether the shard's seat was taken after that time and left; what is older is forgotten. So there
 * are never more than were taken since then. */
static bool was_left_locked(struct datastream_consumer *consumer, uint32_t shard, int64_t after_ns)
{
    struct datastream_seats_left *left = consumer->left;
    bool found = false;
    size_t kept = 0;
    for (size_t i = 0; left && i < left->count; i++) {
        if (left->items[i].since_ns <= after_ns)
            continue;
        found |= left->items[i].shard == shard;
        left->items[kept++] = left->items[i];
    }
    if (left)
        left->count = kept;
    return found;
}

void datastream_seats_left_free(struct datastream_seats_left *left)
{
    if (left)
        free(left->items);
    free(left);
}

/* --- seats ------------------------------------------------------------------------------------ */
int datastream_seat_take(struct datastream_consumer *consumer, struct datastream_seat *seat,
                         int64_t takeover_ms)
{
    KN_LOCKED(&consumer->lock);
    if (consumer->gone)
        return -ENOENT;
    struct datastream_seat *former = consumer->seats;
    while (former && former->shard != seat->shard)
        former = former->next;
    if (was_left_locked(consumer, seat->shard, seat->since_ns - takeover_ms * ns_per_ms))
        return -EBUSY;
    if (former && seat->since_ns - former->since_ns < takeover_ms * ns_per_ms)
        return -EBUSY;
    if (former) {
        (void) unlink_locked(consumer, former);
        tell(former, DATASTREAM_SEAT_TAKEN);
    }
    seat->next = consumer->seats;
    consumer->seats = seat;
    return 0;
}

void datastream_seat_leave(struct datastream_consumer *consumer, struct datastream_seat *seat)
{
    KN_LOCKED(&consumer->lock);
    if (unlink_locked(consumer, seat) && seat->is_remembered)
        remember_locked(consumer, seat);
}

void datastream_seats_end_locked(struct datastream_consumer *consumer)
{
    for (struct datastream_seat *seat = consumer->seats; seat; seat = seat->next)
        tell(seat, DATASTREAM_SEAT_GONE);
}
