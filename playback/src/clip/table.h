/* SPDX-License-Identifier: Apache-2.0 */
/* One table of a track's samples (ISO/IEC 14496-12, 8.6 and 8.7), made piece by piece from the
 * fragments in order: the bytes after its entry count. Pure but for the buffer. */
#ifndef PLAYBACK_CLIP_TABLE_H
#define PLAYBACK_CLIP_TABLE_H

#include "mp4/timeline.h"

enum clip_table_kind {
    CLIP_STTS, /* durations */
    CLIP_CTTS, /* composition offsets */
    CLIP_STSS, /* sync samples */
    CLIP_STSC, /* samples a chunk: one chunk a track and fragment */
    CLIP_STSZ, /* sizes */
    CLIP_CHUNK_OFFSETS,
    CLIP_TABLES,
};

struct clip_table {
    enum clip_table_kind kind;
    int64_t slack;    /* STTS: of this many ticks the count of samples is believed */
    bool wide;        /* CHUNK_OFFSETS: co64 */
    uint64_t entries; /* so far */
    uint64_t samples, chunks;
    /* runs of STTS, CTTS and STSC */
    uint32_t run, value, entry;
    /* STTS */
    bool any;
    uint32_t pending;   /* the last sample's duration, until the next one's time is known */
    int64_t first, end; /* decode times: of the first sample, and after the last */
};

/* entry: of stsd, 1 …; offset: of the chunk in the file. Samples of line come next. */
void clip_table_add(struct clip_table *table, const struct playback_timeline *line, uint32_t entry,
                    uint64_t offset, struct kn_buf *out);
void clip_table_end(struct clip_table *table, struct kn_buf *out);

#endif
