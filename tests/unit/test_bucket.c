/* SPDX-License-Identifier: Apache-2.0 */
/* Token buckets by a clock that the test owns. */
#include "test.h"

#include "core/bucket.h"

#define SECOND INT64_C(1000000000)

static const struct kn_rate ten = {.per_s = 10, .burst = 20};

static unsigned take_all(struct kn_bucket *bucket, int64_t now_ns)
{
    unsigned count = 0;
    while (kn_bucket_take(bucket, &ten, 1, now_ns))
        count++;
    return count;
}

TEST(a_new_bucket_is_full_and_fills_at_its_rate)
{
    struct kn_bucket bucket = {0};
    int64_t now_ns = 7 * SECOND;

    assert_int_equal(take_all(&bucket, now_ns), 20);
    assert_int_equal(take_all(&bucket, now_ns + SECOND / 10 - 1), 0);
    assert_int_equal(take_all(&bucket, now_ns + SECOND / 10), 1);
    assert_int_equal(take_all(&bucket, now_ns + SECOND), 9);
    assert_int_equal(take_all(&bucket, now_ns + 100 * SECOND), 20);
}

TEST(a_bucket_is_full_at_any_time_the_clock_begins_with)
{
    const int64_t begins[] = {0, 1, -5 * SECOND, 2 * SECOND, INT64_MAX / 2};
    for (size_t i = 0; i < KN_ARRAY_LEN(begins); i++) {
        struct kn_bucket bucket = {0};
        assert_int_equal(take_all(&bucket, begins[i]), 20);
        assert_int_equal(take_all(&bucket, begins[i]), 0);
    }
}

TEST(what_does_not_fit_takes_nothing)
{
    struct kn_bucket bucket = {0};
    assert_false(kn_bucket_take(&bucket, &ten, 21, SECOND));
    assert_true(kn_bucket_take(&bucket, &ten, 20, SECOND));
    assert_false(kn_bucket_take(&bucket, &ten, 1, SECOND));
}

TEST(what_is_owed_is_paid_before_it_opens_again)
{
    struct kn_bucket bucket = {0};
    assert_true(kn_bucket_is_open(&bucket, &ten, SECOND));

    kn_bucket_owe(&bucket, &ten, 50, SECOND); /* 20 were in it */

    assert_false(kn_bucket_is_open(&bucket, &ten, 4 * SECOND));
    assert_true(kn_bucket_is_open(&bucket, &ten, 4 * SECOND + 1));
}

TEST(large_counts_do_not_overflow)
{
    const struct kn_rate rate = {.per_s = UINT64_C(1) << 20, .burst = UINT64_C(10) << 20};
    struct kn_bucket bucket = {0};
    assert_true(kn_bucket_take(&bucket, &rate, rate.burst, SECOND));
    assert_false(kn_bucket_take(&bucket, &rate, rate.burst, 10 * SECOND));
    assert_true(kn_bucket_take(&bucket, &rate, rate.burst, 11 * SECOND));
    assert_int_equal(kn_rate_ns(UINT64_C(1) << 33, 1), (INT64_C(1) << 33) * SECOND);
}

TESTS_MAIN(TEST_OF(a_new_bucket_is_full_and_fills_at_its_rate),
           TEST_OF(a_bucket_is_full_at_any_time_the_clock_begins_with),
           TEST_OF(what_does_not_fit_takes_nothing),
           TEST_OF(what_is_owed_is_paid_before_it_opens_again),
           TEST_OF(large_counts_do_not_overflow))
