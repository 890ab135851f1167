/* SPDX-License-Identifier: Apache-2.0 */
/* GetRecords over a clock that the test moves: how old an iterator may be, how far behind a reader
 * is, and when a worker is asked for. */
#include "datastream_internal.h"
#include "fake_http.h"
#include "iterator.h"
#include "storage_rig.h"
#include "temp_dir.h"
#include "test.h"

#include <errno.h>

enum {
    START_MS_PART = 122, /* times are told in whole seconds */
    RECORD_BYTES = 1000
};
static const int64_t start_ms = 1421889722000 + START_MS_PART; /* Thu Jan 22 01:22:02 UTC 2015 */
static const struct kn_api_identity identity = {"aws", "us-east-1", "000000000000"};

struct rig {
    struct temp_dir dir;
    struct kn_fake_clock now;
    struct storage *storage;
    struct datastream *ds;
    struct datastream_stream *stream;
    struct kn_api *api;
    struct kn_http_req req;
    struct kn_lock lock;
    struct kn_cond moved;
    bool appended;
};

static void start(struct rig *rig)
{
    static struct datastream_conf conf_of_streams;
    struct kn_err err = {0};
    struct storage_conf conf = rig_conf();
    struct storage_shard_conf shards;
    struct storage_shards_report report = {0};
    struct kn_conf_table tables[] = {
        {"shards",  storage_shard_conf_keys, storage_shard_conf_key_count, &shards         },
        {"streams", datastream_conf_keys,    datastream_conf_key_count,    &conf_of_streams},
    };
    *rig = (struct rig){.dir = temp_dir_new()};
    kn_lock_init(&rig->lock);
    kn_cond_init(&rig->moved);
    kn_fake_clock_init(&rig->now, start_ms);
    assert_ok(kn_conf_defaults(tables, KN_ARRAY_LEN(tables)));
    assert_ok(storage_open(rig->dir.path, &conf, kn_fs_system(), &rig->now.clock, &rig->storage,
                           NULL, &err));
    assert_ok(storage_shards_start(rig->storage, &shards, &report, &err));
    assert_ok(
        datastream_new(rig->storage, &conf_of_streams, &identity, &rig->now.clock, &rig->ds, &err));
    const struct kn_api_conf api = {.identity = &identity, .clock = &rig->now.clock};
    assert_ok(kn_api_new(&api, &rig->api));
    assert_ok(kn_api_add(rig->api, &datastream_api_service, rig->ds));
    struct datastream_settings settings = {.name = KN_STR("orders"),
                                           .created_ms = start_ms,
                                           .retention_hours = 24,
                                           .record_kib_max = 1024};
    struct datastream_shard_map map;
    assert_ok(datastream_shard_map_even(1, start_ms, &map));
    assert_ok(datastream_stream_create(rig->ds->streams, &settings, &map, &rig->stream));
}

static void stop(struct rig *rig)
{
    fake_http_done(&rig->req);
    kn_api_free(rig->api);
    datastream_stream_unref(rig->stream);
    datastream_free(rig->ds);
    storage_close(rig->storage);
    kn_cond_done(&rig->moved);
    kn_lock_done(&rig->lock);
    temp_dir_remove(&rig->dir);
}

static void on_appended(void *ctx, uint64_t first KN_UNUSED, int64_t arrival_ms KN_UNUSED,
                        int result)
{
    struct rig *rig = ctx;
    assert_ok(result);
    KN_LOCKED(&rig->lock);
    rig->appended = true;
    kn_cond_signal(&rig->moved);
}

static void append(struct rig *rig, size_t count)
{
    KN_CLEANUP(storage_shard_unrefp) struct storage_shard *log = NULL;
    struct storage_batch *batch;
    assert_ok(datastream_log_get(rig->ds, rig->stream, 0, false, &log));
    assert_ok(storage_batch_new(rig->storage, &batch));
    for (size_t i = 0; i < count; i++) {
        uint8_t *dst;
        assert_ok(storage_batch_add(batch, KN_STR("key"), 0, NULL, RECORD_BYTES, &dst));
        memset(dst, 'x', RECORD_BYTES);
    }
    rig->appended = false;
    storage_shard_append(log, batch, on_appended, rig);
    KN_LOCKED(&rig->lock);
    while (!rig->appended)
        kn_cond_wait(&rig->moved, &rig->lock);
}

