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
    struct playback_sessions *sessions; /* see session/sessions.h */
};

/* The stream an operation names by StreamName, StreamARN or both: 0 and a reference. Otherwise the
 * fault has been raised (the service's wording where one is known) and the result is what the
 * handler returns. A stream that is being deleted, or an ARN with another creation time, is not
 * found. Any thread, never blocks. */
int playback_stream_find(struct playback *playback, struct kn_api_call *call, struct kn_str name,
                         struct kn_str arn, struct storage_stream **ret) KN_MUSTUSE;
int playback_stream_not_found(struct kn_api_call *call); /* raises ResourceNotFoundException */
int playback_no_retention(struct kn_api_call *call);     /* NoDataRetentionException */
/* Of ranges of sessions and clips: 0, or InvalidArgumentException has been raised. */
int playback_range_check(struct playback *playback, struct kn_api_call *call, int64_t from_ms,
                         int64_t to_ms) KN_MUSTUSE;
/* Raises what -ENOENT, -EINVAL, -ENODATA and -EBADMSG of media mean; other errors are returned. */
int playback_media_fault(struct kn_api_call *call, int error, const struct kn_err *err);

#endif
