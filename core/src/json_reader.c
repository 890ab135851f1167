/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON reader: one token a call over a whole body, strict RFC 8259. A hand-written push-down
 * automaton: what may come next is one byte (`expect`), what is open is a stack of at most
 * KN_JSON_DEPTH_MAX bits, so hostile nesting costs nothing. Strings stay where they lie; only those
 * with escapes are copied, on demand. Portable C11.
 */
#include "json_scan.h"
#include "utf8.h"

#include "core/err.h"
#include "core/json.h"

enum {
    IN_OBJECT = 1,
    IN_ARRAY = 2
};
enum {
    VALUE,
    FIRST_ITEM,
    FIRST_KEY,
    NEXT,
    DONE,
    BROKEN
};

void kn_json_reader_init(struct kn_json_reader *r, struct kn_bytes in)
{
    *r = (struct kn_json_reader){.in = kn_reader_of(in), .start = in.ptr, .expect = VALUE};
}

size_t kn_json_offset(const struct kn_json_reader *r)
{
    return (size_t) (r->in.at - r->start);
}

static int fail(struct kn_json_reader *r)
{
    r->expect = BROKEN;
    return -EBADMSG;
}

static int peek(const struct kn_json_reader *r)
{
    return r->in.at < r->in.end ? *r->in.at : -1;
}

static int peek_after_blanks(struct kn_json_reader *r)
{
    while (r->in.at < r->in.end &&
           (*r->in.at == ' ' || *r->in.at == '\n' || *r->in.at == '\r' || *r->in.at == '\t'))
        r->in.at++;
    return peek(r);
}

/* --- strings ---------------------------------------------------------------------------------- */
static int hex4(const uint8_t *at, const uint8_t *end, uint32_t *ret)
{
    uint32_t v = 0;
    if (end - at < 4)
        return -EBADMSG;
    for (int i = 0; i < 4; i++) {
        uint8_t c = at[i];
        uint8_t digit = c >= '0' && c <= '9'   ? (uint8_t) (c - '0')
                        : c >= 'a' && c <= 'f' ? (uint8_t) (c - 'a' + 10)
                        : c >= 'A' && c <= 'F' ? (uint8_t) (c - 'A' + 10)
                                               : 16;
        if (digit == 16)
            return -EBADMSG;
        v = v << 4 | digit;
    }
    *ret = v;
    return 0;
}

/* at is behind the backslash; *ret_code is the code point, the result how many bytes it took. */
static int read_escape(const uint8_t *at, const uint8_t *end, uint32_t *ret_code)
{
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    if (at == end)
        return -EBADMSG;
    if (*at != 'u') {
        const char *found = *at ? strchr(from, *at) : NULL;
        if (!found)
            return -EBADMSG;
        *ret_code = (uint8_t) to[found - from];
        return 1;
    }
    uint32_t code, low;
    if (hex4(at + 1, end, &code) < 0)
        return -EBADMSG;
    if (code < 0xD800 || code > 0xDFFF) {
        *ret_code = code;
        return 5;
    }
    if (code > 0xDBFF || end - at < 7 || at[5] != '\\' || at[6] != 'u' ||
        hex4(at + 7, end, &low) < 0 || low < 0xDC00 || low > 0xDFFF)
        return -EBADMSG; /* a surrogate without its other half */
    *ret_code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    return 11;
}

static int read_string(struct kn_json_reader *r)
{
    const uint8_t *at = r->in.at + 1, *end = r->in.end;
    const uint8_t *start = at;
    r->escaped = false;
    for (;;) {
        at = kn_json_plain_end(at, end);
        if (at == end || *at == '"')
            break;
        if (*at == '\\') {
            uint32_t code;
            int taken = read_escape(at + 1, end, &code);
            if (taken < 0)
                break;
            r->escaped = true;
            at += 1 + taken;
            continue;
        }
        size_t len = *at < 0x20 ? 0 : kn_utf8_len(at, (size_t) (end - at));
        if (!len)
            break;
        at += len;
    }
    r->in.at = at;
    if (at == end || *at != '"')
        return fail(r);
    r->raw = (struct kn_str){(const char *) start, (size_t) (at - start)};
    r->in.at++;
    return 0;
}

