/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fragmented MP4 writer, for HLS, DASH and clips: init segments, and media segments of one
 * track of one fragment. A segment is a rendered head (styp, moof, mdat's size) and a list of
 * places: its payload stays where it lies in the chunk and is gathered by scatter reads. Bytes
 * depend on fragment, track and clock only, never on a session, so one rendered head serves
 * everybody.
 */
#ifndef PLAYBACK_MP4_MP4_H
#define PLAYBACK_MP4_MP4_H

#include "mp4/timeline.h"

/* Appends ftyp and moov of one track. Any thread. */
int playback_mp4_init_write(struct kn_buf *out, const struct playback_track *track,
                            uint64_t scale_ns) KN_MUSTUSE;

/* Boxes that a moov of a clip has too; durations in the timescale beside them, of tkhd in the
 * movie's. media_head: vmhd or smhd, and dinf. sample_entry: what stands in stsd. */
void playback_mp4_mvhd(struct kn_buf *out, uint32_t timescale, uint32_t duration);
void playback_mp4_tkhd(struct kn_buf *out, const struct playback_track *track, uint32_t duration);
void playback_mp4_mdhd_hdlr(struct kn_buf *out, const struct playback_track *track,
                            uint32_t timescale, uint64_t duration);
void playback_mp4_media_head(struct kn_buf *out, const struct playback_codec_info *info);
void playback_mp4_sample_entry(struct kn_buf *out, const struct playback_codec_info *info);

struct playback_mp4_place {
    uint32_t offset; /* in the fragment; or playback_silent */
    uint32_t at;     /* in the payload: bytes of the places before it */
};

struct playback_mp4_segment { /* immutable, counted, one allocation */
    _Atomic unsigned refs;
    uint64_t bytes; /* head and payload */
    uint32_t head_bytes;
    uint32_t memory_bytes;
    struct playback_silence silence;
    size_t place_count;
    const uint8_t *head;
    struct playback_mp4_place places[]; /* place_count, and one more that marks the end */
};

/* sequence: mfhd's sequence number. -ENOMEM; -EMSGSIZE: 4 GiB or more. Any thread. */
int playback_mp4_segment_make(const struct playback_timeline *line, unsigned track_number,
                              uint32_t sequence, struct playback_mp4_segment **ret) KN_MUSTUSE;
struct playback_mp4_segment *playback_mp4_segment_ref(struct playback_mp4_segment *segment);
void playback_mp4_segment_unref(struct playback_mp4_segment *segment);
KN_DEFINE_CLEANUP(struct playback_mp4_segment *, playback_mp4_segment_unref)

struct playback_mp4_source { /* where the payload lies */
    struct storage *storage;
    struct storage_id stream;
    struct storage_fragment fragment;
};

/* Bytes [pos, pos + cap) of the segment into dst, or fewer: at least one before its end. Errors of
 * storage_read; -EIO when the chunk ends early. May block unless nowait. Any thread. */
ssize_t playback_mp4_segment_read(const struct playback_mp4_segment *segment,
                                  const struct playback_mp4_source *source, uint64_t pos, void *dst,
                                  size_t cap, bool nowait);

#endif
