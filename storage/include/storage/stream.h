/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The streams: their settings, in memory as immutable counted snapshots and in the catalogue on
 * disk. Lookups never block; changes do (they return once durable).
 */
#ifndef STORAGE_STREAM_H
#define STORAGE_STREAM_H

#include "storage/storage.h"

enum {
    STORAGE_STREAM_NAME_BYTES_MAX = 256,
    STORAGE_STREAM_TAGS_MAX = 50,
    STORAGE_RETENTION_HOURS_MAX = 87600, /* ten years; KVS, UpdateDataRetention */
};

/* A tag whose value, decimal digits, is the most bytes of fragments that the stream keeps on disk:
 * a tag, so that AWS's tools can set it. */
#define STORAGE_RETENTION_BYTES_TAG "kinema:retention-bytes"
/* -EINVAL: the value is not a number from 1 to 2^62. */
int storage_retention_bytes_parse(struct kn_str value, uint64_t *ret) KN_MUSTUSE;

enum storage_stream_status {
    STORAGE_STREAM_ACTIVE,
    STORAGE_STREAM_DELETING, /* unreadable; its chunks are being unlinked */
};

struct storage_tag {
    struct kn_str key, value;
};

struct storage_stream { /* immutable; all views point into the same allocation */
    _Atomic unsigned refs;
    struct storage_id id;
    struct kn_str name, device_name, media_type, kms_key_id;
    char version[21];         /* changes with every change of settings */
    int64_t created_ms;       /* also the last part of the ARN */
    uint32_t retention_hours; /* 0: kept in memory only */
    enum storage_stream_status status;
    bool warm; /* storage tier: kept and reported, no other effect */
    size_t tag_count;
    const struct storage_tag *tags; /* sorted by key */
    uint64_t retention_bytes; /* from the tag STORAGE_RETENTION_BYTES_TAG; 0: no limit of its own */
    struct kn_bytes extra;    /* of the sink of fragment events: storage/events.h */
};

/* Borrow with ref/unref around any use that outlives the call. Any thread, never blocks.
 * find: NULL when absent; a stream that is being deleted is found with that status. */
struct storage_stream *storage_stream_find(struct storage *storage, struct kn_str name);
struct storage_stream *storage_stream_find_id(struct storage *storage, const struct storage_id *id);
/* Grows with each change of a stream that was there, or its end: what was found before and is asked
 * for again at the same count is found the same. */
uint64_t storage_stream_changes(struct storage *storage);
struct storage_stream *storage_stream_ref(struct storage_stream *stream);
void storage_stream_unref(struct storage_stream *stream);
KN_DEFINE_CLEANUP(struct storage_stream *, storage_stream_unref)

struct storage_stream_new {
    struct kn_str name, device_name, media_type, kms_key_id;
    uint32_t retention_hours;
    bool warm;
    const struct storage_tag *tags;
    size_t tag_count;
    struct kn_bytes extra;
};
/* -EEXIST: the name is taken (also while a stream of that name is being deleted). Blocks. */
int storage_stream_create(struct storage *storage, const struct storage_stream_new *settings,
                          struct storage_stream **ret) KN_MUSTUSE;

/* Changes go through a copy: edit() may alter any setting of *draft but id, name and created_ms and
 * returns 0, or an error that is passed through. expect_version empty: any; otherwise -ESTALE when
 * it differs. -EBUSY while the stream is being deleted. Blocks; edit may be called again after a
 * lost race. */
struct storage_stream_draft {
    struct kn_str device_name, media_type;
    uint32_t retention_hours;
    bool warm;
    struct storage_tag tags[STORAGE_STREAM_TAGS_MAX];
    size_t tag_count;
    struct kn_bytes extra;
    bool keep_version; /* tags do not change the version */
};
typedef int storage_stream_edit_fn(void *ctx, const struct storage_stream *now,
                                   struct storage_stream_draft *draft);
int storage_stream_update(struct storage *storage, struct kn_str name, struct kn_str expect_version,
                          storage_stream_edit_fn *edit, void *ctx) KN_MUSTUSE;

/* Unreadable when it returns; chunks go in the background, and are found again after a crash.
 * -ESTALE as above, -EBUSY: it is being deleted already, -EACCES: it has a legal hold. */
int storage_stream_delete(struct storage *storage, struct kn_str name, struct kn_str expect_version)
    KN_MUSTUSE;

/* Names in byte order that start with prefix and are greater than after; refs in out. Never blocks.
 */
size_t storage_stream_list(struct storage *storage, struct kn_str prefix, struct kn_str after,
                           struct storage_stream **out, size_t cap);
size_t storage_stream_count(struct storage *storage);

/* --- legal holds -------------------------------------------------------------------------------
 * What a stream recorded in [from, to] of server time stays, whatever retention says, until the
 * hold is lifted. Whole chunks are kept, so that up to ten minutes on either side stay too. What is
 * trimmed already does not come back. Chunk files only: a stream with retention 0 has none. */
enum {
    STORAGE_HOLD_NAME_BYTES_MAX = 128,
    STORAGE_HOLD_REASON_BYTES_MAX = 4096,
    STORAGE_HOLD_BY_BYTES_MAX = 256,
    STORAGE_STREAM_HOLDS_MAX = 100,
    STORAGE_HOLDS_MAX = 10000, /* of all streams: they are kept in memory */
};
struct storage_hold {
    struct kn_str name; /* within the stream */
    struct kn_str reason, by;
    int64_t from_ms, to_ms; /* INT64_MAX: until it is lifted */
    int64_t created_ms;
};
/* Both are durable when they return, and block. put: every fragment in the range that a reader can
 * see when it returns stays; created_ms is filled in. -ENOENT no such stream; -EBUSY it is being
 * deleted; -EEXIST a hold of that name is there; -EDQUOT too many; -EINVAL. */
int storage_hold_put(struct storage *storage, const struct storage_id *stream,
                     struct storage_hold *hold) KN_MUSTUSE;
int storage_hold_remove(struct storage *storage, const struct storage_id *stream,
                        struct kn_str name) KN_MUSTUSE; /* -ENOENT */
/* In order of name, those after `after`. Never blocks; each is called under a lock and borrows. */
typedef int storage_hold_fn(void *ctx, const struct storage_hold *hold);
int storage_hold_list(struct storage *storage, const struct storage_id *stream, struct kn_str after,
                      storage_hold_fn *each, void *ctx) KN_MUSTUSE;
size_t storage_hold_count(struct storage *storage, const struct storage_id *stream);

#endif
