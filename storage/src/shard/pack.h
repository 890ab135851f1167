/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packs: segments of many shards that have little, in one file. Such a segment is sealed from its
 * beginning on; its row names the pack and the segment's place in it, and its bytes are those that
 * it would have in a file of its own. At its head a pack lists what is in it. The catalogue has a
 * row of each ("xp/<number>"), written before the file, and again when it is on disk; a pack goes
 * when no row of a segment names it any more.
 */
#ifndef STORAGE_SRC_SHARD_PACK_H
#define STORAGE_SRC_SHARD_PACK_H

#include "shards.h"

enum {
    STORAGE_PACK_SEGMENTS_MAX = 2048,
    STORAGE_PACK_ALIGN = 64, /* where segments begin */
};

struct storage_pack_entry {
    struct storage_id shard;
    uint64_t first, place, bytes;
};

struct storage_pack_row {
    uint64_t number, bytes; /* bytes 0: it is to come */
};

/* --- pack.c */
int storage_pack_path(const struct storage_shards *shards, uint64_t number,
                      char dst[STORAGE_SHARD_PATH_BYTES]) KN_MUSTUSE;
int storage_pack_sync_folder(struct storage_shards *shards) KN_MUSTUSE;
/* The file of a segment: its own, or its pack. */
int storage_segment_file(const struct storage_shards *shards, const struct storage_id *shard,
                         const struct storage_segment_row *row, char dst[STORAGE_SHARD_PATH_BYTES])
    KN_MUSTUSE;

/* What a pack's head takes, segments follow. */
uint64_t storage_pack_head_bytes(size_t count);
/* dst: so many bytes. */
void storage_pack_head(uint64_t number, const struct storage_pack_entry *entries, size_t count,
                       uint8_t *dst);
/* entries: malloc'd. -ENODATA: it is none; -EBADMSG: the list is damaged. */
int storage_pack_head_read(struct kn_file *file, uint64_t *ret_number,
                           struct storage_pack_entry **ret, size_t *ret_count) KN_MUSTUSE;

/* 1 when there is none yet. */
int storage_pack_next(struct storage_meta *meta, uint64_t *ret) KN_MUSTUSE;
int storage_pack_put(struct storage_meta *meta, const struct storage_pack_row *row) KN_MUSTUSE;
int storage_pack_row_decode(struct kn_bytes value, struct storage_pack_row *ret) KN_MUSTUSE;
struct kn_bytes storage_pack_key(uint64_t number, char dst[STORAGE_SHARD_KEY_BYTES]);

/* --- pack_retire.c; the round's lock is held */
/* The row of a segment in it has gone. */
int storage_pack_lost(struct storage_shards *shards, uint64_t number) KN_MUSTUSE;
/* Packs in front that nobody names: what a crash has left. */
int storage_packs_tidy(struct storage_shards *shards) KN_MUSTUSE;
int storage_pack_remove(struct storage_shards *shards, uint64_t number) KN_MUSTUSE;

#endif
