/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A consumer has one subscription to a shard at a time. A newcomer takes the seat of one that has
 * had it for a while; the former one is told, as are all when the consumer is deregistered.
 * Where AWS's limits are kept, a seat that was left is not free before that while is over either.
 *
 * @source AWS API reference, SubscribeToShard: refused within five seconds of a successful call,
 *         later it takes over and the former one ends with ResourceInUseException
 */
#ifndef DATASTREAM_SRC_SEAT_H
#define DATASTREAM_SRC_SEAT_H

#include "consumer.h"

#include "core/http.h"

enum datastream_seat_state {
    DATASTREAM_SEAT_KEPT,
    DATASTREAM_SEAT_TAKEN, /* by another subscription */
    DATASTREAM_SEAT_GONE,  /* the consumer is */
};

enum {
    DATASTREAM_SEAT_WAKE = 1 << 8 /* bit of wake(): look at the state */
};

struct datastream_seat { /* of one subscription */
    uint32_t shard;
    int64_t since_ns;
    struct kn_http_ref ref;       /* to be woken */
    bool is_remembered;           /* for a while after it is left */
    _Atomic int state;            /* enum datastream_seat_state */
    struct datastream_seat *next; /* guarded by the consumer's lock */
};

struct datastream_seats_left { /* of a consumer; guarded by its lock: seats that were left */
    struct datastream_seat_left {
        uint32_t shard;
        int64_t since_ns;
    } * items;
    size_t count, cap;
};

/* -EBUSY: somebody has had it, or had taken it and is remembered, for less than takeover_ms;
 * -ENOENT: the consumer is gone. Any thread, never blocks. */
int datastream_seat_take(struct datastream_consumer *consumer, struct datastream_seat *seat,
                         int64_t takeover_ms) KN_MUSTUSE;
/* Idempotent. */
void datastream_seat_leave(struct datastream_consumer *consumer, struct datastream_seat *seat);
void datastream_seats_left_free(struct datastream_seats_left *left); /* accepts NULL */
/* Tells all who have one; the consumer is gone. */
void datastream_seats_end_locked(struct datastream_consumer *consumer);

#endif
