/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON writer. It knows at each depth what may come next, so commas, colons and closing
 * brackets cannot be forgotten or doubled; misuse is a programming error and asserts. What leaves
 * is always well-formed RFC 8259: bytes that are no UTF-8 become U+FFFD, NaN and infinity null.
 * Portable C11.
 */
#include "json_scan.h"
#include "utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/crypto.h"
#include "core/json.h"

enum {
    DOC,
    DOC_DONE,
    OBJECT_FIRST,
    OBJECT_NEXT,
    OBJECT_VALUE,
    ARRAY_FIRST,
    ARRAY_NEXT
};

void kn_json_writer_init(struct kn_json_writer *w, struct kn_buf *out)
{
    *w = (struct kn_json_writer){.out = out};
}

/* Called before each value. */
static void value_begin(struct kn_json_writer *w)
{
    uint8_t *state = &w->state[w->depth];
    kn_assert(*state != DOC_DONE && *state != OBJECT_FIRST && *state != OBJECT_NEXT);
    if (*state == ARRAY_NEXT)
        (void) kn_buf_append_byte(w->out, ','); /* errors stick in the buf */
    *state = *state == DOC ? DOC_DONE : *state == OBJECT_VALUE ? OBJECT_NEXT : ARRAY_NEXT;
}

static void open_container(struct kn_json_writer *w, char bracket, uint8_t state)
{
    value_begin(w);
    kn_assert(w->depth < KN_JSON_DEPTH_MAX);
    w->state[++w->depth] = state;
    (void) kn_buf_append_byte(w->out, (uint8_t) bracket);
}

void kn_json_object_begin(struct kn_json_writer *w)
{
    open_container(w, '{', OBJECT_FIRST);
}

void kn_json_object_end(struct kn_json_writer *w)
{
    kn_assert(w->state[w->depth] == OBJECT_FIRST || w->state[w->depth] == OBJECT_NEXT);
    w->depth--;
    (void) kn_buf_append_byte(w->out, '}');
}

void kn_json_array_begin(struct kn_json_writer *w)
{
    open_container(w, '[', ARRAY_FIRST);
}

void kn_json_array_end(struct kn_json_writer *w)
{
    kn_assert(w->state[w->depth] == ARRAY_FIRST || w->state[w->depth] == ARRAY_NEXT);
    w->depth--;
    (void) kn_buf_append_byte(w->out, ']');
}

static void write_escape(struct kn_buf *out, uint8_t c)
{
    static const char shorts[] = "btn\0fr"; /* of 0x08 to 0x0d */
    if (c == '"' || c == '\\')
        (void) kn_buf_append(out, (const uint8_t[]){'\\', c}, 2);
    else if (c >= 0x08 && c <= 0x0d && shorts[c - 0x08])
        (void) kn_buf_append(out, (const uint8_t[]){'\\', (uint8_t) shorts[c - 0x08]}, 2);
    else
        (void) kn_buf_printf(out, "\\u%04x", c);
}

static void write_quoted(struct kn_buf *out, struct kn_str s)
{
    const uint8_t *at = (const uint8_t *) s.ptr, *end = kn_bytes_end(kn_bytes_of(s));
    const uint8_t *run = at;
    (void) kn_buf_append_byte(out, '"');
    for (;;) {
        at = kn_json_plain_end(at, end);
        if (at == end)
            break;
        size_t len = *at < 0x80 ? 0 : kn_utf8_len(at, (size_t) (end - at));
        if (len) {
            at += len;
            continue;
        }
        (void) kn_buf_append(out, run, (size_t) (at - run));
        if (*at < 0x80)
            write_escape(out, *at);
        else
            (void) kn_buf_append_text(out, "\xEF\xBF\xBD");
        run = ++at;
    }
    (void) kn_buf_append(out, run, (size_t) (at - run));
    (void) kn_buf_append_byte(out, '"');
}

void kn_json_key_str(struct kn_json_writer *w, struct kn_str key)
{
    uint8_t *state = &w->state[w->depth];
    kn_assert(*state == OBJECT_FIRST || *state == OBJECT_NEXT);
    if (*state == OBJECT_NEXT)
        (void) kn_buf_append_byte(w->out, ',');
    *state = OBJECT_VALUE;
    write_quoted(w->out, key);
    (void) kn_buf_append_byte(w->out, ':');
}

void kn_json_key(struct kn_json_writer *w, const char *key)
{
    kn_json_key_str(w, kn_str_from(key));
}

void kn_json_str(struct kn_json_writer *w, struct kn_str value)
{
    value_begin(w);
    write_quoted(w->out, value);
}

void kn_json_base64(struct kn_json_writer *w, struct kn_bytes value)
{
    size_t len = kn_base64_text_len(value.len);
    value_begin(w);
    if (kn_buf_reserve(w->out, len + 2) < 0)
        return; /* the error sticks in the buf */
    w->out->ptr[w->out->len] = '"';
    kn_base64_write(value, (char *) w->out->ptr + w->out->len + 1);
    w->out->ptr[w->out->len + 1 + len] = '"';
    w->out->len += len + 2;
}

void kn_json_text(struct kn_json_writer *w, const char *value)
{
    if (value)
        kn_json_str(w, kn_str_from(value));
    else
        kn_json_null(w);
}

static void write_integer(struct kn_json_writer *w, uint64_t left, bool negative)
{
    char text[20], *end = text + sizeof text, *at = end; /* 19 digits and a sign, or 20 digits */
    value_begin(w);
    do {
        *--at = (char) ('0' + left % 10);
        left /= 10;
    } while (left);
    if (negative)
        *--at = '-';
    (void) kn_buf_append(w->out, (const uint8_t *) at, (size_t) (end - at));
}

void kn_json_i64(struct kn_json_writer *w, int64_t value)
{
    write_integer(w, value < 0 ? 0 - (uint64_t) value : (uint64_t) value, value < 0);
}

void kn_json_u64(struct kn_json_writer *w, uint64_t value)
{
    write_integer(w, value, false);
}

void kn_json_double(struct kn_json_writer *w, double value)
{
    if (!isfinite(value)) {
        kn_json_null(w);
        return;
    }
    char text[40];
    for (int digits = 15; digits <= 17; digits++) { /* the shortest that reads back the same */
        (void) snprintf(text, sizeof text, "%.*g", digits, value);
        double back = strtod(text, NULL);
        if (memcmp(&back, &value, sizeof back) == 0)
            break;
    }
    value_begin(w);
    (void) kn_buf_append_text(w->out, text);
}

void kn_json_bool(struct kn_json_writer *w, bool value)
{
    value_begin(w);
    (void) kn_buf_append_text(w->out, value ? "true" : "false");
}

void kn_json_null(struct kn_json_writer *w)
{
    value_begin(w);
    (void) kn_buf_append_text(w->out, "null");
}

void kn_json_epoch_ms(struct kn_json_writer *w, int64_t ms)
{
    char text[28], *end = text + sizeof text, *at = end;
    uint64_t left = ms < 0 ? 0 - (uint64_t) ms : (uint64_t) ms;
    value_begin(w);
    for (int digits = 0; left || digits <= 3; digits++) { /* at least "0.000" */
        if (digits == 3)
            *--at = '.';
        *--at = (char) ('0' + left % 10);
        left /= 10;
    }
    if (ms < 0)
        *--at = '-';
    (void) kn_buf_append(w->out, at, (size_t) (end - at));
}
