/* SPDX-License-Identifier: Apache-2.0 */
/* The names of enhanced monitoring, between lists of answers and bits of settings. */
#ifndef DATASTREAM_SRC_METRICS_NAMES_H
#define DATASTREAM_SRC_METRICS_NAMES_H

#include "datastream_internal.h"

/* A list in the arena of the metrics whose bits are set. -ENOMEM. */
int datastream_metrics_list(struct kn_api_call *call, int64_t metrics,
                            struct datastream_MetricsName_list *ret) KN_MUSTUSE;
/* The bits of a list; ALL is all of them. */
int64_t datastream_metrics_bits(const struct datastream_MetricsName_list *list);

#endif
