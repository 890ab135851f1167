/* SPDX-License-Identifier: Apache-2.0 */
/* The logs of a stream's shards: opened once, under lasting names, cheap while they are idle. */
#include "datastream_internal.h"
#include "deleted.h"
#include "storage_rig.h"
#include "temp_dir.h"
#include "tend.h"
#include "test.h"

#include <malloc.h>
#include <sched.h>

#include "shard/shards.h"

enum {
    MANY = 10000,
    IDLE_BYTES_MAX = 20 << 10 /* of one shard that nobody uses */
};

static const struct datastream_conf conf_of_streams; /* not needed here */
static const struct kn_api_identity identity = {"aws", "us-east-1", "000000000000"};

struct rig {
    struct temp_dir dir;
    struct storage *storage;
    struct datastream *ds;
    struct datastream_stream *stream;
};

static void open_all(struct rig *rig)
{
    struct kn_err err = {0};
    rig->storage = rig_open_with_shards(rig->dir.path, kn_fs_system());
    assert_ok(datastream_new(rig->storage, &conf_of_streams, &identity, kn_clock_system(), &rig->ds,
                             &err));
}

static void start(struct rig *rig, uint32_t shards)
{
    *rig = (struct rig){.dir = temp_dir_new()};
    open_all(rig);
    struct datastream_settings settings = {.name = KN_STR("orders"),
                                           .created_ms = 1795849862123,
                                           .retention_hours = 24,
                                           .record_kib_max = 1024};
    struct datastream_shard_map map;
    assert_ok(datastream_shard_map_even(shards, 1795849862123, &map));
    assert_ok(datastream_stream_create(rig->ds->streams, &settings, &map, &rig->stream));
}

static void close_all(struct rig *rig)
{
    datastream_stream_unref(rig->stream);
    datastream_free(rig->ds);
    storage_close(rig->storage);
}

static void stop(struct rig *rig)
{
    close_all(rig);
    temp_dir_remove(&rig->dir);
}

TEST(a_log_is_opened_on_a_worker_once_and_stays_open)
{
    struct rig rig;
    struct storage_shard *log, *again;
    start(&rig, 2);
    assert_int_equal(datastream_log_get(rig.ds, rig.stream, 1, true, &log), -EAGAIN);
    assert_ok(datastream_log_get(rig.ds, rig.stream, 1, false, &log));
    assert_ok(datastream_log_get(rig.ds, rig.stream, 1, true, &again));
    assert_ptr_equal(log, again);
    storage_shard_unref(log);
    storage_shard_unref(again);
    assert_int_equal(datastream_log_get(rig.ds, rig.stream, 2, true, &log), -ENOENT);
    assert_int_equal(datastream_log_get(rig.ds, rig.stream, 2, false, &log), -ENOENT);
    stop(&rig);
}

/* Records are found again under it: it must never change. */
TEST(the_id_of_a_log_follows_from_stream_and_shard)
{
    struct datastream_stream stream = {.id = {{1, 2, 3}}};
    char text[STORAGE_ID_TEXT_BYTES];
    struct storage_id id = datastream_log_id(&stream, 7);
    storage_id_text(&id, text);
    assert_string_equal(text, "c1745e9ddcc8bf6a769e6cbfc56f980f");
    id = datastream_log_id(&stream, 8);
    storage_id_text(&id, text);
    assert_string_equal(text, "64271b432bc4ad7fcbcf8fb22c633658");
}

static int longer(void *ctx, struct datastream_settings *draft)
{
    draft->retention_hours = *(int *) ctx;
    return 0;
}

TEST(open_logs_follow_the_streams_retention)
{
    struct rig rig;
    struct storage_shard *first, *second;
    int hours = 48;
    start(&rig, 2);
    assert_ok(datastream_log_get(rig.ds, rig.stream, 0, false, &first));
    assert_int_equal(first->retention_ms, INT64_C(24) * 3600 * 1000);
    assert_ok(datastream_stream_change(rig.ds->streams, rig.stream, longer, &hours));
    assert_int_equal(first->retention_ms, INT64_C(48) * 3600 * 1000);
    assert_ok(datastream_log_get(rig.ds, rig.stream, 1, false, &second));
    assert_int_equal(second->retention_ms, INT64_C(48) * 3600 * 1000);
    storage_shard_unref(first);
    storage_shard_unref(second);
    stop(&rig);
}

