/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters, gauges and histograms in Prometheus' text format. A family is registered once, at
 * start; a series is found or made by its label values and then updated without a lock.
 * Series are bounded per family (KN_METRICS_SERIES_MAX); past that, updates go to one series whose
 * labels read "other". Any thread; kn_metric_series() may take a lock, updates never do.
 */
#ifndef CORE_METRICS_H
#define CORE_METRICS_H

#include "core/buf.h"

enum {
    KN_METRICS_SERIES_MAX = 20000,
    KN_METRICS_LABELS_MAX = 3
};

enum kn_metric_kind {
    KN_COUNTER,
    KN_GAUGE,
    KN_HISTOGRAM
};

struct kn_metric_family {
    enum kn_metric_kind kind;
    const char *name; /* kinema_…; counters end in _total; unit in the name */
    const char *help;
    const char *labels[KN_METRICS_LABELS_MAX]; /* NULL after the last */
    const double *bounds;                      /* histogram: ascending upper bounds */
    unsigned bound_count;
    struct kn_metric_state *state; /* set by the registry */
};

struct kn_metric; /* one series; lives until the process ends or it is dropped */

/* values: as many as the family has labels. Never NULL: without memory for a new series its updates
 * are not counted. */
struct kn_metric *kn_metric_series(struct kn_metric_family *family, const struct kn_str *values);
void kn_metric_drop(struct kn_metric_family *family, const struct kn_str *values); /* hides it */

void kn_metric_add(struct kn_metric *m, int64_t by);
void kn_metric_set(struct kn_metric *m, double value);
void kn_metric_observe(struct kn_metric *m, double value);
double kn_metric_value(struct kn_metric *m);

/* A gauge whose values are asked for at scrape time. */
typedef void kn_metric_collect_fn(void *ctx, struct kn_buf *out);
void kn_metrics_collector(kn_metric_collect_fn *collect, void *ctx);
/* It is not called any more when this returns. */
void kn_metrics_collector_remove(kn_metric_collect_fn *collect, void *ctx);

/* Writes every family; may block briefly. */
int kn_metrics_write(struct kn_buf *out);

#endif
