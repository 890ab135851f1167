/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is subscribed to one shard, and the last events made for any of them: who comes to the same
 * place soon takes the same bytes, so that a hundred subscribers at the tip cost one reading, one
 * encoding and one checksum. Nothing is kept while there is one subscriber, or none in a hurry.
 */
#ifndef DATASTREAM_SRC_FAN_H
#define DATASTREAM_SRC_FAN_H

#include "fan_event.h"

enum {
    DATASTREAM_FAN_EVENTS = 8,
    DATASTREAM_FAN_EVENT_BYTES_MAX = 512 << 10, /* larger ones are not kept */
};

struct datastream_fan;
struct datastream_fans; /* of all shards */
int datastream_fans_new(struct datastream_fans **ret) KN_MUSTUSE;
void datastream_fans_free(struct datastream_fans *fans); /* accepts NULL; nobody is subscribed */

/* The fan of a log, which lives until all who joined have left. Any thread, as all of these. */
int datastream_fan_join(struct datastream_fans *fans, struct storage_shard *log,
                        struct datastream_fan **ret) KN_MUSTUSE;
void datastream_fan_leave(struct datastream_fans *fans, struct datastream_fan *fan);
size_t datastream_fan_count(struct datastream_fan *fan); /* subscribers */

/* A reference to the event that begins there; NULL: none is kept. */
struct datastream_fan_event *datastream_fan_find(struct datastream_fan *fan, uint64_t from);
/* Keeps a reference for others. Of two that are made for the same place, the first stays. */
void datastream_fan_keep(struct datastream_fan *fan, struct datastream_fan_event *event);
/* Nothing has come for a while. */
void datastream_fan_forget(struct datastream_fan *fan);

#endif
