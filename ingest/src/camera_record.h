/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cameras and their secrets in the catalogue, sealed with a key of the data folder. All block.
 */
#ifndef INGEST_SRC_CAMERA_RECORD_H
#define INGEST_SRC_CAMERA_RECORD_H

#include "camera_settings.h"

#include "core/crypto.h"
#include "storage/meta.h"

/* "v/<stream id>". One with a secret is kept without its source. */
int ingest_camera_put(struct storage_meta *meta, const uint8_t key[KN_AEAD_KEY_BYTES],
                      const struct storage_id *stream,
                      const struct ingest_camera_settings *settings) KN_MUSTUSE;
int ingest_camera_remove(struct storage_meta *meta, const struct storage_id *stream)
    KN_MUSTUSE; /* -ENOENT */
typedef int ingest_camera_fn(void *ctx, const struct storage_id *stream,
                             const struct ingest_camera_settings *settings, int result);
/* Each with its settings, or with NULL and why they cannot be read: -EBADMSG, also when they were
 * sealed with another key. */
int ingest_camera_list(struct storage_meta *meta, const uint8_t key[KN_AEAD_KEY_BYTES],
                       ingest_camera_fn *each, void *ctx) KN_MUSTUSE;

/* "vs/<name>" */
struct ingest_camera_secret {
    struct ingest_camera_source source;
    int64_t created_ms, updated_ms;
};
int ingest_camera_secret_put(struct storage_meta *meta, const uint8_t key[KN_AEAD_KEY_BYTES],
                             struct kn_str name, const struct ingest_camera_secret *secret)
    KN_MUSTUSE;
int ingest_camera_secret_get(struct storage_meta *meta, const uint8_t key[KN_AEAD_KEY_BYTES],
                             struct kn_str name, struct ingest_camera_secret *ret)
    KN_MUSTUSE; /* -ENOENT, -EBADMSG */
int ingest_camera_secret_remove(struct storage_meta *meta, struct kn_str name)
    KN_MUSTUSE; /* -ENOENT */
typedef int ingest_camera_secret_fn(void *ctx, struct kn_str name,
                                    const struct ingest_camera_secret *secret, int result);
/* By name, those after one; each as of cameras. each < 0 stops, and is what comes back. */
int ingest_camera_secret_list(struct storage_meta *meta, const uint8_t key[KN_AEAD_KEY_BYTES],
                              struct kn_str after, size_t most, ingest_camera_secret_fn *each,
                              void *ctx) KN_MUSTUSE;

#endif
