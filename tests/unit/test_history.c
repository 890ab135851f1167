/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "core/history.h"

enum {
    NOW = 29000000, /* a minute of 2025 */
};

static struct kn_history_budget budget;

static void start(struct kn_history *h, size_t max_bytes)
{
    budget.used_bytes = 0;
    budget.max_bytes = max_bytes;
    *h = (struct kn_history){0};
}

static void stop(struct kn_history *h)
{
    kn_history_done(h, &budget);
    assert_int_equal(budget.used_bytes, 0);
}

static struct kn_history_bucket read_one(const struct kn_history *h, uint32_t from, uint32_t period)
{
    struct kn_history_bucket bucket = {0};
    kn_history_read(h, from, period, &bucket, 1);
    return bucket;
}

TEST(a_minute_keeps_count_sum_smallest_and_largest)
{
    struct kn_history h;
    start(&h, MIB(1));
    kn_history_add(&h, &budget, NOW, 5);
    kn_history_add(&h, &budget, NOW, -1);
    kn_history_add(&h, &budget, NOW, 2);
    kn_history_add(&h, &budget, NOW + 1, 7);

    struct kn_history_bucket b = read_one(&h, NOW, 1);
    assert_int_equal(b.count, 3);
    assert_true(b.sum == 6 && b.min == -1 && b.max == 5);
    b = read_one(&h, NOW, 2);
    assert_int_equal(b.count, 4);
    assert_true(b.sum == 13 && b.min == -1 && b.max == 7);
    assert_int_equal(read_one(&h, NOW + 2, 1).count, 0);
    assert_int_equal(read_one(&h, NOW - 5, 5).count, 0);
    stop(&h);
}

TEST(three_hours_are_kept_and_no_more)
{
    struct kn_history h;
    struct kn_history_bucket buckets[3 * KN_HISTORY_MINUTES];
    start(&h, MIB(1));
    for (uint32_t i = 0; i < 2 * KN_HISTORY_MINUTES; i++)
        kn_history_add(&h, &budget, NOW + i, i);

    memset(buckets, 0, sizeof(buckets));
    kn_history_read(&h, NOW, 1, buckets, KN_ARRAY_LEN(buckets));
    for (uint32_t i = KN_HISTORY_MINUTES; i < 2 * KN_HISTORY_MINUTES; i++)
        assert_true(buckets[i].count == 1 && buckets[i].sum == i);
    for (uint32_t i = 0; i < KN_HISTORY_MINUTES - 1; i++)
        assert_int_equal(buckets[i].count, 0);
    assert_int_equal(budget.used_bytes, KN_HISTORY_MINUTES * sizeof(struct kn_history_bucket));
    stop(&h);
}

TEST(minutes_without_a_sample_take_no_room)
{
    struct kn_history h;
    start(&h, MIB(1));
    for (uint32_t i = 0; i < 5; i++)
        kn_history_add(&h, &budget, NOW + 30 * i, 1);
    assert_int_equal(budget.used_bytes, 4 * sizeof(struct kn_history_bucket));
    assert_int_equal(read_one(&h, NOW, 30).count, 1);
    assert_int_equal(read_one(&h, NOW + 120, 30).count, 1);
    stop(&h);
}

TEST(when_the_budget_is_spent_it_goes_less_far_back)
{
    struct kn_history h, late;
    start(&h, 8 * sizeof(struct kn_history_bucket));
    late = h;
    for (uint32_t i = 0; i < 100; i++)
        kn_history_add(&h, &budget, NOW + i, 1);
    assert_int_equal(budget.used_bytes, 8 * sizeof(struct kn_history_bucket));
    assert_int_equal(read_one(&h, NOW, 100).count, 9);
    assert_int_equal(read_one(&h, NOW + 91, 9).count, 9);

    kn_history_add(&late, &budget, NOW, 1);
    kn_history_add(&late, &budget, NOW + 1, 1);
    assert_int_equal(read_one(&late, NOW, 2).count, 1); /* the present minute is always known */
    kn_history_done(&late, &budget);
    stop(&h);
}

TEST(what_lies_too_far_back_gives_its_room_back)
{
    struct kn_history h;
    start(&h, MIB(1));
    for (uint32_t i = 0; i < 10; i++)
        kn_history_add(&h, &budget, NOW + i, 1);
    kn_history_expire(&h, &budget, NOW + 8 + KN_HISTORY_MINUTES - 1);
    assert_int_equal(read_one(&h, NOW, 10).count, 10);
    kn_history_expire(&h, &budget, NOW + 8 + KN_HISTORY_MINUTES);
    assert_int_equal(budget.used_bytes, 0);
    assert_int_equal(read_one(&h, NOW, 10).count, 1); /* the newest */
    kn_history_add(&h, &budget, NOW + 1000, 1);
    assert_int_equal(read_one(&h, NOW + 1000, 1).count, 1);
    stop(&h);
}

TEST(a_clock_that_was_set_back_counts_for_the_newest_minute)
{
    struct kn_history h;
    start(&h, MIB(1));
    kn_history_add(&h, &budget, NOW, 1);
    kn_history_add(&h, &budget, NOW - 60, 1);
    assert_int_equal(read_one(&h, NOW, 1).count, 2);
    assert_int_equal(read_one(&h, NOW - 60, 1).count, 0);
    stop(&h);
}

TESTS_MAIN(TEST_OF(a_minute_keeps_count_sum_smallest_and_largest),
           TEST_OF(three_hours_are_kept_and_no_more),
           TEST_OF(minutes_without_a_sample_take_no_room),
           TEST_OF(when_the_budget_is_spent_it_goes_less_far_back),
           TEST_OF(what_lies_too_far_back_gives_its_room_back),
           TEST_OF(a_clock_that_was_set_back_counts_for_the_newest_minute))
