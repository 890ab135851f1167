/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the uploads of a stream fare, whoever sends them: what no fragment tells. Of each stream a
 * few hundred bytes since the server's start; of very many streams those of old are forgotten.
 */
#ifndef INGEST_HEALTH_H
#define INGEST_HEALTH_H

#include "ingest/ingest.h"
#include "storage/stream.h"

enum {
    INGEST_HEALTH_STARTS_MAX = 16,
    INGEST_HEALTH_TEXT_BYTES = 128,
};

struct ingest_health {
    unsigned open;    /* uploads under way, one that waits for another's end included */
    int64_t since_ms; /* when the newest one began; times are wall, 0: never */
    int64_t ended_ms; /* when the last one ended */
    uint64_t uploads; /* all */
    int64_t starts_ms[INGEST_HEALTH_STARTS_MAX]; /* of the latest, a ring: uploads % MAX is next */
    int64_t keyless_ms;     /* of the last fragment whose pictures do not begin with a key frame */
    uint64_t errors;        /* uploads that ended with an ERROR */
    int64_t error_ms;       /* of the last of them */
    int error_id;           /* as PutMedia tells it: 4006 */
    const char *error_code; /* "INVALID_MKV_DATA" */
    char error_text[INGEST_HEALTH_TEXT_BYTES];
};

/* false: none was seen. Any thread, never blocks for long. */
bool ingest_health_get(struct ingest *ingest, const struct storage_id *stream,
                       struct ingest_health *ret);
/* Uploads that began after that; of very many the latest. */
unsigned ingest_health_starts_after(const struct ingest_health *health, int64_t ms);

#endif
