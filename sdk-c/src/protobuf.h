/* SPDX-License-Identifier: Apache-2.0 */
/* The little of Protocol Buffers that aggregated records need: varints, and fields of bytes.
 * @source protobuf.dev, "Encoding" */
#ifndef KINEMA_SRC_PROTOBUF_H
#define KINEMA_SRC_PROTOBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    PROTOBUF_VARINT = 0,
    PROTOBUF_FIXED64 = 1,
    PROTOBUF_BYTES = 2,
    PROTOBUF_FIXED32 = 5
};

static inline size_t protobuf_varint_len(uint64_t value)
{
    size_t len = 1;
    while (value >= 0x80) {
        value >>= 7;
        len++;
    }
    return len;
}

static inline uint8_t *protobuf_put_varint(uint8_t *at, uint64_t value)
{
    while (value >= 0x80) {
        *at++ = (uint8_t) (value | 0x80);
        value >>= 7;
    }
    *at++ = (uint8_t) value;
    return at;
}

/* Field numbers here are below 16: a tag is one byte. */
static inline uint8_t *protobuf_put_bytes(uint8_t *at, unsigned field, const void *ptr, size_t len)
{
    *at++ = (uint8_t) (field << 3 | PROTOBUF_BYTES);
    at = protobuf_put_varint(at, len);
    if (len > 0)
        memcpy(at, ptr, len);
    return at + len;
}

static inline size_t protobuf_bytes_len(size_t len)
{
    return 1 + protobuf_varint_len(len) + len;
}

struct protobuf_field {
    uint32_t number;
    unsigned type;
    uint64_t value; /* of a varint */
    const uint8_t *ptr;
    size_t len; /* of bytes */
};

struct protobuf_reader {
    const uint8_t *at, *end;
};

static inline bool protobuf_read_varint(struct protobuf_reader *in, uint64_t *ret)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && in->at < in->end; shift += 7) {
        uint8_t byte = *in->at++;
        if (shift == 63 && byte > 1)
            return false;
        value |= (uint64_t) (byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *ret = value;
            return true;
        }
    }
    return false;
}

static inline bool protobuf_take(struct protobuf_reader *in, uint64_t len,
                                 struct protobuf_field *ret)
{
    if (len > (uint64_t) (in->end - in->at))
        return false;
    ret->ptr = in->at;
    ret->len = (size_t) len;
    in->at += len;
    return true;
}

/* The next field; false when it is not whole. The reader is not at its end. */
static inline bool protobuf_read(struct protobuf_reader *in, struct protobuf_field *ret)
{
    uint64_t tag, len;
    if (!protobuf_read_varint(in, &tag) || tag >> 3 == 0 || tag >> 3 > 0x1fffffff)
        return false;
    ret->number = (uint32_t) (tag >> 3);
    ret->type = (unsigned) (tag & 7);
    ret->value = 0;
    ret->ptr = NULL;
    ret->len = 0;
    switch (ret->type) {
    case PROTOBUF_VARINT:
        return protobuf_read_varint(in, &ret->value);
    case PROTOBUF_FIXED64:
        return protobuf_take(in, 8, ret);
    case PROTOBUF_FIXED32:
        return protobuf_take(in, 4, ret);
    case PROTOBUF_BYTES:
        return protobuf_read_varint(in, &len) && protobuf_take(in, len, ret);
    default:
        return false; /* groups, which nobody writes any more */
    }
}

#endif
