/* SPDX-License-Identifier: Apache-2.0 */
/* What an operation with a ResourceARN speaks of: a stream or a consumer. Both have tags and a
 * policy, in settings of the same form. */
#ifndef DATASTREAM_SRC_RESOURCE_H
#define DATASTREAM_SRC_RESOURCE_H

#include "datastream_internal.h"

struct datastream_resource {
    struct datastream_stream *stream;
    struct datastream_consumer *consumer; /* NULL: the stream itself */
};

/* References. Raises ResourceNotFoundException; returns 0 or what the handler is to return. */
int datastream_resource_find(struct datastream *ds, struct kn_api_call *call, struct kn_str arn,
                             struct datastream_resource *ret) KN_MUSTUSE;
void datastream_resource_done(struct datastream_resource *resource); /* accepts a zeroed one */
/* A reference to what holds now. */
struct datastream_settings *
datastream_resource_settings(const struct datastream_resource *resource);
/* As datastream_stream_change, what comes of it as a fault. */
int datastream_resource_change(struct datastream *ds, struct kn_api_call *call,
                               const struct datastream_resource *resource, datastream_edit_fn *edit,
                               void *ctx) KN_MUSTUSE;

#endif
