/* SPDX-License-Identifier: Apache-2.0 */
#include "http_timer.h"
#include "test.h"

enum {
    COUNT = 500
};

struct fixture {
    struct kn_http_timers timers;
    struct kn_http_timer all[COUNT];
    int64_t due[COUNT]; /* -1: not armed */
};

static int64_t now;
static int fired;
static struct fixture *current;

static void fire(struct kn_http_timer *timer)
{
    size_t i = (size_t) (timer - current->all);
    assert_true(current->due[i] >= 0 && current->due[i] <= now);
    current->due[i] = -1;
    fired++;
}

TEST(timers_fire_when_due_however_often_they_were_moved)
{
    uint64_t seed = test_seed() | 1;
    static struct fixture f;
    current = &f;
    assert_ok(kn_http_timers_reserve(&f.timers, COUNT));
    for (size_t i = 0; i < COUNT; i++) {
        f.all[i].fire = fire;
        f.due[i] = -1;
    }

    for (now = 0; now < 2000; now++) {
        for (int k = 0; k < 20; k++) {
            size_t i = test_random(&seed) % COUNT;
            if (test_random(&seed) % 4 == 0) {
                kn_http_timer_clear(&f.timers, &f.all[i]);
                f.due[i] = -1;
            } else {
                f.due[i] = now + (int64_t) (test_random(&seed) % 100);
                kn_http_timer_set(&f.timers, &f.all[i], f.due[i]);
            }
        }
        kn_http_timers_run(&f.timers, now);
        int64_t soonest = INT64_MAX;
        for (size_t i = 0; i < COUNT; i++)
            if (f.due[i] >= 0 && f.due[i] < soonest)
                soonest = f.due[i];
        assert_true(soonest > now);
        assert_true(kn_http_timers_next(&f.timers) <= soonest);
    }

    assert_true(fired > COUNT);
    for (size_t i = 0; i < COUNT; i++)
        kn_http_timer_clear(&f.timers, &f.all[i]);
    kn_http_timers_done(&f.timers);
}

static struct kn_http_timers again_timers;
static int again_count;

static void fire_again(struct kn_http_timer *timer)
{
    if (++again_count < 3)
        kn_http_timer_set(&again_timers, timer, 10); /* due already: fires in the same run */
}

TEST(a_timer_may_arm_itself_while_it_fires)
{
    struct kn_http_timer timer = {.fire = fire_again};
    assert_ok(kn_http_timers_reserve(&again_timers, 1));
    kn_http_timer_set(&again_timers, &timer, 5);

    kn_http_timers_run(&again_timers, 10);

    assert_int_equal(again_count, 3);
    assert_true(kn_http_timers_next(&again_timers) == INT64_MAX);
    kn_http_timers_done(&again_timers);
}

TESTS_MAIN(TEST_OF(timers_fire_when_due_however_often_they_were_moved),
           TEST_OF(a_timer_may_arm_itself_while_it_fires))
