/* SPDX-License-Identifier: Apache-2.0 */
/* The module itself: what it was given, and the streams its operations name. */
#include "playback_internal.h"

#include <stdlib.h>
#include <string.h>

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
    *ret = playback;
    return 0;
}

void playback_free(struct playback *playback)
{
    if (!playback)
        return;
    free(playback->public_api_url);
    free(playback);
}

/* arn:aws:kinesisvideo:<region>:<account>:stream/<name>/<creation ms>: kvs-api.md §1.5. Partition,
 * region and account are not compared: a self-hosted cloud may be addressed by any. */
static int arn_parse(struct kn_str arn, struct kn_str *ret_name, int64_t *ret_created_ms)
{
    struct kn_str rest = arn;
    struct kn_str part;

    for (int i = 0; i < 5; i++) {
        rest = kn_str_cut(rest, ':', &part);
        if (!rest.ptr)
            return -EINVAL;
        if (i == 2 && !kn_str_eq(part, KN_STR("kinesisvideo")))
            return -EINVAL;
    }
    rest = kn_str_cut(rest, '/', &part);
    if (!rest.ptr || !kn_str_eq(part, KN_STR("stream")))
        return -EINVAL;
    rest = kn_str_cut(rest, '/', &part);
    if (!rest.ptr || !part.len)
        return -EINVAL;
    if (kn_str_to_i64(rest, ret_created_ms) < 0)
        return -EINVAL;
    *ret_name = part;
    return 0;
}

int playback_stream_find(struct playback *playback, struct kn_str name, struct kn_str arn,
                         struct storage_stream **ret)
{
    KN_CLEANUP(storage_stream_unrefp) struct storage_stream *stream = NULL;
    struct kn_str arn_name = {0};
    int64_t created_ms = 0;

    if (!name.ptr && !arn.ptr)
        return -EINVAL;
    if (arn.ptr) {
        int r = arn_parse(arn, &arn_name, &created_ms);

        if (r < 0)
            return r;
        if (name.ptr && !kn_str_eq(name, arn_name))
            return -EINVAL;
    }
    stream = storage_stream_find(playback->storage, name.ptr ? name : arn_name);
    if (!stream || stream->status != STORAGE_STREAM_ACTIVE)
        return -ENOENT;
    if (arn.ptr && stream->created_ms != created_ms)
        return -ENOENT;
    *ret = KN_MOVE(stream);
    return 0;
}

int playback_stream_fault(struct kn_api_call *call, int error)
{
    if (error == -ENOENT) /* the service's own wording: kvs-api.md §1.4 */
        return kn_api_fault(call, "ResourceNotFoundException",
                            "The requested stream is not found or not active.");
    if (error == -EINVAL)
        return kn_api_fault(call, "InvalidArgumentException",
                            "Either StreamName or StreamARN must name one stream.");
    return error;
}
