/* SPDX-License-Identifier: Apache-2.0 */
/* Playlists as text: a list and a token become lines. Layout as the service writes them (captures
 * of its playlists); RFC 8216. */
#ifndef PLAYBACK_HLS_PLAYLIST_H
#define PLAYBACK_HLS_PLAYLIST_H

#include "core/clock.h"
#include "hls/list.h"

struct playback_master {
    const struct playback_session *session;
    struct kn_str token;
    const struct playback_tracks *tracks;
    double frames_per_s; /* 0: not known */
    uint64_t bits_per_s;
};
int playback_master_write(const struct playback_master *master, struct kn_buf *out) KN_MUSTUSE;

struct playback_playlist {
    const struct playback_session *session;
    const struct playback_list *list;
    struct kn_str token;
    unsigned track;
    size_t at; /* entries written; starts at 0 */
    bool head_done, done;
    int64_t minute; /* that minute_text is of */
    char minute_text[KN_TIME_TEXT_BYTES];
};
/* Appends the next lines, until done or out holds about stop_at bytes. Call until done. */
int playback_playlist_write(struct playback_playlist *playlist, struct kn_buf *out, size_t stop_at)
    KN_MUSTUSE;

#endif
