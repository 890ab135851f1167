/* SPDX-License-Identifier: Apache-2.0 */
/* A walk over a clip's fragments: where each stands in the clip, its frames, its tracks. A step
 * that fails with -EAGAIN has changed nothing and is made again. */
#ifndef PLAYBACK_CLIP_WALK_H
#define PLAYBACK_CLIP_WALK_H

#include "playback_internal.h"

#include "mp4/mp4.h"

enum {
    PLAYBACK_CLIP_VIDEO,
    PLAYBACK_CLIP_AUDIO,
    PLAYBACK_CLIP_SLOTS,

    PLAYBACK_CLIP_BASE_MS = 60000, /* where the first fragment stands: times before it are no less
                                      than 0 */
};

struct clip_walk {
    struct storage *storage;
    struct storage_id stream;
    const uint64_t *seqs; /* in order */
    size_t count, index;

    struct storage_fragment page[16];
    size_t page_at, page_count;

    /* of the fragment loaded */
    bool loaded;
    int64_t at_ms; /* where it stands in the clip, from PLAYBACK_CLIP_BASE_MS on */
    struct storage_fragment fragment;
    struct storage_frames *frames;
    struct storage_header *header;
    uint64_t header_name;
    struct playback_tracks tracks;

    /* of the one before: place, start, length, number in the stream */
    int64_t last_at_ms, last_start_ms, last_ms;
    uint64_t last_ordinal;
};

void clip_walk_init(struct clip_walk *walk, struct storage *storage,
                    const struct storage_id *stream, const uint64_t *seqs, size_t count);
void clip_walk_done(struct clip_walk *walk);
/* Loads the fragment at index; 0 when it has passed the last one, else 1. Errors of storage, and of
 * playback_tracks_choose. */
int clip_walk_load(struct clip_walk *walk, struct kn_err *err, bool nowait) KN_MUSTUSE;
void clip_walk_next(struct clip_walk *walk);

/* NULL: it has none there. */
const struct playback_track *clip_walk_track(const struct clip_walk *walk, unsigned slot);
uint64_t clip_walk_bytes(const struct clip_walk *walk, unsigned slot);
/* In ticks of timescale, which is the track's own unless codec parameters have changed it. Free
 * with free(). */
int clip_walk_line(const struct clip_walk *walk, unsigned slot, uint32_t timescale,
                   struct playback_timeline **ret) KN_MUSTUSE;

#endif
