/* SPDX-License-Identifier: Apache-2.0 */
#include "fan.h"

#include <errno.h>
#include <stdlib.h>

enum {
    BUCKETS = 1024
};

struct datastream_fan {
    struct storage_shard *log;
    struct datastream_fan *next; /* in its bucket; guarded by the fans' lock, as count is */
    _Atomic size_t count;

    struct kn_lock lock; /* a leaf: what follows */
    struct datastream_fan_event *kept[DATASTREAM_FAN_EVENTS];
    size_t turn; /* the place to be used next */
};

struct datastream_fans {
    struct kn_lock lock; /* a leaf */
    struct datastream_fan *buckets[BUCKETS];
};

int datastream_fans_new(struct datastream_fans **ret)
{
    struct datastream_fans *fans = calloc(1, sizeof(*fans));
    if (!fans)
        return -ENOMEM;
    kn_lock_init(&fans->lock);
    *ret = fans;
    return 0;
}

void datastream_fans_free(struct datastream_fans *fans)
{
    if (!fans)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        kn_assert(!fans->buckets[i]);
    kn_lock_done(&fans->lock);
    free(fans);
}

static struct datastream_fan **bucket_of(struct datastream_fans *fans,
                                         const struct storage_shard *log)
{
    return &fans->buckets[(uintptr_t) log / 64 % BUCKETS];
}

int datastream_fan_join(struct datastream_fans *fans, struct storage_shard *log,
                        struct datastream_fan **ret)
{
    KN_LOCKED(&fans->lock);
    struct datastream_fan **bucket = bucket_of(fans, log), *fan = *bucket;
    while (fan && fan->log != log)
        fan = fan->next;
    if (!fan) {
        fan = calloc(1, sizeof(*fan));
        if (!fan)
            return -ENOMEM;
        fan->log = log; /* who joins holds it */
        kn_lock_init(&fan->lock);
        fan->next = *bucket;
        *bucket = fan;
    }
    fan->count++;
    *ret = fan;
    return 0;
}

void datastream_fan_leave(struct datastream_fans *fans, struct datastream_fan *fan)
{
    kn_lock_take(&fans->lock);
    bool last = --fan->count == 0;
    if (last) {
        struct datastream_fan **at = bucket_of(fans, fan->log);
        while (*at != fan)
            at = &(*at)->next;
        *at = fan->next;
    }
    kn_lock_give(&fans->lock);
    if (!last)
        return;
    datastream_fan_forget(fan);
    kn_lock_done(&fan->lock);
    free(fan);
}

size_t datastream_fan_count(struct datastream_fan *fan)
{
    return fan->count;
}

static struct datastream_fan_event *find_locked(struct datastream_fan *fan, uint64_t from)
{
    for (size_t i = 0; i < DATASTREAM_FAN_EVENTS; i++) {
        if (fan->kept[i] && fan->kept[i]->from == from)
            return fan->kept[i];
    }
    return NULL;
}

struct datastream_fan_event *datastream_fan_find(struct datastream_fan *fan, uint64_t from)
{
    if (fan->count < 2)
        return NULL;
    KN_LOCKED(&fan->lock);
    struct datastream_fan_event *event = find_locked(fan, from);
    return event ? datastream_fan_event_ref(event) : NULL;
}

void datastream_fan_keep(struct datastream_fan *fan, struct datastream_fan_event *event)
{
    if (fan->count < 2 || event->message.len > DATASTREAM_FAN_EVENT_BYTES_MAX)
        return;
    struct datastream_fan_event *former = NULL;
    kn_lock_take(&fan->lock);
    if (!find_locked(fan, event->from)) {
        former = fan->kept[fan->turn];
        fan->kept[fan->turn] = datastream_fan_event_ref(event);
        fan->turn = (fan->turn + 1) % DATASTREAM_FAN_EVENTS;
    }
    kn_lock_give(&fan->lock);
    datastream_fan_event_unref(former);
}

void datastream_fan_forget(struct datastream_fan *fan)
{
    struct datastream_fan_event *former[DATASTREAM_FAN_EVENTS];
    kn_lock_take(&fan->lock);
    memcpy(former, fan->kept, sizeof(former));
    memset(fan->kept, 0, sizeof(fan->kept));
    kn_lock_give(&fan->lock);
    for (size_t i = 0; i < DATASTREAM_FAN_EVENTS; i++)
        datastream_fan_event_unref(former[i]);
}
