/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Event-stream messages: room for the prelude is left at the front, payload goes in behind the
 * headers without a copy, lengths and checksums are filled in at the end. All numbers big-endian.
 * Source: AWS, "Event stream encoding".
 */
#include "core/eventstream.h"

#include "core/crypto.h"

enum {
    PRELUDE_BYTES = 12, /* total length, length of the headers, CRC of both */
    CRC_BYTES = 4,
    TYPE_STRING = 7
};

static void add_header(struct kn_buf *dst, struct kn_str name, struct kn_str value)
{
    uint8_t len[2];
    kn_assert(name.len <= UINT8_MAX && value.len <= UINT16_MAX);
    kn_put_u16be(len, (uint16_t) value.len);
    (void) kn_buf_append_byte(dst, (uint8_t) name.len); /* errors stick in dst */
    (void) kn_buf_append_str(dst, name);
    (void) kn_buf_append_byte(dst, TYPE_STRING);
    (void) kn_buf_append(dst, len, sizeof len);
    (void) kn_buf_append_str(dst, value);
}

static struct kn_eventstream begin(struct kn_buf *dst, struct kn_str message_type,
                                   struct kn_str type_name, const char *type,
                                   const char *content_type)
{
    static const uint8_t room[PRELUDE_BYTES];
    struct kn_eventstream message = {.at = dst->len};
    (void) kn_buf_append(dst, room, sizeof room);
    add_header(dst, KN_STR(":message-type"), message_type);
    add_header(dst, type_name, kn_str_from(type));
    add_header(dst, KN_STR(":content-type"), kn_str_from(content_type));
    message.payload = dst->len;
    return message;
}

struct kn_eventstream kn_eventstream_event(struct kn_buf *dst, const char *type,
                                           const char *content_type)
{
    return begin(dst, KN_STR("event"), KN_STR(":event-type"), type, content_type);
}

struct kn_eventstream kn_eventstream_exception(struct kn_buf *dst, const char *type,
                                               const char *content_type)
{
    return begin(dst, KN_STR("exception"), KN_STR(":exception-type"), type, content_type);
}

void kn_eventstream_end(struct kn_buf *dst, struct kn_eventstream message)
{
    if (dst->error)
        return;
    kn_assert(message.payload >= message.at + PRELUDE_BYTES && dst->len >= message.payload);
    uint8_t *start = dst->ptr + message.at;
    size_t len = dst->len - message.at;
    kn_assert(len + CRC_BYTES <= UINT32_MAX);
    kn_put_u32be(start, (uint32_t) (len + CRC_BYTES));
    kn_put_u32be(start + 4, (uint32_t) (message.payload - message.at - PRELUDE_BYTES));
    kn_put_u32be(start + 8, kn_crc32(0, (struct kn_bytes){start, 8}));
    (void) kn_buf_append_u32be(dst, kn_crc32(0, (struct kn_bytes){start, len}));
}

void kn_eventstream_initial(struct kn_buf *dst, const char *content_type)
{
    struct kn_eventstream message = kn_eventstream_event(dst, "initial-response", content_type);
    (void) kn_buf_append_text(dst, "{}");
    kn_eventstream_end(dst, message);
}
