/* SPDX-License-Identifier: Apache-2.0 */
/* The metric families of uploads. */
#include "upload_metrics.h"

#include <stdatomic.h>

#include "core/metrics.h"

static struct kn_metric_family uploads = {
    .kind = KN_GAUGE,
    .name = "kinema_ingest_uploads",
    .help = "PutMedia requests under way, waiting ones included.",
    .labels = {"stream"},
};
static struct kn_metric_family bytes = {
    .kind = KN_COUNTER,
    .name = "kinema_ingest_bytes_total",
    .help = "Body bytes taken from producers.",
    .labels = {"stream"},
};
static struct kn_metric_family fragments = {
    .kind = KN_COUNTER,
    .name = "kinema_ingest_fragments_total",
    .help = "Fragments received completely.",
    .labels = {"stream"},
};
static struct kn_metric_family duplicates = {
    .kind = KN_COUNTER,
    .name = "kinema_ingest_duplicates_total",
    .help = "Fragments sent again and acknowledged under their stored number.",
    .labels = {"stream"},
};
static struct kn_metric_family errors = {
    .kind = KN_COUNTER,
    .name = "kinema_ingest_errors_total",
    .help = "Uploads ended with an ERROR acknowledgement, by its ErrorId.",
    .labels = {"stream", "error"},
};
static struct kn_metric_family keyless = {
    .kind = KN_COUNTER,
    .name = "kinema_ingest_keyless_fragments_total",
    .help = "Fragments whose pictures do not begin with a key frame.",
    .labels = {"stream"},
};
static const double persisted_bounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                          0.1,   0.25,   0.5,   1,    2.5,   5};
static struct kn_metric_family persisted = {
    .kind = KN_HISTOGRAM,
    .name = "kinema_ingest_persisted_seconds",
    .help = "From a fragment's last byte to its PERSISTED acknowledgement.",
    .bounds = persisted_bounds,
    .bound_count = KN_ARRAY_LEN(persisted_bounds),
};

struct ingest_upload_metrics ingest_upload_metrics_of(struct kn_str stream)
{
    return (struct ingest_upload_metrics){
        .uploads = kn_metric_series(&uploads, &stream),
        .bytes = kn_metric_series(&bytes, &stream),
        .fragments = kn_metric_series(&fragments, &stream),
        .duplicates = kn_metric_series(&duplicates, &stream),
    };
}

void ingest_upload_metrics_error(struct kn_str stream, enum ingest_error error)
{
    char id[16];
    snprintf(id, sizeof id, "%d", (int) error);
    struct kn_str values[] = {stream, kn_str_from(id)};
    kn_metric_add(kn_metric_series(&errors, values), 1);
}

void ingest_upload_metrics_keyless(struct kn_str stream, uint64_t count)
{
    kn_metric_add(kn_metric_series(&keyless, &stream), (int64_t) count);
}

void ingest_upload_metrics_persisted(int64_t took_ns)
{
    static struct kn_metric *_Atomic series; /* without labels: looked up once */
    struct kn_metric *m = atomic_load(&series);
    if (!m) {
        m = kn_metric_series(&persisted, NULL);
        atomic_store(&series, m);
    }
    kn_metric_observe(m, (double) took_ns / 1e9);
}
