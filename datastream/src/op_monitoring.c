/* SPDX-License-Identifier: Apache-2.0 */
/* Enhanced monitoring: which metrics are told per shard. */
#include "metrics_names.h"
#include "state.h"

#include <errno.h>

enum {
    METRICS = 7
};
static_assert(DATASTREAM_METRICS_ALL == (1 << METRICS) - 1, "a bit each, in the order of the enum");
static_assert((int) DATASTREAM_MetricsName_IteratorAgeMilliseconds == METRICS, "names begin at 1");

int datastream_metrics_list(struct kn_api_call *call, int64_t metrics,
                            struct datastream_MetricsName_list *ret)
{
    enum datastream_MetricsName *names = kn_arena_alloc(call->arena, METRICS * sizeof(*names));
    size_t count = 0;
    if (!names)
        return -ENOMEM;
    for (int i = 0; i < METRICS; i++) {
        if (metrics & (1 << i))
            names[count++] = (enum datastream_MetricsName)(i + 1);
    }
    *ret = (struct datastream_MetricsName_list){true, count, names};
    return 0;
}

int64_t datastream_metrics_bits(const struct datastream_MetricsName_list *list)
{
    int64_t bits = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i] == DATASTREAM_MetricsName_ALL)
            bits = DATASTREAM_METRICS_ALL;
        else
            bits |= INT64_C(1) << (list->items[i] - 1);
    }
    return bits;
}

struct edit {
    int64_t set, clear, before, after;
};

static int change(void *ctx, struct datastream_settings *draft)
{
    struct edit *edit = ctx;
    edit->before = draft->metrics;
    draft->metrics = (draft->metrics | edit->set) & ~edit->clear;
    edit->after = draft->metrics;
    return 0;
}

struct answer {
    struct kn_str name, arn;
    struct datastream_MetricsName_list before, after;
};

static int run(struct datastream *ds, struct kn_api_call *call, struct kn_str name,
               struct kn_str arn, struct edit *edit, struct answer *ret)
{
    KN_CLEANUP(datastream_stream_unrefp) struct datastream_stream *stream = NULL;
    int r = datastream_find(ds, call, name, arn, &stream);
    if (r < 0)
        return r;
    r = datastream_update(ds, call, stream, change, edit);
    if (r < 0)
        return r;
    ret->name = kn_arena_str(call->arena, stream->name);
    ret->arn = datastream_arn(call, stream->name);
    if (!ret->name.ptr || !ret->arn.ptr ||
        datastream_metrics_list(call, edit->before, &ret->before) < 0)
        return -ENOMEM;
    return datastream_metrics_list(call, edit->after, &ret->after);
}

int datastream_op_EnableEnhancedMonitoring(struct datastream *ds,
                                           const struct datastream_EnableEnhancedMonitoring_in *in,
                                           struct datastream_EnableEnhancedMonitoring_out *out,
                                           struct kn_api_call *call)
{
    struct edit edit = {.set = datastream_metrics_bits(&in->ShardLevelMetrics)};
    struct answer a;
    int r = run(ds, call, in->StreamName, in->StreamARN, &edit, &a);
    if (r == 0)
        *out = (struct datastream_EnableEnhancedMonitoring_out){a.name, a.before, a.after, a.arn};
    return r;
}

int datastream_op_DisableEnhancedMonitoring(
    struct datastream *ds, const struct datastream_DisableEnhancedMonitoring_in *in,
    struct datastream_DisableEnhancedMonitoring_out *out, struct kn_api_call *call)
{
    struct edit edit = {.clear = datastream_metrics_bits(&in->ShardLevelMetrics)};
    struct answer a;
    int r = run(ds, call, in->StreamName, in->StreamARN, &edit, &a);
    if (r == 0)
        *out = (struct datastream_DisableEnhancedMonitoring_out){a.name, a.before, a.after, a.arn};
    return r;
}
