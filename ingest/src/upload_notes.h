/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of one upload: its lines in the log, its stream's metrics and health. On the
 * request's loop. */
#ifndef INGEST_SRC_UPLOAD_NOTES_H
#define INGEST_SRC_UPLOAD_NOTES_H

#include "assembler.h"
#include "upload_metrics.h"

#include "core/http.h"

struct ingest_upload_notes {
    struct ingest *ingest;
    const struct storage_stream *stream; /* these are borrowed */
    const char *request_id;
    struct ingest_upload_metrics metrics;
    uint64_t bytes;                           /* of the body, taken */
    uint64_t handed_in, answered;             /* commits */
    uint64_t keyless;                         /* of them, without a key frame first */
    int64_t handed_in_ns[INGEST_PENDING_MAX]; /* when, to tell how long PERSISTED took */
};

void ingest_upload_notes_begin(struct ingest_upload_notes *notes, struct kn_str peer,
                               bool relative);
void ingest_upload_notes_bytes(struct ingest_upload_notes *notes, uint64_t bytes);
/* After anything that may have handed commits in. */
void ingest_upload_notes_handed_in(struct ingest_upload_notes *notes,
                                   const struct ingest_assembler *assembler);
/* In the order in which they were handed in. */
void ingest_upload_notes_committed(struct ingest_upload_notes *notes, int result, bool duplicate);
void ingest_upload_notes_fault(struct ingest_upload_notes *notes, const struct ingest_ack *ack,
                               const char *text);
void ingest_upload_notes_end(struct ingest_upload_notes *notes, enum kn_http_why why);

#endif
