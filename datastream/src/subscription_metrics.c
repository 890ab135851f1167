/* SPDX-License-Identifier: Apache-2.0 */
#include "subscription_metrics.h"

static struct kn_metric_family open_now = {
    .kind = KN_GAUGE,
    .name = "kinema_subscriptions",
    .help = "SubscribeToShard answers that are open.",
};
static struct kn_metric_family events = {
    .kind = KN_COUNTER,
    .name = "kinema_subscription_events_total",
    .help = "Events handed to the network by SubscribeToShard, empty ones too.",
};
static struct kn_metric_family records = {
    .kind = KN_COUNTER,
    .name = "kinema_subscription_records_total",
    .help = "Records in these events.",
};
static struct kn_metric_family bytes = {
    .kind = KN_COUNTER,
    .name = "kinema_subscription_sent_bytes_total",
    .help = "Bytes of these events as they were sent.",
};
static struct kn_metric_family shared = {
    .kind = KN_COUNTER,
    .name = "kinema_subscription_shared_events_total",
    .help = "Events that had been made for another subscriber of the shard.",
};
static struct kn_metric_family cold = {
    .kind = KN_COUNTER,
    .name = "kinema_subscription_cold_reads_total",
    .help = "Events whose records were not in memory, or large, and which a worker made.",
};

struct datastream_subscription_metrics datastream_subscription_metrics_get(void)
{
    return (struct datastream_subscription_metrics){
        .open = kn_metric_series(&open_now, NULL),
        .events = kn_metric_series(&events, NULL),
        .records = kn_metric_series(&records, NULL),
        .bytes = kn_metric_series(&bytes, NULL),
        .shared = kn_metric_series(&shared, NULL),
        .cold = kn_metric_series(&cold, NULL),
    };
}
