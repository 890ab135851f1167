/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The patterns of AWS's models as predicates: no regex engine, no backtracking, linear time. Which
 * expression each one stands for is in core/api/patterns.json; tests/unit/test_api_pattern.c
 * compares them with the expressions. All match the whole string.
 */
#include "api_private.h"
#include "api_unicode.h"
#include "utf8.h"

typedef bool class_fn(char c);

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_alnum(char c)
{
    return is_digit(c) || is_lower(c) || (c >= 'A' && c <= 'Z');
}

static bool is_word(char c) /* \w */
{
    return is_alnum(c) || c == '_';
}

static bool is_name(char c) /* [a-zA-Z0-9_.-] */
{
    return is_word(c) || c == '.' || c == '-';
}

static bool is_media(char c) /* [\w\-\.\+] */
{
    return is_name(c) || c == '+';
}

static bool is_token(char c) /* [a-zA-Z0-9+/=] */
{
    return is_alnum(c) || c == '+' || c == '/' || c == '=';
}

static bool is_base64(char c)
{
    return is_alnum(c) || c == '+' || c == '/';
}

static bool is_place(char c) /* [a-z0-9-], of partitions and regions */
{
    return is_lower(c) || is_digit(c) || c == '-';
}

static bool all(struct kn_str s, class_fn *is)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is(s.ptr[i]))
            return false;
    return true;
}

static bool some(struct kn_str s, class_fn *is) /* one or more */
{
    return s.len && all(s, is);
}

bool kn_api_pattern_name(struct kn_str s)
{
    return some(s, is_name);
}

bool kn_api_pattern_continuation_token(struct kn_str s)
{
    return some(s, is_name);
}

bool kn_api_pattern_version(struct kn_str s)
{
    return some(s, is_alnum);
}

bool kn_api_pattern_digits(struct kn_str s)
{
    return some(s, is_digit);
}

bool kn_api_pattern_word(struct kn_str s)
{
    return some(s, is_word);
}

bool kn_api_pattern_token(struct kn_str s)
{
    return all(s, is_token);
}

bool kn_api_pattern_base64_token(struct kn_str s)
{
    for (int pads = 0; pads < 2 && s.len && s.ptr[s.len - 1] == '='; pads++)
        s.len--;
    return some(s, is_base64);
}

static bool has_newline(struct kn_str s)
{
    return s.len && memchr(s.ptr, '\n', s.len);
}

bool kn_api_pattern_one_line(struct kn_str s) /* .+ */
{
    return s.len && !has_newline(s) && !memchr(s.ptr, '\r', s.len);
}

bool kn_api_pattern_schedule(struct kn_str s) /* [^\n]{11,100} */
{
    size_t count = kn_utf8_count(s);
    return count >= 11 && count <= 100 && !has_newline(s);
}

bool kn_api_pattern_media_type(struct kn_str s)
{
    struct kn_str rest = s, one, type;
    while (rest.ptr) {
        rest = kn_str_cut(rest, ',', &one);
        struct kn_str subtype = kn_str_cut(one, '/', &type);
        if (!some(type, is_media) || !some(subtype, is_media))
            return false;
    }
    return s.len;
}

static bool is_word_char(uint32_t code) /* \p{L}\p{Z}\p{N} beyond ASCII */
{
    size_t at =
        KN_BISECT(i, 0, KN_ARRAY_LEN(kn_api_word_ranges), kn_api_word_ranges[i].last < code);
    return at < KN_ARRAY_LEN(kn_api_word_ranges) && kn_api_word_ranges[at].first <= code;
}

bool kn_api_pattern_tag(struct kn_str s)
{
    const uint8_t *at = (const uint8_t *) s.ptr;
    for (size_t left = s.len, len; left; at += len, left -= len) {
        len = kn_utf8_len(at, left);
        uint32_t code = len ? kn_utf8_code(at, len) : 0;
        bool fits = code < 0x80 ? code && (is_alnum((char) code) || strchr(" _.:/=+-@", (int) code))
                                : is_word_char(code);
        if (!fits)
            return false;
    }
    return true;
}

bool kn_api_pattern_destination_uri(struct kn_str s) /* [a-zA-Z_0-9]+:(//)?([^/]+)/?([^*]*) */
{
    struct kn_str scheme, host;
    struct kn_str rest = kn_str_cut(s, ':', &scheme);
    if (!rest.ptr || !some(scheme, is_word))
        return false;
    if (kn_str_starts_with(rest, KN_STR("//")))
        rest = (struct kn_str){rest.ptr + 2, rest.len - 2};
    struct kn_str path = kn_str_cut(rest, '/', &host);
    return host.len && (!path.len || !memchr(path.ptr, '*', path.len));
}

bool kn_api_pattern_region(struct kn_str s) /* [a-z]+(-[a-z]+)?-[a-z]+-[0-9] */
{
    struct kn_str rest = s, part;
    size_t words = 0;
    for (;;) {
        rest = kn_str_cut(rest, '-', &part);
        if (!rest.ptr)
            return words >= 2 && words <= 3 && part.len == 1 && is_digit(part.ptr[0]);
        if (!some(part, is_lower) || ++words > 3)
            return false;
    }
}

/* "arn:<partition>:<service>:<region>:<digits>:" and returns the rest, ptr NULL if it is not so. */
static struct kn_str arn_rest(struct kn_str s, struct kn_str service)
{
    struct kn_str prefix, partition, got, region, account;
    struct kn_str rest = kn_str_cut(s, ':', &prefix);
    rest = kn_str_cut(rest, ':', &partition);
    rest = kn_str_cut(rest, ':', &got);
    rest = kn_str_cut(rest, ':', &region);
    rest = kn_str_cut(rest, ':', &account);
    if (!kn_str_eq(prefix, KN_STR("arn")) || !some(partition, is_place) ||
        !kn_str_eq(got, service) || !some(region, is_place) || !some(account, is_digit))
        return (struct kn_str){NULL, 0};
    return rest;
}

bool kn_api_pattern_arn(struct kn_str s)
{
    struct kn_str type, name;
    struct kn_str rest = arn_rest(s, KN_STR("kinesisvideo"));
    rest = kn_str_cut(rest, '/', &type);
    struct kn_str created = kn_str_cut(rest, '/', &name);
    return some(type, is_lower) && some(name, is_name) && some(created, is_digit);
}

bool kn_api_pattern_thing_arn(struct kn_str s)
{
    struct kn_str type;
    struct kn_str name = kn_str_cut(arn_rest(s, KN_STR("iot")), '/', &type);
    return kn_str_eq(type, KN_STR("thing")) && some(name, is_name);
}

bool kn_api_pattern_secret_arn(struct kn_str s)
{
    struct kn_str type;
    struct kn_str name = kn_str_cut(arn_rest(s, KN_STR("secretsmanager")), ':', &type);
    return kn_str_eq(type, KN_STR("secret")) && some(name, is_name);
}
