/* SPDX-License-Identifier: Apache-2.0 */
#include "measure.h"

#include "datastream_internal.h"

#include <stdatomic.h>
#include <stdlib.h>

static_assert((int) DATASTREAM_MEASURED_MAX <= (int) KN_METRICS_SERIES_MAX, "of each family");
static_assert(DATASTREAM_METRICS_ALL == (1 << DATASTREAM_SHARD_MEASURES) - 1, "a bit each");

enum {
    MINUTE_MS = 60 * 1000,
    CONSUMERS_A_PAGE = 16,
};

static struct kn_metric_family beyond = {
    .kind = KN_COUNTER,
    .name = "kinema_data_unmeasured_total",
    .help = "Times a shard or a consumer had no figures of its own, since too many have.",
};

static uint32_t minute_of(const struct datastream *ds)
{
    return (uint32_t) (kn_wall_ms(ds->clock) / MINUTE_MS);
}

/* --- series ----------------------------------------------------------------------------------- */
/* Without memory for it a sample is not counted. */
static void series_add(struct datastream_series **at, struct datastream_measuring *all,
                       uint32_t minute, double value)
{
    if (!*at)
        *at = calloc(1, sizeof(**at));
    if (!*at)
        return;
    (*at)->sum += value;
    (*at)->count++;
    kn_history_add(&(*at)->history, &all->budget, minute, value);
}

static void series_free(struct datastream_series *series, struct datastream_measuring *all)
{
    if (!series)
        return;
    kn_history_done(&series->history, &all->budget);
    free(series);
}

static void list_free(struct datastream_series **series, size_t count,
                      struct datastream_measuring *all)
{
    for (size_t i = 0; i < count; i++)
        series_free(KN_MOVE(series[i]), all);
}

static void list_expire(struct datastream_series **series, size_t count,
                        struct datastream_measuring *all, uint32_t minute)
{
    for (size_t i = 0; i < count; i++)
        if (series[i])
            kn_history_expire(&series[i]->history, &all->budget, minute);
}

/* --- how many shards and consumers ------------------------------------------------------------ */
static bool measured_take(struct datastream_measuring *all)
{
    if (atomic_fetch_add_explicit(&all->measured, 1, memory_order_relaxed) <
        DATASTREAM_MEASURED_MAX)
        return true;
    atomic_fetch_sub_explicit(&all->measured, 1, memory_order_relaxed);
    return false;
}

static void measured_give(struct datastream_measuring *all)
{
    atomic_fetch_sub_explicit(&all->measured, 1, memory_order_relaxed);
}

/* --- shards ----------------------------------------------------------------------------------- */
static size_t place_locked(const struct datastream_measures *m, uint32_t shard, bool *found)
{
    size_t at = KN_BISECT(i, 0, m->shard_count, m->shards[i].shard < shard);
    *found = at < m->shard_count && m->shards[at].shard == shard;
    return at;
}

static bool reserve_locked(struct datastream_measures *m)
{
    if (m->shard_count < m->shard_cap)
        return true;
    size_t cap = m->shard_cap ? m->shard_cap * 2 : 4;
    struct datastream_shard_measures *shards = realloc(m->shards, cap * sizeof(*shards));
    if (!shards)
        return false;
    m->shards = shards;
    m->shard_cap = cap;
    return true;
}

/* NULL: there is no room for one more. */
static struct datastream_shard_measures *shard_locked(struct datastream_measures *m, uint32_t shard)
{
    bool found;
    size_t at = place_locked(m, shard, &found);
    if (found)
        return &m->shards[at];
    if (!reserve_locked(m) || !measured_take(m->all))
        return NULL;
    memmove(m->shards + at + 1, m->shards + at, (m->shard_count - at) * sizeof(*m->shards));
    m->shards[at] = (struct datastream_shard_measures){.shard = shard};
    m->shard_count++;
    return &m->shards[at];
}

static void remove_shard_locked(struct datastream_measures *m, size_t at)
{
    list_free(m->shards[at].series, DATASTREAM_SHARD_MEASURES, m->all);
    measured_give(m->all);
    m->shard_count--;
    memmove(m->shards + at, m->shards + at + 1, (m->shard_count - at) * sizeof(*m->shards));
}

static void remove_shards_locked(struct datastream_measures *m)
{
    while (m->shard_count > 0)
        remove_shard_locked(m, m->shard_count - 1);
    free(KN_MOVE(m->shards));
    m->shard_cap = 0;
}

/* --- life ------------------------------------------------------------------------------------- */
void datastream_measures_init(struct datastream_measures *m, int64_t shard_metrics)
{
    kn_lock_init(&m->lock);
    atomic_init(&m->shard_metrics, shard_metrics);
}

void datastream_measures_done(struct datastream_measures *m)
{
    if (m->all) {
        list_free(m->series, DATASTREAM_STREAM_MEASURES, m->all);
        remove_shards_locked(m);
        if (m->is_counted)
            measured_give(m->all);
    }
    kn_lock_done(&m->lock);
}

