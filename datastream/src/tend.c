/* SPDX-License-Identifier: Apache-2.0 */
#include "tend.h"

#include "deleted.h"
#include "demand.h"
#include "event_place.h"
#include "state.h"

#include <errno.h>
#include <stdlib.h>

#include "core/log.h"

static const int64_t round_ns = INT64_C(60) * 1000 * 1000 * 1000;
static const int64_t second_ns = INT64_C(1000) * 1000 * 1000;
static const int64_t hour_ms = 60 * 60 * 1000;
static const int64_t margin_ms = 60 * 1000; /* a record may arrive while its shard is closed */

enum {
    STREAMS_A_PAGE = 64,
    CLOSED_TOGETHER = 256,
};

static bool is_over(void *ctx)
{
    struct datastream *ds = ctx;
    KN_LOCKED(&ds->lock);
    return ds->tend_stopping;
}

/* --- closed in the map, closed in the log ----------------------------------------------------- */
struct closing { /* logs that are to be closed, a slice at a time */
    struct storage_shard *logs[CLOSED_TOGETHER];
    size_t count;
};

static int close_slice(struct closing *closing)
{
    int r = storage_shard_close_all(closing->logs, closing->count);
    for (; closing->count > 0; closing->count--)
        storage_shard_unref(closing->logs[closing->count - 1]);
    return r == -ENOENT ? 0 : r; /* dropped meanwhile */
}

static int add_open(struct datastream *ds, struct datastream_stream *stream, uint32_t shard,
                    struct closing *closing)
{
    struct storage_shard *log = NULL;
    struct storage_shard_ends ends;
    int r = datastream_log_get(ds, stream, shard, false, &log);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    storage_shard_ends(log, &ends);
    if (ends.closed)
        storage_shard_unref(log);
    else
        closing->logs[closing->count++] = log;
    return 0;
}

/* before: of the shards that were open in it, or not there yet; NULL: of all. */
static int close_logs(struct datastream *ds, struct datastream_stream *stream,
                      const struct datastream_shard_map *before)
{
    KN_CLEANUP(datastream_shards_unrefp)
    struct datastream_shards *shards = datastream_stream_settled_shards(stream);
    struct closing closing = {.count = 0};
    int result = 0, r;
    for (size_t i = 0; i < shards->map.count && !is_over(ds); i++) {
        const struct datastream_shard *row = &shards->map.rows[i];
        const struct datastream_shard *was =
            before ? datastream_shard_map_find(before, row->index) : NULL;
        if (!row->closed_ms || (was && was->closed_ms))
            continue;
        r = add_open(ds, stream, row->index, &closing);
        if (r == 0 && closing.count == CLOSED_TOGETHER)
            r = close_slice(&closing);
        result = result < 0 ? result : r;
    }
    r = close_slice(&closing);
    return result < 0 ? result : r;
}

void datastream_tend_open(struct datastream *ds, struct datastream_stream *stream)
{
    KN_CLEANUP(datastream_shards_unrefp)
    struct datastream_shards *shards = datastream_stream_shards(stream);
    for (size_t i = 0; i < shards->map.count && !is_over(ds); i++) {
        struct storage_shard *log;
        if (datastream_log_get(ds, stream, shards->map.rows[i].index, false, &log) == 0)
            storage_shard_unref(log);
    }
}

int datastream_reshard(struct datastream *ds, struct datastream_stream *stream,
                       datastream_reshard_fn *edit, void *ctx)
{
    KN_CLEANUP(datastream_shards_unrefp)
    struct datastream_shards *before = datastream_stream_shards(stream);
    int r = datastream_stream_reshard(ds->streams, stream, edit, ctx);
    if (r < 0)
        return r;
    r = close_logs(ds, stream, &before->map);
    if (r < 0)
        kn_log_warn("shard_close_failed",
                    "stream=" KN_STR_FMT " err=%s said=\"it is tried again each minute; until then "
                    "readers wait at the end of a shard that was split or merged\"",
                    KN_STR_ARG(stream->name), kn_errname(r));
    datastream_tend_open(ds, stream);
    return 0;
}

/* --- behind retention ------------------------------------------------------------------------- */
static int forget(void *ctx, const struct datastream_shard_map *map,
                  struct datastream_shard_map *ret)
{
    const int64_t *before_ms = ctx;
    return datastream_shard_map_forget(map, *before_ms, ret);
}

static int64_t horizon_ms(struct datastream *ds, struct datastream_stream *stream)
{
    KN_CLEANUP(datastream_settings_unrefp)
    struct datastream_settings *settings = datastream_stream_settings(stream);
    return kn_wall_ms(ds->clock) - settings->retention_hours * hour_ms - margin_ms;
}

static int drop_forgotten(struct datastream *ds, struct datastream_stream *stream,
                          const struct datastream_shard_map *map,
                          const struct datastream_shard_map *next)
{
    int r = datastream_event_pass_on(ds->storage, stream, map, next);
    for (size_t i = 0; i < map->count && r == 0; i++) {
        if (is_over(ds))
            return -ESHUTDOWN;
        if (!datastream_shard_map_find(next, map->rows[i].index))
            r = datastream_log_drop(ds, stream, map->rows[i].index);
    }
    return r;
}

