/* SPDX-License-Identifier: Apache-2.0 */
/* Metric families of the streamed readers. */
#include "media_metrics.h"

static struct kn_metric_family readers = {
    .kind = KN_GAUGE,
    .name = "kinema_media_readers",
    .help = "Streamed media answers that are open.",
    .labels = {"operation"},
};
static struct kn_metric_family bytes = {
    .kind = KN_COUNTER,
    .name = "kinema_media_sent_bytes_total",
    .help = "Bytes of Matroska handed to the network.",
    .labels = {"operation"},
};
static struct kn_metric_family cold = {
    .kind = KN_COUNTER,
    .name = "kinema_media_cold_reads_total",
    .help = "Times a reader's bytes were not in memory and a worker fetched them.",
    .labels = {"operation"},
};

struct playback_media_metrics playback_media_metrics_of(const char *operation)
{
    struct kn_str label = kn_str_from(operation);

    return (struct playback_media_metrics){
        .readers = kn_metric_series(&readers, &label),
        .bytes = kn_metric_series(&bytes, &label),
        .cold = kn_metric_series(&cold, &label),
    };
}
