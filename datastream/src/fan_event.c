/* SPDX-License-Identifier: Apache-2.0 */
#include "fan_event.h"

#include "read.h"
#include "sequence.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "core/eventstream.h"
#include "core/json.h"

#define CONTENT_TYPE "application/x-amz-json-1.1"

enum {
    MESSAGE_BYTES_MAX = 32 << 20, /* one record of 10 MiB in base64, and room */
    ARENA_BYTES_MAX = 8 << 20,    /* of what describes the records of one event */
    RECORD_JSON_BYTES = 512,      /* about what one costs beside its data */
    SECOND_MS = 1000,
};

struct datastream_fan_event *datastream_fan_event_ref(struct datastream_fan_event *event)
{
    unsigned before = atomic_fetch_add_explicit(&event->refs, 1, memory_order_relaxed);
    kn_assert(before > 0);
    return event;
}

void datastream_fan_event_unref(struct datastream_fan_event *event)
{
    if (!event || atomic_fetch_sub_explicit(&event->refs, 1, memory_order_acq_rel) > 1)
        return;
    kn_buf_done(&event->message);
    free(event);
}

static struct datastream_fan_event *event_new(void)
{
    struct datastream_fan_event *event = calloc(1, sizeof(*event));
    if (!event)
        return NULL;
    atomic_init(&event->refs, 1);
    kn_buf_init(&event->message, MESSAGE_BYTES_MAX);
    return event;
}

static int finish(struct datastream_fan_event *event, struct datastream_fan_event **ret)
{
    int r = event->message.error;
    if (r < 0)
        datastream_fan_event_unref(event);
    else
        *ret = event;
    return r;
}

int datastream_fan_event_initial(struct datastream_fan_event **ret)
{
    struct datastream_fan_event *event = event_new();
    if (!event)
        return -ENOMEM;
    kn_eventstream_initial(&event->message, CONTENT_TYPE);
    return finish(event, ret);
}

int datastream_fan_event_exception(const char *type, struct kn_str message,
                                   struct datastream_fan_event **ret)
{
    struct datastream_fan_event *event = event_new();
    if (!event)
        return -ENOMEM;
    struct kn_json_writer w;
    struct kn_eventstream frame = kn_eventstream_exception(&event->message, type, CONTENT_TYPE);
    kn_json_writer_init(&w, &event->message);
    kn_json_object_begin(&w);
    kn_json_key(&w, "message");
    kn_json_str(&w, message);
    kn_json_object_end(&w);
    kn_eventstream_end(&event->message, frame);
    return finish(event, ret);
}

/* --- records ---------------------------------------------------------------------------------- */
/* Of no record: behind all before next. A shard's first one is before its record 0. */
static struct kn_str continuation(struct kn_arena *arena, const struct datastream_shard *shard,
                                  uint64_t next, int64_t now_ms)
{
    const struct datastream_sequence sequence = {
        .layout = 2,
        .created_s = shard->created_s,
        .shard = (int32_t) shard->index,
        .index = next,
        .past = next > 0,
        .arrival_s = now_ms / SECOND_MS,
    };
    char text[DATASTREAM_SEQUENCE_TEXT_BYTES];
    size_t len = datastream_sequence_format(&sequence, text);
    return kn_arena_str(arena, (struct kn_str){text, len});
}

static int encode(struct datastream_fan_event *event,
                  const struct datastream_SubscribeToShardEvent *shown)
{
    struct kn_eventstream frame =
        kn_eventstream_event(&event->message, "SubscribeToShardEvent", CONTENT_TYPE);
    int r = kn_api_encode_json(datastream_SubscribeToShardEvent_event, shown, &event->message);
    kn_eventstream_end(&event->message, frame);
    return r;
}

int datastream_fan_event_records(const struct datastream_shard *shard, uint64_t from,
                                 const struct storage_page *page, int64_t now_ms,
                                 struct datastream_fan_event **ret)
{
    struct datastream_fan_event *event = event_new();
    if (!event)
        return -ENOMEM;
    struct kn_arena arena;
    kn_arena_init(&arena, ARENA_BYTES_MAX);
    event->from = from;
    event->next = page ? page->next : from;
    struct datastream_SubscribeToShardEvent shown = {
        .Records = {true, 0, NULL},
        .ContinuationSequenceNumber = continuation(&arena, shard, event->next, now_ms),
        .MillisBehindLatest = {true,    0 },
    };
    int r = shown.ContinuationSequenceNumber.ptr ? 0 : -ENOMEM;
    if (page && r == 0) {
        event->record_count = page->count;
        event->record_bytes = page->bytes;
        if (!page->at_end)
            event->behind_ms = kn_max_i64(now_ms - page->records[page->count - 1].arrival_ms, 0);
        shown.MillisBehindLatest.v = event->behind_ms;
        r = datastream_records_show(&arena, shard, page, &shown.Records);
        if (r == 0)
            r = kn_buf_reserve(&event->message,
                               kn_base64_text_len(page->bytes) + page->count * RECORD_JSON_BYTES);
    }
    if (r == 0)
        r = encode(event, &shown);
    kn_arena_done(&arena);
    if (r == 0)
        return finish(event, ret);
    datastream_fan_event_unref(event);
    return r;
}

int datastream_fan_event_end(struct kn_api_call *call, const struct datastream_shard_map *map,
                             uint32_t shard, struct datastream_fan_event **ret)
{
    struct datastream_fan_event *event = event_new();
    if (!event)
        return -ENOMEM;
    struct datastream_SubscribeToShardEvent shown = {
        .Records = {true, 0, NULL},
        .MillisBehindLatest = {true,    0 },
    };
    int r = datastream_children_show(call, map, shard, &shown.ChildShards);
    if (r == 0)
        r = encode(event, &shown);
    if (r == 0)
        return finish(event, ret);
    datastream_fan_event_unref(event);
    return r;
}
