/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A subscription to a shard: the answer of SubscribeToShard, an event stream that lives for
 * minutes. It holds a position and at most one event, which others may share; the peer's pace
 * decides when the next one is made. New records wake it through the log's gate.
 */
#ifndef DATASTREAM_SRC_SUBSCRIPTION_H
#define DATASTREAM_SRC_SUBSCRIPTION_H

#include "fan.h"
#include "seat.h"
#include "subscription_metrics.h"

struct datastream_subscription {
    struct datastream *ds;
    struct kn_api_call *call;
    struct datastream_stream *stream; /* these three are references */
    struct datastream_consumer *consumer;
    struct storage_shard *log;
    struct datastream_fan *fan;
    struct datastream_shard shard; /* as it was */
    struct datastream_seat seat;
    struct datastream_subscription_metrics metrics;

    uint64_t position;                  /* of the log: what is read next */
    struct datastream_fan_event *event; /* going out */
    size_t event_at;
    bool last;     /* the answer ends with it */
    bool draining; /* the server stops */
    int64_t started_ns;
    int64_t sent_ns; /* when an event was last made; 0: none yet */
    int64_t paid_ns; /* until when its rate is used up */
    uint64_t seen;   /* of the gate, before the log was looked at */

    bool working; /* a worker makes an event */
    bool worked;  /* its result has not been looked at yet */
    int work_result;
    struct datastream_fan_event *work_event;
    bool work_last;
};

/* What the call asks for has been checked and the seat taken: takes the answer over. */
void datastream_subscription_start(struct datastream_subscription *subscription);
/* Lets go of everything; accepts one that is not complete. */
void datastream_subscription_free(struct datastream_subscription *subscription);

#endif