static size_t put_utf8(uint8_t *dst, uint32_t code)
{
    if (code < 0x80) {
        dst[0] = (uint8_t) code;
        return 1;
    }
    if (code < 0x800) {
        dst[0] = (uint8_t) (0xC0 | code >> 6);
        dst[1] = (uint8_t) (0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        dst[0] = (uint8_t) (0xE0 | code >> 12);
        dst[1] = (uint8_t) (0x80 | (code >> 6 & 0x3F));
        dst[2] = (uint8_t) (0x80 | (code & 0x3F));
        return 3;
    }
    dst[0] = (uint8_t) (0xF0 | code >> 18);
    dst[1] = (uint8_t) (0x80 | (code >> 12 & 0x3F));
    dst[2] = (uint8_t) (0x80 | (code >> 6 & 0x3F));
    dst[3] = (uint8_t) (0x80 | (code & 0x3F));
    return 4;
}

int kn_json_unescape(const struct kn_json_reader *r, struct kn_arena *arena, struct kn_str *ret)
{
    if (!r->escaped) {
        *ret = r->raw;
        return 0;
    }
    const uint8_t *at = (const uint8_t *) r->raw.ptr, *end = kn_bytes_end(kn_bytes_of(r->raw));
    uint8_t *dst = kn_arena_alloc(arena, r->raw.len); /* escapes are longer than what they mean */
    size_t len = 0;
    if (!dst)
        return -ENOMEM;
    while (at < end) {
        if (*at != '\\') {
            dst[len++] = *at++;
            continue;
        }
        uint32_t code = 0;
        int taken = read_escape(at + 1, end, &code);
        kn_assert(taken > 0); /* read_string has checked it */
        len += put_utf8(dst + len, code);
        at += 1 + taken;
    }
    *ret = (struct kn_str){(const char *) dst, len};
    return 0;
}

/* --- numbers ---------------------------------------------------------------------------------- */
static const uint8_t *digits_end(const uint8_t *at, const uint8_t *end)
{
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at;
}

static int read_number(struct kn_json_reader *r)
{
    const uint8_t *start = r->in.at, *at = start, *end = r->in.end, *next;
    if (*at == '-')
        at++;
    next = digits_end(at, end);
    if (next == at || (*at == '0' && next - at > 1))
        return fail(r);
    at = next;
    if (at < end && *at == '.') {
        next = digits_end(at + 1, end);
        if (next == at + 1)
            return fail(r);
        at = next;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-'))
            at++;
        next = digits_end(at, end);
        if (next == at)
            return fail(r);
        at = next;
    }
    r->raw = (struct kn_str){(const char *) start, (size_t) (at - start)};
    r->in.at = at;
    return 0;
}

/* --- structure -------------------------------------------------------------------------------- */
static int open_container(struct kn_json_reader *r, uint8_t kind)
{
    if (r->depth == KN_JSON_DEPTH_MAX)
        return fail(r);
    r->state[r->depth++] = kind;
    r->expect = kind == IN_OBJECT ? FIRST_KEY : FIRST_ITEM;
    r->in.at++;
    return 0;
}

static void close_container(struct kn_json_reader *r)
{
    r->depth--;
    r->expect = r->depth ? NEXT : DONE;
    r->in.at++;
}

static int read_word(struct kn_json_reader *r, const char *word)
{
    size_t len = strlen(word);
    if (kn_reader_left(&r->in) < len || memcmp(r->in.at, word, len) != 0)
        return fail(r);
    r->in.at += len;
    return 0;
}

static int read_value(struct kn_json_reader *r, int c, enum kn_json_token *ret)
{
    int error;
    r->expect = r->depth ? NEXT : DONE;
    if (c == '{') {
        *ret = KN_JSON_OBJECT;
        return open_container(r, IN_OBJECT);
    }
    if (c == '[') {
        *ret = KN_JSON_ARRAY;
        return open_container(r, IN_ARRAY);
    }
    if (c == '"') {
        *ret = KN_JSON_STRING;
        error = read_string(r);
    } else if (c == 't') {
        *ret = KN_JSON_TRUE;
        error = read_word(r, "true");
    } else if (c == 'f') {
        *ret = KN_JSON_FALSE;
        error = read_word(r, "false");
    } else if (c == 'n') {
        *ret = KN_JSON_NULL;
        error = read_word(r, "null");
    } else if (c == '-' || (c >= '0' && c <= '9')) {
        *ret = KN_JSON_NUMBER;
        error = read_number(r);
    } else {
        error = fail(r);
    }
    return error;
}

static int read_key(struct kn_json_reader *r, enum kn_json_token *ret)
{
    if (peek_after_blanks(r) != '"')
        return fail(r);
    if (read_string(r) < 0)
        return -EBADMSG;
    if (peek_after_blanks(r) != ':')
        return fail(r);
    r->in.at++;
    r->expect = VALUE;
    *ret = KN_JSON_KEY;
    return 0;
}

static int read_next(struct kn_json_reader *r, int c, enum kn_json_token *ret)
{
    bool object = r->state[r->depth - 1] == IN_OBJECT;
    if (c == (object ? '}' : ']')) {
        close_container(r);
        *ret = object ? KN_JSON_OBJECT_END : KN_JSON_ARRAY_END;
        return 0;
    }
    if (c != ',')
        return fail(r);
    r->in.at++;
    return object ? read_key(r, ret) : read_value(r, peek_after_blanks(r), ret);
}

int kn_json_next(struct kn_json_reader *r, enum kn_json_token *ret)
{
    int c = peek_after_blanks(r);
    switch (r->expect) {
    case VALUE:
        return read_value(r, c, ret);
    case FIRST_ITEM:
        if (c != ']')
            return read_value(r, c, ret);
        close_container(r);
        *ret = KN_JSON_ARRAY_END;
        return 0;
    case FIRST_KEY:
        if (c != '}')
            return read_key(r, ret);
        close_container(r);
        *ret = KN_JSON_OBJECT_END;
        return 0;
    case NEXT:
        return read_next(r, c, ret);
    case DONE:
        if (c >= 0)
            return fail(r);
        *ret = KN_JSON_DONE;
        return 0;
    default:
        return -EBADMSG;
    }
}

int kn_json_skip(struct kn_json_reader *r, enum kn_json_token first)
{
    if (first != KN_JSON_OBJECT && first != KN_JSON_ARRAY)
        return 0;
    unsigned outside = r->depth - 1;
    enum kn_json_token token;
    while (r->depth > outside) {
        int error = kn_json_next(r, &token);
        if (error < 0)
            return error;
    }
    return 0;
}
