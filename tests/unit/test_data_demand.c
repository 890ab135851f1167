/* SPDX-License-Identifier: Apache-2.0 */
/* On-demand mode: what loads make of a map, and what a stream does by a clock that the test owns.
 */
#include "datastream_internal.h"
#include "storage_rig.h"
#include "temp_dir.h"
#include "tend.h"
#include "test.h"

#include <errno.h>
#include <stdlib.h>

enum {
    MINUTE_MS = 60 * 1000,
    HOUR_MS = 60 * MINUTE_MS,
    BUSY = 2000, /* loads */
    COOL = 300,
    NOTHING = 0,
};
#define BEGAN INT64_C(1795849862123)

/* --- the plan --------------------------------------------------------------------------------- */
static const struct datastream_demand_bounds bounds = {4, 200, BEGAN};

/* As if every open shard had the load that load_of(its place) says. */
static struct datastream_demand loads_of(const struct datastream_shard_map *map, uint32_t load,
                                         size_t only, bool is_idle)
{
    struct datastream_demand demand = {.shards = calloc(map->open_count, sizeof(*demand.shards))};
    for (size_t i = 0; i < map->count; i++) {
        if (map->rows[i].closed_ms)
            continue;
        bool is_it = only == SIZE_MAX || map->rows[map->open[only]].index == map->rows[i].index;
        demand.shards[demand.count++] = (struct datastream_demand_shard){
            .shard = map->rows[i].index, .load = is_it ? load : COOL, .is_idle = is_it && is_idle};
    }
    return demand;
}

/* Plans in place; false: the map stays. */
static bool plan(struct datastream_shard_map *map, const struct datastream_demand_bounds *within,
                 uint32_t load, size_t only, bool is_idle)
{
    struct datastream_demand demand = loads_of(map, load, only, is_idle);
    struct datastream_shard_map next;
    int r = datastream_demand_plan(map, &demand, within, &next);
    datastream_demand_done(&demand);
    if (r == -EALREADY)
        return false;
    assert_ok(r);
    datastream_shard_map_done(map);
    *map = next;
    return true;
}

static struct datastream_shard_map even(uint32_t count)
{
    struct datastream_shard_map map;
    assert_ok(datastream_shard_map_even(count, BEGAN, &map));
    return map;
}

TEST(a_stream_under_load_doubles_up_to_the_most_it_may_have)
{
    struct datastream_shard_map map = even(4);
    const size_t counts[] = {8, 16, 32, 64, 128, 200};
    for (size_t i = 0; i < KN_ARRAY_LEN(counts); i++) {
        assert_true(plan(&map, &bounds, DATASTREAM_DEMAND_SPLIT + 1, SIZE_MAX, false));
        assert_int_equal(map.open_count, counts[i]);
    }
    assert_false(plan(&map, &bounds, BUSY, SIZE_MAX, false));
    datastream_shard_map_done(&map);
}

TEST(halves_are_of_one_size)
{
    struct datastream_shard_map map = even(4);
    assert_true(plan(&map, &bounds, BUSY, SIZE_MAX, false));
    for (uint32_t i = 0; i < 8; i++) {
        struct datastream_hash_range share = datastream_hash_share(i, 8);
        assert_int_equal(datastream_hash_cmp(map.rows[map.open[i]].range.start, share.start), 0);
    }
    datastream_shard_map_done(&map);
}

TEST(a_stream_that_is_half_full_stays)
{
    struct datastream_shard_map map = even(4);
    assert_false(plan(&map, &bounds, DATASTREAM_DEMAND_SPLIT, SIZE_MAX, false));
    datastream_shard_map_done(&map);
}

TEST(a_hot_shard_alone_is_split_and_one_hot_key_only_so_often)
{
    struct datastream_shard_map map = even(4);
    size_t splits = 0;
    while (plan(&map, &bounds, BUSY, 1, false)) /* the lower half is the hot one again */
        splits++;
    assert_in_range(splits, 8, 11);
    assert_int_equal(map.open_count, 4 + splits);
    datastream_shard_map_done(&map);
}

TEST(idle_neighbours_are_merged_down_to_the_least)
{
    struct datastream_shard_map map = even(19);
    const size_t counts[] = {10, 5, 4};
    for (size_t i = 0; i < KN_ARRAY_LEN(counts); i++) {
        assert_true(plan(&map, &bounds, NOTHING, SIZE_MAX, true));
        assert_int_equal(map.open_count, counts[i]);
    }
    assert_false(plan(&map, &bounds, NOTHING, SIZE_MAX, true));
    datastream_shard_map_done(&map);
}

TEST(an_idle_shard_between_others_stays)
{
    struct datastream_shard_map map = even(8);
    assert_false(plan(&map, &bounds, NOTHING, 3, true));
    datastream_shard_map_done(&map);
}

/* --- a stream --------------------------------------------------------------------------------- */
static const struct kn_api_identity identity = {"aws", "us-east-1", "000000000000"};

struct rig {
    struct temp_dir dir;
    struct kn_fake_clock fake;
    struct datastream_conf conf;
    struct storage *storage;
    struct datastream *ds;
    struct datastream_stream *stream;
};

static void start(struct rig *rig, int64_t warm_mibps)
{
    *rig = (struct rig){
        .dir = temp_dir_new(),
        .conf = {.on_demand_load_ms = MINUTE_MS,
                 .on_demand_idle_ms = HOUR_MS,
                 .on_demand_shards_max = 200}
    };
    kn_fake_clock_init(&rig->fake, BEGAN);
    struct kn_err err = {0};
    rig->storage = rig_open_with_shards(rig->dir.path, kn_fs_system());
    assert_ok(
        datastream_new(rig->storage, &rig->conf, &identity, &rig->fake.clock, &rig->ds, &err));
    struct datastream_settings settings = {.name = KN_STR("waves"),
                                           .created_ms = BEGAN,
                                           .retention_hours = 24,
                                           .record_kib_max = 1024,
                                           .on_demand = true,
                                           .warm_mibps = warm_mibps};
    struct datastream_shard_map map = even(4);
    assert_ok(datastream_stream_create(rig->ds->streams, &settings, &map, &rig->stream));
}

