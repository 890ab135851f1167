/* SPDX-License-Identifier: Apache-2.0 */
/* What storage counts; families in storage_metrics.c, reference in docs/metrics.md. */
#ifndef STORAGE_SRC_STORAGE_METRICS_H
#define STORAGE_SRC_STORAGE_METRICS_H

#include "core/base.h"

struct storage;

void storage_metrics_commit(uint64_t fragment_bytes);
void storage_metrics_written(uint64_t bytes);
void storage_metrics_flush(int64_t took_ns, size_t files);
void storage_metrics_fenced(void);
void storage_metrics_duplicate(void);
void storage_metrics_trimmed(uint64_t chunks, uint64_t fragments);
void storage_metrics_window(uint64_t used_bytes);
void storage_metrics_space(uint64_t free_bytes, uint64_t total_bytes);
struct storage_report;
void storage_metrics_recovered(const struct storage_report *report);

#endif
