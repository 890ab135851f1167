/* SPDX-License-Identifier: Apache-2.0 */
/* What the calls for a session's URL share, whichever protocol it speaks. */
#ifndef PLAYBACK_SESSION_OPEN_H
#define PLAYBACK_SESSION_OPEN_H

#include "playback_api.h"

#include "session/sessions.h"

#define PLAYBACK_HLS_FIRST  PLAYBACK_HLS_RESOURCES "getHLSMasterPlaylist.m3u8?SessionToken="
#define PLAYBACK_CLIP_FIRST PLAYBACK_CLIP_RESOURCES "getClip.mp4?SessionToken="
#define PLAYBACK_DASH_FIRST PLAYBACK_DASH_RESOURCES "getDASHManifest.mpd?SessionToken="

struct playback_url_in {
    struct kn_str stream_name, stream_arn;
    const char *selector; /* the name of the member that selects fragments */
    bool by_producer;
    const struct playback_OpenTimestampRange *range; /* NULL: absent */
    struct kn_api_i64 expires_s, results_max;
};
enum playback_mode playback_mode_of(enum playback_PlaybackMode mode);
/* The stream, its retention, the arguments: fills *session, whose mode, container and choices of
 * display are there already. Otherwise the fault has been raised. */
int playback_url_begin(struct playback *playback, struct kn_api_call *call,
                       const struct playback_url_in *in, struct playback_session *session,
                       struct storage_stream **ret_stream) KN_MUSTUSE;
/* The URL of the session's first resource; or raises the fault. resource: its path, up to the
 * token. */
int playback_url_open(struct playback *playback, struct kn_api_call *call,
                      const struct storage_stream *stream, struct playback_session *session,
                      const char *resource, struct kn_str *ret_url) KN_MUSTUSE;

#endif
