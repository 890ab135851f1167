/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A playback session is its token: everything it may see, sealed with the key in DIR/session.key.
 * The server keeps no state for it, so sessions survive a restart. Immutable values; any thread.
 */
#ifndef PLAYBACK_SESSION_SESSION_H
#define PLAYBACK_SESSION_SESSION_H

#include "core/crypto.h"
#include "core/keyring.h"
#include "mp4/timeline.h"

enum playback_mode {
    PLAYBACK_LIVE,
    PLAYBACK_LIVE_REPLAY,
    PLAYBACK_ON_DEMAND
};
enum playback_discontinuity {
    PLAYBACK_DISCONTINUITY_ALWAYS,
    PLAYBACK_DISCONTINUITY_NEVER,
    PLAYBACK_DISCONTINUITY_WHERE_BROKEN,
};

enum {
    PLAYBACK_TOKEN_BYTES_MAX = 512
}; /* as text */

/* The resources of a session lie here, by protocol, each with SessionToken as a parameter; or
 * without, in a folder of that name in this one. */
#define PLAYBACK_HLS_RESOURCES  "/hls/v1/"
#define PLAYBACK_DASH_RESOURCES "/dash/v1/"
#define PLAYBACK_CLIP_RESOURCES "/clip/v1/"
#define PLAYBACK_SESSION_FOLDER "s/"

struct playback_session {
    struct storage_id stream;
    int64_t stream_created_ms;
    enum playback_mode mode;
    enum playback_clock clock;
    enum playback_container container; /* PLAYBACK_DASH, _CLIP: a session of DASH; a clip */
    enum playback_discontinuity discontinuity;
    bool display_time, display_number;
    bool some;              /* tracks as playback_tracks_choose_some; never of DASH */
    unsigned kinds;         /* of its renditions, each a playlist: HLS in fMP4; else 0 */
    uint64_t whole_seq;     /* HLS: a fragment with pictures and sound, whose sound is lent to those
                               that have none; 0: there was none */
    int64_t from_ms, to_ms; /* of fragment starts in `clock`; LIVE: INT64_MIN, INT64_MAX */
    uint64_t from_seq;      /* LIVE: the oldest fragment it may see */
    uint64_t results_max;   /* fragments in a playlist */
    uint32_t target_s;      /* EXT-X-TARGETDURATION, unless a longer fragment comes */
    int64_t opened_ms, expires_ms;
    char key_id[KN_KEY_ID_BYTES_MAX + 1]; /* empty under --no-auth */
    /* DASH: the fragment with SequenceNumber 1, and what its presentation counts time from */
    uint64_t base_seq, base_ordinal;
    int64_t base_ms;
};

/* The clock of media times. DASH counts by the producer's, whatever selects: its fragments meet,
 * and one Period holds them. */
static inline enum playback_clock playback_media_clock(const struct playback_session *session)
{
    return session->container == PLAYBACK_DASH ? PLAYBACK_PRODUCER_CLOCK : session->clock;
}

struct playback_session_key {
    uint8_t bytes[KN_AEAD_KEY_BYTES];
};

/* Reads DIR/session.key, or makes it (0600). Blocks. */
int playback_session_key_load(const char *dir, struct playback_session_key *ret, struct kn_err *err)
    KN_MUSTUSE;

/* Appends the token: A–Z a–z 0–9 - _ ~ only. */
int playback_session_seal(const struct playback_session_key *key,
                          const struct playback_session *session, struct kn_buf *dst) KN_MUSTUSE;
/* -EBADMSG: not one of ours. Does not look at the time. */
int playback_session_open(const struct playback_session_key *key, struct kn_str token,
                          struct playback_session *ret) KN_MUSTUSE;

#endif
