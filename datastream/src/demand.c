/* SPDX-License-Identifier: Apache-2.0 */
#include "demand.h"

#include "state.h"
#include "tend.h"

#include <errno.h>
#include <stdlib.h>

#include "core/log.h"

static const int64_t ns_per_ms = 1000000;
static const double bytes_per_s_full = 1 << 20, records_per_s_full = 1000; /* of a shard, by AWS */

void datastream_demand_done(struct datastream_demand *demand)
{
    free(demand->shards);
    *demand = (struct datastream_demand){0};
}

uint32_t datastream_demand_least(int64_t warm_mibps)
{
    return (uint32_t) kn_max_i64(DATASTREAM_DEMAND_SHARDS,
                                 kn_min_i64(warm_mibps, DATASTREAM_SHARDS_MAX));
}

static const struct datastream_demand_shard *find(const struct datastream_demand *demand,
                                                  uint32_t shard)
{
    size_t at = KN_BISECT(i, 0, demand->count, demand->shards[i].shard < shard);
    return at < demand->count && demand->shards[at].shard == shard ? &demand->shards[at] : NULL;
}

/* --- what is to be done ----------------------------------------------------------------------- */
/* A map that is changed again and again, each time into a new one. */
struct draft {
    const struct datastream_shard_map *first;
    struct datastream_shard_map map;
    bool is_changed;
};

static const struct datastream_shard_map *now_of(const struct draft *draft)
{
    return draft->is_changed ? &draft->map : draft->first;
}

static void put(struct draft *draft, struct datastream_shard_map *next)
{
    if (draft->is_changed)
        datastream_shard_map_done(&draft->map);
    draft->map = *next;
    draft->is_changed = true;
}

static struct datastream_hash half_of(const struct datastream_hash_range *range)
{
    struct datastream_hash width = {.high = range->end.high - range->start.high -
                                            (range->end.low < range->start.low),
                                    .low = range->end.low - range->start.low};
    return (struct datastream_hash){width.high >> 1, width.low >> 1 | width.high << 63};
}

static struct datastream_hash middle_of(const struct datastream_hash_range *range)
{
    struct datastream_hash half = half_of(range), middle = {.low = range->start.low + half.low};
    middle.high = range->start.high + half.high + (middle.low < half.low);
    return datastream_hash_add(middle, 1);
}

static bool is_hot(const struct datastream_demand *demand, const struct datastream_shard *row)
{
    const struct datastream_demand_shard *one = find(demand, row->index);
    return one && one->load > DATASTREAM_DEMAND_SPLIT &&
           half_of(&row->range).high >= UINT64_MAX / DATASTREAM_DEMAND_LEVELS / 2;
}

static bool is_idle(const struct datastream_demand *demand, const struct datastream_shard *row)
{
    const struct datastream_demand_shard *one = find(demand, row->index);
    return one && one->is_idle;
}

static int split_hot(struct draft *draft, const struct datastream_demand *demand,
                     const struct datastream_demand_bounds *bounds)
{
    const struct datastream_shard_map *map = draft->first;
    for (size_t i = 0; i < map->open_count && now_of(draft)->open_count < bounds->most; i++) {
        const struct datastream_shard *row = &map->rows[map->open[i]];
        struct datastream_shard_map next;
        if (!is_hot(demand, row))
            continue;
        int r = datastream_shard_map_split(now_of(draft), row->index, middle_of(&row->range),
                                           bounds->now_ms, &next);
        if (r < 0)
            return r;
        put(draft, &next);
    }
    return 0;
}

static int merge_idle(struct draft *draft, const struct datastream_demand *demand,
                      const struct datastream_demand_bounds *bounds)
{
    const struct datastream_shard_map *map = draft->first;
    for (size_t i = 0; i + 1 < map->open_count && now_of(draft)->open_count > bounds->least; i++) {
        const struct datastream_shard *a = &map->rows[map->open[i]],
                                      *b = &map->rows[map->open[i + 1]];
        struct datastream_shard_map next;
        if (!is_idle(demand, a) || !is_idle(demand, b))
            continue;
        int r =
            datastream_shard_map_merge(now_of(draft), a->index, b->index, bounds->now_ms, &next);
        if (r < 0)
            return r;
        put(draft, &next);
        i++; /* b has gone with a */
    }
    return 0;
}

int datastream_demand_plan(const struct datastream_shard_map *map,
                           const struct datastream_demand *demand,
                           const struct datastream_demand_bounds *bounds,
                           struct datastream_shard_map *ret)
{
    struct draft draft = {.first = map};
    int r = split_hot(&draft, demand, bounds);
    if (r == 0 && !draft.is_changed)
        r = merge_idle(&draft, demand, bounds);
    if (r == 0 && draft.is_changed) {
        *ret = draft.map;
        return 0;
    }
    if (draft.is_changed)
        datastream_shard_map_done(&draft.map);
    return r < 0 ? r : -EALREADY;
}

/* --- what came in ----------------------------------------------------------------------------- */
static uint32_t load_of(const struct datastream_demand_shard *before,
                        const struct storage_shard_ends *ends, int64_t now_ns)
{
    double seconds = (double) (now_ns - before->at_ns) / 1e9,
           bytes = (double) (ends->bytes_in - before->bytes_in) / seconds / bytes_per_s_full,
           records =
               (double) (ends->records_in - before->records_in) / seconds / records_per_s_full;
    double load = (bytes > records ? bytes : records) * DATASTREAM_DEMAND_FULL;
    return load < UINT32_MAX ? (uint32_t) load : UINT32_MAX;
}

