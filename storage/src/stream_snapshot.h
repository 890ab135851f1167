/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream's settings as bytes in the catalogue, and the snapshot made from them. The bytes are the
 * only way to make a snapshot, so what is in memory is what a restart will find.
 */
#ifndef STORAGE_SRC_STREAM_SNAPSHOT_H
#define STORAGE_SRC_STREAM_SNAPSHOT_H

#include "storage/meta.h"
#include "storage/stream.h"

enum {
    STORAGE_STREAM_RECORD_BYTES_MAX = 256 << 10
};

/* What a record holds, as views: filled by create and update, and by nobody else. */
struct storage_stream_settings {
    enum storage_stream_status status;
    bool warm;
    uint32_t retention_hours;
    int64_t created_ms;
    struct kn_str name, device_name, media_type, kms_key_id, version;
    const struct storage_tag *tags; /* any order, no key twice */
    size_t tag_count;
    struct kn_bytes extra;
};

void storage_stream_settings_of(const struct storage_stream *stream,
                                struct storage_stream_settings *ret);
/* -EINVAL: a key twice, or more than STORAGE_STREAM_TAGS_MAX tags. */
int storage_stream_encode(const struct storage_stream_settings *settings, struct kn_buf *dst)
    KN_MUSTUSE;

/* A new snapshot with one reference. -EBADMSG. */
int storage_stream_decode(const struct storage_id *id, struct kn_bytes record,
                          uint64_t meta_version, struct storage_stream **ret) KN_MUSTUSE;
/* The catalogue's version of the record this snapshot was made from. */
uint64_t storage_stream_meta_version(const struct storage_stream *stream);
/* Only before anybody else has seen the snapshot. */
void storage_stream_set_meta_version(struct storage_stream *stream, uint64_t version);

#endif
