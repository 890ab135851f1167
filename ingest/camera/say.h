/* SPDX-License-Identifier: Apache-2.0 */
/* What the process behind the RTSP listener tells the server: one packet of JSON an event. */
#ifndef INGEST_CAMERA_SAY_H
#define INGEST_CAMERA_SAY_H

#include "peer.h"

/* event: one of the names in ingest/src/rtsp.c. said: NULL, nothing to add. Any thread; what the
 * server does not take at once is left out. */
void camera_say(const char *event, const char *stream, const char *address, const char *key,
                const char *said);
struct camera_counts {
    uint64_t connections, pushes, viewers; /* now */
};
void camera_say_counts(const struct camera_counts *counts);

#endif
