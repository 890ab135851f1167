/* SPDX-License-Identifier: Apache-2.0 */
/* GetDASHStreamingSessionURL: what it alone takes; session/open.c does the rest. */
#include "session/open.h"

int playback_op_GetDASHStreamingSessionURL(struct playback *playback,
                                           const struct playback_GetDASHStreamingSessionURL_in *in,
                                           struct playback_GetDASHStreamingSessionURL_out *out,
                                           struct kn_api_call *call)
{
    KN_CLEANUP(storage_stream_unrefp) struct storage_stream *stream = NULL;
    const struct playback_url_in url = {
        .stream_name = in->StreamName,
        .stream_arn = in->StreamARN,
        .selector = "DASHFragmentSelector",
        .by_producer =
            in->DASHFragmentSelector && in->DASHFragmentSelector->FragmentSelectorType ==
                                            PLAYBACK_FragmentSelectorType_PRODUCER_TIMESTAMP,
        .range = in->DASHFragmentSelector ? in->DASHFragmentSelector->TimestampRange : NULL,
        .expires_s = in->Expires,
        .results_max = in->MaxManifestFragmentResults,
    };
    struct playback_session session = {
        .mode = playback_mode_of(in->PlaybackMode),
        .container = PLAYBACK_DASH,
        .display_time = in->DisplayFragmentTimestamp ==
                        PLAYBACK_GetDASHStreamingSessionURL_DisplayFragmentTimestamp_ALWAYS,
        .display_number = in->DisplayFragmentNumber ==
                          PLAYBACK_GetDASHStreamingSessionURL_DisplayFragmentNumber_ALWAYS,
        .discontinuity = PLAYBACK_DISCONTINUITY_WHERE_BROKEN, /* there a Period begins */
    };
    int r = playback_url_begin(playback, call, &url, &session, &stream);
    if (r < 0)
        return r;
    return playback_url_open(playback, call, stream, &session, PLAYBACK_DASH_FIRST,
                             &out->DASHStreamingSessionURL);
}
