/* SPDX-License-Identifier: Apache-2.0 */
/* Counters and gauges of the data folder. */
#include "storage_metrics.h"

#include "core/fs.h"
#include "core/metrics.h"
#include "storage/storage.h"

static const double flush_bounds[] = {0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05,
                                      0.1,    0.2,   0.5,   1,     2,    5};

static struct kn_metric_family families[] = {
    {KN_COUNTER,   "kinema_storage_commits_total",    "Fragments made durable.",                                                                  {0}, NULL, 0,                          NULL},
    {KN_COUNTER,
     "kinema_storage_commit_bytes_total",             "Bytes of those fragments.",
     {0},
     NULL,                                                                                                                                                   0,
     NULL                                                                                                                                                                                    },
    {KN_COUNTER,
     "kinema_storage_written_bytes_total",            "Bytes written to chunk files.",
     {0},
     NULL,                                                                                                                                                   0,
     NULL                                                                                                                                                                                    },
    {KN_HISTOGRAM,
     "kinema_storage_flush_seconds",                  "Time of one group flush.",
     {0},
     flush_bounds,                                                                                                                                           KN_ARRAY_LEN(flush_bounds),
     NULL                                                                                                                                                                                    },
    {KN_COUNTER,
     "kinema_storage_flushed_files_total",            "Files flushed in groups.",
     {0},
     NULL,                                                                                                                                                   0,
     NULL                                                                                                                                                                                    },
    {KN_COUNTER,
     "kinema_storage_volume_flushes_total",           "Group flushes that were one call for the volume.",
     {0},
     NULL,                                                                                                                                                   0,
     NULL                                                                                                                                                                                    },
    {KN_COUNTER,
     "kinema_storage_fenced_chunks_total",            "Chunks given up after a failed write or flush.",
     {0},
     NULL,                                                                                                                                                   0,
     NULL                                                                                                                                                                                    },
    {KN_COUNTER,
     "kinema_storage_duplicates_total",               "Re-sent fragments that were stored already.",
     {0},
     NULL,                                                                                                                                                   0,
     NULL                                                                                                                                                                                    },
    {KN_COUNTER,
     "kinema_retention_deleted_chunks_total",         "Chunks removed by retention, by the rule that they fell to.",
     {"rule"},
     NULL,                                                                                                                                                   0,
     NULL                                                                                                                                                                                    },
    {KN_COUNTER,
     "kinema_retention_deleted_fragments_total",      "Fragments removed by retention.",
     {"rule"},
     NULL,                                                                                                                                                   0,
     NULL                                                                                                                                                                                    },
    {KN_COUNTER,
     "kinema_retention_deleted_bytes_total",          "Bytes of those fragments.",
     {"rule"},
     NULL,                                                                                                                                                   0,
     NULL                                                                                                                                                                                    },
    {KN_GAUGE,
     "kinema_retention_kept_bytes",                   "Bytes that legal holds keep behind the trim horizon, of streams in use.",
     {0},
     NULL,                                                                                                                                                   0,
     NULL                                                                                                                                                                                    },
    {KN_GAUGE,
     "kinema_retention_round_seconds",                "Time the last round of retention took.",
     {0},
     NULL,                                                                                                                                                   0,
     NULL                                                                                                                                                                                    },
    {KN_GAUGE,
     "kinema_retention_exhausted",                    "1 while the volume is short of space and nothing may be removed.",
     {0},
     NULL,                                                                                                                                                   0,
     NULL                                                                                                                                                                                    },
    {KN_GAUGE,     "kinema_storage_window_bytes",     "Memory of fragments in flight.",                                                           {0}, NULL, 0,                          NULL},
    {KN_GAUGE,     "kinema_storage_free_bytes",       "Free space of the data volume.",                                                           {0}, NULL, 0,                          NULL},
    {KN_GAUGE,
     "kinema_storage_free_inodes",                    "Free inodes of the data volume, where it counts them.",
     {0},
     NULL,                                                                                                                                                   0,
     NULL                                                                                                                                                                                    },
    {KN_GAUGE,
     "kinema_storage_volume_full",                    "1 while uploads are refused for want of space.",
     {0},
     NULL,                                                                                                                                                   0,
     NULL                                                                                                                                                                                    },
    {KN_GAUGE,     "kinema_storage_volume_bytes",     "Size of the data volume.",                                                                 {0}, NULL, 0,                          NULL},
    {KN_GAUGE,     "kinema_storage_recovered_chunks", "Chunks recovered at start.",                                                               {0}, NULL, 0,                          NULL},
    {KN_GAUGE,
     "kinema_storage_recovered_cut_bytes",            "Unfinished bytes cut at start.",
     {0},
     NULL,                                                                                                                                                   0,
     NULL                                                                                                                                                                                    },
    {KN_GAUGE,
     "kinema_storage_recovered_bad_records",          "Damaged records found at start, kept and reported.",
     {0},
     NULL,                                                                                                                                                   0,
     NULL                                                                                                                                                                                    },
    {KN_GAUGE,
     "kinema_storage_catalogue_failed",               "1 while the catalogue cannot be written: changes of settings and new chunks are refused.",
     {0},
     NULL,                                                                                                                                                   0,
     NULL                                                                                                                                                                                    },
};

