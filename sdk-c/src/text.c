/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See text.h. A reader of JSON that walks once and keeps nothing; RFC 8259. Acknowledgements: AWS
 * API reference, PutMedia, "Response Syntax": flat objects, the fields of which may be quoted
 * numbers.
 */
#include "text.h"

#include <errno.h>
#include <string.h>

struct cursor {
    const char *at, *end;
};

static int is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_blank(struct cursor *c)
{
    while (c->at < c->end && is_blank(*c->at))
        c->at++;
}

static int hex4(struct cursor *c, uint32_t *ret)
{
    uint32_t value = 0;
    if (c->end - c->at < 4)
        return -EBADMSG;
    for (int i = 0; i < 4; i++) {
        char x = *c->at++;
        uint32_t digit;
        if (x >= '0' && x <= '9')
            digit = (uint32_t) (x - '0');
        else if ((x | 32) >= 'a' && (x | 32) <= 'f')
            digit = (uint32_t) ((x | 32) - 'a') + 10;
        else
            return -EBADMSG;
        value = value << 4 | digit;
    }
    *ret = value;
    return 0;
}

/* What follows a backslash, as one byte; what is not ASCII becomes '?': no field of interest has
 * it. */
static int unescape(struct cursor *c, char *ret)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *found;
    uint32_t value;
    if (c->at == c->end)
        return -EBADMSG;
    if (*c->at == 'u') {
        c->at++;
        if (hex4(c, &value) < 0)
            return -EBADMSG;
        *ret = value > 0 && value < 128 ? (char) value : '?';
        return 0;
    }
    found = *c->at ? strchr(from, *c->at) : NULL;
    if (!found)
        return -EBADMSG;
    c->at++;
    *ret = to[found - from];
    return 0;
}

/* A string behind its opening quote; dst may be NULL. -EMSGSIZE once it is read whole. */
static int take_string(struct cursor *c, char *dst, size_t cap)
{
    size_t len = 0;
    while (c->at < c->end && *c->at != '"') {
        char x = *c->at++;
        if ((unsigned char) x < ' ' || (x == '\\' && unescape(c, &x) < 0))
            return -EBADMSG;
        if (dst && len + 1 < cap)
            dst[len] = x;
        len++;
    }
    if (c->at == c->end)
        return -EBADMSG;
    c->at++;
    if (!dst)
        return 0;
    dst[len < cap ? len : 0] = '\0';
    return len < cap ? 0 : -EMSGSIZE;
}

/* A number, true, false or null. */
static int take_word(struct cursor *c, char *dst, size_t cap)
{
    const char *start = c->at;
    size_t len;
    while (c->at < c->end && ((*c->at >= '0' && *c->at <= '9') || *c->at == '-' || *c->at == '+' ||
                              *c->at == '.' || ((*c->at | 32) >= 'a' && (*c->at | 32) <= 'z')))
        c->at++;
    len = (size_t) (c->at - start);
    if (len == 0)
        return -EBADMSG;
    if (!dst)
        return 0;
    if (len >= cap)
        return -EMSGSIZE;
    memcpy(dst, start, len);
    dst[len] = '\0';
    return 0;
}

/* Visits each member with a scalar value; depth is bounded by a counter, not by the stack. */
typedef int member_fn(void *ctx, const char *key, struct cursor *value);

/* end, which may be NULL, is told of each object that is over; other than 0 ends the walk. */
static int walk(struct cursor *c, member_fn *each, int (*end)(void *ctx), void *ctx)
{
    uint32_t objects = 0; /* a bit a level: an object rather than an array */
    unsigned depth = 0;
    int code;
    do {
        char key[32] = "";
        skip_blank(c);
        if (c->at < c->end && (*c->at == '}' || *c->at == ']')) {
            if (depth == 0)
                return -EBADMSG;
            code = end && *c->at == '}' ? end(ctx) : 0;
            if (code != 0)
                return code;
            c->at++;
            depth--;
            objects >>= 1;
        } else {
            if (depth > 0 && (objects & 1)) {
                if (c->at == c->end || *c->at++ != '"')
                    return -EBADMSG;
                if (take_string(c, key, sizeof(key)) == -EBADMSG)
                    return -EBADMSG;
                skip_blank(c);
                if (c->at == c->end || *c->at++ != ':')
                    return -EBADMSG;
                skip_blank(c);
            }
            if (c->at == c->end)
                return -EBADMSG;
            if (*c->at == '{' || *c->at == '[') {
                if (++depth > JSON_DEPTH_MAX)
                    return -EBADMSG;
                objects = objects << 1 | (*c->at++ == '{');
                continue;
            }
            code = each(ctx, key, c);
            if (code != 0)
                return code;
        }
        skip_blank(c);
        if (c->at < c->end && *c->at == ',' && depth > 0)
            c->at++;
    } while (depth > 0);
    return 0;
}

static int take_scalar(struct cursor *c, char *dst, size_t cap)
{
    if (*c->at != '"')
        return take_word(c, dst, cap);
    c->at++;
    return take_string(c, dst, cap);
}

struct search {
    const char *name;
    char *dst;
    size_t cap;
};

static int look(void *ctx, const char *key, struct cursor *value)
{
    const struct search *search = ctx;
    int code;
    if (strcmp(key, search->name) != 0)
        return take_scalar(value, NULL, 0);
    code = take_scalar(value, search->dst, search->cap);
    return code == 0 ? 1 : code;
}