static void stop(struct rig *rig)
{
    datastream_stream_unref(rig->stream);
    datastream_free(rig->ds);
    storage_close(rig->storage);
    temp_dir_remove(&rig->dir);
}

static size_t open_count(struct rig *rig)
{
    KN_CLEANUP(datastream_shards_unrefp)
    struct datastream_shards *shards = datastream_stream_shards(rig->stream);
    return shards->map.open_count;
}

struct waiting {
    struct kn_lock lock;
    struct kn_cond cond;
    unsigned left;
};

static void on_appended(void *ctx, uint64_t first_index KN_UNUSED, int64_t arrival_ms KN_UNUSED,
                        int result)
{
    struct waiting *waiting = ctx;
    assert_ok(result);
    KN_LOCKED(&waiting->lock);
    waiting->left--;
    kn_cond_signal(&waiting->cond);
}

static void append(struct rig *rig, uint32_t shard, unsigned records, struct waiting *waiting)
{
    struct storage_shard *log;
    struct storage_batch *batch;
    uint8_t *dst;
    assert_ok(datastream_log_get(rig->ds, rig->stream, shard, false, &log));
    assert_ok(storage_batch_new(rig->storage, &batch));
    for (unsigned i = 0; i < records; i++)
        assert_ok(storage_batch_add(batch, KN_STR("k"), 0, NULL, 0, &dst));
    storage_shard_append(log, batch, on_appended, waiting);
    storage_shard_unref(log);
}

/* So many records came into every open shard each second; then the thread looks. */
static void load(struct rig *rig, unsigned records_per_s, unsigned seconds)
{
    KN_CLEANUP(datastream_shards_unrefp)
    struct datastream_shards *shards = datastream_stream_shards(rig->stream);
    struct waiting waiting = {.left = (unsigned) shards->map.open_count * seconds};
    kn_lock_init(&waiting.lock);
    kn_cond_init(&waiting.cond);
    for (size_t i = 0; i < shards->map.open_count; i++) {
        for (unsigned second = 0; second < seconds; second++)
            append(rig, shards->map.rows[shards->map.open[i]].index, records_per_s, &waiting);
    }
    kn_lock_take(&waiting.lock);
    while (waiting.left > 0)
        kn_cond_wait(&waiting.cond, &waiting.lock);
    kn_lock_give(&waiting.lock);
    kn_cond_done(&waiting.cond);
    kn_lock_done(&waiting.lock);
    kn_fake_clock_advance(&rig->fake, (int64_t) seconds * 1000);
    assert_ok(datastream_demand_round(rig->ds));
}

TEST(load_is_measured_over_a_whole_minute)
{
    struct rig rig;
    start(&rig, 0);
    assert_ok(datastream_demand_round(rig.ds)); /* from now on */
    load(&rig, 600, 59);
    assert_int_equal(open_count(&rig), 4);
    load(&rig, 600, 1);
    assert_int_equal(open_count(&rig), 8);
    assert_ok(datastream_demand_round(rig.ds)); /* new shards have a minute of their own */
    assert_int_equal(open_count(&rig), 8);
    stop(&rig);
}

TEST(shards_that_are_idle_for_an_hour_are_merged)
{
    struct rig rig;
    start(&rig, 0);
    assert_ok(datastream_demand_round(rig.ds));
    load(&rig, 600, 60);
    assert_int_equal(open_count(&rig), 8);
    for (unsigned minute = 0; minute < 60; minute++) {
        assert_int_equal(open_count(&rig), 8);
        kn_fake_clock_advance(&rig.fake, MINUTE_MS);
        assert_ok(datastream_demand_round(rig.ds));
    }
    kn_fake_clock_advance(&rig.fake, MINUTE_MS);
    assert_ok(datastream_demand_round(rig.ds));
    assert_int_equal(open_count(&rig), 4);
    kn_fake_clock_advance(&rig.fake, 2 * HOUR_MS);
    assert_ok(datastream_demand_round(rig.ds));
    assert_int_equal(open_count(&rig), 4);
    stop(&rig);
}

TEST(warm_throughput_has_its_shards_at_once_and_keeps_them)
{
    struct rig rig;
    start(&rig, 24);
    assert_ok(datastream_demand_warm(rig.ds, rig.stream));
    assert_int_equal(open_count(&rig), 24);
    for (unsigned i = 0; i < 5; i++) {
        kn_fake_clock_advance(&rig.fake, 2 * HOUR_MS);
        assert_ok(datastream_demand_round(rig.ds));
    }
    assert_int_equal(open_count(&rig), 24);
    stop(&rig);
}

TESTS_MAIN(TEST_OF(a_stream_under_load_doubles_up_to_the_most_it_may_have),
           TEST_OF(halves_are_of_one_size), TEST_OF(a_stream_that_is_half_full_stays),
           TEST_OF(a_hot_shard_alone_is_split_and_one_hot_key_only_so_often),
           TEST_OF(idle_neighbours_are_merged_down_to_the_least),
           TEST_OF(an_idle_shard_between_others_stays),
           TEST_OF(load_is_measured_over_a_whole_minute),
           TEST_OF(shards_that_are_idle_for_an_hour_are_merged),
           TEST_OF(warm_throughput_has_its_shards_at_once_and_keeps_them))
