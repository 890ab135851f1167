/* SPDX-License-Identifier: Apache-2.0 */
/* What has been measured, as /metrics shows it and as buckets of time. */
#include "datastream_internal.h"
#include "measure.h"
#include "shard_id.h"

#include <errno.h>

enum {
    CONSUMERS_A_PAGE = 16,
    AGE_MINUTES = 5, /* a gauge that nothing has told anything for so long is not shown */
};

/* --- /metrics --------------------------------------------------------------------------------- */
struct writing {
    struct datastream *ds;
    struct kn_buf *out;
    const struct datastream_metric_row *row;
    size_t at; /* of the row's series among those of its level */
    uint32_t minute;
};

static void write_value(const struct writing *w, const struct datastream_series *series,
                        const char *labels)
{
    const char *name = w->row->series;
    switch (w->row->kind) {
    case DATASTREAM_AS_TOTAL:
        (void) kn_buf_printf(w->out, "%s{%s} %.15g\n", name, labels, series->sum);
        return;
    case DATASTREAM_AS_SECONDS:
        (void) kn_buf_printf(w->out, "%s_sum{%s} %.15g\n", name, labels, series->sum / 1000);
        (void) kn_buf_printf(w->out, "%s_count{%s} %" PRIu64 "\n", name, labels, series->count);
        return;
    case DATASTREAM_AS_AGE:
        if (series->history.now.minute + AGE_MINUTES > w->minute)
            (void) kn_buf_printf(w->out, "%s{%s} %.15g\n", name, labels,
                                 series->history.now.max / 1000);
        return;
    }
}

enum {
    LABELS_BYTES = 2 * DATASTREAM_NAME_BYTES_MAX + 64
};

static int write_of_stream(void *ctx, struct datastream_stream *stream)
{
    const struct writing *w = ctx;
    char labels[LABELS_BYTES];
    (void) snprintf(labels, sizeof(labels), "stream=\"%s\"", stream->name_text);
    KN_LOCKED(&stream->measures.lock);
    if (stream->measures.series[w->at])
        write_value(w, stream->measures.series[w->at], labels);
    return 0;
}

static int write_of_shards(void *ctx, struct datastream_stream *stream)
{
    const struct writing *w = ctx;
    char labels[LABELS_BYTES], id[DATASTREAM_SHARD_ID_BYTES];
    KN_LOCKED(&stream->measures.lock);
    for (size_t i = 0; i < stream->measures.shard_count; i++) {
        const struct datastream_shard_measures *shard = &stream->measures.shards[i];
        if (!shard->series[w->at])
            continue;
        (void) datastream_shard_id_format((int32_t) shard->shard, id);
        (void) snprintf(labels, sizeof(labels), "stream=\"%s\",shard=\"%s\"", stream->name_text,
                        id);
        write_value(w, shard->series[w->at], labels);
    }
    return 0;
}

/* Each consumer of a stream, each a reference for the call. */
static void each_consumer(struct datastream *ds, struct datastream_stream *stream,
                          void (*each)(void *ctx, struct datastream_stream *stream,
                                       struct datastream_consumer *consumer),
                          void *ctx)
{
    struct datastream_consumer *page[CONSUMERS_A_PAGE], *last = NULL;
    size_t count;
    do {
        count = datastream_consumer_list(ds->consumers, &stream->id, last ? last->name : KN_STR(""),
                                         page, CONSUMERS_A_PAGE);
        for (size_t i = 0; i < count; i++) {
            datastream_consumer_unref(last);
            last = page[i];
            each(ctx, stream, last);
        }
    } while (count == CONSUMERS_A_PAGE);
    datastream_consumer_unref(last);
}

static void write_of_consumer(void *ctx, struct datastream_stream *stream,
                              struct datastream_consumer *consumer)
{
    const struct writing *w = ctx;
    char labels[LABELS_BYTES];
    (void) snprintf(labels, sizeof(labels), "stream=\"%s\",consumer=\"%s\"", stream->name_text,
                    consumer->name_text);
    KN_LOCKED(&consumer->measures.lock);
    if (consumer->measures.series[w->at])
        write_value(w, consumer->measures.series[w->at], labels);
}

