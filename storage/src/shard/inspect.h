/* SPDX-License-Identifier: Apache-2.0 */
/* Journals and segments for those who only look: `kinema check`, `kinema dump`. */
#ifndef STORAGE_SRC_SHARD_INSPECT_H
#define STORAGE_SRC_SHARD_INSPECT_H

#include "segment.h"

struct storage_shard_file {
    struct kn_file *file;
    bool is_journal;
    struct storage_journal_head journal; /* … or */
    struct storage_id shard;             /* of a segment */
    uint8_t id[16];
    uint64_t first;
    uint32_t seed;
    uint64_t place;   /* of a segment in its pack: what follows begins there */
    uint64_t at, end; /* the next frame's place; where frames end */
    uint8_t *bytes;
    size_t cap;
};

/* Read only. -EBADMSG: it is neither. */
int storage_shard_file_open(struct kn_fs *fs, const char *path, uint64_t place,
                            struct storage_shard_file *ret) KN_MUSTUSE;
void storage_shard_file_close(struct storage_shard_file *f);
/* The frame at `at`, which moves behind it. -ENODATA: there is none here; -EBADMSG: its payload is
 * not what was written. */
int storage_shard_file_next(struct storage_shard_file *f, struct storage_shard_frame *ret,
                            struct kn_bytes *ret_payload) KN_MUSTUSE;
/* Moves to the next header behind `at`. -ENODATA: there is none. */
int storage_shard_file_seek(struct storage_shard_file *f) KN_MUSTUSE;
/* That the payload is so many records and nothing else. -EBADMSG. */
int storage_shard_payload_check(struct kn_bytes payload, uint32_t count) KN_MUSTUSE;

struct storage_shard_check {
    struct storage *nowhere; /* dir, fs and meta */
    storage_say_fn *say;
    void *ctx;
    uint64_t shards, segments, records, bytes, problems;
};
int storage_shards_check(struct storage_shard_check *check) KN_MUSTUSE;

/* -EBADMSG: neither a journal nor a segment. records: also each of them. */
int storage_shard_dump(const char *path, struct kn_fs *fs, bool records, storage_say_fn *say,
                       void *ctx) KN_MUSTUSE;

#endif
