/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MPEG-TS segments: all tracks of one fragment, muxed by libavformat in a module that is loaded
 * when the first one is asked for (kinema_ts.so beside the program). Workers only: everything here
 * blocks.
 */
#ifndef PLAYBACK_TS_TS_H
#define PLAYBACK_TS_TS_H

#include "session/sessions.h"

struct playback_ts; /* one segment being made */

/* -EINVAL, -ENODATA, -EBADMSG as playback_tracks_choose; -EIO: the module cannot be loaded. */
int playback_ts_open(struct playback *playback, const struct playback_session *session,
                     const struct storage_fragment *fragment, struct playback_ts **ret,
                     struct kn_err *err) KN_MUSTUSE;
/* The next bytes, at most cap; 0 at the end. Meanwhile it holds one frame and what it became, and
 * between two calls what has not been read of that. */
ssize_t playback_ts_read(struct playback_ts *ts, uint8_t *dst, size_t cap);
/* Whether it may be read: bytes are left, or all segments together hold less than
 * ts_held_bytes_max. Never blocks; not while a read runs. */
bool playback_ts_may_read(const struct playback_ts *ts);
void playback_ts_free(struct playback_ts *ts);

#endif
