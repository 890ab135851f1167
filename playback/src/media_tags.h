/* SPDX-License-Identifier: Apache-2.0 */
/* The Tags elements the service puts into what it sends: every size field is 4 bytes wide, one Tag,
 * no Targets, TagName before TagString, nothing else. Source: kvs-api.md §3.2, which describes
 * AWS's own GetMedia captures; consumers built on AWS's parser library depend on each of these
 * points. */
#ifndef PLAYBACK_MEDIA_TAGS_H
#define PLAYBACK_MEDIA_TAGS_H

#include "core/mkv.h"
#include "storage/fragment.h"

enum {
    PLAYBACK_TAGS_BYTES_MAX = 4096
};

struct playback_tag {
    const char *name;
    struct kn_str value;
};

/* One Tags element. Errors stick in the buffer. */
void playback_tags_write(struct kn_buf *out, const struct playback_tag *tags, size_t count);

/* What stands directly before the Cluster: number, server and producer time. */
void playback_tags_write_head(struct kn_buf *out, const struct storage_fragment *fragment);

/* What closes a document of GetMedia: how far behind it is, and where to go on. */
void playback_tags_write_tail(struct kn_buf *out, const struct storage_fragment *fragment,
                              int64_t now_ms);

/* A document of its own that tells an error in mid-stream: EBML, Segment, Tags. */
struct playback_media_error {
    struct kn_str fragment_number; /* digits; empty: none is known, "0" is sent */
    int id;
    const char *code;
};
/* GetMedia's form: number, id, code (kvs-api.md §3.4). */
void playback_tags_write_error(struct kn_buf *out, const struct playback_media_error *error);
/* GetMediaForFragmentList's form: code, id, number (kvs-api.md §3.6, a captured answer). */
void playback_tags_write_missing(struct kn_buf *out, const struct playback_media_error *error);

/* The Segment's id and the 8-byte unknown size that every document gets. */
extern const uint8_t playback_segment_head[12];

#endif
