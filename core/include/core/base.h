/* SPDX-License-Identifier: Apache-2.0 */
/* The few macros everything stands on: attributes, scope cleanup, sizes, assertions. */
#ifndef CORE_BASE_H
#define CORE_BASE_H

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KN_MUSTUSE         __attribute__((warn_unused_result))
#define KN_PRINTF(fmt, at) __attribute__((format(printf, fmt, at)))
#define KN_NORETURN        __attribute__((noreturn))
#define KN_UNUSED          __attribute__((unused))
#define KN_CLEANUP(fn)     __attribute__((cleanup(fn)))

/* Moves a pointer out of a variable, so that its cleanup finds NULL. */
#define KN_MOVE(ptr)                                                                               \
    ({                                                                                             \
        __typeof__(ptr) kn_moved_ = (ptr);                                                         \
        (ptr) = NULL;                                                                              \
        kn_moved_;                                                                                 \
    })

/* Defines <name>p(), the form KN_CLEANUP wants, for a destructor that takes a pointer. */
#define KN_DEFINE_CLEANUP(type, fn)                                                                \
    static inline void fn##p(type *ptr)                                                            \
    {                                                                                              \
        if (*ptr)                                                                                  \
            fn(*ptr);                                                                              \
    }

#define KN_ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))
#define KN_CONTAINER_OF(ptr, type, member)                                                         \
    ((type *) (void *) ((char *) (ptr) -offsetof(type, member)))

/*
 * The one search in what is sorted: the first place in from ≤ i < to of which `is_before`, an
 * expression of i, is false; `to` where there is none. It is true of all places up to some one and
 * false from there on, and is asked log2(to − from) times.
 *
 *     size_t at = KN_BISECT(i, 0, count, rows[i].key < key);
 *     bool found = at < count && rows[at].key == key;
 */
#define KN_BISECT(i, from, to, is_before)                                                          \
    ({                                                                                             \
        __typeof__((from) + (to)) kn_low_ = (from), kn_high_ = (to);                               \
        while (kn_low_ < kn_high_) {                                                               \
            __typeof__(kn_low_) i = kn_low_ + (kn_high_ - kn_low_) / 2;                            \
            if (is_before)                                                                         \
                kn_low_ = i + 1;                                                                   \
            else                                                                                   \
                kn_high_ = i;                                                                      \
        }                                                                                          \
        kn_low_;                                                                                   \
    })

#define KIB(n) ((uint64_t) (n) << 10)
#define MIB(n) ((uint64_t) (n) << 20)
#define GIB(n) ((uint64_t) (n) << 30)

/* Always on: a broken invariant prints expression, place and backtrace, then aborts.
 * Never for what a peer or a disk can cause. */
#define kn_assert(expr) ((expr) ? (void) 0 : kn_assert_failed(#expr, __FILE__, __LINE__, __func__))

KN_NORETURN void kn_assert_failed(const char *expr, const char *file, int line, const char *func);

static inline uint64_t kn_min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t kn_max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static inline int64_t kn_min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t kn_max_i64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

#endif
