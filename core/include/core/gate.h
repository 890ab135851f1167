/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A gate: a number that only grows, and those who wait for it to pass what they have seen.
 * The tail of a stream bumps one at each commit and each visible part; live readers wait on it.
 * Waking is cheap and never blocks: one message to each event loop, however many requests wait.
 */
#ifndef CORE_GATE_H
#define CORE_GATE_H

#include "core/thread.h"

struct kn_gate_waiter {
    /* Called with the gate's lock held, by whoever bumps: must only post a message. */
    void (*wake)(struct kn_gate_waiter *waiter);
    struct kn_gate_waiter *next, *prev; /* owned by the gate */
};

struct kn_gate {
    /* NULL, or set right after kn_gate_init: called when a waiter has joined, with the gate's lock
     * held, which comes before any lock that it takes. */
    void (*joined)(struct kn_gate *gate);
    struct kn_lock lock;
    _Atomic uint64_t value;
    _Atomic uint32_t waiter_count;
    struct kn_gate_waiter waiters; /* list head */
};

void kn_gate_init(struct kn_gate *gate);
void kn_gate_done(struct kn_gate *gate); /* nobody may wait any more */
uint64_t kn_gate_value(struct kn_gate *gate);
void kn_gate_bump(struct kn_gate *gate);       /* value + 1, wakes all waiters; any thread */
bool kn_gate_is_awaited(struct kn_gate *gate); /* somebody has joined; true for a moment only */

/* Joins when the value is still `seen` and returns true; false: it has moved, do not wait.
 * A waiter stays joined, and may be woken again, until it leaves. Any thread. */
bool kn_gate_join(struct kn_gate *gate, struct kn_gate_waiter *waiter, uint64_t seen);
void kn_gate_leave(struct kn_gate *gate, struct kn_gate_waiter *waiter); /* no wake after it */

#endif
