/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PutMedia body taken apart for tests: header, fragments, frames, and every place where a whole
 * element ends. An independent reading of Matroska, so that the product is not compared with
 * itself. Fragments are cut as rules.md 5 says: leading Tags, Cluster, trailing Tags up to
 * AWS_KINESISVIDEO_END_OF_FRAGMENT or the next Cluster.
 */
#ifndef TESTS_UNIT_CAPTURE_H
#define TESTS_UNIT_CAPTURE_H

#include "storage/fragment.h"

struct capture_fragment {
    size_t start, cluster, cluster_end, end; /* offsets into the capture */
    uint64_t timecode;
    bool end_tag;
    bool whole;                   /* false: the capture ends inside it */
    struct storage_frame *frames; /* offsets count from `start` */
    size_t frame_count;
    size_t *marks; /* offsets after each whole element, ascending; the last is `end` */
    size_t mark_count;
};

struct capture {
    uint8_t *bytes;
    size_t len;
    size_t header_bytes; /* EBML, Segment, Info, Tracks …, from offset 0 */
    uint64_t timestamp_scale_ns;
    struct capture_fragment *fragments;
    size_t fragment_count;
};

/* Reads a file under KINEMA_SHARED, such as "media/captures/sink360_h264_abs.mkv"; the test fails
 * when it is not there. */
struct capture capture_read(const char *name);
/* Takes bytes apart that a test has made; copies them. */
struct capture capture_parse(const void *bytes, size_t len);
void capture_done(struct capture *capture);

/* Reads an element's head; returns its length, 0 when the bytes end. Unknown size: UINT64_MAX. */
size_t capture_element(const uint8_t *at, size_t len, uint32_t *ret_id, uint64_t *ret_size);

#endif
