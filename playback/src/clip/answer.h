/* SPDX-License-Identifier: Apache-2.0 */
/* A clip on its way to one viewer: 200, 206 or 416, then its bytes. Used on the request's loop. */
#ifndef PLAYBACK_CLIP_ANSWER_H
#define PLAYBACK_CLIP_ANSWER_H

#include "feed.h"

#include "clip/clip.h"

enum {
    PLAYBACK_CLIP_HEADERS = 2, /* that start() adds */
};

struct playback_clip_answer; /* counted as a reader of GetClip */
/* Takes the clip, also when it fails. */
int playback_clip_answer_new(struct playback_clip *clip, struct playback_clip_answer **ret)
    KN_MUSTUSE;
void playback_clip_answer_free(struct playback_clip_answer *answer);

/* headers has room for PLAYBACK_CLIP_HEADERS more than count. */
void playback_clip_answer_start(struct playback_clip_answer *answer, struct kn_http_req *req,
                                struct kn_http_header *headers, size_t count);
ssize_t playback_clip_answer_pull(struct playback_clip_answer *answer, struct kn_http_req *req,
                                  void *dst, size_t cap);
void playback_clip_answer_wake(struct playback_clip_answer *answer, uint32_t bits);

#endif
