/* SPDX-License-Identifier: Apache-2.0 */
#include "seat.h"

#include <errno.h>
#include <stdatomic.h>

static const int64_t ns_per_ms = 1000000;

static void tell(struct datastream_seat *seat, enum datastream_seat_state state)
{
    atomic_store(&seat->state, state);
    kn_http_wake(seat->ref, DATASTREAM_SEAT_WAKE);
}

static void unlink_locked(struct datastream_consumer *consumer, struct datastream_seat *seat)
{
    struct datastream_seat **at = &consumer->seats;
    while (*at && *at != seat)
        at = &(*at)->next;
    if (*at)
        *at = seat->next;
}

int datastream_seat_take(struct datastream_consumer *consumer, struct datastream_seat *seat,
                         int64_t takeover_ms)
{
    KN_LOCKED(&consumer->lock);
    if (consumer->gone)
        return -ENOENT;
    struct datastream_seat *former = consumer->seats;
    while (former && former->shard != seat->shard)
        former = former->next;
    if (former && seat->since_ns - former->since_ns < takeover_ms * ns_per_ms)
        return -EBUSY;
    if (former) {
        unlink_locked(consumer, former);
        tell(former, DATASTREAM_SEAT_TAKEN);
    }
    seat->next = consumer->seats;
    consumer->seats = seat;
    return 0;
}

void datastream_seat_leave(struct datastream_consumer *consumer, struct datastream_seat *seat)
{
    KN_LOCKED(&consumer->lock);
    unlink_locked(consumer, seat);
}

void datastream_seats_end_locked(struct datastream_consumer *consumer)
{
    for (struct datastream_seat *seat = consumer->seats; seat; seat = seat->next)
        tell(seat, DATASTREAM_SEAT_GONE);
}
