/* SPDX-License-Identifier: Apache-2.0 */
/* Consumers in memory and in the catalogue: changes, restarts, and what a crash leaves of a stream
 * that is no more. */
#include "consumer.h"
#include "temp_dir.h"
#include "test.h"

#include <errno.h>

enum {
    CONSUMERS = 20
};

struct rig {
    struct temp_dir dir;
    struct storage_meta *meta;
    struct datastream_streams *streams;
    struct datastream_consumers *consumers;
};

static int open_all(struct rig *rig)
{
    struct kn_err err = {0};
    assert_ok(datastream_streams_open(rig->meta, &rig->streams, &err));
    return datastream_consumers_open(rig->meta, rig->streams, &rig->consumers, &err);
}

static void close_all(struct rig *rig)
{
    datastream_consumers_close(rig->consumers);
    datastream_streams_close(rig->streams);
    rig->consumers = NULL;
}

static void start(struct rig *rig)
{
    *rig = (struct rig){.dir = temp_dir_new()};
    char path[128];
    snprintf(path, sizeof(path), "%s/catalogue", rig->dir.path);
    struct kn_err err = {0};
    assert_ok(storage_meta_open(path, MIB(64), &rig->meta, &err));
    assert_ok(open_all(rig));
}

static void restart(struct rig *rig)
{
    close_all(rig);
    assert_ok(open_all(rig));
}

static void stop(struct rig *rig)
{
    close_all(rig);
    storage_meta_close(rig->meta);
    temp_dir_remove(&rig->dir);
}

static struct datastream_stream *make_stream(struct rig *rig, const char *name)
{
    struct datastream_settings settings = {.name = kn_str_from(name),
                                           .created_ms = 1795849862123,
                                           .retention_hours = 24,
                                           .record_kib_max = 1024};
    struct datastream_shard_map map;
    struct datastream_stream *stream;
    assert_ok(datastream_shard_map_even(1, 1795849862123, &map));
    assert_ok(datastream_stream_create(rig->streams, &settings, &map, &stream));
    return stream;
}

static int register_one(struct rig *rig, struct datastream_stream *stream, const char *name)
{
    struct datastream_settings settings = {.name = kn_str_from(name), .created_ms = 1795849862000};
    struct datastream_consumer *consumer = NULL;
    int r = datastream_consumer_create(rig->consumers, stream, &settings, CONSUMERS, &consumer);
    datastream_consumer_unref(consumer);
    return r;
}

static int with_policy(void *ctx, struct datastream_settings *draft)
{
    draft->policy = *(struct kn_str *) ctx;
    return 0;
}

TEST(a_change_is_seen_and_outlives_a_restart)
{
    struct rig rig;
    start(&rig);
    struct datastream_stream *stream = make_stream(&rig, "orders");
    struct storage_id id = stream->id;
    assert_ok(register_one(&rig, stream, "app"));
    datastream_stream_unref(stream);
    struct kn_str policy = KN_STR("{}");
    for (int turn = 0; turn < 2; turn++) { /* once more, with what the catalogue says of versions */
        struct datastream_consumer *app =
            datastream_consumer_find(rig.consumers, &id, KN_STR("app"));
        assert_ok(datastream_consumer_change(rig.consumers, app, with_policy, &policy));
        struct datastream_settings *settings = datastream_consumer_settings(app);
        assert_true(kn_str_eq(settings->policy, policy));
        assert_int_equal(app->created_ms, 1795849862000);
        datastream_settings_unref(settings);
        datastream_consumer_unref(app);
        restart(&rig);
        policy = KN_STR("{\"a\":1}");
    }
    stop(&rig);
}

TEST(a_consumer_that_is_gone_is_not_changed_and_its_name_is_free)
{
    struct rig rig;
    start(&rig);
    struct datastream_stream *stream = make_stream(&rig, "orders");
    assert_ok(register_one(&rig, stream, "app"));
    assert_int_equal(register_one(&rig, stream, "app"), -EEXIST);
    struct datastream_consumer *app =
        datastream_consumer_find(rig.consumers, &stream->id, KN_STR("app"));
    struct kn_str policy = KN_STR("{}");
    assert_ok(datastream_consumer_remove(rig.consumers, app));
    assert_int_equal(datastream_consumer_change(rig.consumers, app, with_policy, &policy), -ENOENT);
    assert_ok(register_one(&rig, stream, "app"));
    assert_ok(datastream_consumer_remove(rig.consumers, app)); /* the old one, again */
    assert_int_equal(datastream_consumer_count(rig.consumers, &stream->id), 1);
    datastream_consumer_unref(app);
    datastream_stream_unref(stream);
    stop(&rig);
}

