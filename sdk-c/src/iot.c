/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See iot.h. Source: AWS IoT Core developer guide, "Authorizing direct calls to AWS services using
 * AWS IoT Core credential provider".
 */
#include "iot.h"

#include "open_socket.h"
#include "text.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    URL_BYTES = 512,
    PATH_BYTES = 1024,
    HEADER_BYTES = 192,
    ALIAS_BYTES_MAX = 128, /* of a role alias and a thing's name: AWS API reference, IoT */
    ANSWER_BYTES = 8192,
    MARGIN_SHARE = 4 /* of a short life, this part is the margin */
};

struct iot {
    pthread_mutex_t lock; /* of what follows "kept" */
    char url[URL_BYTES], header[HEADER_BYTES];
    char certificate[PATH_BYTES], key_file[PATH_BYTES], ca_file[PATH_BYTES];
    struct kinema_credentials kept;
    int64_t margin_ms;
    int is_kept;
};

static int64_t wall_ms(void)
{
    struct timespec now;
    (void) clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int print(char *dst, size_t cap, const char *before, const char *text, const char *after)
{
    int len = snprintf(dst, cap, "%s%s%s", before, text, after);
    return len < 0 || (size_t) len >= cap ? -EINVAL : 0;
}

/* Both go into a head as they are. */
static int is_plain(const char *text)
{
    size_t len = text ? strlen(text) : 0;
    return len > 0 && len <= ALIAS_BYTES_MAX &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:=,@-") ==
               len;
}

static int take_config(struct iot *iot, const struct kinema_iot *config)
{
    static const char scheme[] = "https://";
    const char *host = config->endpoint;
    char path[2 * ALIAS_BYTES_MAX];
    if (!host || !config->certificate_file || !config->key_file || !is_plain(config->role_alias) ||
        (config->thing && !is_plain(config->thing)))
        return -EINVAL;
    if (strncmp(host, scheme, sizeof(scheme) - 1) == 0)
        host += sizeof(scheme) - 1;
    if (!*host || strcspn(host, "/?#@ \r\n\t") != strlen(host) ||
        print(path, sizeof(path), "/role-aliases/", config->role_alias, "/credentials") < 0 ||
        print(iot->url, sizeof(iot->url), scheme, host, path) < 0 ||
        print(iot->certificate, PATH_BYTES, config->certificate_file, "", "") < 0 ||
        print(iot->key_file, PATH_BYTES, config->key_file, "", "") < 0 ||
        print(iot->ca_file, PATH_BYTES, config->ca_file ? config->ca_file : "", "", "") < 0 ||
        (config->thing &&
         print(iot->header, HEADER_BYTES, "x-amzn-iot-thingname: ", config->thing, "") < 0))
        return -EINVAL;
    return 0;
}

int iot_new(const struct kinema_iot *config, struct iot **ret)
{
    struct iot *iot = calloc(1, sizeof(*iot));
    int code;
    if (!iot)
        return -ENOMEM;
    code = take_config(iot, config);
    if (code == 0 && pthread_mutex_init(&iot->lock, NULL) != 0)
        code = -ENOMEM;
    if (code < 0)
        free(iot);
    else
        *ret = iot;
    return code;
}

void iot_free(struct iot *iot)
{
    if (!iot)
        return;
    (void) pthread_mutex_destroy(&iot->lock);
    OPENSSL_cleanse(iot, sizeof(*iot));
    free(iot);
}

int iot_peek(struct iot *iot, struct kinema_credentials *ret, int64_t *ret_margin_ms)
{
    int code = -EAGAIN;
    (void) pthread_mutex_lock(&iot->lock);
    if (iot->is_kept && wall_ms() < iot->kept.expires_ms - iot->margin_ms) {
        *ret = iot->kept;
        *ret_margin_ms = iot->margin_ms;
        code = 0;
    }
    (void) pthread_mutex_unlock(&iot->lock);
    return code;
}

void iot_refused(struct iot *iot)
{
    (void) pthread_mutex_lock(&iot->lock);
    iot->is_kept = 0;
    (void) pthread_mutex_unlock(&iot->lock);
}

int iot_call(struct iot *iot, CURL *easy, struct curl_slist **headers)
{
    if (iot->header[0]) {
        *headers = curl_slist_append(NULL, iot->header);
        if (!*headers)
            return -ENOMEM;
    }
    if (curl_easy_setopt(easy, CURLOPT_URL, iot->url) != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_SSLCERT, iot->certificate) != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_SSLKEY, iot->key_file) != CURLE_OK ||
        (iot->ca_file[0] && curl_easy_setopt(easy, CURLOPT_CAINFO, iot->ca_file) != CURLE_OK))
        return -ENOMEM;
    (void) curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    (void) curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
    (void) curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https");
    (void) curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long) CONNECT_TIMEOUT_MS);
    (void) curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long) CALL_TIMEOUT_MS);
    (void) curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void) curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    /* A connection that was made without the certificate, for want of memory, would be refused each
     * time. */
    (void) curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    (void) curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    /* libcurl 7.88 frees a session twice that it has no memory to keep. */
    (void) curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
    (void) curl_easy_setopt(easy, CURLOPT_HTTPHEADER, *headers);
    return 0;
}

