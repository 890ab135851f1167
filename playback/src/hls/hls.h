/* SPDX-License-Identifier: Apache-2.0 */
/* The HLS half of playback: the master playlist; playlist.h has the others. */
#ifndef PLAYBACK_HLS_HLS_H
#define PLAYBACK_HLS_HLS_H

#include "session/sessions.h"

/* token: what leads to the session's folder; empty: it was asked for in there. -ENOENT: no fragment
 * to speak of; -EAGAIN with nowait. Any thread. */
int playback_hls_master(struct playback *playback, const struct playback_session *session,
                        struct kn_str token, struct kn_buf *out, struct kn_err *err, bool nowait)
    KN_MUSTUSE;

#endif
