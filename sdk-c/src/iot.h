/* SPDX-License-Identifier: Apache-2.0 */
/* What a provider needs others for: the endpoint of AWS IoT's credential provider is asked with a
 * certificate, and its answer kept until shortly before it expires. */
#ifndef SDK_IOT_H
#define SDK_IOT_H

#include <curl/curl.h>

#include "kinema/credentials.h"

enum {
    CONNECT_TIMEOUT_MS = 5000,
    CALL_TIMEOUT_MS = 10000, /* both as AWS's C producer has them */
    EXPIRY_MARGIN_MS = 30000 /* a connection is renewed as long before its key expires */
};

/* The time of an answer, or of a file: 2030-01-01T00:00:00Z. -EBADMSG. */
int credentials_time(const char *text, int64_t *ret_ms);
/* -ENOENT: key_id or secret is missing; -EBADMSG: one is too long. */
int credentials_fill(struct kinema_credentials *dst, const char *key_id, const char *secret,
                     const char *token);

/* What is there without asking anybody. *ret_margin_ms: how long before it expires it is to be
 * replaced. -EAGAIN: credentials_call() first; otherwise as kinema_credentials_get(). */
int credentials_peek(struct kinema_credential_provider *provider, struct kinema_credentials *ret,
                     int64_t *ret_margin_ms);
/* Makes easy the request for a new key; headers gets what easy then uses. -ENOMEM. */
int credentials_call(struct kinema_credential_provider *provider, CURL *easy,
                     struct curl_slist **headers);
/* Keeps what a 200 brought. -EBADMSG: that is no key. */
int credentials_called(struct kinema_credential_provider *provider, const char *ptr, size_t len);
/* A service does not like the key: the next one is asked for. */
void credentials_refused(struct kinema_credential_provider *provider);

struct iot;
int iot_new(const struct kinema_iot *config, struct iot **ret);
void iot_free(struct iot *iot); /* accepts NULL */
int iot_peek(struct iot *iot, struct kinema_credentials *ret, int64_t *ret_margin_ms);
int iot_call(struct iot *iot, CURL *easy, struct curl_slist **headers);
int iot_called(struct iot *iot, const char *ptr, size_t len);
void iot_refused(struct iot *iot);
/* Asks, and waits for the answer. -EACCES: none came, or a refusal. */
int iot_get(struct iot *iot, struct kinema_credentials *ret);

#endif
