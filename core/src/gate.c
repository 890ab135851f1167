/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A gate is a counter with a ring of waiters. Who bumps moves the value, then looks for waiters;
 * who joins counts itself, then looks at the value. Both in one total order: one of the two sees
 * the other, so a waiter that saw the old value and joined cannot miss the step to the next one. A
 * bump that nobody waits for takes no lock.
 */
#include "core/gate.h"

#include <stdatomic.h>

void kn_gate_init(struct kn_gate *gate)
{
    kn_lock_init(&gate->lock);
    gate->joined = NULL;
    atomic_init(&gate->value, 0);
    atomic_init(&gate->waiter_count, 0);
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
    atomic_fetch_add(&gate->value, 1);
    if (!kn_gate_is_awaited(gate))
        return;
    KN_LOCKED(&gate->lock);
    for (struct kn_gate_waiter *w = gate->waiters.next; w != &gate->waiters; w = w->next)
        w->wake(w);
}

bool kn_gate_is_awaited(struct kn_gate *gate)
{
    return atomic_load(&gate->waiter_count) > 0;
}

bool kn_gate_join(struct kn_gate *gate, struct kn_gate_waiter *waiter, uint64_t seen)
{
    KN_LOCKED(&gate->lock);
    atomic_fetch_add(&gate->waiter_count, 1);
    if (atomic_load(&gate->value) != seen) {
        atomic_fetch_sub(&gate->waiter_count, 1);
        return false;
    }
    waiter->next = &gate->waiters;
    waiter->prev = gate->waiters.prev;
    waiter->prev->next = waiter;
    gate->waiters.prev = waiter;
    if (gate->joined)
        gate->joined(gate);
    return true;
}

void kn_gate_leave(struct kn_gate *gate, struct kn_gate_waiter *waiter)
{
    KN_LOCKED(&gate->lock);
    waiter->prev->next = waiter->next;
    waiter->next->prev = waiter->prev;
    waiter->next = waiter->prev = NULL;
    atomic_fetch_sub(&gate->waiter_count, 1);
}
