/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a fragment is held to, and what is known of it while it arrives: times, frames, tracks,
 * metadata. Knows nothing of bytes on their way; assembler.c moves those. A function that finds a
 * fault returns -EBADMSG, sets `error` to the id the client gets and says why in err, with element
 * and byte offset.
 */
#ifndef INGEST_SRC_FRAGMENT_H
#define INGEST_SRC_FRAGMENT_H

#include "assembler.h"

struct ingest_track {
    uint64_t number;
    enum kn_mkv_track_type type;
    char codec_id[24];
    double lace_ns;       /* a laced frame's length when the block does not say; 0: unknown */
    int64_t default_ns;   /* DefaultDuration */
    int64_t delta_ns;     /* between its last two frames, of this fragment or an earlier one */
    uint32_t frames;      /* in this fragment */
    bool starts_key;      /* the first of them is a key frame */
    int64_t first;        /* earliest time, in scale units from the Cluster */
    int64_t last, second; /* latest times */
    int64_t last_own_ns;  /* BlockDuration of the latest; 0: not said */
};

struct ingest_fragment {
    const struct ingest_conf *limits;
    struct ingest_seam *seam;
    enum ingest_error error;
    bool tracks_may_pause;

    uint64_t scale_ns;
    uint32_t header; /* checksum of what decoding depends on */
    struct ingest_track tracks[KN_MKV_TRACKS_MAX];
    unsigned track_count;
    bool has_previous;
    uint64_t previous_timecode;
    int64_t previous_last_ns; /* latest frame, from the epoch of the timecodes */

    /* Tags that came since the last fragment closed */
    uint64_t lead_tag_count;
    char lead_fault[KN_ERR_TEXT_BYTES_MAX];
    bool tags_only_end, end_tag; /* of the last Tags element */

    /* of the one that arrives */
    bool named;  /* its Timestamp is known */
    bool open;   /* and the writer has it */
    bool closed; /* committed; its Cluster may still be going on */
    struct storage_begin begin;
    struct storage_fragment stored;
    uint64_t bytes; /* with the writer */
    uint32_t cluster_offset;
    uint64_t cluster_end; /* 0: not over */
    uint64_t tag_count;
    uint64_t frame_count;
    int64_t first; /* earliest time */

    struct kn_mkv_block block; /* lace_bytes: laces below */
    uint64_t block_offset;     /* of its first frame */
    uint64_t block_duration;   /* 0: not said */
    bool in_group;
    uint32_t laces[KN_MKV_LACES_MAX];
    uint32_t lace_offset;
};

void ingest_fragment_init(struct ingest_fragment *f, const struct ingest_conf *limits,
                          struct ingest_seam *seam);
int ingest_fragment_header(struct ingest_fragment *f, const struct kn_mkv_header *header,
                           struct kn_err *err) KN_MUSTUSE;
void ingest_fragment_reset(struct ingest_fragment *f); /* a Cluster starts */
/* Judges the Timestamp event and fills f->begin. */
int ingest_fragment_begin(struct ingest_fragment *f, const struct kn_mkv_event *ev, int64_t base_ms,
                          bool relative, struct kn_err *err) KN_MUSTUSE;
void ingest_fragment_opened(struct ingest_fragment *f, uint32_t cluster_offset);
int ingest_fragment_tags(struct ingest_fragment *f, const struct kn_mkv_event *ev,
                         struct kn_err *err) KN_MUSTUSE;
int ingest_fragment_block(struct ingest_fragment *f, const struct kn_mkv_event *ev,
                          struct kn_err *err) KN_MUSTUSE;
/* The i-th frame of the block that is complete; false past the last. Each is asked for once. */
bool ingest_fragment_frame(struct ingest_fragment *f, unsigned i, struct storage_frame *ret);
/* Judges the whole and fills the commit but for its flags. May be called again. */
int ingest_fragment_end(struct ingest_fragment *f, struct storage_commit *ret, struct kn_err *err)
    KN_MUSTUSE;
/* A track of pictures does not begin with a key frame: a player that starts here shows none. */
bool ingest_fragment_is_keyless(const struct ingest_fragment *f);
void ingest_fragment_closed(struct ingest_fragment *f);
void ingest_fragment_times(const struct ingest_fragment *f, struct ingest_times *ret);

#endif
