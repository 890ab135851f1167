/* SPDX-License-Identifier: Apache-2.0 */
/* All deadlines of one event loop: a heap that puts off work. One thread only. */
#ifndef CORE_SRC_HTTP_TIMER_H
#define CORE_SRC_HTTP_TIMER_H

#include "core/base.h"

struct kn_http_timer {
    void (*fire)(struct kn_http_timer *timer);
    int64_t due_ns; /* when it shall fire */
    size_t at;      /* place in the heap + 1; 0: not armed */
};

struct kn_http_timers {
    struct kn_http_timer_place {
        int64_t ns; /* when the timer is looked at: never later than its due_ns */
        struct kn_http_timer *timer;
    } * heap;
    size_t count, cap, reserved;
};

void kn_http_timers_done(struct kn_http_timers *timers);
/* Makes room for count more timers that may be armed at once; give it back when they are gone, so
 * that arming one never fails. -ENOMEM. */
int kn_http_timers_reserve(struct kn_http_timers *timers, size_t count) KN_MUSTUSE;
void kn_http_timers_give_back(struct kn_http_timers *timers, size_t count);

void kn_http_timer_set(struct kn_http_timers *timers, struct kn_http_timer *timer, int64_t due_ns);
void kn_http_timer_clear(struct kn_http_timers *timers, struct kn_http_timer *timer);
/* Fires all that are due. A timer may be set or cleared while firing, itself too. */
void kn_http_timers_run(struct kn_http_timers *timers, int64_t now_ns);
int64_t kn_http_timers_next(const struct kn_http_timers *timers); /* INT64_MAX when there is none */

#endif
