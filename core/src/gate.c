/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A gate is a counter with a ring of waiters. The value moves and the waiters are told under one
 * lock, so a waiter that saw the old value and joined cannot miss the step to the next one.
 */
#include "core/gate.h"

#include <stdatomic.h>

void kn_gate_init(struct kn_gate *gate)
{
    kn_lock_init(&gate->lock);
    atomic_init(&gate->value, 0);
    gate->waiters = (struct kn_gate_waiter){.next = &gate->waiters, .prev = &gate->waiters};
}

void kn_gate_done(struct kn_gate *gate)
{
    kn_assert(gate->waiters.next == &gate->waiters);
    kn_lock_done(&gate->lock);
}

uint64_t kn_gate_value(struct kn_gate *gate)
{
    return atomic_load_explicit(&gate->value, memory_order_acquire);
}

void kn_gate_bump(struct kn_gate *gate)
{
    KN_LOCKED(&gate->lock);
    atomic_fetch_add_explicit(&gate->value, 1, memory_order_release);
    for (struct kn_gate_waiter *w = gate->waiters.next; w != &gate->waiters; w = w->next)
        w->wake(w);
}

bool kn_gate_join(struct kn_gate *gate, struct kn_gate_waiter *waiter, uint64_t seen)
{
    KN_LOCKED(&gate->lock);
    if (atomic_load_explicit(&gate->value, memory_order_relaxed) != seen)
        return false;
    waiter->next = &gate->waiters;
    waiter->prev = gate->waiters.prev;
    waiter->prev->next = waiter;
    gate->waiters.prev = waiter;
    return true;
}

void kn_gate_leave(struct kn_gate *gate, struct kn_gate_waiter *waiter)
{
    KN_LOCKED(&gate->lock);
    waiter->prev->next = waiter->next;
    waiter->next->prev = waiter->prev;
    waiter->next = waiter->prev = NULL;
}
