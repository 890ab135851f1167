/* SPDX-License-Identifier: Apache-2.0 */
/* One shard's part in a checkpoint: batches that go to the end of its newest segment, or to a new
 * one. */
#ifndef STORAGE_SRC_SHARD_CHECKPOINT_H
#define STORAGE_SRC_SHARD_CHECKPOINT_H

#include "segment.h"

struct storage_outgoing {
    struct storage_shard *shard;    /* a reference */
    struct storage_batch **batches; /* the shard's, who keeps them as long as the round is held */
    size_t count, skip;             /* skip: so many lie in the segment already */
    uint64_t frame_bytes;
    bool any_records, is_new, closes;
    bool packed;                       /* it is little, and goes to a pack */
    bool in_new_folder;                /* whose name is not flushed yet */
    bool seals_before;                 /* the segment before this one is sealed with it */
    struct storage_segment_row before; /* if so */
    uint64_t before_version;
    struct storage_segment_row row; /* as it will be */
    uint64_t version;               /* of the row in the catalogue; 0: none */
    uint64_t write_at;
    bool shard_row; /* the shard's own row is written too, with this retention and its sources */
    int64_t retention_ms;
    uint64_t sources_version;
    struct kn_file *file;
    bool direct; /* it is opened so: much is to be written */
    int result;
};

/* Its batches up to this generation. */
int storage_outgoing_take(struct storage_outgoing *out, struct storage_shard *shard,
                          uint64_t generation) KN_MUSTUSE;
/* Its batches up to this generation, and the segment they go to. */
int storage_outgoing_plan(struct storage_outgoing *out, struct storage_shard *shard,
                          uint64_t generation, bool packed) KN_MUSTUSE;
/* Opens or makes the file and writes; nothing is flushed. */
int storage_outgoing_write(struct storage_outgoing *out) KN_MUSTUSE;
/* The segment's bytes, or those that it grows by. */
int storage_outgoing_pour(const struct storage_outgoing *out, struct storage_direct *direct)
    KN_MUSTUSE;
/* Frames behind one another; *at moves. closes: also those that have no records. */
int storage_outgoing_frames(const struct storage_outgoing *out, struct kn_file *file, uint32_t seed,
                            bool closes, uint64_t *at) KN_MUSTUSE;
/* The name of a new file in its folder. */
int storage_outgoing_sync_folder(struct storage_outgoing *out) KN_MUSTUSE;
/* What publishing it looks at comes into the processor's cache. */
void storage_outgoing_fetch(const struct storage_outgoing *out);
/* What has been flushed is no longer kept in memory. */
void storage_outgoing_publish(struct storage_outgoing *out);
void storage_outgoing_done(struct storage_outgoing *out);

/* Many shards do not stay in the processor's cache between two checkpoints: the one that is due a
 * few steps later is on its way while the others are worked on. NULL is none. */
static inline void storage_shards_fetch(struct storage_shard *const *list, size_t at, size_t count)
{
    enum {
        STEPS = 6,
    };
    const struct storage_shard *shard = count - at > STEPS ? list[at + STEPS] : NULL;
    if (!shard)
        return;
    __builtin_prefetch(&shard->refs);
    __builtin_prefetch(&shard->lock);
    __builtin_prefetch(&shard->tail);
}

/* --- little.c */
/* Those that have little up to this generation go to the front, sorted. 0: too few for a pack. */
size_t storage_checkpoint_little(struct storage_shards *shards, struct storage_shard **list,
                                 size_t count, uint64_t generation);

/* --- pack_write.c */
/* What is packed of these, to a pack that is on disk when this returns. *ret_file: what went wrong
 * with its file; what is returned is the catalogue's. */
int storage_pack_write(struct storage_shards *shards, struct storage_outgoing *outs, size_t count,
                       int *ret_file) KN_MUSTUSE;

#endif
