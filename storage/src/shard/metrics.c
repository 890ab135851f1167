/* SPDX-License-Identifier: Apache-2.0 */
/* Counters and gauges of the logs of shards; see metrics.h. */
#include "metrics.h"

#include <errno.h>

#include "core/metrics.h"

static const double seconds[] = {0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05,
                                 0.1,    0.2,    0.5,   1,     2,     5,    10};

/* clang-format off */
static struct kn_metric_family records = {KN_COUNTER, "kinema_shard_append_records_total",
    "Records answered, by outcome.", {"outcome"}, NULL, 0, NULL};
static struct kn_metric_family bytes_appended = {KN_COUNTER, "kinema_shard_append_bytes_total",
    "Bytes of their keys and data, by outcome.", {"outcome"}, NULL, 0, NULL};
static struct kn_metric_family removed = {KN_COUNTER, "kinema_shard_removed_segments_total",
    "Segment files removed by retention, by the rule that they fell to.", {"rule"}, NULL, 0, NULL};
static struct kn_metric_family removed_bytes = {KN_COUNTER, "kinema_shard_removed_bytes_total",
    "Bytes of those files.", {"rule"}, NULL, 0, NULL};

enum family {
    FLUSH_SECONDS,
    CHECKPOINT_SECONDS,
    CHECKPOINTS_FAILED,
    WAITING_JOURNALS,
    WAITING_BYTES,
    SEGMENTS_MADE,
    SEGMENT_BYTES,
    LOADED,
    MEMORY_BYTES,
    STUCK,
    HELD_BYTES,
    FAMILIES
};
static struct kn_metric_family families[FAMILIES] = {
    [FLUSH_SECONDS] = {KN_HISTOGRAM, "kinema_shard_flush_seconds",
        "Time of one flush of the journal.", {0}, seconds, KN_ARRAY_LEN(seconds), NULL},
    [CHECKPOINT_SECONDS] = {KN_HISTOGRAM, "kinema_shard_checkpoint_seconds",
        "Time of one checkpoint.", {0}, seconds, KN_ARRAY_LEN(seconds), NULL},
    [CHECKPOINTS_FAILED] = {KN_COUNTER, "kinema_shard_checkpoints_failed_total",
        "Checkpoints that failed for all shards: journals stay full.", {0}, NULL, 0, NULL},
    [WAITING_JOURNALS] = {KN_GAUGE, "kinema_shard_waiting_journals",
        "Full journals that wait for their checkpoint.", {0}, NULL, 0, NULL},
    [WAITING_BYTES] = {KN_GAUGE, "kinema_shard_waiting_bytes",
        "Bytes in those journals.", {0}, NULL, 0, NULL},
    [SEGMENTS_MADE] = {KN_COUNTER, "kinema_shard_made_segments_total",
        "Segment files made by checkpoints.", {0}, NULL, 0, NULL},
    [SEGMENT_BYTES] = {KN_COUNTER, "kinema_shard_segment_bytes_total",
        "Bytes written to segment files by checkpoints.", {0}, NULL, 0, NULL},
    [LOADED] = {KN_GAUGE, "kinema_shard_open",
        "Shards in memory: somebody has them open, or records of them are in a journal only.", {0},
        NULL, 0, NULL},
    [MEMORY_BYTES] = {KN_GAUGE, "kinema_shard_memory_bytes",
        "Memory of records on their way or in journals only.", {0}, NULL, 0, NULL},
    [STUCK] = {KN_GAUGE, "kinema_shard_stuck",
        "Shards whose own files cannot be written.", {0}, NULL, 0, NULL},
    [HELD_BYTES] = {KN_GAUGE, "kinema_shard_held_bytes",
        "Bytes of their records, held beside the journals.", {0}, NULL, 0, NULL},
};
/* clang-format on */

/* A family without labels has one series; looked up once. */
static struct kn_metric *metric(enum family family)
{
    static struct kn_metric *_Atomic series[FAMILIES];
    struct kn_metric *m = series[family];
    if (!m) {
        m = kn_metric_series(&families[family], NULL);
        series[family] = m;
    }
    return m;
}

/* --- appends ---------------------------------------------------------------------------------- */
static const struct {
    int result;
    const char *text;
} outcomes[] = {
    {0,          "done"     },
    {-ENOSPC,    "no_space" },
    {-EIO,       "io_error" },
    {-ENOMEM,    "no_memory"},
    {-ETIMEDOUT, "unknown"  },
    {-ESHUTDOWN, "closed"   },
    {-ENOENT,    "dropped"  },
    {-EDQUOT,    "sources"  },
    {-EINVAL,    "other"    },
};

void storage_shard_metrics_append(int result, uint64_t count, uint64_t bytes)
{
    static struct kn_metric *_Atomic series[2][KN_ARRAY_LEN(outcomes)];
    size_t at = 0;
    while (at < KN_ARRAY_LEN(outcomes) - 1 && outcomes[at].result != result)
        at++;
    if (!series[0][at]) {
        struct kn_str text = kn_str_from(outcomes[at].text);
        series[1][at] = kn_metric_series(&bytes_appended, &text);
        series[0][at] = kn_metric_series(&records, &text);
    }
    kn_metric_add(series[0][at], (int64_t) count);
    kn_metric_add(series[1][at], (int64_t) bytes);
}

void storage_shard_metrics_flush(int64_t took_ns)
{
    kn_metric_observe(metric(FLUSH_SECONDS), (double) took_ns / 1e9);
}

/* --- checkpoints ------------------------------------------------------------------------------ */
void storage_shard_metrics_waiting(unsigned journals, uint64_t bytes)
{
    kn_metric_set(metric(WAITING_JOURNALS), journals);
    kn_metric_set(metric(WAITING_BYTES), (double) bytes);
}

void storage_shard_metrics_checkpoint(int64_t took_ns, bool failed)
{
    kn_metric_observe(metric(CHECKPOINT_SECONDS), (double) took_ns / 1e9);
    kn_metric_add(metric(CHECKPOINTS_FAILED), failed);
}

void storage_shard_metrics_written(unsigned made, uint64_t bytes)
{
    kn_metric_add(metric(SEGMENTS_MADE), made);
    kn_metric_add(metric(SEGMENT_BYTES), (int64_t) bytes);
}

void storage_shard_metrics_removed(enum storage_rule rule, uint64_t segments, uint64_t bytes)
{
    struct kn_str text = kn_str_from(storage_rule_text[rule]);
    kn_metric_add(kn_metric_series(&removed, &text), (int64_t) segments);
    kn_metric_add(kn_metric_series(&removed_bytes, &text), (int64_t) bytes);
}

/* --- memory ----------------------------------------------------------------------------------- */
void storage_shard_metrics_loaded(int by)
{
    kn_metric_add(metric(LOADED), by);
}

void storage_shard_metrics_memory(uint64_t bytes)
{
    kn_metric_set(metric(MEMORY_BYTES), (double) bytes);
}

void storage_shard_metrics_stuck(uint64_t shards, uint64_t bytes)
{
    kn_metric_set(metric(STUCK), (double) shards);
    kn_metric_set(metric(HELD_BYTES), (double) bytes);
}
