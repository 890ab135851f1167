/* SPDX-License-Identifier: Apache-2.0 */
/* The picture that is held while there is sound alone: the last key frame before it. */
#ifndef PLAYBACK_SESSION_HELD_H
#define PLAYBACK_SESSION_HELD_H

#include "session/sessions.h"

/* A timeline of that one frame, as long as the fragment of sound, and the fragment that it lies in:
 * the nearest one before with the pictures of in->track, or where a thousand have none the
 * session's whole one. -ENOENT: there is none that the session may see. Release *ret with free().
 * Any thread.
 */
int playback_held_make(struct playback *playback, const struct playback_session *session,
                       const struct storage_fragment *fragment,
                       const struct playback_timeline_in *in, struct playback_timeline **ret,
                       struct storage_fragment *ret_source, bool nowait) KN_MUSTUSE;

#endif
