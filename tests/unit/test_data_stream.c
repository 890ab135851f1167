/* SPDX-License-Identifier: Apache-2.0 */
/* The data streams in memory and in the catalogue: changes, restarts, and what a crash leaves
 * between two keys. */
#include "stream.h"
#include "temp_dir.h"
#include "test.h"

#include <errno.h>

struct rig {
    struct temp_dir dir;
    struct storage_meta *meta;
    struct datastream_streams *streams;
};

static int open_streams(struct rig *rig)
{
    struct kn_err err = {0};
    int r = datastream_streams_open(rig->meta, &rig->streams, &err);
    if (r < 0)
        rig->streams = NULL;
    return r;
}

static void start(struct rig *rig)
{
    *rig = (struct rig){0};
    rig->dir = temp_dir_new();
    char path[128];
    snprintf(path, sizeof(path), "%s/catalogue", rig->dir.path);
    struct kn_err err = {0};
    assert_ok(storage_meta_open(path, MIB(64), &rig->meta, &err));
    assert_ok(open_streams(rig));
}

static void restart(struct rig *rig)
{
    datastream_streams_close(rig->streams);
    assert_ok(open_streams(rig));
}

static void stop(struct rig *rig)
{
    datastream_streams_close(rig->streams);
    storage_meta_close(rig->meta);
    temp_dir_remove(&rig->dir);
}

static int create(struct rig *rig, const char *name, struct datastream_stream **ret)
{
    struct datastream_settings settings = {.name = kn_str_from(name),
                                           .created_ms = 1795849862123,
                                           .retention_hours = 24,
                                           .record_kib_max = 1024};
    struct datastream_shard_map map;
    assert_ok(datastream_shard_map_even(4, 1795849862123, &map));
    return datastream_stream_create(rig->streams, &settings, &map, ret);
}

static void must_create(struct rig *rig, const char *name)
{
    struct datastream_stream *stream;
    assert_ok(create(rig, name, &stream));
    assert_str_is(stream->name, name);
    datastream_stream_unref(stream);
}

static struct datastream_stream *must_find(struct rig *rig, const char *name)
{
    struct datastream_stream *stream = datastream_stream_find(rig->streams, kn_str_from(name));
    assert_non_null(stream);
    return stream;
}

static int longer(void *ctx, struct datastream_settings *draft)
{
    draft->retention_hours = 48;
    return *(int *) ctx;
}

static int split(void *ctx, const struct datastream_shard_map *map,
                 struct datastream_shard_map *ret)
{
    int *index = ctx;
    return datastream_shard_map_split(map, (uint32_t) *index, map->rows[*index].range.end,
                                      1795849899000, ret);
}

static void check_changed(struct datastream_stream *stream, int64_t hours, size_t open_shards)
{
    struct datastream_settings *settings = datastream_stream_settings(stream);
    struct datastream_shards *shards = datastream_stream_shards(stream);
    assert_int_equal(settings->retention_hours, hours);
    assert_int_equal(shards->map.open_count, open_shards);
    datastream_settings_unref(settings);
    datastream_shards_unref(shards);
}

TEST(changes_are_seen_and_outlive_a_restart)
{
    struct rig rig;
    start(&rig);
    must_create(&rig, "orders");
    struct datastream_stream *stream = must_find(&rig, "orders");
    struct storage_id id = stream->id;
    int result = 0, shard = 1;
    assert_ok(datastream_stream_change(rig.streams, stream, longer, &result));
    assert_ok(datastream_stream_reshard(rig.streams, stream, split, &shard));
    check_changed(stream, 48, 5);
    datastream_stream_unref(stream);
    restart(&rig);
    stream = must_find(&rig, "orders");
    assert_memory_equal(&stream->id, &id, sizeof(id));
    check_changed(stream, 48, 5);
    shard = 4; /* once more, with what the catalogue says of versions */
    assert_ok(datastream_stream_reshard(rig.streams, stream, split, &shard));
    assert_ok(datastream_stream_change(rig.streams, stream, longer, &result));
    check_changed(stream, 48, 6);
    datastream_stream_unref(stream);
    stop(&rig);
}

TEST(a_change_that_is_refused_changes_nothing)
{
    struct rig rig;
    start(&rig);
    must_create(&rig, "orders");
    struct datastream_stream *stream = must_find(&rig, "orders");
    int result = -EPERM, shard = 1;
    assert_int_equal(datastream_stream_change(rig.streams, stream, longer, &result), -EPERM);
    assert_ok(datastream_stream_reshard(rig.streams, stream, split, &shard));
    assert_int_equal(datastream_stream_reshard(rig.streams, stream, split, &shard), -ESTALE);
    check_changed(stream, 24, 5);
    datastream_stream_unref(stream);
    stop(&rig);
}