static int write_of_consumers(void *ctx, struct datastream_stream *stream)
{
    struct writing *w = ctx;
    each_consumer(w->ds, stream, write_of_consumer, w);
    return 0;
}

static size_t series_of(const struct datastream_metric_row *row)
{
    static const size_t first[] = {
        [DATASTREAM_OF_STREAM] = 0,
        [DATASTREAM_OF_CONSUMER] = DATASTREAM_STREAM_MEASURES,
        [DATASTREAM_OF_SHARD] = DATASTREAM_CONSUMER_MEASURES_END,
    };
    return (size_t) (row - datastream_metric_rows) - first[row->level];
}

void datastream_measures_write(void *ctx, struct kn_buf *out)
{
    static const char *const kinds[] = {
        [DATASTREAM_AS_TOTAL] = "counter",
        [DATASTREAM_AS_SECONDS] = "summary",
        [DATASTREAM_AS_AGE] = "gauge",
    };
    static int (*const each[])(void *ctx, struct datastream_stream *stream) = {
        [DATASTREAM_OF_STREAM] = write_of_stream,
        [DATASTREAM_OF_CONSUMER] = write_of_consumers,
        [DATASTREAM_OF_SHARD] = write_of_shards,
    };
    struct datastream *ds = ctx;
    struct writing w = {
        .ds = ds, .out = out, .minute = (uint32_t) (kn_wall_ms(ds->clock) / (60 * 1000))};
    for (size_t i = 0; i < datastream_metric_row_count; i++) {
        w.row = &datastream_metric_rows[i];
        w.at = series_of(w.row);
        (void) kn_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", w.row->series, w.row->help,
                             w.row->series, kinds[w.row->kind]);
        (void) datastream_stream_each(ds->streams, each[w.row->level], &w);
    }
}

/* --- buckets of time -------------------------------------------------------------------------- */
struct reading {
    const struct datastream_metric_query *query;
    struct kn_history_bucket *buckets;
    size_t count;
    size_t found;
};

static void read_series(const struct reading *r, const struct datastream_series *series)
{
    if (series)
        kn_history_read(&series->history, r->query->from, r->query->period, r->buckets, r->count);
}

static void read_consumer(void *ctx, struct datastream_stream *stream KN_UNUSED,
                          struct datastream_consumer *consumer)
{
    struct reading *r = ctx;
    if (r->query->consumer.ptr && !kn_str_eq(consumer->name, r->query->consumer))
        return;
    r->found++;
    KN_LOCKED(&consumer->measures.lock);
    read_series(r, consumer->measures.series[series_of(r->query->row)]);
}

static int read_shard(const struct reading *r, struct datastream_stream *stream)
{
    KN_CLEANUP(datastream_shards_unrefp)
    struct datastream_shards *shards = datastream_stream_shards(stream);
    uint32_t shard;
    if (datastream_shard_id_parse(r->query->shard, &shard) < 0 ||
        !datastream_shard_map_find(&shards->map, shard))
        return -ENOENT;
    KN_LOCKED(&stream->measures.lock);
    for (size_t i = 0; i < stream->measures.shard_count; i++)
        if (stream->measures.shards[i].shard == shard)
            read_series(r, stream->measures.shards[i].series[series_of(r->query->row)]);
    return 0;
}

int datastream_metric_read(struct datastream *ds, const struct datastream_metric_query *query,
                           struct kn_history_bucket *buckets, size_t count)
{
    struct reading r = {.query = query, .buckets = buckets, .count = count};
    KN_CLEANUP(datastream_stream_unrefp)
    struct datastream_stream *stream = datastream_stream_find(ds->streams, query->stream);
    if (!stream)
        return -ENOENT;
    memset(buckets, 0, count * sizeof(*buckets));
    for (size_t i = 0; i < count; i++)
        buckets[i].minute = query->from + (uint32_t) i * query->period;
    if (query->row->level == DATASTREAM_OF_SHARD)
        return read_shard(&r, stream);
    if (query->row->level == DATASTREAM_OF_CONSUMER) {
        each_consumer(ds, stream, read_consumer, &r);
        return query->consumer.ptr && r.found == 0 ? -ENOENT : 0;
    }
    KN_LOCKED(&stream->measures.lock);
    read_series(&r, stream->measures.series[series_of(query->row)]);
    return 0;
}