static void look(struct datastream *ds, const struct datastream_demand_shard *before,
                 const struct storage_shard_ends *ends, struct datastream_demand_shard *now)
{
    int64_t now_ns = kn_mono_ns(ds->clock), period_ns = (int64_t) ds->conf->on_demand_load_ms,
            idle_ns = (int64_t) ds->conf->on_demand_idle_ms * ns_per_ms;
    period_ns *= ns_per_ms;
    if (before && now_ns - before->at_ns < period_ns) {
        *now = *before;
        return;
    }
    *now = (struct datastream_demand_shard){.shard = now->shard,
                                            .at_ns = now_ns,
                                            .busy_ns = now_ns,
                                            .bytes_in = ends->bytes_in,
                                            .records_in = ends->records_in};
    if (!before)
        return; /* its first period begins */
    now->load = load_of(before, ends, now_ns);
    if (now->load < DATASTREAM_DEMAND_IDLE)
        now->busy_ns = before->busy_ns;
    now->is_idle = now_ns - now->busy_ns >= idle_ns;
}

static int look_at_all(struct datastream *ds, struct datastream_stream *stream,
                       const struct datastream_shard_map *map)
{
    struct datastream_demand now = {.shards = calloc(map->open_count, sizeof(*now.shards))};
    if (!now.shards)
        return -ENOMEM;
    for (size_t i = 0; i < map->count; i++) {
        KN_CLEANUP(storage_shard_unrefp) struct storage_shard *log = NULL;
        struct storage_shard_ends ends;
        uint32_t shard = map->rows[i].index;
        if (map->rows[i].closed_ms || datastream_log_get(ds, stream, shard, false, &log) < 0)
            continue;
        storage_shard_ends(log, &ends);
        now.shards[now.count].shard = shard;
        look(ds, find(&stream->demand, shard), &ends, &now.shards[now.count]);
        now.count++;
    }
    datastream_demand_done(&stream->demand);
    stream->demand = now;
    return 0;
}

/* --- rounds ----------------------------------------------------------------------------------- */
struct edit {
    const struct datastream_demand *demand; /* NULL: only what it is to have at least */
    struct datastream_demand_bounds bounds;
    uint32_t warm;
    size_t before, after;
};

static int change(void *ctx, const struct datastream_shard_map *map,
                  struct datastream_shard_map *ret)
{
    struct edit *edit = ctx;
    int r = map->open_count < edit->warm
                ? datastream_shard_map_scale(map, edit->warm, edit->bounds.now_ms, ret)
            : edit->demand ? datastream_demand_plan(map, edit->demand, &edit->bounds, ret)
                           : -EALREADY;
    edit->before = map->open_count;
    edit->after = r == 0 ? ret->open_count : map->open_count;
    return r;
}

static int run(struct datastream *ds, struct datastream_stream *stream,
               const struct datastream_demand *demand)
{
    KN_CLEANUP(datastream_settings_unrefp)
    struct datastream_settings *settings = datastream_stream_settings(stream);
    uint32_t least = datastream_demand_least(settings->warm_mibps);
    struct edit edit = {
        .demand = demand,
        .bounds = {least, kn_max_u64(ds->conf->on_demand_shards_max, least), kn_wall_ms(ds->clock)},
        .warm = settings->warm_mibps ? least : 0,
    };
    int r = datastream_reshard(ds, stream, change, &edit);
    if (r == 0)
        kn_log_info("data_stream_scaled", "stream=" KN_LOG_QUOTED " shards_before=%zu shards=%zu",
                    kn_log_quote(stream->name), edit.before, edit.after);
    return r == -EALREADY ? 0 : r;
}

int datastream_demand_warm(struct datastream *ds, struct datastream_stream *stream)
{
    return run(ds, stream, NULL);
}

static int round_of(void *ctx, struct datastream_stream *stream)
{
    struct datastream *ds = ctx;
    KN_CLEANUP(datastream_settings_unrefp)
    struct datastream_settings *settings = datastream_stream_settings(stream);
    enum datastream_state state = datastream_state_of(ds, settings);
    if (!settings->on_demand || (state != DATASTREAM_ACTIVE && state != DATASTREAM_UPDATING)) {
        datastream_demand_done(&stream->demand); /* if it was: it begins anew */
        return 0;
    }
    KN_CLEANUP(datastream_shards_unrefp)
    struct datastream_shards *shards = datastream_stream_shards(stream);
    int r = look_at_all(ds, stream, &shards->map);
    if (r == 0)
        r = run(ds, stream, &stream->demand);
    if (r < 0 && r != -ESHUTDOWN)
        kn_log_warn("data_stream_not_scaled",
                    "stream=" KN_LOG_QUOTED " err=%s said=\"it is tried again\"",
                    kn_log_quote(stream->name), kn_errname(r));
    return 0; /* the others are looked at all the same */
}

int datastream_demand_round(struct datastream *ds)
{
    return datastream_stream_each(ds->streams, round_of, ds);
}
