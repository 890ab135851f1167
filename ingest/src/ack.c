/* SPDX-License-Identifier: Apache-2.0 */
/* Acknowledgements as text, and the bounded queue they wait in. See ack.h for the form's sources.
 */
#include "ack.h"

static const struct {
    enum ingest_error id;
    const char *code;
} codes[] = {
    {INGEST_STREAM_READ_ERROR,                      "STREAM_READ_ERROR"                     },
    {INGEST_MAX_FRAGMENT_SIZE_REACHED,              "MAX_FRAGMENT_SIZE_REACHED"             },
    {INGEST_MAX_FRAGMENT_DURATION_REACHED,          "MAX_FRAGMENT_DURATION_REACHED"         },
    {INGEST_MAX_CONNECTION_DURATION_REACHED,        "MAX_CONNECTION_DURATION_REACHED"       },
    {INGEST_FRAGMENT_TIMECODE_LESSER_THAN_PREVIOUS, "FRAGMENT_TIMECODE_LESSER_THAN_PREVIOUS"},
    {INGEST_INVALID_MKV_DATA,                       "INVALID_MKV_DATA"                      },
    {INGEST_INVALID_PRODUCER_TIMESTAMP,             "INVALID_PRODUCER_TIMESTAMP"            },
    {INGEST_STREAM_NOT_ACTIVE,                      "STREAM_NOT_ACTIVE"                     },
    {INGEST_FRAGMENT_METADATA_LIMIT_REACHED,        "FRAGMENT_METADATA_LIMIT_REACHED"       },
    {INGEST_TRACK_NUMBER_MISMATCH,                  "TRACK_NUMBER_MISMATCH"                 },
    {INGEST_FRAMES_MISSING_FOR_TRACK,               "FRAMES_MISSING_FOR_TRACK"              },
    {INGEST_MORE_THAN_ALLOWED_TRACKS_FOUND,         "MORE_THAN_ALLOWED_TRACKS_FOUND"        },
    {INGEST_INTERNAL_ERROR,                         "INTERNAL_ERROR"                        },
    {INGEST_ARCHIVAL_ERROR,                         "ARCHIVAL_ERROR"                        },
};

const char *ingest_error_code(enum ingest_error id)
{
    for (size_t i = 0; i < KN_ARRAY_LEN(codes); i++)
        if (codes[i].id == id)
            return codes[i].code;
    return "INTERNAL_ERROR";
}

static const char *const types[] = {
    [INGEST_ACK_BUFFERING] = "BUFFERING", [INGEST_ACK_RECEIVED] = "RECEIVED",
    [INGEST_ACK_PERSISTED] = "PERSISTED", [INGEST_ACK_ERROR] = "ERROR",
    [INGEST_ACK_IDLE] = "IDLE",
};

/* Nothing here needs escaping: digits and constants only. The client's parser knows no escapes. */
size_t ingest_ack_format(const struct ingest_ack *ack, char dst[INGEST_ACK_BYTES_MAX])
{
    struct kn_buf out = {
        .ptr = (uint8_t *) dst, .cap = INGEST_ACK_BYTES_MAX, .max = INGEST_ACK_BYTES_MAX};
    kn_buf_append_text(&out, "{\"EventType\":\"");
    kn_buf_append_text(&out, types[ack->type]);
    kn_buf_append_byte(&out, '"');
    if (ack->has_timecode) {
        kn_buf_append_text(&out, ",\"FragmentTimecode\":");
        kn_buf_append_decimal(&out, ack->timecode);
    }
    if (ack->has_number) {
        char number[STORAGE_NUMBER_TEXT_BYTES];
        storage_number_format(&ack->number, number);
        kn_buf_append_text(&out, ",\"FragmentNumber\":\"");
        kn_buf_append_text(&out, number);
        kn_buf_append_byte(&out, '"');
    }
    if (ack->type == INGEST_ACK_ERROR)
        kn_buf_printf(&out, ",\"ErrorCode\":\"%s\",\"ErrorId\":%d", ingest_error_code(ack->error),
                      (int) ack->error);
    kn_buf_append_text(&out, "}");
    while (ack->type == INGEST_ACK_IDLE && out.len < INGEST_IDLE_BYTES - 1)
        kn_buf_append_byte(&out, ' ');
    kn_buf_append_byte(&out, '\n');
    kn_assert(out.error == 0 && out.ptr == (uint8_t *) dst);
    return out.len;
}

void ingest_ack_push(struct ingest_ack_queue *queue, const struct ingest_ack *ack)
{
    kn_assert(queue->count < INGEST_ACKS_MAX);
    queue->items[(queue->first + queue->count) % INGEST_ACKS_MAX] = *ack;
    queue->count++;
}

bool ingest_ack_pop(struct ingest_ack_queue *queue, struct ingest_ack *ret)
{
    if (!queue->count)
        return false;
    *ret = queue->items[queue->first];
    queue->first = (queue->first + 1) % INGEST_ACKS_MAX;
    queue->count--;
    return true;
}
