/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See kvs.h. Control calls are signed POSTs with a JSON body; PutMedia is a chunked POST whose
 * signature covers an empty body (AWS API reference, PutMedia). Host is given to libcurl with its
 * port, so that what is signed is what is sent.
 */
#include "kvs.h"

#include "core/json.h"

enum {
    ANSWER_BYTES_MAX = 1 << 20,
    CONNECT_TIMEOUT_MS = 5000,
    CALL_TIMEOUT_MS = 20000
};

static size_t gather(char *ptr, size_t size, size_t count, void *ctx)
{
    return kn_buf_append(ctx, ptr, size * count) == 0 ? size * count : 0;
}

static struct curl_slist *header_add(struct curl_slist *list, const char *name, const char *value)
{
    struct kn_buf line;
    kn_buf_init(&line, 4096);
    (void) kn_buf_printf(&line, "%s: %s", name, value);
    (void) kn_buf_append_byte(&line, '\0');
    struct curl_slist *more = line.error ? NULL : curl_slist_append(list, (const char *) line.ptr);
    kn_buf_done(&line);
    return more ? more : list;
}

static CURL *signed_post(const struct kvs *kvs, const char *base, const char *path,
                         struct curl_slist **headers)
{
    CURL *curl = curl_easy_init();
    struct kn_buf url, provider;
    kn_buf_init(&url, 8192);
    kn_buf_init(&provider, 256);
    (void) kn_buf_printf(&url, "%s%s%c", base, path, '\0');
    (void) kn_buf_printf(&provider, "aws:amz:%s:kinesisvideo%c", kvs->region, '\0');
    if (!curl || url.error || provider.error) {
        kn_buf_done(&url);
        kn_buf_done(&provider);
        curl_easy_cleanup(curl);
        return NULL;
    }
    struct kn_str host = kn_str_from(base);
    if (kn_str_starts_with(host, KN_STR("http://")))
        host = (struct kn_str){host.ptr + 7, host.len - 7};
    else if (kn_str_starts_with(host, KN_STR("https://")))
        host = (struct kn_str){host.ptr + 8, host.len - 8};
    (void) kn_str_cut(host, '/', &host);
    char host_text[512];
    if (kn_str_copy(host_text, sizeof host_text, host) == 0)
        *headers = header_add(*headers, "Host", host_text);
    if (kvs->token && *kvs->token)
        *headers = header_add(*headers, "X-Amz-Security-Token", kvs->token);
    curl_easy_setopt(curl, CURLOPT_URL, (const char *) url.ptr);
    curl_easy_setopt(curl, CURLOPT_AWS_SIGV4, (const char *) provider.ptr);
    curl_easy_setopt(curl, CURLOPT_USERNAME, kvs->key_id);
    curl_easy_setopt(curl, CURLOPT_PASSWORD, kvs->secret);
    curl_easy_setopt(curl, CURLOPT_POST, 1L);
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long) CONNECT_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "kinema-demo-camera/" KINEMA_VERSION);
    if (kvs->ca_file)
        curl_easy_setopt(curl, CURLOPT_CAINFO, kvs->ca_file);
    kn_buf_done(&url); /* libcurl keeps copies */
    kn_buf_done(&provider);
    return curl;
}

/* One control call; *ret_status is the HTTP status. < 0: it did not come through. */
static int call(const struct kvs *kvs, const char *path, struct kn_str body, struct kn_buf *answer,
                long *ret_status, struct kn_err *err)
{
    struct curl_slist *headers = header_add(NULL, "Content-Type", "application/json");
    CURL *curl = signed_post(kvs, kvs->endpoint, path, &headers);
    if (!curl) {
        curl_slist_free_all(headers);
        return kn_fail(err, -ENOMEM, "out of memory");
    }
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long) body.len);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.ptr);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long) CALL_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, gather);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, ret_status);
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    if (code != CURLE_OK)
        return kn_fail(err, -EIO, "%s: %s", path, curl_easy_strerror(code));
    return 0;
}

/* {"StreamName": …} and what more() adds. */
static void body_begin(struct kn_buf *out, struct kn_json_writer *w, const struct kvs *kvs)
{
    kn_buf_clear(out);
    kn_json_writer_init(w, out);
    kn_json_object_begin(w);
    kn_json_key(w, "StreamName");
    kn_json_text(w, kvs->stream);
}

static int refused(struct kn_err *err, const char *path, long status, const struct kn_buf *answer)
{
    return kn_fail(err, status == 403 || status == 400 ? -EACCES : -EPROTO,
                   "%s: HTTP %ld " KN_STR_FMT, path, status, (int) kn_min_u64(answer->len, 160),
                   (const char *) answer->ptr);
}

int kvs_ensure_stream(const struct kvs *kvs, struct kn_err *err)
{
    struct kn_buf body, answer;
    struct kn_json_writer w;
    long status = 0;
    const char *path = "/describeStream";
    kn_buf_init(&body, 8192);
    kn_buf_init(&answer, ANSWER_BYTES_MAX);
    body_begin(&body, &w, kvs);
    kn_json_object_end(&w);
    int code = call(kvs, path, kn_buf_str(&body), &answer, &status, err);
    if (code == 0 && status == 404) {
        path = "/createStream";
        body_begin(&body, &w, kvs);
        kn_json_key(&w, "MediaType");
        kn_json_text(&w, "video/h264,audio/aac");
        kn_json_key(&w, "DataRetentionInHours");
        kn_json_u64(&w, kvs->retention_hours);
        kn_json_object_end(&w);
        kn_buf_clear(&answer);
        code = call(kvs, path, kn_buf_str(&body), &answer, &status, err);
    }
    if (code == 0 && status != 200)
        code = refused(err, path, status, &answer);
    kn_buf_done(&body);
    kn_buf_done(&answer);
    return code;
}

