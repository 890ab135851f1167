/* SPDX-License-Identifier: Apache-2.0 */
#include "aws.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ANSWER_BYTES_MAX = 256 << 20,
    CONNECT_TIMEOUT_MS = 5000,
    CALL_TIMEOUT_MS = 60000
};

static size_t gather(char *ptr, size_t size, size_t count, void *ctx)
{
    struct aws_answer *answer = ctx;
    size_t len = size * count;
    if (len > ANSWER_BYTES_MAX - answer->len)
        return 0;
    if (answer->len + len + 1 > answer->cap) {
        size_t cap = 2 * (answer->len + len + 1);
        char *grown = realloc(answer->ptr, cap);
        if (!grown)
            return 0;
        answer->ptr = grown;
        answer->cap = cap;
    }
    memcpy(answer->ptr + answer->len, ptr, len);
    answer->len += len;
    answer->ptr[answer->len] = '\0';
    return len;
}

static struct curl_slist *header(struct curl_slist *list, const char *name, const char *value)
{
    char line[4096];
    if (!value || !*value)
        return list;
    snprintf(line, sizeof line, "%s: %s", name, value);
    return curl_slist_append(list, line);
}

/* Host with its port, so that what is signed is what is sent. */
static void host_of(const char *url, char *dst, size_t cap)
{
    const char *from = strstr(url, "://");
    from = from ? from + 3 : url;
    snprintf(dst, cap, "%.*s", (int) strcspn(from, "/"), from);
}

int aws_post(struct aws *aws, const char *service, const char *url, const char *target,
             const char *content_type, const char *body, struct aws_answer *ret)
{
    char provider[128], host[512];
    *ret = (struct aws_answer){.ptr = NULL};
    snprintf(provider, sizeof provider, "aws:amz:%s:%s", aws->region, service);
    host_of(url, host, sizeof host);
    struct curl_slist *headers = header(NULL, "Host", host);
    headers = header(headers, "Content-Type", content_type);
    headers = header(headers, "X-Amz-Target", target);
    headers = header(headers, "X-Amz-Security-Token", aws->token);
    CURL *curl = aws->curl;
    curl_easy_reset(curl); /* connections stay */
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_AWS_SIGV4, provider);
    curl_easy_setopt(curl, CURLOPT_USERNAME, aws->key_id);
    curl_easy_setopt(curl, CURLOPT_PASSWORD, aws->secret);
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long) CONNECT_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long) CALL_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, gather);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, ret);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, ret->error);
    if (aws->ca_file)
        curl_easy_setopt(curl, CURLOPT_CAINFO, aws->ca_file);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, NULL);
    if (code == CURLE_OK)
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &ret->status);
    else if (!*ret->error)
        snprintf(ret->error, sizeof ret->error, "%s", curl_easy_strerror(code));
    curl_slist_free_all(headers);
    return ret->status / 100 == 2;
}
