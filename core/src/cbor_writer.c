/* SPDX-License-Identifier: Apache-2.0 */
/* CBOR out: definite lengths, shortest heads (RFC 8949, 4.2.1), text always UTF-8. Portable C11. */
#include "utf8.h"

#include "core/cbor.h"

enum {
    MAJOR_UNSIGNED = 0 << 5,
    MAJOR_NEGATIVE = 1 << 5,
    MAJOR_BYTES = 2 << 5,
    MAJOR_TEXT = 3 << 5,
    MAJOR_ARRAY = 4 << 5,
    MAJOR_MAP = 5 << 5,
    FALSE_BYTE = 0xF4,
    TRUE_BYTE,
    NULL_BYTE,
    DOUBLE_BYTE = 0xFB,
    TIME_BYTE = 0xC1 /* tag 1 */
};

static void write_head(struct kn_buf *out, int major, uint64_t value)
{
    uint8_t head[9];
    size_t len = 1;
    if (value < 24) {
        head[0] = (uint8_t) (major | (int) value);
    } else if (value <= UINT8_MAX) {
        head[0] = (uint8_t) (major | 24);
        head[1] = (uint8_t) value;
        len = 2;
    } else if (value <= UINT16_MAX) {
        head[0] = (uint8_t) (major | 25);
        kn_put_u16be(head + 1, (uint16_t) value);
        len = 3;
    } else if (value <= UINT32_MAX) {
        head[0] = (uint8_t) (major | 26);
        kn_put_u32be(head + 1, (uint32_t) value);
        len = 5;
    } else {
        head[0] = (uint8_t) (major | 27);
        kn_put_u64be(head + 1, value);
        len = 9;
    }
    (void) kn_buf_append(out, head, len); /* errors stick in out */
}

void kn_cbor_map(struct kn_buf *out, uint64_t pairs)
{
    write_head(out, MAJOR_MAP, pairs);
}

void kn_cbor_array(struct kn_buf *out, uint64_t items)
{
    write_head(out, MAJOR_ARRAY, items);
}

void kn_cbor_bytes(struct kn_buf *out, struct kn_bytes value)
{
    write_head(out, MAJOR_BYTES, value.len);
    (void) kn_buf_append(out, value.ptr, value.len);
}

void kn_cbor_text(struct kn_buf *out, struct kn_str value)
{
    struct kn_bytes s = kn_bytes_of(value);
    size_t bad = kn_utf8_bad(s);
    write_head(out, MAJOR_TEXT, s.len + 2 * bad); /* U+FFFD is three bytes */
    if (!bad) {
        (void) kn_buf_append(out, s.ptr, s.len);
        return;
    }
    for (size_t at = 0; at < s.len;) {
        size_t len = kn_utf8_len(s.ptr + at, s.len - at);
        if (len)
            (void) kn_buf_append(out, s.ptr + at, len);
        else
            (void) kn_buf_append_text(out, "\xEF\xBF\xBD");
        at += len ? len : 1;
    }
}

void kn_cbor_i64(struct kn_buf *out, int64_t value)
{
    if (value < 0)
        write_head(out, MAJOR_NEGATIVE, (uint64_t) (-1 - value));
    else
        write_head(out, MAJOR_UNSIGNED, (uint64_t) value);
}

void kn_cbor_double(struct kn_buf *out, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    (void) kn_buf_append_byte(out, DOUBLE_BYTE);
    (void) kn_buf_append_u64be(out, bits);
}

void kn_cbor_bool(struct kn_buf *out, bool value)
{
    (void) kn_buf_append_byte(out, value ? TRUE_BYTE : FALSE_BYTE);
}

void kn_cbor_null(struct kn_buf *out)
{
    (void) kn_buf_append_byte(out, NULL_BYTE);
}

void kn_cbor_time_ms(struct kn_buf *out, int64_t ms)
{
    (void) kn_buf_append_byte(out, TIME_BYTE);
    kn_cbor_i64(out, ms);
}
