/* SPDX-License-Identifier: Apache-2.0 */
/* What the logs of shards count; families in metrics.c. */
#ifndef STORAGE_SRC_SHARD_METRICS_H
#define STORAGE_SRC_SHARD_METRICS_H

#include "../storage_metrics.h"
#include "core/bytes.h"

/* A batch has been answered. */
void storage_shard_metrics_append(int result, uint64_t records, uint64_t bytes);
void storage_shard_metrics_flush(int64_t took_ns);
/* Full journals that wait for their checkpoint. */
void storage_shard_metrics_waiting(unsigned journals, uint64_t bytes);
void storage_shard_metrics_checkpoint(int64_t took_ns, bool failed);
/* Segment files: what a checkpoint wrote, what was removed (rule AGE or SPACE). */
void storage_shard_metrics_written(unsigned made, uint64_t bytes);
void storage_shard_metrics_removed(enum storage_rule rule, uint64_t segments, uint64_t bytes);
void storage_shard_metrics_loaded(int by); /* shards in memory */
void storage_shard_metrics_memory(uint64_t bytes);
void storage_shard_metrics_stuck(uint64_t shards, uint64_t bytes);

#endif
