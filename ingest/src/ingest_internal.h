/* SPDX-License-Identifier: Apache-2.0 */
/* What stands behind struct ingest, for the files of this folder. */
#ifndef INGEST_SRC_INGEST_INTERNAL_H
#define INGEST_SRC_INGEST_INTERNAL_H

#include "ingest/ingest.h"
#include "storage/stream.h"

struct ingest_cameras;
struct ingest_healths;
struct ingest_probes;
struct ingest_rtsp;
struct ingest_seats;

struct ingest {
    struct storage *storage;
    struct ingest_conf conf;
    struct ingest_endpoints endpoints;
    const struct kn_api_identity *identity;
    struct storage_event_sender *events;
    struct kn_clock *clock;
    struct ingest_seats *seats;     /* who uploads to which stream */
    struct ingest_healths *healths; /* how those fare */
    struct ingest_cameras *cameras;
    struct ingest_probes *probes; /* looks at cameras that may become some */
    struct ingest_rtsp *rtsp;     /* NULL: no listener */
};

#endif
