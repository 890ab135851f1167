/* SPDX-License-Identifier: Apache-2.0 */
/* What storage counts; families in storage_metrics.c. */
#ifndef STORAGE_SRC_STORAGE_METRICS_H
#define STORAGE_SRC_STORAGE_METRICS_H

#include "core/bytes.h"

struct storage;

/* Why retention removed something. */
enum storage_rule {
    STORAGE_RULE_AGE,
    STORAGE_RULE_BYTES,
    STORAGE_RULE_SPACE,
    STORAGE_RULE_LIFTED, /* a rule had passed it, but a hold kept it until now */
    STORAGE_RULE_MEMORY, /* of a stream with retention 0 */
    STORAGE_RULES
};
extern const char *const storage_rule_text[STORAGE_RULES];

void storage_metrics_commit(uint64_t fragment_bytes);
void storage_metrics_written(uint64_t bytes);
void storage_metrics_flush(int64_t took_ns, size_t files);
void storage_metrics_flush_volume(void);
void storage_metrics_fenced(void);
void storage_metrics_duplicate(void);
void storage_metrics_trimmed(enum storage_rule rule, uint64_t chunks, uint64_t fragments,
                             uint64_t bytes);
void storage_metrics_round(int64_t took_ns, uint64_t kept_bytes);
void storage_metrics_exhausted(bool exhausted);
void storage_metrics_oldest(struct kn_str stream, int64_t age_ms);
void storage_metrics_oldest_drop(struct kn_str stream);
void storage_metrics_window(uint64_t used_bytes);
struct kn_fs_space;
void storage_metrics_space(const struct kn_fs_space *space);
void storage_metrics_full(bool full);
void storage_metrics_catalogue(bool failing);
struct storage_report;
void storage_metrics_recovered(const struct storage_report *report);

#endif
