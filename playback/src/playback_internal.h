/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of playback share: the module's state, and small helpers that have no better home.
 * All members are set by playback_new() and then only read, so any thread may use them. */
#ifndef PLAYBACK_INTERNAL_H
#define PLAYBACK_INTERNAL_H

#include "playback/playback.h"
#include "storage/fragment.h"
#include "storage/stream.h"

struct playback {
    struct storage *storage;
    struct kn_clock *clock;
    struct kn_keyring *keyring; /* NULL under --no-auth */
    struct playback_conf conf;
    struct playback_endpoints endpoints;
    char *public_api_url; /* owned copy; endpoints.public_api_url points to it */
    struct kn_api_identity identity;
};

/* The stream an operation names by StreamName, StreamARN or both (then they must agree). 0 and a
 * reference; -EINVAL neither given, not an ARN of a stream, or two different ones; -ENOENT unknown,
 * being deleted, or an ARN with another creation time. Any thread, never blocks. */
int playback_stream_find(struct playback *playback, struct kn_str name, struct kn_str arn,
                         struct storage_stream **ret) KN_MUSTUSE;

/* Raises the fault that belongs to an error of playback_stream_find. */
int playback_stream_fault(struct kn_api_call *call, int error);

#endif
