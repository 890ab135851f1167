/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The small parsers of foreign text: byte 0 chooses one, the rest is what it gets. What is accepted
 * keeps what the header promises: ranges, lengths, round trips.
 */
#include "http_query.h"
#include "page_token.h"
#include "put_media.h"

#include "core/api.h"
#include "core/api_row.h"
#include "core/clock.h"
#include "core/crypto.h"
#include "core/http_server.h"
#include "core/log.h"
#include "storage/fragment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    TEXT_BYTES_MAX = 1 << 16
};

/* Written to be plain, not fast: the one in core comes back to its last star only. */
static bool glob_slowly(struct kn_str pattern, struct kn_str s)
{
    if (!pattern.len)
        return !s.len;
    struct kn_str rest = kn_str_skip(pattern, 1);
    if (pattern.ptr[0] != '*')
        return s.len && (pattern.ptr[0] == '?' || pattern.ptr[0] == s.ptr[0]) &&
               glob_slowly(rest, kn_str_skip(s, 1));
    for (size_t i = 0; i <= s.len; i++)
        if (glob_slowly(rest, kn_str_skip(s, i)))
            return true;
    return false;
}

static void try_glob(struct kn_str text)
{
    struct kn_str pattern, s = kn_str_cut(text, '\n', &pattern);
    size_t stars = 0;
    for (size_t i = 0; i < pattern.len; i++)
        stars += pattern.ptr[i] == '*';
    bool matches = kn_str_glob(pattern, s);
    if (stars <= 3 && s.len < 64 && pattern.len < 64)
        kn_assert(matches == glob_slowly(pattern, s));
}

static void try_setting(struct kn_str text)
{
    struct kn_http_conf conf = {0};
    struct kn_conf_table table = {"http", kn_http_conf_keys, kn_http_conf_key_count, &conf};
    struct kn_err err = {0};
    struct kn_str name, value = kn_str_cut(text, '=', &name);
    if (kn_conf_set(&table, 1, name, value, &err) == 0)
        kn_assert(conf.loops <= 64 && conf.workers <= 256);
    else
        kn_assert(err.code < 0 && err.text[0]);
}

static void try_query(struct kn_str text)
{
    struct kn_arena arena;
    struct kn_str name, query = kn_str_cut(text, '\n', &name), value;
    kn_arena_init(&arena, 1 << 20);
    int r = kn_http_query_find(query, name, &arena, &value);
    kn_assert(r == 0 || r == -ENOENT || r == -EINVAL || r == -ENOMEM);
    if (r == 0)
        kn_assert(value.len <= query.len && value.ptr[value.len] == '\0');
    kn_arena_done(&arena);
}

static void try_times(struct kn_str text)
{
    int64_t ms = 0;
    struct kn_str agent, time = kn_str_cut(text, '\n', &agent);
    char again[KN_TIME_TEXT_BYTES];
    if (kn_time_parse_amz(time, &ms) == 0) {
        kn_time_amz(ms, again);
        kn_assert(kn_str_eq(time, kn_str_from(again)));
    }
    if (ingest_start_timestamp_parse(time, agent, &ms) == 0)
        kn_assert(ms >= 0 && ms <= INT64_C(253402300800000));
}

static void try_names(struct kn_str text)
{
    static kn_api_pattern_fn *const patterns[] = {
        kn_api_pattern_arn,        kn_api_pattern_base64_token, kn_api_pattern_continuation_token,
        kn_api_pattern_name,       kn_api_pattern_media_type,   kn_api_pattern_destination_uri,
        kn_api_pattern_one_line,   kn_api_pattern_region,       kn_api_pattern_schedule,
        kn_api_pattern_secret_arn, kn_api_pattern_tag,          kn_api_pattern_thing_arn,
        kn_api_pattern_token,      kn_api_pattern_version,      kn_api_pattern_word};
    for (size_t i = 0; i < KN_ARRAY_LEN(patterns); i++)
        (void) patterns[i](text);
    struct kn_api_arn arn;
    (void) !kn_api_arn_parse(text, &arn);
    struct storage_number number = {0}, again;
    bool exact = false;
    if (storage_number_parse(text, &number, &exact) == 0 && exact) {
        char digits[STORAGE_NUMBER_TEXT_BYTES];
        storage_number_format(&number, digits);
        kn_assert(storage_number_parse(kn_str_from(digits), &again, &exact) == 0 && exact);
        kn_assert(again.seq == number.seq && again.server_ts_ms == number.server_ts_ms);
    }
    (void) kn_log_quote_text(text);
}

static void try_page_token(struct kn_str text)
{
    struct kn_arena arena;
    struct kn_str after;
    char token[INGEST_PAGE_TOKEN_BYTES_MAX];
    kn_arena_init(&arena, 1 << 20);
    if (ingest_page_token_read(&arena, 's', text, &after) == 0) {
        struct kn_str again = ingest_page_token(token, 's', after);
        kn_assert(again.ptr && ingest_page_token_read(&arena, 's', again, &after) == 0);
        kn_assert(ingest_page_token_read(&arena, 't', again, &after) < 0);
    }
    kn_arena_done(&arena);
}

static void try_base64(struct kn_str text)
{
    struct kn_buf plain, again;
    uint8_t bytes[32];
    for (int url = 0; url <= 1; url++) {
        kn_buf_init(&plain, text.len);
        kn_buf_init(&again, 2 * text.len + 8);
        if (kn_base64_decode(text, url, &plain) == 0)
            kn_assert(kn_base64_encode(kn_buf_bytes(&plain), url, &again) == 0 &&
                      again.len <= text.len + 4);
        kn_buf_done(&plain);
        kn_buf_done(&again);
    }
    (void) !kn_hex_decode(text, bytes, sizeof bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[])(struct kn_str text) = {
        try_glob, try_setting, try_query, try_times, try_names, try_page_token, try_base64};
    if (size < 1 || size > TEXT_BYTES_MAX)
        return 0;
    tries[data[0] % KN_ARRAY_LEN(tries)]((struct kn_str){(const char *) data + 1, size - 1});
    return 0;
}