/* --- what the thread that tends logs does, a round at a time ---------------------------------- */
static int split(void *ctx, const struct datastream_shard_map *map,
                 struct datastream_shard_map *ret)
{
    const struct rig *rig = ctx;
    return datastream_shard_map_split(map, 0, (struct datastream_hash){.high = 1 << 20},
                                      kn_wall_ms(rig->ds->clock), ret);
}

static bool is_closed(struct rig *rig, uint32_t shard)
{
    KN_CLEANUP(storage_shard_unrefp) struct storage_shard *log = NULL;
    struct storage_shard_ends ends;
    assert_ok(datastream_log_get(rig->ds, rig->stream, shard, false, &log));
    storage_shard_ends(log, &ends);
    return ends.closed;
}

static void restart(struct rig *rig)
{
    close_all(rig);
    open_all(rig);
    rig->stream = datastream_stream_find(rig->ds->streams, KN_STR("orders"));
}

TEST(a_shard_closed_in_the_map_alone_is_closed_in_its_log_by_the_next_round)
{
    struct rig rig;
    start(&rig, 1);
    /* what a crash right after the map was written leaves */
    assert_ok(datastream_stream_reshard(rig.ds->streams, rig.stream, split, &rig));
    restart(&rig);
    assert_false(is_closed(&rig, 0));
    assert_ok(datastream_tend_round(rig.ds));
    assert_true(is_closed(&rig, 0));
    assert_false(is_closed(&rig, 1) || is_closed(&rig, 2));
    stop(&rig);
}

struct side { /* what goes on beside the test */
    pthread_t thread;
    struct rig *rig;
    struct kn_lock lock;
    struct kn_cond moved;
    bool done;
};

static void *side_reshard(void *arg)
{
    struct side *side = arg;
    assert_ok(datastream_reshard(side->rig->ds, side->rig->stream, split, side->rig));
    return NULL;
}

static void *side_round(void *arg)
{
    struct side *side = arg;
    assert_ok(datastream_tend_round(side->rig->ds));
    KN_LOCKED(&side->lock);
    side->done = true;
    kn_cond_signal(&side->moved);
    return NULL;
}

static void wait_for_shards(struct rig *rig, size_t count)
{
    size_t there = 0;
    while (there != count) {
        struct datastream_shards *shards = datastream_stream_shards(rig->stream);
        there = shards->map.count;
        datastream_shards_unref(shards);
        sched_yield();
    }
}

/* The new map is there; by the former one a record is still on its way to the parent. */
TEST(no_log_is_closed_while_somebody_may_write_to_it)
{
    const int64_t patience_ns = 50 * 1000 * 1000;
    struct rig rig;
    start(&rig, 1);
    struct side reshard = {.rig = &rig}, round = {.rig = &rig};
    kn_lock_init(&round.lock);
    kn_cond_init(&round.moved);
    assert_false(is_closed(&rig, 0));
    struct datastream_shards *shards = datastream_stream_write_begin(rig.stream);
    assert_ok(kn_thread_start(&reshard.thread, "reshard", side_reshard, &reshard));
    wait_for_shards(&rig, 3);
    assert_ok(kn_thread_start(&round.thread, "round", side_round, &round));
    kn_lock_take(&round.lock);
    if (!round.done)
        (void) kn_cond_wait_for(&round.moved, &round.lock, patience_ns);
    assert_false(round.done);
    kn_lock_give(&round.lock);
    assert_false(is_closed(&rig, 0));
    datastream_stream_write_end(rig.stream, shards);
    pthread_join(reshard.thread, NULL);
    pthread_join(round.thread, NULL);
    assert_true(is_closed(&rig, 0));
    kn_cond_done(&round.moved);
    kn_lock_done(&round.lock);
    stop(&rig);
}