/* The string member of that name in a flat object. */
static int member_find(struct kn_bytes json, const char *name, struct kn_buf *dst)
{
    struct kn_json_reader r;
    struct kn_arena arena;
    enum kn_json_token token;
    struct kn_str text = {0};
    int code = -ENOENT;
    kn_arena_init(&arena, ANSWER_BYTES_MAX);
    kn_json_reader_init(&r, json);
    while (kn_json_next(&r, &token) == 0 && token != KN_JSON_DONE) {
        if (token != KN_JSON_KEY || !kn_str_eq(r.raw, kn_str_from(name)))
            continue;
        if (kn_json_next(&r, &token) == 0 && token == KN_JSON_STRING &&
            kn_json_unescape(&r, &arena, &text) == 0)
            code = kn_buf_append_str(dst, text);
        break;
    }
    kn_arena_done(&arena);
    return code;
}

int kvs_data_endpoint(const struct kvs *kvs, struct kn_buf *dst, struct kn_err *err)
{
    struct kn_buf body, answer;
    struct kn_json_writer w;
    long status = 0;
    kn_buf_init(&body, 8192);
    kn_buf_init(&answer, ANSWER_BYTES_MAX);
    body_begin(&body, &w, kvs);
    kn_json_key(&w, "APIName");
    kn_json_text(&w, "PUT_MEDIA");
    kn_json_object_end(&w);
    kn_buf_clear(dst);
    int code = call(kvs, "/getDataEndpoint", kn_buf_str(&body), &answer, &status, err);
    if (code == 0 && status != 200)
        code = refused(err, "/getDataEndpoint", status, &answer);
    else if (code == 0 && (member_find(kn_buf_bytes(&answer), "DataEndpoint", dst) < 0 ||
                           kn_buf_append_byte(dst, '\0') < 0))
        code = kn_fail(err, -EPROTO, "/getDataEndpoint: no DataEndpoint in the answer");
    kn_buf_done(&body);
    kn_buf_done(&answer);
    return code;
}

CURL *kvs_put_media(const struct kvs *kvs, const char *endpoint, struct curl_slist **ret_headers)
{
    char start[64];
    struct timespec now;
    (void) clock_gettime(CLOCK_REALTIME, &now);
    (void) snprintf(start, sizeof start, "%lld.%03ld", (long long) now.tv_sec,
                    now.tv_nsec / 1000000);
    struct curl_slist *headers = header_add(NULL, "Transfer-Encoding", "chunked");
    headers = header_add(headers, "Content-Type", "application/json");
    headers = header_add(headers, "x-amzn-stream-name", kvs->stream);
    headers = header_add(headers, "x-amzn-fragment-timecode-type", "ABSOLUTE");
    headers = header_add(headers, "x-amzn-fragment-acknowledgment-required", "1");
    headers = header_add(headers, "x-amzn-producer-start-timestamp", start);
    CURL *curl = signed_post(kvs, endpoint, "/putMedia", &headers);
    if (curl)
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    *ret_headers = headers;
    return curl;
}

static void ack_member(struct kn_json_reader *r, enum kn_json_token token, struct kn_str key,
                       struct kvs_ack *ack)
{
    uint64_t number = 0;
    if (token == KN_JSON_STRING && kn_str_eq(key, KN_STR("EventType")))
        (void) !kn_str_copy(ack->event, sizeof ack->event, r->raw);
    else if (token == KN_JSON_STRING && kn_str_eq(key, KN_STR("ErrorCode")))
        (void) !kn_str_copy(ack->error_code, sizeof ack->error_code, r->raw);
    else if (token != KN_JSON_NUMBER || kn_str_to_u64(r->raw, UINT64_MAX, &number) < 0)
        return;
    else if (kn_str_eq(key, KN_STR("FragmentTimecode")))
        ack->timecode = number;
    else if (kn_str_eq(key, KN_STR("ErrorId")))
        ack->error_id = number;
}

int kvs_ack_take(struct kn_buf *in, struct kvs_ack *ret)
{
    size_t len = 0;
    while (len < in->len && in->ptr[len] != '}') /* acknowledgements are flat */
        len++;
    if (len == in->len)
        return -ENODATA;
    struct kn_json_reader r;
    enum kn_json_token token;
    *ret = (struct kvs_ack){0};
    kn_json_reader_init(&r, (struct kn_bytes){in->ptr, len + 1});
    while (kn_json_next(&r, &token) == 0 && token != KN_JSON_DONE && token != KN_JSON_OBJECT_END) {
        if (token != KN_JSON_KEY)
            continue;
        struct kn_str key = r.raw;
        if (kn_json_next(&r, &token) < 0)
            break;
        ack_member(&r, token, key, ret);
    }
    kn_buf_consume(in, len + 1);
    return 0;
}
