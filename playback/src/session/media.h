/* SPDX-License-Identifier: Apache-2.0 */
/* One media segment on its way to one viewer: fMP4 read in place, or TS made step by step. */
#ifndef PLAYBACK_SESSION_MEDIA_H
#define PLAYBACK_SESSION_MEDIA_H

#include "session/sessions.h"

struct playback_media;

/* Renders; nothing of the payload is read. -EAGAIN with nowait; -ENOENT: no such track; errors as
 * playback_tracks_choose. */
int playback_media_prepare(struct playback *playback, const struct playback_session *session,
                           const struct storage_fragment *fragment, uint64_t track,
                           struct playback_media **ret, struct kn_err *err, bool nowait) KN_MUSTUSE;
void playback_media_free(struct playback_media *media);

/* On the request's loop: starts the answer (200, 206 or 416), and the rest of its callbacks. */
void playback_media_reply(struct playback_media *media, struct kn_http_req *req);
ssize_t playback_media_pull(struct playback_media *media, struct kn_http_req *req, void *dst,
                            size_t cap);
void playback_media_wake(struct playback_media *media, uint32_t bits);

/* "bytes=a-b" over a body of `bytes`: 1 and the range, 0 none or not for us (the whole is sent),
 * -EINVAL unsatisfiable. RFC 9110, 14. */
int playback_media_range(struct kn_str header, uint64_t bytes, uint64_t *ret_from, uint64_t *ret_to)
    KN_MUSTUSE;

#endif