/* From the beginning, with an iterator of that age. Returns how often a worker was asked for. */
static int get(struct rig *rig, int64_t age_ms, int limit)
{
    struct datastream_iterator iterator = {.issued_ms = kn_wall_ms(&rig->now.clock) - age_ms,
                                           .stream = rig->stream->id,
                                           .name = rig->stream->name};
    char text[DATASTREAM_ITERATOR_TEXT_BYTES], body[DATASTREAM_ITERATOR_TEXT_BYTES + 64];
    assert_true(datastream_iterator_format(rig->ds->token_key, &iterator, text) > 0);
    int len = snprintf(body, sizeof(body), "{\"ShardIterator\":\"%s\",\"Limit\":%d}", text, limit);
    fake_http_done(&rig->req);
    fake_http_init(&rig->req, "POST", "/");
    fake_http_header(&rig->req, "host", KN_STR("localhost"));
    fake_http_header(&rig->req, "content-type", KN_STR("application/x-amz-json-1.1"));
    fake_http_header(&rig->req, "x-amz-target", KN_STR("Kinesis_20131202.GetRecords"));
    rig->req.body = (struct kn_bytes){(const uint8_t *) body, (size_t) len};
    fake_http_start(&rig->req, &kn_api_ops, rig->api);
    int jobs = 0;
    while (fake_http_run_job(&rig->req))
        jobs++;
    assert_true(rig->req.answered);
    fake_http_gone(&rig->req, KN_HTTP_DONE);
    return jobs;
}

static bool says(const struct rig *rig, const char *text)
{
    struct kn_str answer = kn_buf_str(&rig->req.answer);
    return memmem(answer.ptr, answer.len, text, strlen(text)) != NULL;
}

TEST(an_iterator_is_good_for_five_minutes)
{
    struct rig rig;
    start(&rig);
    append(&rig, 1);
    (void) get(&rig, 300000, 10);
    assert_int_equal(rig.req.status, 200);
    assert_true(says(&rig, "\"PartitionKey\":\"key\""));
    kn_fake_clock_advance(&rig.now, 300001);
    (void) get(&rig, 300001, 10);
    assert_int_equal(rig.req.status, 400);
    assert_true(says(&rig, "\"__type\":\"ExpiredIteratorException\""));
    assert_true(says(&rig, "Iterator expired. The iterator was created at time Thu Jan 22 01:22:02 "
                           "UTC 2015 while right now it is Thu Jan 22 01:27:02 UTC 2015 which is "
                           "further in the future than the tolerated delay of 300000 "
                           "milliseconds."));
    stop(&rig);
}

TEST(a_reader_is_as_far_behind_as_its_last_record_is_old)
{
    struct rig rig;
    start(&rig);
    append(&rig, 2);
    kn_fake_clock_advance(&rig.now, 7000);
    (void) get(&rig, 0, 1);
    assert_true(says(&rig, "\"MillisBehindLatest\":7000"));
    (void) get(&rig, 0, 2);
    assert_true(says(&rig, "\"MillisBehindLatest\":0"));
    stop(&rig);
}

/* The first call of all opens the log, on a worker too. */
TEST(large_pages_are_left_to_a_worker_and_small_ones_are_not)
{
    struct rig rig;
    start(&rig);
    append(&rig, 1000);
    assert_int_equal(get(&rig, 0, 1000), 1);
    assert_true(rig.req.answer.len > 1000 * RECORD_BYTES);
    assert_int_equal(get(&rig, 0, 100), 0);
    assert_true(rig.req.answer.len > 100 * RECORD_BYTES);
    stop(&rig);
}

TESTS_MAIN(TEST_OF(an_iterator_is_good_for_five_minutes),
           TEST_OF(a_reader_is_as_far_behind_as_its_last_record_is_old),
           TEST_OF(large_pages_are_left_to_a_worker_and_small_ones_are_not))
