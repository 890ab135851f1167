/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a subscription sends: whole event-stream messages, made once, sent as they are to all who
 * are at the same place. Their payload is JSON, whatever the request was in: so the AWS service's
 * clients for Java expect it (docs/protocols/aws-json.md).
 */
#ifndef DATASTREAM_SRC_FAN_EVENT_H
#define DATASTREAM_SRC_FAN_EVENT_H

#include "datastream_internal.h"

struct datastream_fan_event { /* counted, never changes */
    _Atomic unsigned refs;
    uint64_t from, next; /* of the log: where it begins, and what follows it */
    size_t record_count;
    size_t record_bytes; /* of keys and data */
    int64_t behind_ms;   /* as it says */
    struct kn_buf message;
};

struct datastream_fan_event *datastream_fan_event_ref(struct datastream_fan_event *event);
void datastream_fan_event_unref(struct datastream_fan_event *event); /* accepts NULL */

/* The first message of all. -ENOMEM, as all that follow. */
int datastream_fan_event_initial(struct datastream_fan_event **ret) KN_MUSTUSE;
/* page NULL: no records, and next = from. */
int datastream_fan_event_records(const struct datastream_shard *shard, uint64_t from,
                                 const struct storage_page *page, int64_t now_ms,
                                 struct datastream_fan_event **ret) KN_MUSTUSE;
/* The last event of a closed shard: its children, and nothing to go on from. */
int datastream_fan_event_end(struct kn_api_call *call, const struct datastream_shard_map *map,
                             uint32_t shard, struct datastream_fan_event **ret) KN_MUSTUSE;
int datastream_fan_event_exception(const char *type, struct kn_str message,
                                   struct datastream_fan_event **ret) KN_MUSTUSE;

#endif