static bool has_expired(const struct datastream_shard_map *map, int64_t before_ms)
{
    for (size_t i = 0; i < map->count; i++) {
        if (map->rows[i].closed_ms && map->rows[i].closed_ms < before_ms)
            return true;
    }
    return false;
}

/* First the logs, then the rows: after a crash between, the rows are still there to tell. */
static int forget_expired(struct datastream *ds, struct datastream_stream *stream)
{
    KN_CLEANUP(datastream_shards_unrefp)
    struct datastream_shards *shards = datastream_stream_shards(stream);
    int64_t before_ms = horizon_ms(ds, stream);
    struct datastream_shard_map next;
    if (!has_expired(&shards->map, before_ms))
        return 0;
    int r = datastream_shard_map_forget(&shards->map, before_ms, &next);
    if (r < 0)
        return r;
    r = drop_forgotten(ds, stream, &shards->map, &next);
    datastream_shard_map_done(&next);
    return r < 0 ? r : datastream_stream_reshard(ds->streams, stream, forget, &before_ms);
}

/* --- rounds ----------------------------------------------------------------------------------- */
static int tend(struct datastream *ds, struct datastream_stream *stream)
{
    int r = forget_expired(ds, stream);
    datastream_tend_open(ds, stream);
    datastream_measures_age(ds, stream);
    int closed = close_logs(ds, stream, NULL);
    return r < 0 ? r : closed;
}

static int tend_all(struct datastream *ds)
{
    struct datastream_stream *page[STREAMS_A_PAGE];
    char after[DATASTREAM_NAME_BYTES_MAX + 1] = "";
    int result = 0;
    for (size_t count = STREAMS_A_PAGE; count == STREAMS_A_PAGE && !is_over(ds);) {
        count = datastream_stream_list(ds->streams, kn_str_from(after), page, STREAMS_A_PAGE);
        for (size_t i = 0; i < count; i++) {
            int r = tend(ds, page[i]);
            result = result < 0 ? result : r;
            memcpy(after, page[i]->name_text, sizeof(after));
            datastream_stream_unref(page[i]);
        }
    }
    return result;
}

int datastream_tend_round(struct datastream *ds)
{
    int r = datastream_deleted_drop(ds->storage, is_over, ds);
    int streams = tend_all(ds);
    return r < 0 ? r : streams;
}

/* When what comes at intervals is due next. */
struct due {
    int64_t round_ns, demand_ns;
};

static int64_t idle_ns(struct datastream *ds, const struct due *due)
{
    int64_t left_ns = kn_min_i64(due->round_ns, due->demand_ns) - kn_mono_ns(ds->clock);
    left_ns = kn_max_i64(0, left_ns);
    return ds->conf->stream_state_ms ? kn_min_i64(left_ns, second_ns) : left_ns;
}

static int do_what_is_due(struct datastream *ds, bool now, struct due *due)
{
    int r = ds->conf->stream_state_ms ? datastream_bury_all(ds) : 0;
    if (r == 0 && kn_mono_ns(ds->clock) >= due->demand_ns) {
        r = datastream_demand_round(ds);
        due->demand_ns =
            kn_mono_ns(ds->clock) + (int64_t) ds->conf->on_demand_load_ms * (second_ns / 1000);
    }
    if (now || kn_mono_ns(ds->clock) >= due->round_ns) {
        int round = datastream_tend_round(ds);
        r = r < 0 ? r : round;
        due->round_ns = kn_mono_ns(ds->clock) + round_ns;
    }
    return r;
}

static void *tend_main(void *arg)
{
    struct datastream *ds = arg;
    struct due due = {0};
    kn_lock_take(&ds->lock);
    while (!ds->tend_stopping) {
        bool now = ds->tend_soon;
        ds->tend_soon = false;
        kn_lock_give(&ds->lock);
        int r = do_what_is_due(ds, now, &due);
        if (r < 0 && r != -ESHUTDOWN)
            kn_log_warn("shard_logs_untended", "err=%s said=\"it is tried again in a minute\"",
                        kn_errname(r));
        kn_lock_take(&ds->lock);
        if (!ds->tend_stopping && !ds->tend_soon)
            (void) kn_cond_wait_for(&ds->tend_wake, &ds->lock, idle_ns(ds, &due));
    }
    kn_lock_give(&ds->lock);
    return NULL;
}

void datastream_tend_soon(struct datastream *ds)
{
    KN_LOCKED(&ds->lock);
    ds->tend_soon = true;
    kn_cond_signal(&ds->tend_wake);
}

int datastream_tend_start(struct datastream *ds)
{
    int r = kn_thread_start(&ds->tend_thread, "data-tend", tend_main, ds);
    ds->tending = r == 0;
    return r;
}

void datastream_tend_stop(struct datastream *ds)
{
    kn_lock_take(&ds->lock);
    ds->tend_stopping = true;
    kn_cond_signal(&ds->tend_wake);
    kn_lock_give(&ds->lock);
    if (ds->tending)
        pthread_join(ds->tend_thread, NULL);
    ds->tending = false;
}
