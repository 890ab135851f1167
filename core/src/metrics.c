/* SPDX-License-Identifier: Apache-2.0 */
/* The metrics registry: families register themselves at first use; series are found under a lock
 * and updated without one. Text form: Prometheus exposition format 0.0.4. */
#include "core/metrics.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    BUCKETS = 256,
    COLLECTORS_MAX = 32,
    BOUNDS_MAX = 24
};

struct kn_metric {
    struct kn_metric *next; /* in its bucket */
    struct kn_metric_family *family;
    char *labels; /* `a="b",c="d"`; empty when the family has none */
    _Atomic bool hidden;
    _Atomic uint64_t value;     /* counter: integer; gauge and histogram's sum: bits of a double */
    _Atomic uint64_t buckets[]; /* histogram: per bound, then +Inf */
};

struct kn_metric_state {
    struct kn_metric_family *family;
    struct kn_metric_state *next;
    struct kn_metric *series[BUCKETS];
    size_t count;
};

static struct {
    pthread_mutex_t mutex;
    struct kn_metric_state *families; /* guarded by mutex, as all below */
    struct {
        kn_metric_collect_fn *collect;
        void *ctx;
    } collectors[COLLECTORS_MAX];
    unsigned collector_count;
} registry = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static unsigned label_count(const struct kn_metric_family *family)
{
    unsigned n = 0;

    while (n < KN_METRICS_LABELS_MAX && family->labels[n])
        n++;
    return n;
}

static void append_value(struct kn_buf *b, struct kn_str value)
{
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];

        if (c == '\n') {
            (void) kn_buf_append_text(b, "\\n");
            continue;
        }
        if (c == '\\' || c == '"')
            (void) kn_buf_append_byte(b, '\\');
        (void) kn_buf_append_byte(b, (uint8_t) c);
    }
}

static void write_labels(struct kn_buf *b, const struct kn_metric_family *family,
                         const struct kn_str *values)
{
    for (unsigned i = 0; i < label_count(family); i++) {
        (void) kn_buf_printf(b, "%s%s=\"", i ? "," : "", family->labels[i]);
        append_value(b, values ? values[i] : KN_STR("other"));
        (void) kn_buf_append_byte(b, '"');
    }
    (void) kn_buf_append_byte(b, '\0');
}

static unsigned hash_text(const char *text)
{
    uint32_t h = 2166136261u;

    for (; *text; text++)
        h = (h ^ (uint8_t) *text) * 16777619u;
    return h % BUCKETS;
}

/* Where updates go that no memory could be found for: counting must not stop the work it counts. */
static struct kn_metric *nowhere(enum kn_metric_kind kind)
{
    static struct kn_metric_family families[] = {
        [KN_COUNTER] = {.kind = KN_COUNTER},
        [KN_GAUGE] = {.kind = KN_GAUGE},
        [KN_HISTOGRAM] = {.kind = KN_HISTOGRAM}, /* no bounds: all is in the last bucket */
    };
    static struct kn_metric counter = {.family = &families[KN_COUNTER]};
    static struct kn_metric gauge = {.family = &families[KN_GAUGE]};
    static struct kn_metric histogram = {.family = &families[KN_HISTOGRAM], .buckets = {0}};

    return kind == KN_COUNTER ? &counter : kind == KN_GAUGE ? &gauge : &histogram;
}

static struct kn_metric_state *state_locked(struct kn_metric_family *family)
{
    kn_assert(family->bound_count <= BOUNDS_MAX);
    if (!family->state) {
        struct kn_metric_state *state = calloc(1, sizeof *state);

        if (!state)
            return NULL;
        state->family = family;
        state->next = registry.families;
        registry.families = state;
        family->state = state;
    }
    return family->state;
}

static struct kn_metric *find_locked(struct kn_metric_state *state, const char *labels)
{
    struct kn_metric *m = state->series[hash_text(labels)];

    while (m && strcmp(m->labels, labels) != 0)
        m = m->next;
    return m;
}

static struct kn_metric *make_locked(struct kn_metric_state *state, const char *labels)
{
    struct kn_metric_family *family = state->family;
    size_t buckets = family->kind == KN_HISTOGRAM ? family->bound_count + 1 : 0;
    struct kn_metric *m = calloc(1, sizeof *m + buckets * sizeof m->buckets[0]);
    unsigned at = hash_text(labels);

    if (!m)
        return NULL;
    m->family = family;
    m->labels = strdup(labels);
    if (!m->labels) {
        free(m);
        return NULL;
    }
    m->next = state->series[at];
    state->series[at] = m;
    state->count++;
    return m;
}

static struct kn_metric *series_locked(struct kn_metric_family *family, const struct kn_str *values)
{
    struct kn_metric_state *state = state_locked(family);
    struct kn_metric *m = NULL;
    struct kn_buf labels;

    if (!state)
        return nowhere(family->kind);
    kn_buf_init(&labels, KIB(8));
    write_labels(&labels, family, values);
    if (!labels.error) {
        m = find_locked(state, (const char *) labels.ptr);
        if (!m && state->count < KN_METRICS_SERIES_MAX)
            m = make_locked(state, (const char *) labels.ptr);
    }
    if (!m) { /* too many series, a monstrous label, or no memory */
        kn_buf_done(&labels);
        kn_buf_init(&labels, KIB(8));
        write_labels(&labels, family, NULL);
        if (!labels.error)
            m = find_locked(state, (const char *) labels.ptr);
        if (!labels.error && !m)
            m = make_locked(state, (const char *) labels.ptr);
    }
    kn_buf_done(&labels);
    return m ? m : nowhere(family->kind);
}

