/* SPDX-License-Identifier: Apache-2.0 */
/* A fragment's event: one JSON object, as docs/events/fragment-event.schema.json has it. */
#ifndef DATASTREAM_SRC_FRAGMENT_EVENT_H
#define DATASTREAM_SRC_FRAGMENT_EVENT_H

#include "storage/fragment.h"

enum {
    DATASTREAM_EVENT_VERSION = 1,
    DATASTREAM_EVENT_KEY_FRAMES_MAX = 1000, /* more are only counted */
    DATASTREAM_EVENT_TAGS_MAX = 64,
    DATASTREAM_EVENT_BYTES_MAX = 512 << 10,
};

struct datastream_fragment_event { /* views */
    struct kn_str stream_name, stream_arn;
    const char *endpoint; /* "http://10.0.0.7:4566": the api listener, as clients reach it */
    const struct storage_fragment *fragment;
    const struct kn_mkv_header *header;  /* NULL: it cannot be read */
    const struct storage_frames *frames; /* NULL: they cannot be read */
    const struct kn_mkv_tag *tags;
    size_t tag_count;
};

/* Errors stick to out. */
void datastream_fragment_event_write(const struct datastream_fragment_event *event,
                                     struct kn_buf *out);

/* The producer's own tags out of what lies before or after a fragment's Cluster, added to tags:
 * none with targets, and none of the protocol's (AWS_KINESISVIDEO_…). Damage ends it. */
void datastream_fragment_tags(struct kn_bytes bytes, struct kn_mkv_tag *tags, size_t cap,
                              size_t *count);

#endif
