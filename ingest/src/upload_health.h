/* SPDX-License-Identifier: Apache-2.0 */
/* What uploads note of themselves: ingest/health.h. A few operations an upload, none a frame. */
#ifndef INGEST_SRC_UPLOAD_HEALTH_H
#define INGEST_SRC_UPLOAD_HEALTH_H

#include "ack.h"

#include "ingest/health.h"

struct ingest_healths;
int ingest_healths_new(struct ingest_healths **ret) KN_MUSTUSE;
void ingest_healths_free(struct ingest_healths *healths);

void ingest_health_began(struct ingest_healths *healths, const struct storage_id *stream,
                         int64_t now_ms);
void ingest_health_ended(struct ingest_healths *healths, const struct storage_id *stream,
                         int64_t now_ms);
void ingest_health_failed(struct ingest_healths *healths, const struct storage_id *stream,
                          int64_t now_ms, enum ingest_error error, const char *text);
void ingest_health_keyless(struct ingest_healths *healths, const struct storage_id *stream,
                           int64_t now_ms);
bool ingest_healths_get(struct ingest_healths *healths, const struct storage_id *stream,
                        struct ingest_health *ret);

#endif
