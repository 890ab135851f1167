/* SPDX-License-Identifier: Apache-2.0 */
/* The life of the metrics of data streams: what has a series, for how long, and what
 * docs/metrics.md says of them. */
#include "datastream_internal.h"
#include "measure.h"
#include "temp_dir.h"
#include "test.h"

#include <errno.h>

enum {
    MINUTE_MS = 60 * 1000,
};
static const int64_t start_ms = INT64_C(1795849860000); /* a whole minute */

struct rig {
    struct temp_dir dir;
    struct storage_meta *meta;
    struct kn_fake_clock now;
    struct datastream ds;
    struct datastream_stream *stream;
};

static void start(struct rig *rig, int64_t metrics)
{
    *rig = (struct rig){.dir = temp_dir_new()};
    char path[128];
    snprintf(path, sizeof(path), "%s/catalogue", rig->dir.path);
    struct kn_err err = {0};
    assert_ok(storage_meta_open(path, MIB(64), &rig->meta, &err));
    kn_fake_clock_init(&rig->now, start_ms);
    rig->ds.clock = &rig->now.clock;
    rig->ds.measuring.budget.max_bytes = MIB(1);
    assert_ok(datastream_streams_open(rig->meta, &rig->ds.streams, &err));
    assert_ok(datastream_consumers_open(rig->meta, rig->ds.streams, &rig->ds.consumers, &err));
    struct datastream_settings settings = {.name = KN_STR("orders"),
                                           .created_ms = start_ms,
                                           .retention_hours = 24,
                                           .record_kib_max = 1024,
                                           .metrics = metrics};
    struct datastream_shard_map map;
    assert_ok(datastream_shard_map_even(2, start_ms, &map));
    assert_ok(datastream_stream_create(rig->ds.streams, &settings, &map, &rig->stream));
}

static void stop(struct rig *rig)
{
    datastream_consumers_close(rig->ds.consumers);
    datastream_stream_unref(rig->stream);
    datastream_streams_close(rig->ds.streams);
    storage_meta_close(rig->meta);
    temp_dir_remove(&rig->dir);
    assert_int_equal(rig->ds.measuring.budget.used_bytes, 0);
    assert_int_equal(rig->ds.measuring.measured, 0);
}

static const char *scrape(struct rig *rig)
{
    static struct kn_buf out;
    kn_buf_done(&out);
    kn_buf_init(&out, MIB(4));
    datastream_measures_write(&rig->ds, &out);
    assert_ok(kn_buf_append_byte(&out, 0));
    return (const char *) out.ptr;
}

/* What all that is remembered adds up to; -1: there is no sample. */
static double sum_of(struct rig *rig, const char *name, const char *shard, const char *consumer)
{
    enum datastream_metric_level level = shard      ? DATASTREAM_OF_SHARD
                                         : consumer ? DATASTREAM_OF_CONSUMER
                                                    : DATASTREAM_OF_STREAM;
    const struct datastream_metric_query query = {
        .row = datastream_metric_find(kn_str_from(name), level),
        .stream = KN_STR("orders"),
        .shard = shard ? kn_str_from(shard) : (struct kn_str){0},
        .consumer = consumer && *consumer ? kn_str_from(consumer) : (struct kn_str){0},
        .from = (uint32_t) (kn_wall_ms(rig->ds.clock) / MINUTE_MS) - KN_HISTORY_MINUTES,
        .period = KN_HISTORY_MINUTES + 1,
    };
    struct kn_history_bucket bucket;
    assert_non_null(query.row);
    assert_ok(datastream_metric_read(&rig->ds, &query, &bucket, 1));
    return bucket.count > 0 ? bucket.sum : -1;
}

static struct datastream_consumer *register_one(struct rig *rig, const char *name)
{
    struct datastream_settings settings = {.name = kn_str_from(name), .created_ms = start_ms};
    struct datastream_consumer *consumer;
    assert_ok(datastream_consumer_create(rig->ds.consumers, rig->stream, &settings, 20, &consumer));
    return consumer;
}

