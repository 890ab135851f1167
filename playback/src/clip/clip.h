/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A clip: the fragments of a range as one ordinary MP4, moov first. Opening reads the index and the
 * frame tables once, which gives every size; reading makes each table anew from them, fragment by
 * fragment, and takes the frames from the chunks. So the length is known in advance, any byte can
 * be begun at, and memory does not grow with the length but for 8 bytes a fragment.
 */
#ifndef PLAYBACK_CLIP_CLIP_H
#define PLAYBACK_CLIP_CLIP_H

#include "playback_internal.h"

#include "mp4/mp4.h"

enum {
    PLAYBACK_CLIP_FRAGMENTS_MAX = 200,           /* KVS quotas, GetClip: */
    PLAYBACK_CLIP_BYTES_MAX = 100 * 1000 * 1000, /* whichever comes first */
};

struct playback_clip_in {
    struct storage_id stream;
    enum playback_clock clock; /* that the range is of */
    int64_t from_ms, to_ms;
    bool unlimited; /* no limits; codec parameters and tracks may change */
    bool exact;     /* unlimited, and cut at from and to by an edit list */
};

struct playback_clip;

/* -ENOENT no fragment in range; -EINVAL, -ENODATA, -EBADMSG as playback_tracks_choose, and when
 * tracks or codec parameters change; -EILSEQ a frame that cannot be one; -EMSGSIZE more than a moov
 * can say. Blocks. */
int playback_clip_open(struct playback *playback, const struct playback_clip_in *in,
                       struct playback_clip **ret, struct kn_err *err) KN_MUSTUSE;
void playback_clip_free(struct playback_clip *clip);
uint64_t playback_clip_bytes(const struct playback_clip *clip);

/* Reading begins there; once, before the first read. */
void playback_clip_seek(struct playback_clip *clip, uint64_t pos);
/* The next bytes, at least one; 0 at the end. -EAGAIN with nowait: nothing done; -ENOENT: a
 * fragment was trimmed meanwhile; -EIO. On the loop or on a worker, never on both at once. */
ssize_t playback_clip_read(struct playback_clip *clip, void *dst, size_t cap, bool nowait);

#endif
