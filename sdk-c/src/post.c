/* SPDX-License-Identifier: Apache-2.0 */
#include "post.h"

#include "open_socket.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    CONNECT_TIMEOUT_MS = 5000,
    HEADER_BYTES_MAX = KINEMA_TOKEN_BYTES_MAX + 64,
    WAIT_MS = 1000
};

int64_t post_clock_ms(void)
{
    struct timespec now;
    (void) clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int post_is_name(const char *text, size_t max)
{
    size_t len = text ? strlen(text) : 0;
    return len > 0 && len <= max &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == len;
}

int post_aws_url(char dst[POST_URL_BYTES_MAX], const char *service, const char *region)
{
    int len = snprintf(dst, POST_URL_BYTES_MAX, "https://%s.%s.amazonaws.com%s", service, region,
                       strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
    return len > 0 && len < POST_URL_BYTES_MAX ? 0 : -EMSGSIZE;
}

int post_init(struct post *post, const char *region, const char *ca_file,
              struct kinema_credential_provider *credentials, size_t answer_max)
{
    *post = (struct post){
        .region = region, .ca_file = ca_file, .credentials = credentials, .answer_max = answer_max};
    post->multi = curl_multi_init();
    post->easy = curl_easy_init();
    return post->multi && post->easy ? 0 : -ENOMEM;
}

void post_stop(struct post *post)
{
    if (post->running)
        (void) curl_multi_remove_handle(post->multi, post->easy);
    post->running = post->paused = 0;
    curl_slist_free_all(post->headers);
    post->headers = NULL;
}

void post_done(struct post *post)
{
    post_stop(post);
    if (post->easy)
        curl_easy_cleanup(post->easy);
    if (post->multi)
        (void) curl_multi_cleanup(post->multi);
    free(post->answer);
    *post = (struct post){.multi = NULL};
}

static int add_header(struct post *post, const char *name, const char *value)
{
    char line[HEADER_BYTES_MAX];
    struct curl_slist *more;
    int len = value ? snprintf(line, sizeof(line), "%s: %s", name, value) : 0;
    if (!value || !*value)
        return 0;
    if (len < 0 || (size_t) len >= sizeof(line))
        return -EMSGSIZE;
    more = curl_slist_append(post->headers, line);
    OPENSSL_cleanse(line, sizeof(line));
    if (!more)
        return -ENOMEM;
    post->headers = more;
    return 0;
}

static int gather(struct post *post, const char *ptr, size_t len)
{
    if (len > post->answer_max - post->answer_len)
        return -EMSGSIZE;
    if (post->answer_len + len + 1 > post->answer_cap) {
        size_t cap = 2 * (post->answer_len + len + 1);
        char *grown = realloc(post->answer, cap);
        if (!grown)
            return -ENOMEM;
        post->answer = grown;
        post->answer_cap = cap;
    }
    memcpy(post->answer + post->answer_len, ptr, len);
    post->answer_len += len;
    post->answer[post->answer_len] = '\0';
    return 0;
}

static size_t take(char *ptr, size_t size, size_t count, void *ctx)
{
    struct post *post = ctx;
    size_t len = size * count;
    (void) curl_easy_getinfo(post->easy, CURLINFO_RESPONSE_CODE, &post->status);
    if (!post->on_data || post->status != 200)
        return gather(post, ptr, len) == 0 ? len : 0;
    if (post->on_data(post->ctx, ptr, len))
        return len;
    post->paused = 1;
    return CURL_WRITEFUNC_PAUSE;
}

static size_t take_header(char *ptr, size_t size, size_t count, void *ctx)
{
    static const char name[] = "x-amzn-errortype:";
    struct post *post = ctx;
    size_t len = size * count, at = sizeof(name) - 1, end;
    if (len < at || !curl_strnequal(ptr, name, at))
        return len;
    while (at < len && ptr[at] == ' ')
        at++;
    for (end = at; end < len && ptr[end] != ':' && ptr[end] != '\r' && ptr[end] != '\n'; end++)
        ;
    if (end - at < sizeof(post->fault)) {
        memcpy(post->fault, ptr + at, end - at);
        post->fault[end - at] = '\0';
    }
    return len;
}

static void set_up(struct post *post, const struct post_request *request, const char *url,
                   const char *scope, const struct kinema_credentials *key)
{
    CURL *easy = post->easy;
    curl_easy_reset(easy); /* connections stay */
    (void) curl_easy_setopt(easy, CURLOPT_URL, url);
    (void) curl_easy_setopt(easy, CURLOPT_AWS_SIGV4, scope);
    (void) curl_easy_setopt(easy, CURLOPT_USERNAME, key->key_id);
    (void) curl_easy_setopt(easy, CURLOPT_PASSWORD, key->secret);
    (void) curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
    (void) curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    (void) curl_easy_setopt(easy, CURLOPT_HTTPHEADER, post->headers);
    (void) curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long) request->body_len);
    (void) curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, request->body);
    (void) curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long) CONNECT_TIMEOUT_MS);
    (void) curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long) request->timeout_ms);
    (void) curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void) curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    (void) curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take);
    (void) curl_easy_setopt(easy, CURLOPT_WRITEDATA, post);
    (void) curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
    (void) curl_easy_setopt(easy, CURLOPT_HEADERDATA, post);
    (void) curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, post->error);
    (void) curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    if (post->ca_file)
        (void) curl_easy_setopt(easy, CURLOPT_CAINFO, post->ca_file);
}