TEST(a_figure_without_a_sample_has_no_series)
{
    struct rig rig;
    start(&rig, 0);
    assert_null(strstr(scrape(&rig), "stream=\"orders\""));
    datastream_measure_incoming(&rig.ds, rig.stream, 0, 3, 300);

    assert_non_null(
        strstr(scrape(&rig), "kinema_data_stream_incoming_bytes_total{stream=\"orders\"} 300\n"));
    assert_null(strstr(scrape(&rig), "kinema_data_stream_get_records_bytes_total{stream"));
    assert_true(sum_of(&rig, "IncomingRecords", NULL, NULL) == 3);
    assert_true(sum_of(&rig, "GetRecords.Bytes", NULL, NULL) == -1);
    stop(&rig);
}

TEST(shards_are_measured_only_while_enhanced_monitoring_asks_for_it)
{
    struct rig rig;
    start(&rig, 0);
    datastream_measure_incoming(&rig.ds, rig.stream, 1, 1, 10);
    assert_null(strstr(scrape(&rig), "shard=\""));
    assert_int_equal(rig.ds.measuring.measured, 0);

    datastream_measures_follow(&rig.stream->measures, DATASTREAM_METRIC_INCOMING_BYTES);
    datastream_measure_incoming(&rig.ds, rig.stream, 1, 1, 10);
    assert_non_null(strstr(scrape(&rig), "kinema_data_shard_incoming_bytes_total{stream=\"orders\","
                                         "shard=\"shardId-000000000001\"} 10\n"));
    assert_true(sum_of(&rig, "IncomingBytes", "shardId-000000000001", NULL) == 10);
    assert_true(sum_of(&rig, "IncomingBytes", "shardId-000000000000", NULL) == -1);
    assert_true(sum_of(&rig, "IncomingRecords", "shardId-000000000001", NULL) == -1);
    assert_true(sum_of(&rig, "IncomingBytes", NULL, NULL) == 20);

    datastream_measures_follow(&rig.stream->measures, DATASTREAM_METRIC_INCOMING_RECORDS);
    datastream_measure_incoming(&rig.ds, rig.stream, 1, 1, 10);
    assert_null(strstr(scrape(&rig), "kinema_data_shard_incoming_bytes_total{"));
    assert_true(sum_of(&rig, "IncomingRecords", "shardId-000000000001", NULL) == 1);

    datastream_measures_follow(&rig.stream->measures, 0);
    assert_null(strstr(scrape(&rig), "shard=\""));
    assert_int_equal(rig.ds.measuring.measured, 0);
    stop(&rig);
}

static int split(void *ctx, const struct datastream_shard_map *map,
                 struct datastream_shard_map *ret)
{
    const int64_t *now_ms = ctx;
    return datastream_shard_map_scale(map, 4, *now_ms, ret);
}

static int forget(void *ctx, const struct datastream_shard_map *map,
                  struct datastream_shard_map *ret)
{
    const int64_t *before_ms = ctx;
    return datastream_shard_map_forget(map, *before_ms, ret);
}

TEST(a_shard_that_is_no_more_is_forgotten)
{
    struct rig rig;
    start(&rig, DATASTREAM_METRICS_ALL);
    datastream_measure_incoming(&rig.ds, rig.stream, 0, 1, 10);
    int64_t now_ms = start_ms + MINUTE_MS;
    assert_ok(datastream_stream_reshard(rig.ds.streams, rig.stream, split, &now_ms));
    datastream_measure_incoming(&rig.ds, rig.stream, 2, 1, 10);
    datastream_measures_age(&rig.ds, rig.stream);
    assert_non_null(strstr(scrape(&rig), "shardId-000000000000")); /* closed, but there */

    now_ms += MINUTE_MS;
    assert_ok(datastream_stream_reshard(rig.ds.streams, rig.stream, forget, &now_ms));
    datastream_measures_age(&rig.ds, rig.stream);
    assert_null(strstr(scrape(&rig), "shardId-000000000000"));
    assert_non_null(strstr(scrape(&rig), "shardId-000000000002"));
    assert_int_equal(rig.ds.measuring.measured, 1);
    stop(&rig);
}