int json_find(const char *ptr, size_t len, const char *name, char *dst, size_t cap)
{
    struct cursor c = {ptr, ptr + len};
    struct search search = {name, dst, cap};
    int code = walk(&c, look, NULL, &search);
    return code == 1 ? 0 : code == 0 ? -ENOENT : code;
}

struct each_member {
    json_fn *each;
    void *ctx;
};

static int give_member(void *ctx, const char *key, struct cursor *value)
{
    const struct each_member *all = ctx;
    char text[JSON_TEXT_BYTES_MAX + 1];
    int code = take_scalar(value, text, sizeof(text));
    return code < 0 ? code : all->each(all->ctx, key, text);
}

static int give_end(void *ctx)
{
    const struct each_member *all = ctx;
    return all->each(all->ctx, NULL, NULL);
}

int json_each(const char *ptr, size_t len, json_fn *each, void *ctx)
{
    struct cursor c = {ptr, ptr + len};
    struct each_member all = {each, ctx};
    return walk(&c, give_member, give_end, &all);
}

/* --- acknowledgements ------------------------------------------------------------------------- */
static int to_number(const char *text, uint64_t *ret)
{
    uint64_t value = 0;
    if (!*text)
        return -EBADMSG;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || value > (UINT64_MAX - 9) / 10)
            return -EBADMSG;
        value = value * 10 + (uint64_t) (*text - '0');
    }
    *ret = value;
    return 0;
}

static int ack_member(void *ctx, const char *key, struct cursor *value)
{
    struct ack *ack = ctx;
    char digits[32];
    int code;
    if (strcmp(key, "EventType") == 0)
        return take_scalar(value, ack->event, sizeof(ack->event));
    if (strcmp(key, "FragmentNumber") == 0)
        return take_scalar(value, ack->number, sizeof(ack->number));
    if (strcmp(key, "ErrorCode") == 0)
        return take_scalar(value, ack->error_code, sizeof(ack->error_code));
    if (strcmp(key, "FragmentTimecode") != 0 && strcmp(key, "ErrorId") != 0)
        return take_scalar(value, NULL, 0);
    code = take_scalar(value, digits, sizeof(digits));
    if (code < 0)
        return code;
    if (*key == 'E')
        return to_number(digits, &ack->error_id);
    ack->has_time = 1;
    return to_number(digits, &ack->time);
}

static int ack_parse(const char *ptr, size_t len, struct ack *ret)
{
    struct cursor c = {ptr, ptr + len};
    *ret = (struct ack){.has_time = 0};
    if (walk(&c, ack_member, NULL, ret) != 0 || c.at != c.end || !ret->event[0])
        return -EBADMSG;
    return 1;
}

int ack_feed(struct ack_parser *p, const char *ptr, size_t len, size_t *ret_used, struct ack *ret)
{
    for (size_t i = 0; i < len; i++) {
        char c = ptr[i];
        if (p->depth == 0 && is_blank(c))
            continue;
        *ret_used = i + 1;
        if (p->depth == 0 && c != '{')
            return -EBADMSG;
        if (p->len == sizeof(p->bytes))
            return -EMSGSIZE;
        p->bytes[p->len++] = c;
        if (p->in_string) {
            p->in_string = c != '"' || p->escaped;
            p->escaped = c == '\\' && !p->escaped;
        } else if (c == '"') {
            p->in_string = 1;
            p->escaped = 0;
        } else if (c == '{' || c == '[') {
            p->depth++;
        } else if ((c == '}' || c == ']') && --p->depth == 0) {
            size_t whole = p->len;
            p->len = 0;
            return ack_parse(p->bytes, whole, ret);
        }
    }
    *ret_used = len;
    return 0;
}

/* --- chunks ----------------------------------------------------------------------------------- */
enum chunk_state {
    CHUNK_SIZE,
    CHUNK_LINE,
    CHUNK_DATA,
    CHUNK_END,
    CHUNK_OVER
};

static int chunk_digit(struct chunks *chunks, char c)
{
    uint32_t digit;
    if (c >= '0' && c <= '9')
        digit = (uint32_t) (c - '0');
    else if ((c | 32) >= 'a' && (c | 32) <= 'f')
        digit = (uint32_t) ((c | 32) - 'a') + 10;
    else
        return -EBADMSG;
    if (chunks->left >> 56)
        return -EBADMSG;
    chunks->left = chunks->left << 4 | digit;
    return 0;
}

int chunks_feed(struct chunks *chunks, const char *ptr, size_t len, chunk_fn *data, void *ctx)
{
    const char *end = ptr + len;
    while (ptr < end && chunks->state != CHUNK_OVER) {
        if (chunks->state == CHUNK_DATA) {
            size_t piece = (size_t) (end - ptr);
            piece = piece < chunks->left ? piece : (size_t) chunks->left;
            data(ctx, ptr, piece);
            ptr += piece;
            chunks->left -= piece;
            if (chunks->left == 0)
                chunks->state = CHUNK_END;
            continue;
        }
        if (*ptr == '\n') { /* of the size's line, or behind the data */
            if (chunks->state == CHUNK_END)
                chunks->state = CHUNK_SIZE;
            else
                chunks->state = chunks->left > 0 ? CHUNK_DATA : CHUNK_OVER;
        } else if (chunks->state == CHUNK_SIZE && (*ptr == '\r' || *ptr == ';' || *ptr == ' ')) {
            chunks->state = CHUNK_LINE; /* an extension says nothing to us */
        } else if (chunks->state == CHUNK_SIZE && chunk_digit(chunks, *ptr) < 0) {
            return -EBADMSG;
        }
        ptr++;
    }
    return chunks->state == CHUNK_OVER;
}