TEST(no_two_of_one_name_are_of_the_same_second)
{
    struct rig rig;
    start(&rig);
    struct datastream_stream *stream = make_stream(&rig, "orders");
    for (int64_t second = 0; second < 3; second++) { /* all of them in one, by the clock */
        assert_ok(register_one(&rig, stream, "app"));
        assert_ok(register_one(&rig, stream, "other"));
        struct datastream_consumer *app =
            datastream_consumer_find(rig.consumers, &stream->id, KN_STR("app"));
        assert_int_equal(app->created_ms, 1795849862000 + second * 1000);
        assert_ok(datastream_consumer_remove_all(rig.consumers, &stream->id));
        datastream_consumer_unref(app);
        assert_ok(datastream_stream_remove(rig.streams, stream)); /* one of its name has its ARN */
        datastream_stream_unref(stream);
        stream = make_stream(&rig, "orders");
    }
    datastream_stream_unref(stream);
    stop(&rig);
}

static int count_row(void *ctx, struct kn_bytes key KN_UNUSED, struct kn_bytes value KN_UNUSED,
                     uint64_t version KN_UNUSED)
{
    ++*(size_t *) ctx;
    return 0;
}

TEST(a_stream_that_is_gone_takes_no_consumers_and_leaves_none)
{
    struct rig rig;
    start(&rig);
    struct datastream_stream *kept = make_stream(&rig, "kept"), *gone = make_stream(&rig, "gone");
    struct storage_id kept_id = kept->id, gone_id = gone->id;
    char name[16];
    for (int i = 0; i < CONSUMERS; i++) {
        snprintf(name, sizeof(name), "app%d", i);
        assert_ok(register_one(&rig, kept, name));
        assert_ok(register_one(&rig, gone, name));
    }
    assert_int_equal(register_one(&rig, kept, "more"), -EDQUOT);
    assert_ok(datastream_stream_remove(rig.streams, gone)); /* and here a crash */
    assert_int_equal(register_one(&rig, gone, "more"), -ENOENT);
    datastream_stream_unref(gone);
    datastream_stream_unref(kept);
    restart(&rig);
    assert_int_equal(datastream_consumer_count(rig.consumers, &gone_id), 0);
    assert_int_equal(datastream_consumer_count(rig.consumers, &kept_id), CONSUMERS);
    assert_ok(datastream_consumer_remove_all(rig.consumers, &kept_id));
    restart(&rig);
    assert_int_equal(datastream_consumer_count(rig.consumers, &kept_id), 0);
    struct kn_bytes nothing = {NULL, 0};
    size_t rows = 0;
    assert_ok(
        storage_meta_list(rig.meta, kn_bytes_of(KN_STR("dc/")), nothing, 100, count_row, &rows));
    assert_int_equal(rows, 0);
    stop(&rig);
}

TEST(a_damaged_record_stops_the_opening)
{
    struct rig rig;
    start(&rig);
    struct datastream_stream *stream = make_stream(&rig, "orders");
    char key[64] = "dc/", id[STORAGE_ID_TEXT_BYTES];
    storage_id_text(&stream->id, id);
    memcpy(key + 3, id, sizeof(id));
    memcpy(key + 3 + sizeof(id) - 1, "app", 4);
    datastream_stream_unref(stream);
    uint64_t version = 0;
    assert_ok(storage_meta_put(rig.meta, kn_bytes_of(kn_str_from(key)),
                               kn_bytes_of(KN_STR("{\"name\":\"other\"}")), 0, &version));
    close_all(&rig);
    assert_int_equal(open_all(&rig), -EBADMSG);
    stop(&rig);
}

TESTS_MAIN(TEST_OF(a_change_is_seen_and_outlives_a_restart),
           TEST_OF(a_consumer_that_is_gone_is_not_changed_and_its_name_is_free),
           TEST_OF(no_two_of_one_name_are_of_the_same_second),
           TEST_OF(a_stream_that_is_gone_takes_no_consumers_and_leaves_none),
           TEST_OF(a_damaged_record_stops_the_opening))
