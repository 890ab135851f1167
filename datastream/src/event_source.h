/* SPDX-License-Identifier: Apache-2.0 */
/* From a fragment in storage to its event: what the event says is read from the index, the track
 * header and the fragment's tags; its media is not touched. */
#ifndef DATASTREAM_SRC_EVENT_SOURCE_H
#define DATASTREAM_SRC_EVENT_SOURCE_H

#include "core/api.h"
#include "storage/fragment.h"
#include "storage/stream.h"

struct datastream_event_source {
    struct storage *storage;
    const struct kn_api_identity *identity;
    const char *endpoint;
    struct kn_buf tags; /* bytes of a fragment's tags; init and done by the owner */
};

/* Appends the event. -ENOENT: the fragment is gone; -ENOMEM, -EMSGSIZE. What cannot be read of a
 * fragment that is there is left out, so that damage does not hold up all that come after it.
 * Blocks. */
int datastream_event_render(struct datastream_event_source *source,
                            const struct storage_stream *stream,
                            const struct storage_fragment *fragment, struct kn_buf *out) KN_MUSTUSE;

#endif