TEST(shards_and_consumers_beyond_the_bound_have_no_figures_of_their_own)
{
    struct rig rig;
    start(&rig, DATASTREAM_METRICS_ALL);
    struct datastream_consumer *consumer = register_one(&rig, "late");
    rig.ds.measuring.measured = DATASTREAM_MEASURED_MAX - 1;
    datastream_measure_incoming(&rig.ds, rig.stream, 0, 1, 10);
    datastream_measure_incoming(&rig.ds, rig.stream, 1, 1, 10);
    const struct datastream_sample event = {DATASTREAM_EVENT_RECORDS, 1};
    datastream_measure_consumer(&rig.ds, consumer, &event, 1);

    assert_true(sum_of(&rig, "IncomingBytes", "shardId-000000000000", NULL) == 10);
    assert_true(sum_of(&rig, "IncomingBytes", "shardId-000000000001", NULL) == -1);
    assert_true(sum_of(&rig, "SubscribeToShardEvent.Records", NULL, "late") == -1);
    assert_true(sum_of(&rig, "IncomingBytes", NULL, NULL) == 20);
    assert_int_equal(rig.ds.measuring.measured, DATASTREAM_MEASURED_MAX);
    rig.ds.measuring.measured = 1;
    datastream_consumer_unref(consumer);
    stop(&rig);
}

TEST(consumers_add_up_and_go_with_their_registration)
{
    struct rig rig;
    start(&rig, 0);
    struct datastream_consumer *one = register_one(&rig, "one"), *two = register_one(&rig, "two");
    const struct datastream_sample event = {DATASTREAM_EVENT_RECORDS, 5};
    datastream_measure_consumer(&rig.ds, one, &event, 1);
    datastream_measure_consumer(&rig.ds, two, &event, 1);

    assert_true(sum_of(&rig, "SubscribeToShardEvent.Records", NULL, "two") == 5);
    assert_true(sum_of(&rig, "SubscribeToShardEvent.Records", NULL, "") == 10);
    assert_ok(datastream_consumer_remove(rig.ds.consumers, one));
    datastream_consumer_unref(one);
    assert_null(strstr(scrape(&rig), "consumer=\"one\""));
    assert_true(sum_of(&rig, "SubscribeToShardEvent.Records", NULL, "") == 5);
    datastream_consumer_unref(two);
    stop(&rig);
}

TEST(an_age_that_nobody_has_told_for_minutes_is_not_shown)
{
    struct rig rig;
    start(&rig, 0);
    const struct datastream_sample ages[] = {
        {DATASTREAM_GET_RECORDS_AGE, 4000},
        {DATASTREAM_GET_RECORDS_AGE, 1500},
    };
    datastream_measure_stream(&rig.ds, rig.stream, ages, 2);
    const char *shown = "kinema_data_stream_iterator_age_seconds{stream=\"orders\"} 4\n";
    assert_non_null(strstr(scrape(&rig), shown));
    kn_fake_clock_advance(&rig.now, 5 * MINUTE_MS);
    assert_null(strstr(scrape(&rig), shown));
    stop(&rig);
}

/* --- docs/metrics.md -------------------------------------------------------------------------- */
static const char *read_page(void)
{
    static char text[32 << 10];
    char path[4096];
    const char *source = getenv("KINEMA_SOURCE");
    snprintf(path, sizeof(path), "%s/docs/metrics.md", source ? source : ".");
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[len] = 0;
    return text;
}

TEST(the_page_has_a_line_for_each_metric_and_no_other)
{
    const char *page = read_page();
    size_t lines = 0;
    for (size_t i = 0; i < datastream_metric_row_count; i++) {
        const struct datastream_metric_row *row = &datastream_metric_rows[i];
        char line[1024];
        snprintf(line, sizeof(line), "\n| `%s` | %s | `%s` | %s |\n", row->name, row->unit,
                 row->series, row->help);
        if (!strstr(page, line))
            fail_msg("docs/metrics.md lacks:%s", line);
    }
    for (const char *at = page; (at = strstr(at, "| `kinema_data_")); at++)
        lines++;
    assert_int_equal(lines, datastream_metric_row_count);
}

TESTS_MAIN(TEST_OF(a_figure_without_a_sample_has_no_series),
           TEST_OF(shards_are_measured_only_while_enhanced_monitoring_asks_for_it),
           TEST_OF(a_shard_that_is_no_more_is_forgotten),
           TEST_OF(shards_and_consumers_beyond_the_bound_have_no_figures_of_their_own),
           TEST_OF(consumers_add_up_and_go_with_their_registration),
           TEST_OF(an_age_that_nobody_has_told_for_minutes_is_not_shown),
           TEST_OF(the_page_has_a_line_for_each_metric_and_no_other))
