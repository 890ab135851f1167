/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One PutMedia upload: an HTTP request on its loop, an assembler, a storage writer, a seat.
 *
 * Memory of one upload, besides the HTTP connection's buffers and the stream's in-flight window
 * (storage, ≤ 512 KB): 5 KiB here, and what the assembler states.
 */
#ifndef INGEST_SRC_UPLOAD_H
#define INGEST_SRC_UPLOAD_H

#include "ingest_internal.h"

#include "core/api.h"

struct ingest_upload_open {
    struct storage_stream *stream; /* the reference is taken over */
    bool relative;
    int64_t start_ms;
    bool errors_only;
    bool tracks_may_pause; /* x-kinema-tracks: may-pause */
};

struct ingest_upload;
/* On success the caller hands it to kn_api_take with ingest_upload_ops. */
int ingest_upload_new(struct ingest *ingest, struct kn_api_call *call,
                      const struct ingest_upload_open *open, struct ingest_upload **ret) KN_MUSTUSE;
extern const struct kn_http_ops ingest_upload_ops;

#endif
