/* SPDX-License-Identifier: Apache-2.0 */
/* Time, so that a test can own it. Wall time in ms as AWS speaks it, monotonic ns for intervals. */
#ifndef CORE_CLOCK_H
#define CORE_CLOCK_H

#include "core/bytes.h"

struct kn_clock {
    int64_t (*wall_ms)(struct kn_clock *clock); /* Unix epoch, may step */
    int64_t (*mono_ns)(struct kn_clock *clock); /* never goes back */
};

struct kn_clock *kn_clock_system(void); /* static; any thread */

static inline int64_t kn_wall_ms(struct kn_clock *clock)
{
    return clock->wall_ms(clock);
}

static inline int64_t kn_mono_ns(struct kn_clock *clock)
{
    return clock->mono_ns(clock);
}

/* A clock that stands still until told. Any thread may read and set it. */
struct kn_fake_clock {
    struct kn_clock clock;
    _Atomic int64_t wall_ms;
    _Atomic int64_t mono_ns;
};

void kn_fake_clock_init(struct kn_fake_clock *fake, int64_t wall_ms);
void kn_fake_clock_advance(struct kn_fake_clock *fake, int64_t by_ms); /* both times */

enum {
    KN_TIME_TEXT_BYTES = 32
};

/* "2026-11-22T20:49:55.123Z" */
void kn_time_iso8601(int64_t wall_ms, char dst[KN_TIME_TEXT_BYTES]);
/* "20261122T204955Z", as in X-Amz-Date */
void kn_time_amz(int64_t wall_ms, char dst[KN_TIME_TEXT_BYTES]);
/* "Sun, 22 Nov 2026 20:49:55 GMT" */
void kn_time_http(int64_t wall_ms, char dst[KN_TIME_TEXT_BYTES]);
/* Reads the X-Amz-Date form; -EINVAL. */
int kn_time_parse_amz(struct kn_str s, int64_t *ret_wall_ms) KN_MUSTUSE;

#endif
