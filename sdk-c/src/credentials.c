/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Providers of access keys. The file's line is that of AWS's C++ Producer SDK (property
 * credential-path of kvssink, observed with 3.6.0).
 */
#include "iot.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct kinema_credential_provider {
    kinema_credentials_fn *get;
    void *ctx;
    struct kinema_credentials *fixed; /* of a static one */
    char *path;                       /* of a file */
    struct iot *iot;                  /* of a certificate */
};

enum {
    FILE_BYTES_MAX = 8192
};

static int copy(char *dst, size_t cap, const char *text)
{
    size_t len = strlen(text);
    if (len >= cap)
        return -EMSGSIZE;
    memcpy(dst, text, len + 1);
    return 0;
}

int credentials_fill(struct kinema_credentials *dst, const char *key_id, const char *secret,
                     const char *token)
{
    *dst = (struct kinema_credentials){.expires_ms = 0};
    if (!key_id || !*key_id || !secret || !*secret)
        return -ENOENT;
    if (copy(dst->key_id, sizeof(dst->key_id), key_id) < 0 ||
        copy(dst->secret, sizeof(dst->secret), secret) < 0 ||
        copy(dst->token, sizeof(dst->token), token ? token : "") < 0)
        return -EBADMSG;
    return 0;
}

int kinema_credentials_from(kinema_credentials_fn *get, void *ctx,
                            struct kinema_credential_provider **ret)
{
    struct kinema_credential_provider *provider = calloc(1, sizeof(*provider));
    if (!provider)
        return -ENOMEM;
    provider->get = get;
    provider->ctx = ctx;
    *ret = provider;
    return 0;
}

static int get_fixed(void *ctx, struct kinema_credentials *ret)
{
    memcpy(ret, ctx, sizeof(*ret));
    return 0;
}

int kinema_credentials_static(const char *key_id, const char *secret, const char *token,
                              struct kinema_credential_provider **ret)
{
    struct kinema_credentials *fixed = malloc(sizeof(*fixed));
    int code = !fixed ? -ENOMEM : credentials_fill(fixed, key_id, secret, token) < 0 ? -EINVAL : 0;
    if (code == 0)
        code = kinema_credentials_from(get_fixed, fixed, ret);
    if (code == 0)
        (*ret)->fixed = fixed;
    else
        free(fixed);
    return code;
}

static int get_environment(void *ctx, struct kinema_credentials *ret)
{
    (void) ctx;
    return credentials_fill(ret, getenv("AWS_ACCESS_KEY_ID"), getenv("AWS_SECRET_ACCESS_KEY"),
                            getenv("AWS_SESSION_TOKEN"));
}

int kinema_credentials_environment(struct kinema_credential_provider **ret)
{
    return kinema_credentials_from(get_environment, NULL, ret);
}

/* --- the file --------------------------------------------------------------------------------- */
/* Days since 1970 of a Gregorian date. */
static int64_t days_of(int64_t year, int month, int day)
{
    static const int before[12] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    int leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    int64_t past = year - 1;
    return past * 365 + past / 4 - past / 100 + past / 400 - 719162 + before[month - 1] +
           (leap && month > 2) + day - 1;
}

/* 2030-01-01T00:00:00Z */
int credentials_time(const char *text, int64_t *ret_ms)
{
    int year, month, day, hour, minute, second, used = 0;
    if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &year, &month, &day, &hour, &minute, &second,
               &used) != 6 ||
        used < 19 || strcmp(text + used, "Z") != 0 || year < 1970 || month < 1 || month > 12 ||
        day < 1 || day > 31 || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 ||
        second > 60)
        return -EBADMSG;
    *ret_ms = (((days_of(year, month, day) * 24 + hour) * 60 + minute) * 60 + second) * 1000;
    return 0;
}

static int parse_line(char *line, struct kinema_credentials *ret)
{
    char *words[6], *next = NULL;
    size_t count = 0;
    int64_t expires_ms = 0;
    int code;
    for (char *word = strtok_r(line, " \t\r\n", &next); word && count < 6;
         word = strtok_r(NULL, " \t\r\n", &next))
        words[count++] = word;
    if ((count != 3 && count != 5) || strcmp(words[0], "CREDENTIALS") != 0)
        return -EBADMSG;
    if (count == 5 && credentials_time(words[2], &expires_ms) < 0)
        return -EBADMSG;
    code = count == 3 ? credentials_fill(ret, words[1], words[2], NULL)
                      : credentials_fill(ret, words[1], words[3], words[4]);
    ret->expires_ms = expires_ms;
    return code;
}

static int get_file(void *ctx, struct kinema_credentials *ret)
{
    char line[FILE_BYTES_MAX + 1];
    size_t len = 0;
    ssize_t got = 0;
    int code, fd = open(ctx, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -ENOENT;
    while (len < FILE_BYTES_MAX &&
           ((got = read(fd, line + len, FILE_BYTES_MAX - len)) > 0 || (got < 0 && errno == EINTR)))
        len += got > 0 ? (size_t) got : 0;
    (void) close(fd);
    line[len] = '\0';
    code = got < 0 ? -ENOENT : len == FILE_BYTES_MAX ? -EBADMSG : parse_line(line, ret);
    OPENSSL_cleanse(line, sizeof(line));
    return code;
}

int kinema_credentials_file(const char *path, struct kinema_credential_provider **ret)
{
    size_t len = path ? strlen(path) : 0;
    char *own;
    int code;
    if (len == 0)
        return -EINVAL;
    own = malloc(len + 1);
    if (!own)
        return -ENOMEM;
    memcpy(own, path, len + 1);
    code = kinema_credentials_from(get_file, own, ret);
    if (code == 0)
        (*ret)->path = own;
    else
        free(own);
    return code;
}

/* --- a certificate ---------------------------------------------------------------------------- */
static int get_iot(void *ctx, struct kinema_credentials *ret)
{
    return iot_get(ctx, ret);
}

int kinema_credentials_iot(const struct kinema_iot *config, struct kinema_credential_provider **ret)
{
    struct iot *iot;
    int code = iot_new(config, &iot);
    if (code < 0)
        return code;
    code = kinema_credentials_from(get_iot, iot, ret);
    if (code == 0)
        (*ret)->iot = iot;
    else
        iot_free(iot);
    return code;
}

int credentials_peek(struct kinema_credential_provider *provider, struct kinema_credentials *ret,
                     int64_t *ret_margin_ms)
{
    if (provider->iot)
        return iot_peek(provider->iot, ret, ret_margin_ms);
    *ret_margin_ms = EXPIRY_MARGIN_MS;
    return kinema_credentials_get(provider, ret);
}

int credentials_call(struct kinema_credential_provider *provider, CURL *easy,
                     struct curl_slist **headers)
{
    return iot_call(provider->iot, easy, headers);
}

int credentials_called(struct kinema_credential_provider *provider, const char *ptr, size_t len)
{
    return iot_called(provider->iot, ptr, len);
}

void credentials_refused(struct kinema_credential_provider *provider)
{
    if (provider->iot)
        iot_refused(provider->iot);
}

int kinema_credentials_get(struct kinema_credential_provider *provider,
                           struct kinema_credentials *ret)
{
    *ret = (struct kinema_credentials){.expires_ms = 0};
    return provider->get(provider->ctx, ret);
}

void kinema_credentials_free(struct kinema_credential_provider *provider)
{
    if (!provider)
        return;
    if (provider->fixed)
        OPENSSL_cleanse(provider->fixed, sizeof(*provider->fixed));
    iot_free(provider->iot);
    free(provider->fixed);
    free(provider->path);
    free(provider);
}
