/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Playlists as text: a list becomes lines. Layout as the service writes them (captures of its
 * playlists); RFC 8216. Addresses are relative to where the playlist was asked for: each of them
 * carries the session's token, as the service's do, or all lie in a folder of its name and need
 * none, which is half of a long playlist's text (docs/decisions/0003-hls-addresses.md).
 */
#ifndef PLAYBACK_HLS_PLAYLIST_H
#define PLAYBACK_HLS_PLAYLIST_H

#include "core/clock.h"
#include "session/list.h"

enum {
    PLAYBACK_PLAYLIST_LINES_BYTES_MAX = 4096, /* the head's lines, or those of one entry */
};

struct playback_master {
    const struct playback_session *session;
    struct kn_str token; /* what leads to the session's folder; empty: it was asked for in there */
    const struct playback_tracks *tracks;
    double frames_per_s; /* 0: not known */
    uint64_t bits_per_s;
};
int playback_master_write(const struct playback_master *master, struct kn_buf *out) KN_MUSTUSE;

struct playback_playlist {
    const struct playback_session *session;
    const struct playback_list *list;
    unsigned kinds;     /* of tracks: fragments without are gaps, */
    uint64_t held_from; /* but from this number on; 0: all of them are */
    size_t at;          /* entries written */
    bool head_done, done;
    int64_t day; /* since 1970, that day_text is of */
    char day_text[KN_TIME_TEXT_BYTES];
    /* what stands before the hash in EXT-X-MAP, and around the number in an address */
    struct kn_str map, segment, after;
    char map_text[PLAYBACK_TOKEN_BYTES_MAX + 128], after_text[PLAYBACK_TOKEN_BYTES_MAX + 64];
};

/* token: what addresses carry; empty when their folder does. lends: pictures without sound have
 * silence, and sound behind the session's whole fragment a picture that is held. */
void playback_playlist_init(struct playback_playlist *playlist,
                            const struct playback_session *session,
                            const struct playback_list *list, struct kn_str token, unsigned track,
                            bool lends);
/* Of the whole text, to the byte. */
uint64_t playback_playlist_bytes(const struct playback_playlist *playlist);
/* Writes the next lines, as many as fit whole; returns their bytes. 0 when done, or when cap is too
 * small for the next ones: PLAYBACK_PLAYLIST_LINES_BYTES_MAX never is. */
size_t playback_playlist_read(struct playback_playlist *playlist, char *dst, size_t cap);

#endif