static struct kn_metric_family oldest = {
    .kind = KN_GAUGE,
    .name = "kinema_storage_oldest_fragment_age_seconds",
    .help = "Age of a stream's oldest fragment at the last round of retention.",
    .labels = {"stream"},
};

const char *const storage_rule_text[STORAGE_RULES] = {
    [STORAGE_RULE_AGE] = "age",       [STORAGE_RULE_BYTES] = "bytes",
    [STORAGE_RULE_SPACE] = "space",   [STORAGE_RULE_LIFTED] = "lifted",
    [STORAGE_RULE_MEMORY] = "memory",
};

enum family {
    COMMITS,
    COMMIT_BYTES,
    WRITTEN_BYTES,
    FLUSH_SECONDS,
    FLUSHED_FILES,
    VOLUME_FLUSHES,
    FENCED,
    DUPLICATES,
    TRIMMED_CHUNKS,
    TRIMMED_FRAGMENTS,
    TRIMMED_BYTES,
    KEPT_BYTES,
    ROUND_SECONDS,
    EXHAUSTED,
    WINDOW_BYTES,
    FREE_BYTES,
    FREE_INODES,
    VOLUME_FULL,
    VOLUME_BYTES,
    RECOVERED_CHUNKS,
    RECOVERED_CUT,
    RECOVERED_BAD,
    CATALOGUE_FAILED,
};

/* A family without labels has one series; looked up once. */
static struct kn_metric *metric(enum family family)
{
    static struct kn_metric *_Atomic series[KN_ARRAY_LEN(families)];
    struct kn_metric *m = series[family];
    if (!m) {
        m = kn_metric_series(&families[family], NULL);
        series[family] = m;
    }
    return m;
}

void storage_metrics_commit(uint64_t fragment_bytes)
{
    kn_metric_add(metric(COMMITS), 1);
    kn_metric_add(metric(COMMIT_BYTES), (int64_t) fragment_bytes);
}

void storage_metrics_written(uint64_t bytes)
{
    kn_metric_add(metric(WRITTEN_BYTES), (int64_t) bytes);
}

void storage_metrics_flush(int64_t took_ns, size_t files)
{
    kn_metric_observe(metric(FLUSH_SECONDS), (double) took_ns / 1e9);
    kn_metric_add(metric(FLUSHED_FILES), (int64_t) files);
}

void storage_metrics_flush_volume(void)
{
    kn_metric_add(metric(VOLUME_FLUSHES), 1);
}

void storage_metrics_fenced(void)
{
    kn_metric_add(metric(FENCED), 1);
}

void storage_metrics_duplicate(void)
{
    kn_metric_add(metric(DUPLICATES), 1);
}

/* One series a rule, found once. */
static struct kn_metric *by_rule(enum family family, enum storage_rule rule)
{
    static struct kn_metric *_Atomic series[3][STORAGE_RULES];
    struct kn_metric *m = series[family - TRIMMED_CHUNKS][rule];
    if (!m) {
        struct kn_str value = kn_str_from(storage_rule_text[rule]);
        m = kn_metric_series(&families[family], &value);
        series[family - TRIMMED_CHUNKS][rule] = m;
    }
    return m;
}

void storage_metrics_trimmed(enum storage_rule rule, uint64_t chunks, uint64_t fragments,
                             uint64_t bytes)
{
    kn_metric_add(by_rule(TRIMMED_CHUNKS, rule), (int64_t) chunks);
    kn_metric_add(by_rule(TRIMMED_FRAGMENTS, rule), (int64_t) fragments);
    kn_metric_add(by_rule(TRIMMED_BYTES, rule), (int64_t) bytes);
}

void storage_metrics_round(int64_t took_ns, uint64_t kept_bytes)
{
    kn_metric_set(metric(ROUND_SECONDS), (double) took_ns / 1e9);
    kn_metric_set(metric(KEPT_BYTES), (double) kept_bytes);
}

void storage_metrics_exhausted(bool exhausted)
{
    kn_metric_set(metric(EXHAUSTED), exhausted);
}

void storage_metrics_oldest(struct kn_str stream, int64_t age_ms)
{
    kn_metric_set(kn_metric_series(&oldest, &stream), (double) age_ms / 1e3);
}

void storage_metrics_oldest_drop(struct kn_str stream)
{
    kn_metric_drop(&oldest, &stream);
}

void storage_metrics_window(uint64_t used_bytes)
{
    kn_metric_set(metric(WINDOW_BYTES), (double) used_bytes);
}

void storage_metrics_space(const struct kn_fs_space *space)
{
    kn_metric_set(metric(FREE_BYTES), (double) space->free_bytes);
    kn_metric_set(metric(FREE_INODES), (double) space->free_inodes);
    kn_metric_set(metric(VOLUME_BYTES), (double) space->total_bytes);
}

void storage_metrics_full(bool full)
{
    kn_metric_set(metric(VOLUME_FULL), full ? 1 : 0);
}

void storage_metrics_catalogue(bool failing)
{
    kn_metric_set(metric(CATALOGUE_FAILED), failing);
}

void storage_metrics_recovered(const struct storage_report *report)
{
    kn_metric_set(metric(RECOVERED_CHUNKS), (double) report->chunks_recovered);
    kn_metric_set(metric(RECOVERED_CUT), (double) report->tail_bytes_cut);
    kn_metric_set(metric(RECOVERED_BAD), (double) report->bad_records);
}
