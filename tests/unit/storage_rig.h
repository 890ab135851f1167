/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A real storage in a temporary folder, and an uploader that feeds it captures the way an ingest
 * session does. Commits are collected as the callbacks bring them.
 */
#ifndef TESTS_UNIT_STORAGE_RIG_H
#define TESTS_UNIT_STORAGE_RIG_H

#include "capture.h"

#include "core/fs.h"
#include "core/thread.h"
#include "storage/stream.h"
#include "storage/writer.h"

enum {
    RIG_COMMITS_MAX = 20000
};

struct rig_commit {
    struct storage_fragment fragment;
    bool duplicate;
    int result;
};

struct rig_upload { /* one writer */
    struct storage *storage;
    struct storage_id stream;
    struct storage_writer *w;
    struct kn_lock lock;
    struct kn_cond moved;
    struct rig_commit *commits; /* guarded by lock, like the rest */
    size_t commit_count, submitted;
    uint64_t writable;
    uint64_t followed;
    bool closed;
};

struct storage_conf rig_conf(void); /* the defaults, no ballast, no floor */
struct storage_id rig_stream(struct storage *storage, const char *name, uint32_t retention_hours);
/* Opened by those settings, with shards by their defaults, on the system's clock. */
struct storage *rig_open_with_shards(const char *dir, struct kn_fs *fs);
size_t rig_chunk_files(const char *dir); /* how many there are */

int rig_upload_open(struct rig_upload *up, struct storage *storage, const struct storage_id *stream,
                    bool fence) KN_MUSTUSE;
void rig_upload_header(struct rig_upload *up, const struct capture *capture);
/* begin … mark for each element; waits where the storage is short. 0 or the first error. */
int rig_upload_begin(struct rig_upload *up, uint64_t timecode, int64_t producer_ts_ms,
                     uint32_t flags, struct storage_fragment *ret);
int rig_upload_parts(struct rig_upload *up, const struct capture *capture,
                     const struct capture_fragment *f, size_t from_mark, size_t to_mark);
int rig_upload_commit(struct rig_upload *up, const struct capture_fragment *f);
/* All of one fragment, producer time = timecode × scale + shift. */
int rig_upload_fragment(struct rig_upload *up, const struct capture *capture, size_t at,
                        int64_t shift_ms);
/* Waits until as many commits have come back as were submitted. */
void rig_upload_settle(struct rig_upload *up);
void rig_upload_close(struct rig_upload *up); /* waits for closed; keeps commits */
void rig_upload_done(struct rig_upload *up);

/* Compares the stored bytes, frames and header of a fragment with the capture's. 0 or -EBADMSG. */
int rig_compare(struct storage *storage, const struct storage_id *stream,
                const struct storage_fragment *f, const struct capture *capture, size_t at);

#endif
