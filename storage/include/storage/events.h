/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fragment events: to which data stream a video stream's go, and who sends them.
 *
 * The index of a video stream is the outbox of its events. How far they were sent, the data stream
 * itself says (storage/shard.h, sources); what is kept here is only where the first one begins.
 * docs/events/fragment-event.md says what they hold.
 */
#ifndef STORAGE_EVENTS_H
#define STORAGE_EVENTS_H

#include "core/gate.h"
#include "storage/stream.h"

/* A stream's tag whose value is the name of the data stream. It is the setting itself: whoever sets
 * it last, an operation of ours or one of AWS's for tags, has set where events go. */
#define STORAGE_EVENT_STREAM_TAG "kinema:event-stream"

struct storage_event_sink {
    struct kn_str name;   /* of the data stream; empty: there are no events */
    bool bound;           /* id is known */
    struct storage_id id; /* of the data stream that had the name when it was set */
    uint64_t after_seq;   /* fragments after this one have events */
};
/* The name is a view into the snapshot. */
void storage_event_sink_of(const struct storage_stream *stream, struct storage_event_sink *ret);

enum {
    STORAGE_EVENT_SINK_BYTES = 1 + 16 + 8
};
/* As `extra` of a stream. */
struct kn_bytes storage_event_sink_encode(const struct storage_event_sink *sink,
                                          uint8_t dst[STORAGE_EVENT_SINK_BYTES]);

enum storage_event_status {
    STORAGE_EVENTS_OFF,
    STORAGE_EVENTS_ACTIVE,
    STORAGE_EVENTS_NO_DATA_STREAM, /* there is none of that name, or it is being deleted */
    STORAGE_EVENTS_NOT_WRITABLE,   /* the last append failed; it is tried again */
};
struct storage_event_state {
    enum storage_event_status status;
    uint64_t sent;     /* since the server started */
    uint64_t lost;     /* fragments that retention removed before their events, likewise */
    int64_t behind_ms; /* age of the oldest fragment that waits for its event; 0: none waits */
};

/* Who sends the events, as those see it who set where they go. */
struct storage_event_sender {
    /* The data stream of that name; -ENOENT: there is none, or it is being deleted. Never blocks.
     */
    int (*find)(struct storage_event_sender *sender, struct kn_str name, struct storage_id *ret_id);
    /* No event of the stream is sent until resume. *ret_seq: up to this fragment they were sent.
     * -ENOENT: none is sent at present; -EAGAIN: it cannot be said yet whether the last ones were.
     * Blocks. */
    int (*pause)(struct storage_event_sender *sender, const struct storage_id *stream,
                 uint64_t *ret_seq);
    void (*resume)(struct storage_event_sender *sender, const struct storage_id *stream);
    void (*state)(struct storage_event_sender *sender, const struct storage_id *stream,
                  struct storage_event_state *ret);
};

/* Sets where the events of a stream go, from its next fragment on: what was not sent yet to the
 * data stream that had them before goes to the new one. Name empty: nowhere. Durable when it
 * returns; blocks. -ENODATA: there is no data stream of that name; -EDQUOT: no tag is free;
 * -EAGAIN: events that were being written may be found in the former data stream or not, so try
 * later; -ENOENT, -EBUSY: the stream is gone or going. */
int storage_events_set(struct storage *storage, struct storage_event_sender *sender,
                       const struct storage_stream *stream, struct kn_str name) KN_MUSTUSE;

/* Fragments after this one wait for their events: for up to STORAGE_EVENTS_WAIT_MS retention by age
 * and by bytes leaves them; the rule of space never waits. UINT64_MAX: none wait, as at the start.
 * Any thread, never blocks. */
enum {
    STORAGE_EVENTS_WAIT_MS = 60 * 60 * 1000
};
void storage_events_hold(struct storage *storage, const struct storage_id *stream, uint64_t seq);

/* Moves when a stream was made, changed or deleted. */
struct kn_gate *storage_streams_gate(struct storage *storage);
/* Moves when fragments of the stream were persisted, and at nothing else: who waits here is no
 * viewer, and costs an upload nothing. Lives as long as the storage. NULL: no memory. */
struct kn_gate *storage_persisted_gate(struct storage *storage, const struct storage_id *stream);

#endif
