/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a camera's video comes from, and its record in the catalogue: sealed with a key of the data
 * folder, since the URL, the user and the password of a camera are secrets. They are never logged
 * and never answered; what is shown of a URL ends before its query.
 */
#ifndef INGEST_SRC_CAMERA_SETTINGS_H
#define INGEST_SRC_CAMERA_SETTINGS_H

#include "core/crypto.h"
#include "storage/meta.h"

enum {
    INGEST_CAMERA_URL_BYTES_MAX = 2048,
    INGEST_CAMERA_USER_BYTES_MAX = 256,
};

enum ingest_camera_transport {
    INGEST_CAMERA_AUTO,
    INGEST_CAMERA_UDP,
    INGEST_CAMERA_TCP,
    INGEST_CAMERA_HTTP
};
const char *ingest_camera_transport_name(enum ingest_camera_transport transport);

struct ingest_camera_settings {
    char url[INGEST_CAMERA_URL_BYTES_MAX + 1]; /* without credentials */
    char user[INGEST_CAMERA_USER_BYTES_MAX + 1], password[INGEST_CAMERA_USER_BYTES_MAX + 1];
    enum ingest_camera_transport transport;
    int64_t created_ms, updated_ms;
};

/* Takes a URL apart: rtsp:// or rtsps://, with or without user:password@. -EINVAL: err says why. */
int ingest_camera_url(struct kn_str url, struct ingest_camera_settings *dst, struct kn_err *err)
    KN_MUSTUSE;
/* The URL as it may be shown. */
struct kn_str ingest_camera_url_shown(const struct ingest_camera_settings *settings);

/* Records "v/<stream id>"; all block. get: -ENOENT; -EBADMSG: sealed with another key. */
int ingest_camera_put(struct storage_meta *meta, const uint8_t key[KN_AEAD_KEY_BYTES],
                      const struct storage_id *stream,
                      const struct ingest_camera_settings *settings) KN_MUSTUSE;
int ingest_camera_remove(struct storage_meta *meta, const struct storage_id *stream) KN_MUSTUSE;
typedef int ingest_camera_fn(void *ctx, const struct storage_id *stream,
                             const struct ingest_camera_settings *settings, int result);
/* Each with its settings, or with NULL and why they cannot be read. */
int ingest_camera_list(struct storage_meta *meta, const uint8_t key[KN_AEAD_KEY_BYTES],
                       ingest_camera_fn *each, void *ctx) KN_MUSTUSE;

#endif
