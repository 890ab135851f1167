/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A token bucket in eight bytes: not what is left in it, but the time until which what was taken
 * is paid for. Taking n at r a second moves that time on by n / r; a bucket that holds b lets it
 * run ahead of the clock by no more than now, and fall behind by no more than b / r. Whole numbers,
 * a clock of the caller's, no lock: the owner guards it.
 */
#ifndef CORE_BUCKET_H
#define CORE_BUCKET_H

#include "core/base.h"

struct kn_bucket {
    int64_t paid_ns; /* 0: never used, and full */
};

struct kn_rate {
    uint64_t per_s; /* > 0 */
    uint64_t burst; /* what a full bucket holds */
};

static inline int64_t kn_rate_ns(uint64_t count, uint64_t per_s)
{
    return (int64_t) (count / per_s * UINT64_C(1000000000) +
                      count % per_s * UINT64_C(1000000000) / per_s);
}

static inline int64_t kn_bucket_level(const struct kn_bucket *bucket, const struct kn_rate *rate,
                                      int64_t now_ns)
{
    int64_t full_ns = now_ns - kn_rate_ns(rate->burst, rate->per_s);
    return bucket->paid_ns ? kn_max_i64(bucket->paid_ns, full_ns) : full_ns;
}

/* Whether count are in it, which are taken then; else nothing is. */
static inline bool kn_bucket_take(struct kn_bucket *bucket, const struct kn_rate *rate,
                                  uint64_t count, int64_t now_ns)
{
    int64_t paid_ns = kn_bucket_level(bucket, rate, now_ns) + kn_rate_ns(count, rate->per_s);
    if (paid_ns > now_ns)
        return false;
    bucket->paid_ns = paid_ns ? paid_ns : -1;
    return true;
}

/* For what is known only afterwards: anything is in it. Then it may be taken on credit. */
static inline bool kn_bucket_is_open(const struct kn_bucket *bucket, const struct kn_rate *rate,
                                     int64_t now_ns)
{
    return kn_bucket_level(bucket, rate, now_ns) < now_ns;
}
static inline void kn_bucket_owe(struct kn_bucket *bucket, const struct kn_rate *rate,
                                 uint64_t count, int64_t now_ns)
{
    int64_t paid_ns = kn_bucket_level(bucket, rate, now_ns) + kn_rate_ns(count, rate->per_s);
    bucket->paid_ns = paid_ns ? paid_ns : -1;
}

#endif