struct kn_metric *kn_metric_series(struct kn_metric_family *family, const struct kn_str *values)
{
    struct kn_metric *m;

    (void) pthread_mutex_lock(&registry.mutex);
    m = series_locked(family, values);
    m->hidden = false;
    (void) pthread_mutex_unlock(&registry.mutex);
    return m;
}

void kn_metric_drop(struct kn_metric_family *family, const struct kn_str *values)
{
    (void) pthread_mutex_lock(&registry.mutex);
    series_locked(family, values)->hidden = true;
    (void) pthread_mutex_unlock(&registry.mutex);
}

static double as_double(uint64_t bits)
{
    double v;

    memcpy(&v, &bits, sizeof v);
    return v;
}

static uint64_t as_bits(double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof bits);
    return bits;
}

static void add_double(_Atomic uint64_t *to, double by)
{
    uint64_t now = atomic_load_explicit(to, memory_order_relaxed);

    while (!atomic_compare_exchange_weak_explicit(to, &now, as_bits(as_double(now) + by),
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
}

void kn_metric_add(struct kn_metric *m, int64_t by)
{
    if (m->family->kind == KN_COUNTER)
        atomic_fetch_add_explicit(&m->value, (uint64_t) by, memory_order_relaxed);
    else
        add_double(&m->value, (double) by);
}

void kn_metric_set(struct kn_metric *m, double value)
{
    atomic_store_explicit(&m->value, as_bits(value), memory_order_relaxed);
}

void kn_metric_observe(struct kn_metric *m, double value)
{
    unsigned i = 0;

    while (i < m->family->bound_count && value > m->family->bounds[i])
        i++;
    atomic_fetch_add_explicit(&m->buckets[i], 1, memory_order_relaxed);
    add_double(&m->value, value);
}

double kn_metric_value(struct kn_metric *m)
{
    uint64_t v = atomic_load_explicit(&m->value, memory_order_relaxed);

    return m->family->kind == KN_COUNTER ? (double) v : as_double(v);
}

void kn_metrics_collector(kn_metric_collect_fn *collect, void *ctx)
{
    (void) pthread_mutex_lock(&registry.mutex);
    kn_assert(registry.collector_count < COLLECTORS_MAX);
    registry.collectors[registry.collector_count].collect = collect;
    registry.collectors[registry.collector_count++].ctx = ctx;
    (void) pthread_mutex_unlock(&registry.mutex);
}

void kn_metrics_collector_remove(kn_metric_collect_fn *collect, void *ctx)
{
    (void) pthread_mutex_lock(&registry.mutex);
    for (unsigned i = registry.collector_count; i-- > 0;)
        if (registry.collectors[i].collect == collect && registry.collectors[i].ctx == ctx)
            registry.collectors[i] = registry.collectors[--registry.collector_count];
    (void) pthread_mutex_unlock(&registry.mutex);
}

static void write_histogram(struct kn_buf *out, struct kn_metric *m)
{
    const struct kn_metric_family *f = m->family;
    const char *comma = m->labels[0] ? "," : "";
    uint64_t total = 0;

    for (unsigned i = 0; i <= f->bound_count; i++) {
        total += atomic_load_explicit(&m->buckets[i], memory_order_relaxed);
        (void) kn_buf_printf(out, "%s_bucket{%s%sle=\"", f->name, m->labels, comma);
        if (i < f->bound_count)
            (void) kn_buf_printf(out, "%g\"} %" PRIu64 "\n", f->bounds[i], total);
        else
            (void) kn_buf_printf(out, "+Inf\"} %" PRIu64 "\n", total);
    }
    (void) kn_buf_printf(out, "%s_sum{%s} %.9g\n", f->name, m->labels, kn_metric_value(m));
    (void) kn_buf_printf(out, "%s_count{%s} %" PRIu64 "\n", f->name, m->labels, total);
}

static void write_series(struct kn_buf *out, struct kn_metric *m)
{
    const struct kn_metric_family *f = m->family;

    if (m->hidden)
        return;
    if (f->kind == KN_HISTOGRAM)
        write_histogram(out, m);
    else if (f->kind == KN_COUNTER)
        (void) kn_buf_printf(out, "%s{%s} %" PRIu64 "\n", f->name, m->labels,
                             atomic_load_explicit(&m->value, memory_order_relaxed));
    else
        (void) kn_buf_printf(out, "%s{%s} %.15g\n", f->name, m->labels, kn_metric_value(m));
}

int kn_metrics_write(struct kn_buf *out)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};

    (void) pthread_mutex_lock(&registry.mutex);
    for (struct kn_metric_state *s = registry.families; s; s = s->next) {
        (void) kn_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", s->family->name, s->family->help,
                             s->family->name, kinds[s->family->kind]);
        for (unsigned i = 0; i < BUCKETS; i++) {
            for (struct kn_metric *m = s->series[i]; m; m = m->next)
                write_series(out, m);
        }
    }
    for (unsigned i = 0; i < registry.collector_count; i++)
        registry.collectors[i].collect(registry.collectors[i].ctx, out);
    (void) pthread_mutex_unlock(&registry.mutex);
    return out->error;
}
