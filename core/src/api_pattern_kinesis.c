/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The patterns of the Kinesis Data Streams model as predicates, see api_pattern.c. Its ARN patterns
 * are loose (".*" may stand for colons too), so they are matched as written, each part at the
 * earliest place it can have; every one in time linear in the string.
 */
#include "api_private.h"

enum {
    HASH_KEY_DIGITS_MAX = 39,
    SEQUENCE_NUMBER_DIGITS_MAX = 129,
    ACCOUNT_DIGITS = 12,
    STREAM_ID_HEAD = 20,
    STREAM_ID_TAIL = 3
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c == '.' || c == '-';
}

static bool is_id(char c) /* [a-z0-9] */
{
    return is_digit(c) || (c >= 'a' && c <= 'z');
}

static bool is_space(char c) /* \s */
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* 0|([1-9]\d{0,max-1}) */
static bool is_number(struct kn_str s, size_t max)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_digit(s.ptr[i]))
            return false;
    return s.len == 1 || (s.len > 1 && s.len <= max && s.ptr[0] != '0');
}

bool kn_api_pattern_hash_key(struct kn_str s)
{
    return is_number(s, HASH_KEY_DIGITS_MAX);
}

bool kn_api_pattern_sequence_number(struct kn_str s)
{
    return is_number(s, SEQUENCE_NUMBER_DIGITS_MAX);
}

bool kn_api_pattern_stream_id(struct kn_str s)
{
    if (s.len != STREAM_ID_HEAD + 1 + STREAM_ID_TAIL)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (i == STREAM_ID_HEAD ? s.ptr[i] != '-' : !is_id(s.ptr[i]))
            return false;
    return true;
}

/* --- ARNs ------------------------------------------------------------------------------------- */
static bool has_at(struct kn_str s, size_t at, struct kn_str what)
{
    return s.len >= what.len && at <= s.len - what.len &&
           memcmp(s.ptr + at, what.ptr, what.len) == 0;
}

static bool is_account_at(struct kn_str s, size_t at) /* ":", twelve digits, ":" */
{
    if (s.len < ACCOUNT_DIGITS + 2 || at > s.len - (ACCOUNT_DIGITS + 2) || s.ptr[at] != ':' ||
        s.ptr[at + ACCOUNT_DIGITS + 1] != ':')
        return false;
    for (size_t i = 1; i <= ACCOUNT_DIGITS; i++)
        if (!is_digit(s.ptr[at + i]))
            return false;
    return true;
}

/* Behind "arn:aws.*:kinesis:.*"; 0: it does not begin so. */
static size_t head_end(struct kn_str s)
{
    const struct kn_str service = KN_STR(":kinesis:");
    if (!kn_str_starts_with(s, KN_STR("arn:aws")))
        return 0;
    for (size_t at = 7; at < s.len; at++)
        if (has_at(s, at, service))
            return at + service.len;
    return 0;
}

/* Behind the first ":<account>:" from at on; 0: there is none. */
static size_t account_end(struct kn_str s, size_t at)
{
    for (; at && at < s.len; at++)
        if (is_account_at(s, at))
            return at + ACCOUNT_DIGITS + 2;
    return 0;
}

static size_t last_space_end(struct kn_str s)
{
    size_t end = s.len;
    while (end && !is_space(s.ptr[end - 1]))
        end--;
    return end;
}

static bool is_one_line(struct kn_str s, size_t len) /* what "." stands for */
{
    return !len || !memchr(s.ptr, '\n', len);
}

/* arn:aws.*:kinesis:.*:\d{12}:stream/\S+ */
bool kn_api_pattern_stream_arn(struct kn_str s)
{
    const struct kn_str type = KN_STR("stream/");
    size_t spaces = last_space_end(s);
    for (size_t at = account_end(s, head_end(s)); at; at = account_end(s, at - 1)) {
        if (has_at(s, at, type) && at + type.len < s.len && at + type.len >= spaces)
            return is_one_line(s, at);
    }
    return false;
}

/* arn:aws.*:kinesis:.*:\d{12}:.*stream/\S+ */
bool kn_api_pattern_kinesis_arn(struct kn_str s)
{
    const struct kn_str type = KN_STR("stream/");
    size_t spaces = last_space_end(s);
    for (size_t at = account_end(s, head_end(s)); at && at < s.len; at++) {
        if (has_at(s, at, type) && at + type.len < s.len && at + type.len >= spaces)
            return is_one_line(s, at);
    }
    return false;
}

/* Takes away the longest tail of such characters; false: there is none. */
static bool cut_tail(struct kn_str *s, bool (*is)(char c))
{
    size_t before = s->len;
    while (s->len && is(s->ptr[s->len - 1]))
        s->len--;
    return s->len < before;
}

static bool cut_end(struct kn_str *s, struct kn_str end)
{
    if (!kn_str_ends_with(*s, end))
        return false;
    s->len -= end.len;
    return true;
}

/* ^(arn):aws.*:kinesis:.*:\d{12}:.*stream\/[name]+\/consumer\/[name]+:[0-9]+ */
bool kn_api_pattern_consumer_arn(struct kn_str s)
{
    struct kn_str head = s;
    if (!cut_tail(&head, is_digit) || !cut_end(&head, KN_STR(":")) || !cut_tail(&head, is_name) ||
        !cut_end(&head, KN_STR("/consumer/")) || !cut_tail(&head, is_name) ||
        !cut_end(&head, KN_STR("stream/")))
        return false;
    return account_end(head, head_end(head)) && is_one_line(head, head.len);
}
