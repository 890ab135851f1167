/* SPDX-License-Identifier: Apache-2.0 */
/* The Matroska of a PutMedia body, element for element as AWS's producers send it. */
#ifndef SDK_MKV_H
#define SDK_MKV_H

#include <stddef.h>
#include <stdint.h>

#include "kinema/producer.h"

enum {
    MKV_CLUSTER_BYTES = 18,   /* head of a cluster: id, unknown size, time, position */
    MKV_BLOCK_BYTES = 13,     /* head of a SimpleBlock */
    MKV_UID_BYTES = 16,       /* of SegmentUID */
    MKV_BLOCK_MS_MAX = 32767, /* a block's time is 16 bits from its cluster's */
    MKV_TAG_BYTES_MAX = 64 + KINEMA_TAG_NAME_BYTES_MAX + KINEMA_TAG_VALUE_BYTES_MAX
};
#define MKV_END_OF_FRAGMENT "AWS_KINESISVIDEO_END_OF_FRAGMENT"

/* EBML, Segment, Info and Tracks. */
struct mkv_header {
    uint8_t *bytes;
    size_t len, uid; /* uid: where SegmentUID lies, new for each connection */
    size_t count, track_at[KINEMA_TRACKS_MAX + 1]; /* where each TrackEntry begins; the end */
};
int mkv_header_init(struct mkv_header *header, const struct kinema_track *tracks, size_t count);
void mkv_header_done(struct mkv_header *header);
/* The header with some of its tracks alone, bit 0 for the first one; dst has room for the whole.
 * How long it is. */
size_t mkv_header_of(const struct mkv_header *header, unsigned tracks, uint8_t *dst);
void mkv_cluster(uint8_t dst[MKV_CLUSTER_BYTES], uint64_t time_ms);
void mkv_block(uint8_t dst[MKV_BLOCK_BYTES], unsigned track, unsigned offset_ms, int key,
               size_t len);
/* Tags with one tag; the length. value: "" for none. */
size_t mkv_tag(uint8_t dst[MKV_TAG_BYTES_MAX], const char *name, const char *value);

#endif
