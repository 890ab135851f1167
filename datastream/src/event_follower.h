/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One video stream whose fragments have events: what was sent, what is on its way, and what holds
 * it up. The sender's thread makes the steps; storage tells it how appends ended.
 */
#ifndef DATASTREAM_SRC_EVENT_FOLLOWER_H
#define DATASTREAM_SRC_EVENT_FOLLOWER_H

#include "event_place.h"
#include "event_source.h"

#include "datastream/events.h"

struct datastream_event_sender;

enum {
    DATASTREAM_EVENT_READY = 32,              /* batches that go to the log together */
    DATASTREAM_EVENT_READY_BYTES = 1 << 20,   /* no batch is added past it */
    DATASTREAM_EVENT_BATCH = 32,              /* events in one append */
    DATASTREAM_EVENT_BATCH_BYTES = 256 << 10, /* no more is added past it */
    DATASTREAM_EVENT_RETRY_MS = 1000,         /* no data stream, or it cannot be written */
    DATASTREAM_EVENT_RETRY_SOON_MS = 50,      /* a shard was closed; the node's budget is spent */
};

struct datastream_event_follower {
    struct datastream_event_follower *bucket_next;
    struct datastream_event_sender *sender;
    struct storage_id id; /* of the video stream */
    uint64_t scanned;     /* the sender's thread: the last scan that found it */
    struct kn_gate_waiter waiter;
    struct kn_gate *gate; /* the stream's, joined as long as this is there */

    /* Guarded by the sender's lock. */
    struct datastream_event_follower *due_next;
    bool due;      /* in the list of those that are to make a step */
    bool stepping; /* on a thread, without the lock */
    bool sending;  /* an append is on its way */
    bool again;    /* fragments were persisted meanwhile */
    bool removed;
    unsigned paused;
    int64_t retry_ns; /* 0: nothing is wrong */
    enum storage_event_status status;
    uint64_t sent_seq, sent, lost;
    int64_t oldest_ms; /* server time of the first fragment that waits; 0: none */

    /* Of whoever is stepping. */
    struct storage_stream *stream; /* a reference: its settings */
    struct storage_event_sink sink;
    bool placed;
    struct datastream_event_place place;
    uint64_t next_ordinal;            /* of the fragment after the last one sent; 0: not known */
    struct storage_batch *batch;      /* made, not appended yet; NULL: none */
    struct datastream_shards *shards; /* held while it is being appended */
    /* Of the append on its way. */
    uint64_t last_seq, last_ordinal;
    size_t count, bytes;
    bool more;
};

/* Makes the sink of this snapshot the one that counts; takes the reference. */
void datastream_event_follower_set(struct datastream_event_follower *f,
                                   struct storage_stream *stream);
void datastream_event_follower_free(struct datastream_event_follower *f);
/* Finds its place in the data stream, if it has none; then sent_seq holds. -ENOENT: no such data
 * stream. Stepping. Blocks. */
int datastream_event_follower_place(struct datastream_event_follower *f) KN_MUSTUSE;
/* How long what waits has waited, while it cannot be sent because of r; returns r. Stepping. */
int datastream_event_follower_look(struct datastream_event_follower *f, int r) KN_MUSTUSE;
/* Makes a batch of what there is to send; 0 and none: there is nothing. Stepping. Blocks. */
int datastream_event_follower_prepare(struct datastream_event_follower *f) KN_MUSTUSE;
/* Puts the batch among the appends of others. The data stream's shard map stays as it is until
 * `appended` is called, which is to be done in either case, when the appends are in the queue.
 * Stepping. */
int datastream_event_follower_append(struct datastream_event_follower *f,
                                     struct storage_appends *others) KN_MUSTUSE;
void datastream_event_follower_appended(struct datastream_event_follower *f);

/* --- the sender, as its followers see it (event_sender.c) */
struct datastream_event_sender {
    struct storage_event_sender base;
    struct datastream_events_conf conf;
    struct datastream_event_source source;                           /* the thread's */
    struct kn_buf event;                                             /* likewise */
    struct datastream_event_follower *ready[DATASTREAM_EVENT_READY]; /* likewise: have a batch */
    size_t ready_count, ready_bytes;
    struct kn_gate_waiter streams_waiter;
    uint64_t scans; /* the thread's */
    char *endpoint;
    pthread_t thread;
    bool started;

    struct kn_lock lock;  /* what follows; a leaf */
    struct kn_cond wake;  /* the thread */
    struct kn_cond moved; /* a step or an append has ended */
    bool stopping, changed;
    bool idle;        /* the thread waits for work, not for company */
    bool hurries;     /* a stream has fallen behind */
    bool busy;        /* the last round had many */
    int64_t round_ns; /* when the last round began */
    size_t sending_count, held_up_count;
    struct datastream_event_follower *due_first, *due_last;
    struct datastream_event_follower *buckets[1024];
};
/* How the append ended; on a thread of storage. */
void datastream_event_sender_sent(struct datastream_event_follower *f, int result);

#endif
