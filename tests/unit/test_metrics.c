/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "core/metrics.h"
#include "core/thread.h"

static const double bounds[] = {1, 10};
static struct kn_metric_family requests = {
    .kind = KN_COUNTER, .name = "test_requests_total", .help = "Requests.", .labels = {"who"}};
static struct kn_metric_family seconds = {.kind = KN_HISTOGRAM,
                                          .name = "test_seconds",
                                          .help = "Time.",
                                          .bounds = bounds,
                                          .bound_count = 2};

static const char *scrape(void)
{
    static struct kn_buf out;

    kn_buf_done(&out);
    kn_buf_init(&out, MIB(4));
    assert_ok(kn_metrics_write(&out));
    assert_ok(kn_buf_append_byte(&out, 0));
    return (const char *) out.ptr;
}

TEST(series_are_found_again_and_written_escaped)
{
    struct kn_str who = KN_STR("a\"b");
    struct kn_metric *m = kn_metric_series(&requests, &who);

    kn_metric_add(m, 2);
    assert_ptr_equal(kn_metric_series(&requests, &who), m);
    assert_non_null(strstr(scrape(), "test_requests_total{who=\"a\\\"b\"} 2\n"));
    kn_metric_drop(&requests, &who);
    assert_null(strstr(scrape(), "a\\\"b"));
}

TEST(a_histogram_counts_cumulatively)
{
    struct kn_metric *m = kn_metric_series(&seconds, NULL);

    kn_metric_observe(m, 0.5);
    kn_metric_observe(m, 5);
    kn_metric_observe(m, 50);
    assert_non_null(strstr(scrape(), "test_seconds_bucket{le=\"10\"} 2\n"));
    assert_non_null(strstr(scrape(), "test_seconds_bucket{le=\"+Inf\"} 3\n"));
    assert_non_null(strstr(scrape(), "test_seconds_sum{} 55.5\n"));
}

TEST(too_many_series_fall_into_one)
{
    char name[32];

    for (int i = 0; i < KN_METRICS_SERIES_MAX + 100; i++) {
        struct kn_str who = {name, (size_t) snprintf(name, sizeof name, "n%d", i)};

        kn_metric_add(kn_metric_series(&requests, &who), 1);
    }
    assert_non_null(strstr(scrape(), "test_requests_total{who=\"other\"} 10"));
}

static void bump(void *arg)
{
    for (int i = 0; i < 1000; i++)
        kn_metric_add(arg, 1);
}

TEST(a_pool_runs_every_job_before_it_ends)
{
    struct kn_str who = KN_STR("pool");
    struct kn_metric *m = kn_metric_series(&requests, &who);
    struct kn_pool *pool;

    assert_ok(kn_pool_new("test", 3, 16, &pool));
    for (int i = 0; i < 16; i++)
        while (kn_pool_run(pool, bump, m) < 0)
            ;
    kn_pool_free(pool);
    assert_int_equal((int) kn_metric_value(m), 16000);
}

/* last: the test of the ceiling fills the family */
TESTS_MAIN(TEST_OF(series_are_found_again_and_written_escaped),
           TEST_OF(a_histogram_counts_cumulatively), TEST_OF(a_pool_runs_every_job_before_it_ends),
           TEST_OF(too_many_series_fall_into_one))