TEST(a_name_is_taken_once_and_free_again_after_removal)
{
    struct rig rig;
    start(&rig);
    must_create(&rig, "orders");
    struct datastream_stream *again;
    assert_int_equal(create(&rig, "orders", &again), -EEXIST);
    struct datastream_stream *stream = must_find(&rig, "orders");
    assert_ok(datastream_stream_remove(rig.streams, stream));
    assert_null(datastream_stream_find(rig.streams, KN_STR("orders")));
    must_create(&rig, "orders");
    assert_ok(datastream_stream_remove(rig.streams, stream)); /* the old one, again */
    restart(&rig);
    assert_int_equal(datastream_stream_count(rig.streams), 1);
    datastream_stream_unref(stream);
    stop(&rig);
}

TEST(names_are_listed_in_byte_order)
{
    struct rig rig;
    start(&rig);
    char name[16];
    for (int i = 299; i >= 0; i--) { /* more than a page of the catalogue */
        snprintf(name, sizeof(name), "s-%03d", i);
        must_create(&rig, name);
    }
    restart(&rig);
    struct datastream_stream *out[100];
    struct kn_str after = {NULL, 0};
    char last[16] = "";
    int seen = 0;
    for (size_t n; (n = datastream_stream_list(rig.streams, after, out, 100)) > 0;) {
        for (size_t i = 0; i < n; i++) {
            snprintf(name, sizeof(name), "s-%03d", seen++);
            assert_str_is(out[i]->name, name);
            assert_ok(kn_str_copy(last, sizeof(last), out[i]->name));
            datastream_stream_unref(out[i]);
        }
        after = kn_str_from(last);
    }
    assert_int_equal(seen, 300);
    stop(&rig);
}

static void remove_key(struct rig *rig, const char *prefix, const struct storage_id *id)
{
    char key[64], text[STORAGE_ID_TEXT_BYTES];
    storage_id_text(id, text);
    snprintf(key, sizeof(key), "%s%s", prefix, text);
    assert_ok(storage_meta_remove(rig->meta, kn_bytes_of(kn_str_from(key)), 0));
}

static size_t keys(struct rig *rig, const char *prefix);

TEST(what_a_crash_left_between_two_keys_is_removed)
{
    struct rig rig;
    start(&rig);
    must_create(&rig, "a");
    must_create(&rig, "b");
    must_create(&rig, "c");
    struct datastream_stream *a = must_find(&rig, "a"), *b = must_find(&rig, "b");
    remove_key(&rig, "ds/", &a->id); /* creation: before the settings */
    remove_key(&rig, "ds/", &b->id); /* creation: only the name; deletion: the name is left */
    remove_key(&rig, "dm/", &b->id);
    datastream_stream_unref(a);
    datastream_stream_unref(b);
    restart(&rig);
    assert_int_equal(datastream_stream_count(rig.streams), 1);
    assert_int_equal(keys(&rig, "dn/") + keys(&rig, "dm/") + keys(&rig, "ds/"), 3);
    must_create(&rig, "a");
    stop(&rig);
}

static int count_one(void *ctx, struct kn_bytes key KN_UNUSED, struct kn_bytes value KN_UNUSED,
                     uint64_t version KN_UNUSED)
{
    ++*(size_t *) ctx;
    return 0;
}

static size_t keys(struct rig *rig, const char *prefix)
{
    size_t count = 0;
    assert_ok(storage_meta_list(rig->meta, kn_bytes_of(kn_str_from(prefix)),
                                (struct kn_bytes){NULL, 0}, 1000, count_one, &count));
    return count;
}

TEST(a_stream_without_its_shards_is_damage_and_named)
{
    struct rig rig;
    start(&rig);
    must_create(&rig, "a");
    struct datastream_stream *a = must_find(&rig, "a");
    remove_key(&rig, "dm/", &a->id);
    datastream_stream_unref(a);
    datastream_streams_close(rig.streams);
    struct kn_err err = {0};
    assert_int_equal(datastream_streams_open(rig.meta, &rig.streams, &err), -EBADMSG);
    assert_non_null(strstr(err.text, "data stream a"));
    rig.streams = NULL;
    stop(&rig);
}

TESTS_MAIN(TEST_OF(changes_are_seen_and_outlive_a_restart),
           TEST_OF(a_change_that_is_refused_changes_nothing),
           TEST_OF(a_name_is_taken_once_and_free_again_after_removal),
           TEST_OF(names_are_listed_in_byte_order),
           TEST_OF(what_a_crash_left_between_two_keys_is_removed),
           TEST_OF(a_stream_without_its_shards_is_damage_and_named))