int post_start(struct post *post, const struct post_request *request)
{
    char url[POST_URL_BYTES_MAX + 64], scope[128];
    struct kinema_credentials key;
    int len = snprintf(url, sizeof(url), "%s%s", request->base, request->path), code;
    post_stop(post);
    post->answer_len = 0;
    post->status = 0;
    post->error[0] = post->fault[0] = '\0';
    post->on_data = request->on_data;
    post->ctx = request->ctx;
    if (len < 0 || (size_t) len >= sizeof(url))
        return -EMSGSIZE;
    len = snprintf(scope, sizeof(scope), "aws:amz:%s:%s", post->region, request->service);
    if (len < 0 || (size_t) len >= sizeof(scope))
        return -EMSGSIZE;
    code = kinema_credentials_get(post->credentials, &key) < 0 ? -EACCES : 0;
    if (code == 0)
        code = add_header(post, "Content-Type", request->content_type);
    if (code == 0)
        code = add_header(post, "X-Amz-Target", request->target);
    if (code == 0)
        code = add_header(post, "X-Amz-Security-Token", key.token);
    if (code == 0)
        set_up(post, request, url, scope, &key);
    OPENSSL_cleanse(&key, sizeof(key));
    if (code == 0 && curl_multi_add_handle(post->multi, post->easy) != CURLM_OK)
        code = -ENOMEM;
    post->running = code == 0;
    return code;
}

static int is_over(struct post *post)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(post->multi, &left)) != NULL) {
        CURLcode result = message->data.result;
        if (message->msg != CURLMSG_DONE)
            continue;
        (void) curl_easy_getinfo(post->easy, CURLINFO_RESPONSE_CODE, &post->status);
        if (result != CURLE_OK && !post->error[0])
            (void) snprintf(post->error, sizeof(post->error), "%s", curl_easy_strerror(result));
        if (result == CURLE_OK)
            post->error[0] = '\0';
        else if (!post->on_data)
            post->status = 0; /* not whole */
        return 1;
    }
    return 0;
}

int post_step(struct post *post, unsigned wait_ms)
{
    int running = 0, over;
    if (!post->running)
        return 1;
    (void) curl_multi_perform(post->multi, &running);
    over = is_over(post);
    if (!over && wait_ms > 0 && !post->paused) {
        (void) curl_multi_poll(post->multi, NULL, 0, (int) wait_ms, NULL);
        (void) curl_multi_perform(post->multi, &running);
        over = is_over(post);
    }
    if (over)
        post_stop(post);
    return over;
}

void post_go_on(struct post *post)
{
    if (!post->paused)
        return;
    post->paused = 0;
    (void) curl_easy_pause(post->easy, CURLPAUSE_CONT);
}

int post_run(struct post *post, const struct post_request *request)
{
    int code = post_start(post, request);
    while (code == 0 && !post_step(post, WAIT_MS))
        ;
    return code;
}
