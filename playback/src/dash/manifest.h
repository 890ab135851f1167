/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A manifest as text (ISO/IEC 23009-1): a list becomes Periods, one adaptation set a track, one S a
 * fragment. A Period ends where fragments do not meet, their codec parameters change, or one is
 * left out; so media times within it run on, and it needs one init segment a track.
 */
#ifndef PLAYBACK_DASH_MANIFEST_H
#define PLAYBACK_DASH_MANIFEST_H

#include "session/sessions.h"

struct playback_manifest {
    const struct playback_session *session;
    const struct playback_list *list;
    struct kn_str token; /* what addresses carry; empty when their folder does */
    int64_t now_ms;
    struct playback_manifest_kind *kinds; /* of list->maps; see manifest.c */
    /* where the text has come to */
    int state;
    unsigned set;
    size_t begin, end, at; /* the Period's entries, and the next one of them */
    struct playback_line line;
    uint64_t id; /* of the Period */
};

enum {
    PLAYBACK_MANIFEST_STEP_BYTES_MAX = 32 << 10, /* of text a step appends */
};

/* Looks up what each set of codec parameters in the list says of itself. -EAGAIN with nowait. The
 * list must outlive the manifest. Release with done, also after an error. */
int playback_manifest_init(struct playback_manifest *manifest, struct playback *playback,
                           const struct playback_session *session, const struct playback_list *list,
                           struct kn_str token, bool nowait) KN_MUSTUSE;
void playback_manifest_done(struct playback_manifest *manifest);

/* Appends the next part; false when it was the last. out keeps an error. */
bool playback_manifest_step(struct playback_manifest *manifest, struct kn_buf *out);

#endif