int iot_called(struct iot *iot, const char *ptr, size_t len)
{
    char id[KINEMA_KEY_ID_BYTES_MAX + 1], secret[KINEMA_SECRET_BYTES_MAX + 1], expiration[32];
    char token[KINEMA_TOKEN_BYTES_MAX + 1];
    struct kinema_credentials key;
    int64_t expires_ms = 0, left_ms;
    int code = -EBADMSG;
    if (json_find(ptr, len, "accessKeyId", id, sizeof(id)) == 0 &&
        json_find(ptr, len, "secretAccessKey", secret, sizeof(secret)) == 0 &&
        json_find(ptr, len, "sessionToken", token, sizeof(token)) == 0 &&
        json_find(ptr, len, "expiration", expiration, sizeof(expiration)) == 0 &&
        credentials_time(expiration, &expires_ms) == 0 &&
        credentials_fill(&key, id, secret, token) == 0)
        code = 0;
    OPENSSL_cleanse(secret, sizeof(secret));
    left_ms = expires_ms - wall_ms();
    if (code == 0 && left_ms <= 0) /* a clock that is wrong here or there */
        code = -ETIMEDOUT;
    if (code < 0)
        return code;
    key.expires_ms = expires_ms;
    (void) pthread_mutex_lock(&iot->lock);
    iot->kept = key;
    iot->margin_ms =
        left_ms / MARGIN_SHARE < EXPIRY_MARGIN_MS ? left_ms / MARGIN_SHARE : EXPIRY_MARGIN_MS;
    iot->is_kept = 1;
    (void) pthread_mutex_unlock(&iot->lock);
    OPENSSL_cleanse(&key, sizeof(key));
    return 0;
}

/* --- asking and waiting ----------------------------------------------------------------------- */
struct answer {
    char bytes[ANSWER_BYTES];
    size_t len;
};

static size_t take(char *ptr, size_t size, size_t count, void *ctx)
{
    struct answer *answer = ctx;
    size_t len = size * count;
    if (len > sizeof(answer->bytes) - answer->len)
        return 0;
    memcpy(answer->bytes + answer->len, ptr, len);
    answer->len += len;
    return len;
}

int iot_get(struct iot *iot, struct kinema_credentials *ret)
{
    struct answer answer = {.len = 0};
    struct curl_slist *headers = NULL;
    int64_t margin_ms;
    long status = 0;
    CURL *easy;
    int code = iot_peek(iot, ret, &margin_ms);
    if (code != -EAGAIN)
        return code;
    easy = curl_easy_init();
    code = easy ? iot_call(iot, easy, &headers) : -ENOMEM;
    if (code == 0) {
        (void) curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take);
        (void) curl_easy_setopt(easy, CURLOPT_WRITEDATA, &answer);
        code = curl_easy_perform(easy) == CURLE_OK ? 0 : -EACCES;
        (void) curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    }
    if (code == 0)
        code = status == 200 ? iot_called(iot, answer.bytes, answer.len) : -EACCES;
    if (code == 0)
        code = iot_peek(iot, ret, &margin_ms);
    curl_easy_cleanup(easy);
    curl_slist_free_all(headers);
    OPENSSL_cleanse(&answer, sizeof(answer));
    return code;
}
