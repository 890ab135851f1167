/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has to be done for the logs beside the calls, by a thread of its own: at the start and each
 * minute logs are opened, so that retention reaches those that nobody uses; closed where a crash
 * came between the map and the log; dropped once all of a closed shard is behind retention, or its
 * stream is deleted. With stream_state_ms it also removes, each second, what is due to be gone,
 * and it looks at the load of streams in on-demand mode (demand.h).
 */
#ifndef DATASTREAM_SRC_TEND_H
#define DATASTREAM_SRC_TEND_H

#include "datastream_internal.h"

/* Changes the map of a stream and closes the logs of the shards that the change has closed; what
 * cannot be closed now is closed later, by the thread. Blocks. */
int datastream_reshard(struct datastream *ds, struct datastream_stream *stream,
                       datastream_reshard_fn *edit, void *ctx) KN_MUSTUSE;
/* Opens the logs of all shards. Blocks. */
void datastream_tend_open(struct datastream *ds, struct datastream_stream *stream);
/* One round: 0, or the first error. Blocks. */
int datastream_tend_round(struct datastream *ds) KN_MUSTUSE;
/* The next round begins at once. */
void datastream_tend_soon(struct datastream *ds);

int datastream_tend_start(struct datastream *ds) KN_MUSTUSE;
void datastream_tend_stop(struct datastream *ds);

#endif
