/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the service says of the fragments it was sent. @source AWS API reference, PutMedia; which
 * errors are sent again and which give a fragment up: as AWS's C producer does.
 */
#include "producer_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct error {
    uint32_t id;
    int again; /* 0: the fragment is given up; 1: it is sent again; 2: if another header suits it */
    const char *name;
} errors[] = {
    {4000, 1, "STREAM_READ_ERROR"                     },
    {4001, 0, "MAX_FRAGMENT_SIZE_REACHED"             },
    {4002, 0, "MAX_FRAGMENT_DURATION_REACHED"         },
    {4003, 1, "MAX_CONNECTION_DURATION_REACHED"       },
    {4004, 0, "FRAGMENT_TIMECODE_LESSER_THAN_PREVIOUS"},
    {4005, 0, "MORE_THAN_ONE_TRACK_FOUND"             },
    {4006, 0, "INVALID_MKV_DATA"                      },
    {4007, 0, "INVALID_PRODUCER_TIMESTAMP"            },
    {4008, 0, "STREAM_NOT_ACTIVE"                     },
    {4009, 0, "FRAGMENT_METADATA_LIMIT_REACHED"       },
    {4010, 0, "TRACK_NUMBER_MISMATCH"                 },
    {4011, 2, "FRAMES_MISSING_FOR_TRACK"              },
    {4012, 0, "MORE_THAN_ALLOWED_TRACKS_FOUND"        },
    {4500, 0, "KMS_KEY_ACCESS_DENIED"                 },
    {4501, 0, "KMS_KEY_DISABLED"                      },
    {4502, 0, "KMS_KEY_VALIDATION_ERROR"              },
    {4503, 0, "KMS_KEY_UNAVAILABLE"                   },
    {4504, 0, "KMS_KEY_INVALID_USAGE"                 },
    {4505, 0, "KMS_KEY_INVALID_STATE"                 },
    {4506, 0, "KMS_KEY_NOT_FOUND"                     },
    {4507, 0, "STREAM_DELETED"                        },
    {5000, 1, "INTERNAL_ERROR"                        },
    {5001, 1, "ARCHIVAL_ERROR"                        },
};

static const struct error *find_error(uint32_t id)
{
    static const struct error unknown = {0, 1, "UNKNOWN"};
    for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++)
        if (errors[i].id == id)
            return &errors[i];
    return &unknown;
}

const char *kinema_ack_error_name(uint32_t error_id)
{
    return find_error(error_id)->name;
}

/* The fragment of that time among those this connection has begun; the count of fragments: none. */
static size_t find_fragment(const struct kinema_producer *p, const struct ack *ack)
{
    size_t begun = p->send_index + (p->send_offset > 0);
    for (size_t i = 0; ack->has_time && i < begun && i < p->ring.count; i++) {
        const struct fragment *fragment = ring_at(&p->ring, i);
        if (!fragment->skipped && (uint64_t) fragment->time_ms == ack->time)
            return i;
    }
    return p->ring.count;
}

/* A fragment that is kept: it and all before it need no sending any more. */
static void fragment_kept(struct kinema_producer *p, size_t index)
{
    const struct fragment *fragment = ring_at(&p->ring, index);
    int sent = index < p->send_index ||
               (index == p->send_index && fragment->whole && p->send_offset == fragment->len);
    if (!fragment->whole || !sent)
        return;
    if (index == p->send_index) { /* sent to its last byte, and not stepped over yet */
        p->send_index++;
        p->send_offset = 0;
    }
    for (size_t i = 0; i <= index; i++) {
        const struct fragment *oldest = ring_at(&p->ring, 0);
        p->stats.fragments_persisted += !oldest->skipped;
        p->stats.frames_persisted += oldest->skipped ? 0 : oldest->frames;
        producer_pop(p);
    }
    if (p->ring.count <= 1)
        producer_spill_over(p);
    p->backoff_ms = 0;
}

/* A track paused or ended: the next header will declare what the fragment has. 0: this one did. */
static int narrow(struct fragment *fragment)
{
    int narrows = fragment->tracks != fragment->seen;
    fragment->tracks = fragment->seen;
    return narrows;
}

static void give_up(struct kinema_producer *p, size_t index)
{
    struct fragment *fragment = ring_at(&p->ring, index);
    fragment->skipped = 1;
    p->stats.fragments_skipped++;
    if (!fragment->whole) {
        fragment->whole = 1;
        p->is_open = 0;
        p->tag_count = 0;
    }
}

static void take_error(struct kinema_producer *p, const struct ack *ack, struct kinema_event *event)
{
    char reason[REASON_BYTES_MAX];
    const struct error *error =
        find_error(ack->error_id <= UINT32_MAX ? (uint32_t) ack->error_id : 0);
    size_t index = find_fragment(p, ack);
    if (!ack->has_time && p->ring.count > 0) /* undecodable input: from the last PERSISTED one on */
        index = 0;
    event->type = KINEMA_ACK_ERROR;
    event->error_id = ack->error_id <= UINT32_MAX ? (uint32_t) ack->error_id : 0;
    event->text = ack->error_code[0] ? ack->error_code : error->name;
    if (index < p->ring.count) {
        struct fragment *fragment = ring_at(&p->ring, index);
        event->frames = fragment->frames;
        event->skipped = error->again == 0 || (error->again == 2 && !narrow(fragment));
        if (event->skipped)
            give_up(p, index);
    }
    p->stats.errors++;
    (void) snprintf(reason, sizeof(reason), "error %lu %s", (unsigned long) event->error_id,
                    event->text);
    producer_cut(p, reason);
}

static void take_ack(struct kinema_producer *p, const struct ack *ack)
{
    struct kinema_event event = {
        .type = KINEMA_ACK_IDLE, .time_ms = (int64_t) ack->time, .fragment_number = ack->number};
    size_t index = find_fragment(p, ack);
    if (index < p->ring.count)
        event.frames = ring_at(&p->ring, index)->frames;
    if (strcmp(ack->event, "BUFFERING") == 0) {
        event.type = KINEMA_ACK_BUFFERING;
    } else if (strcmp(ack->event, "RECEIVED") == 0) {
        event.type = KINEMA_ACK_RECEIVED;
        if (!p->persists && index < p->ring.count)
            fragment_kept(p, index);
    } else if (strcmp(ack->event, "PERSISTED") == 0) {
        event.type = KINEMA_ACK_PERSISTED;
        if (index < p->ring.count)
            fragment_kept(p, index);
    } else if (strcmp(ack->event, "ERROR") == 0) {
        take_error(p, ack, &event);
    } else if (strcmp(ack->event, "IDLE") != 0) {
        return; /* of a service newer than this */
    }
    producer_tell(p, event);
}

void acks_take(struct kinema_producer *p, const char *ptr, size_t len)
{
    while (len > 0 && !p->cut[0]) { /* what follows an error is not listened to, as AWS's do */
        size_t used = 0;
        struct ack ack;
        int code = ack_feed(&p->acks, ptr, len, &used, &ack);
        if (code < 0)
            producer_cut(p, code == -EMSGSIZE ? "an acknowledgement of more than 1024 bytes"
                                              : "what came is no acknowledgement");
        else if (code > 0)
            take_ack(p, &ack);
        ptr += used;
        len -= used;
    }
}
