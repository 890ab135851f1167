/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GetClip: arguments, then the clip as a streamed answer of known length. Errors come before its
 * first byte. Beyond AWS: the header x-kinema-clip lifts the limits or cuts exactly, and Range is
 * answered (docs/protocols/clip.md).
 */
#include "playback_api.h"

#include "clip/answer.h"

struct get_clip {
    struct kn_api_call *call;
    struct playback_clip_answer *answer;
};

static int on_head(struct kn_http_req *req, void **ctx)
{
    struct get_clip *g = *ctx;
    struct kn_http_header headers[KN_API_STREAM_HEADERS + PLAYBACK_CLIP_HEADERS];
    size_t count = kn_api_stream_headers(g->call, "video/mp4", headers);
    playback_clip_answer_start(g->answer, req, headers, count);
    return 0;
}

static ssize_t on_pull(struct kn_http_req *req, void *ctx, void *dst, size_t cap)
{
    struct get_clip *g = ctx;
    return playback_clip_answer_pull(g->answer, req, dst, cap);
}

static void on_wake(struct kn_http_req *req KN_UNUSED, void *ctx, uint32_t bits)
{
    struct get_clip *g = ctx;
    playback_clip_answer_wake(g->answer, bits);
}

static void get_clip_free(struct get_clip *g)
{
    playback_clip_answer_free(g->answer);
    free(g);
}

static void on_gone(struct kn_http_req *req KN_UNUSED, void *ctx, enum kn_http_why why KN_UNUSED)
{
    get_clip_free(ctx);
}

static const struct kn_http_ops get_clip_ops = {
    .head = on_head,
    .pull = on_pull,
    .wake = on_wake,
    .gone = on_gone,
};

static int read_extension(struct kn_api_call *call, struct playback_clip_in *in)
{
    struct kn_str text = kn_str_trim(kn_http_header(call->req, "x-kinema-clip"));
    in->unlimited = kn_str_eq(text, KN_STR("unlimited"));
    in->exact = kn_str_eq(text, KN_STR("exact"));
    if (text.len && !in->unlimited && !in->exact)
        return kn_api_fault(call, "InvalidArgumentException",
                            "The header x-kinema-clip must be unlimited or exact.");
    return 0;
}

static int raise_fault(struct kn_api_call *call, int error, const struct kn_err *err)
{
    if (error == -EILSEQ)
        return kn_api_fault(call, "InvalidMediaFrameException", "%s", err->text);
    if (error == -EMSGSIZE)
        return kn_api_fault(call, "InvalidArgumentException",
                            "The range holds more than an MP4 file can.");
    return playback_media_fault(call, error, err);
}

KN_DEFINE_CLEANUP(struct get_clip *, get_clip_free)

int playback_op_GetClip(struct playback *playback, const struct playback_GetClip_in *in,
                        struct playback_GetClip_out *out KN_UNUSED, struct kn_api_call *call)
{
    KN_CLEANUP(storage_stream_unrefp) struct storage_stream *stream = NULL;
    int r = playback_stream_find(playback, call, in->StreamName, in->StreamARN, &stream);
    if (r < 0)
        return r;
    if (stream->retention_hours == 0)
        return playback_no_retention(call);
    struct playback_clip_in clip = {
        .stream = stream->id,
        .clock = in->ClipFragmentSelector->FragmentSelectorType ==
                         PLAYBACK_FragmentSelectorType_PRODUCER_TIMESTAMP
                     ? PLAYBACK_PRODUCER_CLOCK
                     : PLAYBACK_SERVER_CLOCK,
        .from_ms = in->ClipFragmentSelector->TimestampRange->StartTimestamp.v,
        .to_ms = in->ClipFragmentSelector->TimestampRange->EndTimestamp.v,
    };
    r = playback_range_check(playback, call, clip.from_ms, clip.to_ms);
    if (r == 0)
        r = read_extension(call, &clip);
    if (r < 0)
        return r;
    if (clip.clock == PLAYBACK_SERVER_CLOCK)
        clip.to_ms = kn_min_i64(clip.to_ms, kn_wall_ms(playback->clock));
    KN_CLEANUP(get_clip_freep) struct get_clip *g = calloc(1, sizeof *g);
    struct kn_err err = {.code = 0};
    if (!g)
        return -ENOMEM;
    g->call = call;
    struct playback_clip *made;
    r = playback_clip_open(playback, &clip, &made, &err);
    if (r < 0)
        return raise_fault(call, r, &err);
    r = playback_clip_answer_new(made, &g->answer);
    if (r < 0)
        return r;
    kn_api_take(call, &get_clip_ops, KN_MOVE(g));
    return 0;
}
