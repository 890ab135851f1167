/* SPDX-License-Identifier: Apache-2.0 */
/* What readers of media leave behind in /metrics: one set of series an operation. */
#ifndef PLAYBACK_MEDIA_METRICS_H
#define PLAYBACK_MEDIA_METRICS_H

#include "core/metrics.h"

struct playback_media_metrics {
    struct kn_metric *readers; /* now */
    struct kn_metric *bytes;   /* handed to the network */
    struct kn_metric *cold;    /* times a worker had to fetch */
};

/* The series of this operation, such as "GetMedia". Any thread; takes a lock. */
struct playback_media_metrics playback_media_metrics_of(const char *operation);

#endif
