/* SPDX-License-Identifier: Apache-2.0 */
/* A clip as it was planned: which fragments, how many bytes each table has, what lies where. */
#ifndef PLAYBACK_CLIP_PLAN_H
#define PLAYBACK_CLIP_PLAN_H

#include "clip/clip.h"
#include "clip/table.h"
#include "clip/walk.h"

enum {
    CLIP_ENTRIES_MAX = 500, /* sets of codec parameters: "CPD changes" in KVS quotas */
    CLIP_PARTS_MAX = 2 * PLAYBACK_CLIP_SLOTS * CLIP_TABLES + 2,
    CLIP_MOVIE_HZ = 1000,
};

struct clip_slot { /* a track of the clip */
    bool present;
    struct playback_track track; /* the first one there; its config does not outlive planning */
    uint32_t timescale;
    uint64_t *hashes; /* of the sets of codec parameters, in the order of stsd */
    uint32_t entry_count;
    struct kn_buf entries; /* of stsd */
    uint64_t samples, chunks;
    bool reordered;
    uint64_t table_bytes[CLIP_TABLES], table_entries[CLIP_TABLES];
    int64_t first, end; /* decode times, of the clip's clock in timescale */
};

struct clip_part { /* of the head: bytes [from, to), then a table */
    size_t from, to;
    unsigned slot;
    enum clip_table_kind kind; /* CLIP_TABLES: none */
};

struct playback_clip {
    struct playback *playback;
    struct playback_clip_in in;
    uint64_t *seqs;
    size_t count;
    struct clip_slot slots[PLAYBACK_CLIP_SLOTS];
    int64_t cut_from_ms, cut_to_ms; /* exact: in the clip's clock */
    bool wide;                      /* chunk offsets of 64 bits */
    struct kn_buf head;             /* ftyp, moov without its tables, mdat's header */
    struct clip_part parts[CLIP_PARTS_MAX];
    size_t part_count;
    uint64_t head_bytes, payload_bytes; /* head: with its tables */

    /* reading: see read.c */
    uint64_t skip;
    size_t part_at, part_done;
    bool table_begun, table_ended;
    struct clip_walk walk;
    struct clip_table table;
    uint64_t offset;    /* of the next chunk */
    struct kn_buf made; /* of the table, and what of it was taken */
    size_t made_at;
    unsigned slot; /* whose frames come next */
    struct playback_mp4_segment *segment;
    uint64_t segment_at;
};

struct clip_table clip_table_of(const struct playback_clip *clip, unsigned slot,
                                enum clip_table_kind kind);
/* 1 …; 0: not known. */
uint32_t clip_entry_of(const struct clip_slot *slot, const struct playback_track *track);

/* Goes over the fragments and fills in the slots; count may become less. */
int clip_plan(struct playback_clip *clip, struct kn_err *err) KN_MUSTUSE;
/* Writes the head. */
int clip_head(struct playback_clip *clip) KN_MUSTUSE;

#endif
