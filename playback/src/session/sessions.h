/* SPDX-License-Identifier: Apache-2.0 */
/* What sessions of HLS and DASH have in common: what they may see, the segments they fetch, and how
 * they are opened. */
#ifndef PLAYBACK_SESSION_SESSIONS_H
#define PLAYBACK_SESSION_SESSIONS_H

#include "media_metrics.h"
#include "playback_internal.h"

#include "mp4/mp4.h"
#include "mp4/silence.h"
#include "session/cache.h"
#include "session/list.h"

struct playback_sessions { /* set up once, then only read; the cache locks itself */
    struct playback_session_key key;
    struct playback_cache *cache;
    _Atomic int in_memory;                    /* segments with a memory_fd */
    _Atomic int64_t ts_held_bytes;            /* by all MPEG-TS segments that are being sent */
    struct playback_media_metrics metrics[2]; /* by enum playback_protocol */
};
int playback_sessions_new(struct playback *playback, struct playback_sessions **ret,
                          struct kn_err *err) KN_MUSTUSE;
void playback_sessions_free(struct playback_sessions *sessions);

/* --- what a session sees; all take nowait and may then return -EAGAIN; any thread ------------- */

/* Tracks and header of a fragment. -EINVAL, -ENODATA, -EBADMSG as playback_tracks_choose. */
struct playback_view {
    struct storage_header *header; /* the tracks' bytes lie in it, */
    struct storage_header *lender; /* or, of sound that is lent, in this one; else NULL */
    struct playback_tracks tracks;
};
int playback_view_get(struct playback *playback, const struct playback_session *session,
                      const struct storage_fragment *fragment, struct playback_view *ret,
                      struct kn_err *err, bool nowait) KN_MUSTUSE;
void playback_view_done(struct playback_view *view);
/* The session's fragment with pictures and sound, or the oldest one left, with its view. -ENOENT:
 * it has none, or not both any more. */
int playback_sessions_whole(struct playback *playback, const struct playback_session *session,
                            struct storage_fragment *ret, struct playback_view *ret_view,
                            bool nowait) KN_MUSTUSE;
/* Whether pictures without sound get silence in this session, and sound alone a picture that is
 * held where there was one before: 1, 0 or an error. */
int playback_sessions_lends(struct playback *playback, const struct playback_session *session,
                            bool nowait) KN_MUSTUSE;

/* The session's list at this time; ON_DEMAND and the pace of LIVE_REPLAY come from the cache. */
int playback_sessions_list(struct playback *playback, const struct playback_session *session,
                           struct playback_list **ret, bool nowait) KN_MUSTUSE;

/* The fragment a number names, if the session may see it: -ENOENT. */
int playback_sessions_fragment(struct playback *playback, const struct playback_session *session,
                               struct kn_str number, struct storage_fragment *ret, bool nowait)
    KN_MUSTUSE;

/* The fragment a SequenceNumber of DASH names; the same errors. */
int playback_sessions_sequence(struct playback *playback, const struct playback_session *session,
                               uint64_t sequence, struct storage_fragment *ret, bool nowait)
    KN_MUSTUSE;

struct playback_rendered { /* a media segment, ready to be read */
    struct playback_cached base;
    bool audio;
    struct storage_fragment source; /* that its payload lies in */
    struct playback_mp4_segment *segment;
    _Atomic unsigned uses;
    _Atomic int *in_memory; /* of struct playback_sessions */
    int memory_fd;          /* the whole segment in memory, once many want it; -1: not so */
};
/* When the segment is wanted again and again, replaces *rendered by one that lies in memory, for
 * sendfile. Only bytes that are resident are read; any failure leaves it as it is. */
void playback_sessions_segment_warm(struct playback *playback,
                                    const struct playback_mp4_source *source,
                                    struct playback_rendered **rendered);
int playback_sessions_segment(struct playback *playback, const struct playback_session *session,
                              const struct storage_fragment *fragment, uint64_t track,
                              struct playback_rendered **ret, struct kn_err *err, bool nowait)
    KN_MUSTUSE;

struct playback_init { /* an init segment */
    struct playback_cached base;
    bool audio;
    size_t len;
    uint8_t bytes[];
};
/* -ENOENT: the session has no codec parameters of this name. */
int playback_sessions_init_segment(struct playback *playback,
                                   const struct playback_session *session, uint64_t hash,
                                   uint64_t track, struct playback_init **ret, struct kn_err *err,
                                   bool nowait) KN_MUSTUSE;

/* --- opening ---------------------------------------------------------------------------------- */
/* Checks that there is something to play and seals the token; fills in the rest of *session from
 * mode, range, clock, container and results_max. -ENOENT no fragment; -EINVAL, -ENODATA, -EBADMSG
 * as playback_tracks_choose. Blocks. */
int playback_sessions_open(struct playback *playback, const struct storage_stream *stream,
                           struct playback_session *session, struct kn_buf *token,
                           struct kn_err *err) KN_MUSTUSE;

#endif
