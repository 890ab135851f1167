/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The states that AWS shows streams and consumers in while it works on them: here, where a change
 * is done when it is answered, they are ACTIVE at once, unless the setting stream_state_ms asks for
 * AWS's ways. A state is a time in the settings, in the catalogue, that is compared with the clock
 * when somebody asks.
 */
#ifndef DATASTREAM_SRC_STATE_H
#define DATASTREAM_SRC_STATE_H

#include "datastream_internal.h"

enum datastream_state {
    DATASTREAM_ACTIVE,
    DATASTREAM_CREATING,
    DATASTREAM_UPDATING,
    DATASTREAM_DELETING,
    DATASTREAM_GONE, /* its deletion is due: as if it were not there */
};

/* Of a stream or of a consumer. */
enum datastream_state datastream_state_of(const struct datastream *ds,
                                          const struct datastream_settings *settings);
enum datastream_state datastream_stream_state(const struct datastream *ds,
                                              struct datastream_stream *stream);
enum datastream_state datastream_consumer_state(const struct datastream *ds,
                                                struct datastream_consumer *consumer);
/* GONE is shown as DELETING. */
enum datastream_StreamStatus datastream_status_of(enum datastream_state state);
/* Raises ResourceInUseException. */
int datastream_not_active(struct kn_api_call *call, const struct datastream_stream *stream,
                          enum datastream_state state);

/* As datastream_stream_change, what comes of it as a fault. The stream must be ACTIVE, and is
 * UPDATING afterwards. */
int datastream_update(struct datastream *ds, struct kn_api_call *call,
                      struct datastream_stream *stream, datastream_edit_fn *edit, void *ctx)
    KN_MUSTUSE;
/* The same for what AWS does in any state but DELETING, and at once. */
int datastream_update_beside(struct datastream *ds, struct kn_api_call *call,
                             struct datastream_stream *stream, datastream_edit_fn *edit, void *ctx)
    KN_MUSTUSE;
/* It is UPDATING from now on: after a change that went another way. */
int datastream_updating(struct datastream *ds, struct datastream_stream *stream) KN_MUSTUSE;
/* For a stream or a consumer that is made, or that goes: the draft's own state. */
void datastream_state_begin(const struct datastream *ds, enum datastream_state state,
                            struct datastream_settings *draft);

/* Removes what is GONE, if it still is. Blocks. */
int datastream_stream_bury(struct datastream *ds, struct datastream_stream *stream) KN_MUSTUSE;
int datastream_bury_consumers(struct datastream *ds, const struct datastream_stream *stream)
    KN_MUSTUSE;                                            /* of one stream */
int datastream_bury_all(struct datastream *ds) KN_MUSTUSE; /* streams and consumers */

#endif
