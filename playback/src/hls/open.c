/* SPDX-License-Identifier: Apache-2.0 */
/* GetHLSStreamingSessionURL: what it alone takes; session/open.c does the rest. */
#include "session/open.h"

typedef struct playback_GetHLSStreamingSessionURL_in in_t;

static enum playback_discontinuity read_discontinuity(const in_t *in, bool by_producer)
{
    switch (in->DiscontinuityMode) {
    case PLAYBACK_GetHLSStreamingSessionURL_DiscontinuityMode_ALWAYS:
        return PLAYBACK_DISCONTINUITY_ALWAYS;
    case PLAYBACK_GetHLSStreamingSessionURL_DiscontinuityMode_NEVER:
        return PLAYBACK_DISCONTINUITY_NEVER;
    case PLAYBACK_GetHLSStreamingSessionURL_DiscontinuityMode_ON_DISCONTINUITY:
        return PLAYBACK_DISCONTINUITY_WHERE_BROKEN;
    case PLAYBACK_GetHLSStreamingSessionURL_DiscontinuityMode_ABSENT:
        break;
    }
    return by_producer ? PLAYBACK_DISCONTINUITY_NEVER : PLAYBACK_DISCONTINUITY_ALWAYS;
}

int playback_op_GetHLSStreamingSessionURL(struct playback *playback, const in_t *in,
                                          struct playback_GetHLSStreamingSessionURL_out *out,
                                          struct kn_api_call *call)
{
    KN_CLEANUP(storage_stream_unrefp) struct storage_stream *stream = NULL;
    const struct playback_url_in url = {
        .stream_name = in->StreamName,
        .stream_arn = in->StreamARN,
        .selector = "HLSFragmentSelector",
        .by_producer =
            in->HLSFragmentSelector && in->HLSFragmentSelector->FragmentSelectorType ==
                                           PLAYBACK_FragmentSelectorType_PRODUCER_TIMESTAMP,
        .range = in->HLSFragmentSelector ? in->HLSFragmentSelector->TimestampRange : NULL,
        .expires_s = in->Expires,
        .results_max = in->MaxMediaPlaylistFragmentResults,
    };
    struct playback_session session = {
        .mode = playback_mode_of(in->PlaybackMode),
        .container =
            in->ContainerFormat == PLAYBACK_GetHLSStreamingSessionURL_ContainerFormat_MPEG_TS
                ? PLAYBACK_TS
                : PLAYBACK_FMP4,
        .display_time = in->DisplayFragmentTimestamp ==
                        PLAYBACK_GetHLSStreamingSessionURL_DisplayFragmentTimestamp_ALWAYS,
        .discontinuity = read_discontinuity(in, url.by_producer),
    };
    int r = playback_url_begin(playback, call, &url, &session, &stream);
    if (r < 0)
        return r;
    return playback_url_open(playback, call, stream, &session, PLAYBACK_HLS_FIRST,
                             &out->HLSStreamingSessionURL);
}