void datastream_measures_follow(struct datastream_measures *m, int64_t shard_metrics)
{
    KN_LOCKED(&m->lock);
    atomic_store(&m->shard_metrics, shard_metrics);
    if (shard_metrics == 0)
        remove_shards_locked(m);
    for (size_t i = 0; i < m->shard_count; i++) {
        for (size_t metric = 0; metric < DATASTREAM_SHARD_MEASURES; metric++)
            if (!(shard_metrics & (1 << metric)))
                series_free(KN_MOVE(m->shards[i].series[metric]), m->all);
    }
}

static void forget_shards(struct datastream_measures *m, const struct datastream_shard_map *map)
{
    KN_LOCKED(&m->lock);
    for (size_t i = m->shard_count; i-- > 0;)
        if (!datastream_shard_map_find(map, m->shards[i].shard))
            remove_shard_locked(m, i);
}

static void expire(struct datastream_measures *m, uint32_t minute)
{
    KN_LOCKED(&m->lock);
    if (!m->all)
        return;
    list_expire(m->series, DATASTREAM_STREAM_MEASURES, m->all, minute);
    for (size_t i = 0; i < m->shard_count; i++)
        list_expire(m->shards[i].series, DATASTREAM_SHARD_MEASURES, m->all, minute);
}

void datastream_measures_age(struct datastream *ds, struct datastream_stream *stream)
{
    struct datastream_consumer *page[CONSUMERS_A_PAGE], *last = NULL;
    size_t count;
    KN_CLEANUP(datastream_shards_unrefp)
    struct datastream_shards *shards = datastream_stream_shards(stream);
    forget_shards(&stream->measures, &shards->map);
    expire(&stream->measures, minute_of(ds));
    do {
        count = datastream_consumer_list(ds->consumers, &stream->id, last ? last->name : KN_STR(""),
                                         page, CONSUMERS_A_PAGE);
        for (size_t i = 0; i < count; i++) {
            expire(&page[i]->measures, minute_of(ds));
            datastream_consumer_unref(last);
            last = page[i];
        }
    } while (count == CONSUMERS_A_PAGE);
    datastream_consumer_unref(last);
}

/* --- samples ---------------------------------------------------------------------------------- */
static void count_beyond(void)
{
    kn_metric_add(kn_metric_series(&beyond, NULL), 1);
}

void datastream_measure_stream(struct datastream *ds, struct datastream_stream *stream,
                               const struct datastream_sample *samples, size_t count)
{
    struct datastream_measures *m = &stream->measures;
    uint32_t minute = minute_of(ds);
    KN_LOCKED(&m->lock);
    m->all = &ds->measuring;
    for (size_t i = 0; i < count; i++)
        series_add(&m->series[samples[i].measure], m->all, minute, samples[i].value);
}

/* A consumer is counted when it has its first sample. */
static bool admit_locked(struct datastream_measures *m)
{
    if (!m->is_counted && !m->is_refused) {
        m->is_counted = measured_take(m->all);
        m->is_refused = !m->is_counted;
    }
    return m->is_counted;
}

void datastream_measure_consumer(struct datastream *ds, struct datastream_consumer *consumer,
                                 const struct datastream_sample *samples, size_t count)
{
    struct datastream_measures *m = &consumer->measures;
    uint32_t minute = minute_of(ds);
    kn_lock_take(&m->lock);
    m->all = &ds->measuring;
    bool admitted = admit_locked(m);
    for (size_t i = 0; i < count && admitted; i++)
        series_add(&m->series[samples[i].measure - DATASTREAM_STREAM_MEASURES], m->all, minute,
                   samples[i].value);
    kn_lock_give(&m->lock);
    if (!admitted)
        count_beyond();
}

void datastream_measure_shard(struct datastream *ds, struct datastream_stream *stream,
                              uint32_t shard, const struct datastream_sample *samples, size_t count)
{
    struct datastream_measures *m = &stream->measures;
    if (atomic_load_explicit(&m->shard_metrics, memory_order_relaxed) == 0)
        return;
    uint32_t minute = minute_of(ds);
    kn_lock_take(&m->lock);
    m->all = &ds->measuring;
    int64_t on = atomic_load(&m->shard_metrics); /* it may just have been switched off */
    struct datastream_shard_measures *own = on ? shard_locked(m, shard) : NULL;
    for (size_t i = 0; i < count && own; i++) {
        size_t metric = samples[i].measure - DATASTREAM_CONSUMER_MEASURES_END;
        if (on & (1 << metric))
            series_add(&own->series[metric], m->all, minute, samples[i].value);
    }
    kn_lock_give(&m->lock);
    if (on && !own)
        count_beyond();
}

void datastream_measure_incoming(struct datastream *ds, struct datastream_stream *stream,
                                 uint32_t shard, size_t records, size_t bytes)
{
    const struct datastream_sample of_stream[] = {
        {DATASTREAM_INCOMING_BYTES,   (double) bytes  },
        {DATASTREAM_INCOMING_RECORDS, (double) records},
    };
    const struct datastream_sample of_shard[] = {
        {DATASTREAM_SHARD_INCOMING_BYTES,   (double) bytes  },
        {DATASTREAM_SHARD_INCOMING_RECORDS, (double) records},
    };
    datastream_measure_stream(ds, stream, of_stream, KN_ARRAY_LEN(of_stream));
    datastream_measure_shard(ds, stream, shard, of_shard, KN_ARRAY_LEN(of_shard));
}