TEST(a_round_opens_every_log_so_that_retention_reaches_it)
{
    struct rig rig;
    struct storage_shard *log;
    start(&rig, 2);
    assert_ok(datastream_tend_round(rig.ds));
    assert_ok(datastream_log_get(rig.ds, rig.stream, 1, true, &log));
    storage_shard_unref(log);
    stop(&rig);
}

TEST(a_closed_shard_goes_once_all_of_it_is_behind_retention)
{
    const int64_t hour_ms = 60 * 60 * 1000;
    struct rig rig;
    struct storage_shard *log;
    struct kn_fake_clock later;
    start(&rig, 1);
    assert_ok(datastream_reshard(rig.ds, rig.stream, split, &rig));
    assert_true(is_closed(&rig, 0));
    kn_fake_clock_init(&later, kn_wall_ms(kn_clock_system()) + 23 * hour_ms);
    rig.ds->clock = &later.clock;
    assert_ok(datastream_tend_round(rig.ds));
    assert_true(is_closed(&rig, 0));
    kn_fake_clock_init(&later, kn_wall_ms(kn_clock_system()) + 25 * hour_ms);
    assert_ok(datastream_tend_round(rig.ds));
    assert_int_equal(datastream_log_get(rig.ds, rig.stream, 0, false, &log), -ENOENT);
    assert_false(is_closed(&rig, 1) || is_closed(&rig, 2));
    stop(&rig);
}

TEST(a_deletion_that_was_cut_off_is_brought_to_its_end)
{
    struct rig rig;
    struct storage_shard *log;
    start(&rig, 2);
    assert_ok(datastream_log_get(rig.ds, rig.stream, 0, false, &log));
    assert_ok(datastream_deleted_note(storage_meta_of(rig.storage), &rig.stream->id,
                                      &rig.stream->shards->map));
    storage_shard_unref(log);
    restart(&rig); /* its keys were all there still */
    assert_null(rig.stream);
    assert_ok(datastream_tend_round(rig.ds));
    restart(&rig);
    assert_null(rig.stream);
    stop(&rig);
}

TEST(a_deleted_stream_opens_no_log_any_more)
{
    struct rig rig;
    struct storage_shard *log;
    start(&rig, 2);
    assert_ok(datastream_log_get(rig.ds, rig.stream, 0, false, &log));
    storage_shard_unref(log);
    assert_ok(datastream_stream_remove(rig.ds->streams, rig.stream));
    assert_int_equal(datastream_log_get(rig.ds, rig.stream, 0, false, &log), -ENOENT);
    assert_int_equal(datastream_log_get(rig.ds, rig.stream, 1, false, &log), -ENOENT);
    assert_ok(datastream_tend_round(rig.ds));
    assert_int_equal(datastream_deleted_is(storage_meta_of(rig.storage), &rig.stream->id), 0);
    stop(&rig);
}

TEST(ten_thousand_idle_shards_cost_little_memory)
{
    struct rig rig;
    start(&rig, MANY);
    size_t before = mallinfo2().uordblks;
    for (uint32_t i = 0; i < MANY; i++) {
        struct storage_shard *log;
        assert_ok(datastream_log_get(rig.ds, rig.stream, i, false, &log));
        storage_shard_unref(log);
    }
    size_t each = (mallinfo2().uordblks - before) / MANY;
    print_message("%zu bytes an idle shard\n", each);
    assert_in_range(each, 0, IDLE_BYTES_MAX);
    stop(&rig);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_is_opened_on_a_worker_once_and_stays_open),
        cmocka_unit_test(the_id_of_a_log_follows_from_stream_and_shard),
        cmocka_unit_test(open_logs_follow_the_streams_retention),
        cmocka_unit_test(a_shard_closed_in_the_map_alone_is_closed_in_its_log_by_the_next_round),
        cmocka_unit_test(no_log_is_closed_while_somebody_may_write_to_it),
        cmocka_unit_test(a_round_opens_every_log_so_that_retention_reaches_it),
        cmocka_unit_test(a_closed_shard_goes_once_all_of_it_is_behind_retention),
        cmocka_unit_test(a_deletion_that_was_cut_off_is_brought_to_its_end),
        cmocka_unit_test(a_deleted_stream_opens_no_log_any_more),
        cmocka_unit_test(ten_thousand_idle_shards_cost_little_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
