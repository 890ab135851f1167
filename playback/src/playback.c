/* SPDX-License-Identifier: Apache-2.0 */
/* The module itself: what it was given, and the streams its operations name. */
#include "playback_internal.h"

#include <stdlib.h>
#include <string.h>

#include "core/arn.h"
#include "session/sessions.h"

int playback_new(struct storage *storage, const struct playback_conf *conf,
                 const struct playback_endpoints *endpoints, const struct kn_api_identity *identity,
                 struct kn_keyring *keyring, struct kn_clock *clock, struct playback **ret,
                 struct kn_err *err)
{
    struct playback *playback = calloc(1, sizeof *playback);

    if (!playback)
        return kn_fail(err, -ENOMEM, "no memory for playback");
    playback->storage = storage;
    playback->clock = clock;
    playback->keyring = keyring;
    playback->conf = *conf;
    playback->endpoints = *endpoints;
    playback->identity = *identity;
    if (endpoints->public_api_url) {
        playback->public_api_url = strdup(endpoints->public_api_url);
        if (!playback->public_api_url) {
            playback_free(playback);
            return kn_fail(err, -ENOMEM, "no memory for playback");
        }
        playback->endpoints.public_api_url = playback->public_api_url;
    }
    int r = playback_sessions_new(playback, &playback->sessions, err);
    if (r < 0) {
        playback_free(playback);
        return r;
    }
    *ret = playback;
    return 0;
}

void playback_free(struct playback *playback)
{
    if (!playback)
        return;
    playback_sessions_free(playback->sessions);
    free(playback->public_api_url);
    free(playback);
}

/* kvs-api.md §1.4 */
#define NOT_FOUND "The requested stream is not found or not active."

int playback_stream_not_found(struct kn_api_call *call)
{
    return kn_api_fault(call, "ResourceNotFoundException", NOT_FOUND);
}

int playback_stream_find(struct playback *playback, struct kn_api_call *call, struct kn_str name,
                         struct kn_str arn, struct storage_stream **ret)
{
    KN_CLEANUP(storage_stream_unrefp) struct storage_stream *stream = NULL;
    struct kn_str found = {0};
    struct kn_api_arn parsed;
    int64_t created_ms = 0;
    int r = kn_api_resource_name(call, name, arn, &found, &created_ms);

    if (r < 0)
        return r;
    if (arn.ptr && kn_api_arn_parse(arn, &parsed) == 0 &&
        !kn_arn_is_ours(&parsed, call->identity, "stream"))
        return kn_arn_not_found(call, &parsed, KN_STR(NOT_FOUND));
    stream = storage_stream_find(playback->storage, found);
    if (!stream || stream->status != STORAGE_STREAM_ACTIVE ||
        (created_ms && created_ms != stream->created_ms))
        return playback_stream_not_found(call);
    *ret = KN_MOVE(stream);
    return 0;
}
