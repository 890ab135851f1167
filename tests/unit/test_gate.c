/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <stdatomic.h>

#include "core/gate.h"

struct waiter {
    struct kn_gate_waiter waiter;
    _Atomic int woken;
};

static void wake(struct kn_gate_waiter *waiter)
{
    atomic_fetch_add(&KN_CONTAINER_OF(waiter, struct waiter, waiter)->woken, 1);
}

TEST(a_bump_wakes_all_who_joined_and_none_who_left)
{
    struct kn_gate gate;
    struct waiter a = {.waiter.wake = wake}, b = {.waiter.wake = wake};
    kn_gate_init(&gate);

    assert_true(kn_gate_join(&gate, &a.waiter, 0));
    assert_true(kn_gate_join(&gate, &b.waiter, 0));
    kn_gate_bump(&gate);
    kn_gate_leave(&gate, &a.waiter);
    kn_gate_bump(&gate);

    assert_int_equal(a.woken, 1);
    assert_int_equal(b.woken, 2);
    assert_int_equal(kn_gate_value(&gate), 2);
    kn_gate_leave(&gate, &b.waiter);
    kn_gate_done(&gate);
}

TEST(who_has_seen_an_older_value_does_not_join)
{
    struct kn_gate gate;
    struct waiter a = {.waiter.wake = wake};
    kn_gate_init(&gate);
    kn_gate_bump(&gate);

    assert_false(kn_gate_join(&gate, &a.waiter, 0));
    kn_gate_bump(&gate);

    assert_int_equal(a.woken, 0);
    kn_gate_done(&gate);
}

enum {
    BUMPS = 20000
};

static void *bumper(void *arg)
{
    for (int i = 0; i < BUMPS; i++)
        kn_gate_bump(arg);
    return NULL;
}

TEST(no_bump_is_missed_between_looking_and_joining)
{
    struct kn_gate gate;
    pthread_t thread;
    kn_gate_init(&gate);
    assert_ok(kn_thread_start(&thread, "bumper", bumper, &gate));

    uint64_t seen = 0;
    while (seen < BUMPS) {
        struct waiter w = {.waiter.wake = wake};
        if (kn_gate_join(&gate, &w.waiter, seen)) {
            while (!atomic_load(&w.woken)) /* would hang if a bump were missed */
                assert_true(kn_gate_value(&gate) == seen || atomic_load(&w.woken) ||
                            kn_gate_value(&gate) > seen);
            kn_gate_leave(&gate, &w.waiter);
        }
        seen = kn_gate_value(&gate);
    }

    pthread_join(thread, NULL);
    kn_gate_done(&gate);
}

TESTS_MAIN(TEST_OF(a_bump_wakes_all_who_joined_and_none_who_left),
           TEST_OF(who_has_seen_an_older_value_does_not_join),
           TEST_OF(no_bump_is_missed_between_looking_and_joining))
