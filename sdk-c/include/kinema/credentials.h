/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file credentials.h
 * Where a producer's access key comes from: given, from the environment, from a file that is
 * replaced now and then, for a certificate, or from the caller's own function. A provider may serve
 * several producers; it must outlive them.
 */
#ifndef KINEMA_CREDENTIALS_H
#define KINEMA_CREDENTIALS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if !defined(KINEMA_API) && defined(__GNUC__)
#define KINEMA_API __attribute__((visibility("default")))
#elif !defined(KINEMA_API)
#define KINEMA_API
#endif

/** Bounds of what a key consists of. */
enum {
    KINEMA_KEY_ID_BYTES_MAX = 128,
    KINEMA_SECRET_BYTES_MAX = 128,
    KINEMA_TOKEN_BYTES_MAX = 4096
};

/** An access key; texts end with NUL. */
struct kinema_credentials {
    char key_id[KINEMA_KEY_ID_BYTES_MAX + 1]; /**< the access key's id */
    char secret[KINEMA_SECRET_BYTES_MAX + 1]; /**< what is signed with */
    char token[KINEMA_TOKEN_BYTES_MAX + 1];   /**< "": none */
    int64_t expires_ms;                       /**< since 1970; 0: never */
};

struct kinema_credential_provider;

/** Copies. -EINVAL: empty or too long; -ENOMEM. */
KINEMA_API int kinema_credentials_static(const char *key_id, const char *secret, const char *token,
                                         struct kinema_credential_provider **ret);
/** AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, read at each use. -ENOMEM. */
KINEMA_API int kinema_credentials_environment(struct kinema_credential_provider **ret);
/** A file with one line, read at each use, so that it may be replaced by rename while it serves:
 * "CREDENTIALS key-id secret", or "CREDENTIALS key-id 2030-01-01T00:00:00Z secret token", as
 * AWS's C++ SDK reads it. Before the time in it a connection is renewed with what then stands in
 * the file. -EINVAL: no path; -ENOMEM. */
KINEMA_API int kinema_credentials_file(const char *path, struct kinema_credential_provider **ret);

/** Of a device with a certificate. Everything is copied. */
struct kinema_iot {
    const char *endpoint;         /**< host or host:port of the credential provider, always https */
    const char *role_alias;       /**< whose rights the key has */
    const char *thing;            /**< the device's name; NULL: it is not said */
    const char *certificate_file; /**< PEM */
    const char *key_file;         /**< PEM, without a password */
    const char *ca_file;          /**< certificates to trust, PEM; NULL: the system's */
};
/** Temporary keys for a certificate, as AWS IoT's credential provider gives them. One is asked for
 * when it is needed and shortly before the last one expires; producers do so without waiting.
 * -EINVAL: something is missing, too long, or would not be legal in a head of HTTP; -ENOMEM. */
KINEMA_API int kinema_credentials_iot(const struct kinema_iot *config,
                                      struct kinema_credential_provider **ret);

/** Fills ret, inside a call of the producer: it must not wait, and calls nothing of that producer.
 * Other than 0: there is none now; asked again later. */
typedef int kinema_credentials_fn(void *ctx, struct kinema_credentials *ret);
/** The caller's own source. -ENOMEM. */
KINEMA_API int kinema_credentials_from(kinema_credentials_fn *get, void *ctx,
                                       struct kinema_credential_provider **ret);

/** Asks a provider. With a certificate it may wait for the service, 10 s at most. -ENOENT: it has
 * none; -EBADMSG: its file or an answer makes no sense; -EACCES: the service refused or was not
 * reached; -ETIMEDOUT: what it gave has expired already. */
KINEMA_API int kinema_credentials_get(struct kinema_credential_provider *provider,
                                      struct kinema_credentials *ret);
/** Accepts NULL; what it held is wiped. */
KINEMA_API void kinema_credentials_free(struct kinema_credential_provider *provider);

#ifdef __cplusplus
}
#endif
#endif
