/* SPDX-License-Identifier: Apache-2.0 */
/* What subscriptions leave behind in /metrics. */
#ifndef DATASTREAM_SRC_SUBSCRIPTION_METRICS_H
#define DATASTREAM_SRC_SUBSCRIPTION_METRICS_H

#include "core/metrics.h"

struct datastream_subscription_metrics {
    struct kn_metric *open;   /* now */
    struct kn_metric *events; /* handed to the network, as what follows */
    struct kn_metric *records;
    struct kn_metric *bytes;
    struct kn_metric *shared; /* events that another subscriber's reading had made */
    struct kn_metric *cold;   /* events that a worker had to read */
};

/* Any thread; takes a lock. */
struct datastream_subscription_metrics datastream_subscription_metrics_get(void);

#endif
