/* SPDX-License-Identifier: Apache-2.0 */
/* Reading back: GetMedia, fragment lists, sessions of HLS and DASH. */
#ifndef PLAYBACK_PLAYBACK_H
#define PLAYBACK_PLAYBACK_H

#include "core/api.h"
#include "core/conf.h"
#include "core/http.h"
#include "storage/storage.h"

struct playback_conf {               /* every member is a row of playback_conf_keys */
    uint64_t get_media_idle_ms;      /* 3 s without data ends the body, as AWS */
    uint64_t get_media_ms_max;       /* 45 min */
    uint64_t session_live_window_ms; /* a LIVE session needs a fragment this fresh: 30 s */
    uint64_t playlist_fragments_max; /* 5000 */
    uint64_t cache_bytes_max;        /* rendered headers and init segments */
    uint64_t ts_held_bytes_max;      /* MPEG-TS made and not yet sent, all viewers */
    uint64_t range_ms_max;           /* 24 h */
};
extern const struct kn_conf_key playback_conf_keys[];
extern const size_t playback_conf_key_count;

struct playback_endpoints {
    uint16_t api_port, api_tls_port;
    const char *public_api_url; /* NULL: the request's host and scheme with the api port */
};

struct playback;
/* keyring: revoking a key ends its sessions; NULL under --no-auth. The session-token key lies in
 * the data folder, so sessions survive a restart. */
int playback_new(struct storage *storage, const struct playback_conf *conf,
                 const struct playback_endpoints *endpoints, const struct kn_api_identity *identity,
                 struct kn_keyring *keyring, struct kn_clock *clock, struct playback **ret,
                 struct kn_err *err) KN_MUSTUSE;
void playback_free(struct playback *playback);

/* Adds /hls/v1/…, /dash/v1/… and /clip/v1/… to a listener's router. */
int playback_add_routes(struct playback *playback, struct kn_http_router *router) KN_MUSTUSE;

/* A session URL without a signed call, for the console, whose login has been checked: the same
 * tokens, bound to key. path_and_query goes into dst, such as
 * "/hls/v1/getHLSMasterPlaylist.m3u8?…". mode: "LIVE", or "ON_DEMAND" / "LIVE_REPLAY" from from_ms
 * (to to_ms; 0: open). */
enum playback_protocol {
    PLAYBACK_OVER_HLS,
    PLAYBACK_OVER_DASH
};
int playback_console_session(struct playback *playback, struct kn_str stream_name,
                             enum playback_protocol protocol, const char *mode, int64_t from_ms,
                             int64_t to_ms, const struct kn_key *key, struct kn_buf *dst,
                             struct kn_err *err) KN_MUSTUSE;

/* So of a clip: [from_ms, to_ms) by the server's clock, cut exactly; its bytes too. Blocks. Errors
 * as playback_console_session; -EILSEQ, -EMSGSIZE: no MP4 can hold it. */
int playback_console_clip(struct playback *playback, struct kn_str stream_name, int64_t from_ms,
                          int64_t to_ms, const struct kn_key *key, struct kn_buf *dst,
                          uint64_t *ret_bytes, struct kn_err *err) KN_MUSTUSE;

extern const struct kn_api_service playback_api_service;

#endif
