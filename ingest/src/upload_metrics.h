/* SPDX-License-Identifier: Apache-2.0 */
/* What is counted of uploads, by stream. */
#ifndef INGEST_SRC_UPLOAD_METRICS_H
#define INGEST_SRC_UPLOAD_METRICS_H

#include "ack.h"

struct kn_metric;

struct ingest_upload_metrics { /* the stream's series */
    struct kn_metric *uploads, *bytes, *fragments, *duplicates;
};
struct ingest_upload_metrics ingest_upload_metrics_of(struct kn_str stream);
void ingest_upload_metrics_error(struct kn_str stream, enum ingest_error error);
void ingest_upload_metrics_keyless(struct kn_str stream, uint64_t count);
/* From the end of a fragment to its PERSISTED. */
void ingest_upload_metrics_persisted(int64_t took_ns);

#endif
