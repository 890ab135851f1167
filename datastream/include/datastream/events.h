/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fragment events: for each video stream that names a data stream, one record there for each
 * fragment that was persisted, exactly once and in order. docs/events/fragment-event.md.
 */
#ifndef DATASTREAM_EVENTS_H
#define DATASTREAM_EVENTS_H

#include "core/api.h"
#include "storage/events.h"

struct datastream;

struct datastream_events_conf {
    struct storage *storage;
    struct datastream *datastream;
    const struct kn_api_identity *identity;
    struct kn_clock *clock;
    const char *endpoint; /* "http://10.0.0.7:4566", for the links in events; copied */
};
/* Starts the thread that sends them, where it stopped last time. What conf points to outlives it.
 * Blocks. */
int datastream_events_start(const struct datastream_events_conf *conf,
                            struct storage_event_sender **ret, struct kn_err *err) KN_MUSTUSE;
/* Waits for what is on its way; accepts NULL. Before the storage closes. */
void datastream_events_stop(struct storage_event_sender *sender);

#endif
