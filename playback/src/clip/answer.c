/* SPDX-License-Identifier: Apache-2.0 */
/* A fragment that is trimmed while the clip is sent ends it early, which the length shows. */
#include "clip/answer.h"

#include "core/log.h"
#include "session/media.h"

struct playback_clip_answer {
    struct playback_clip *clip;
    struct playback_feed feed;
    uint64_t left;
};

static int step(void *ctx, uint8_t *dst, size_t cap, bool nowait, size_t *ret_len)
{
    struct playback_clip_answer *answer = ctx;
    cap = (size_t) kn_min_u64(cap, answer->left);
    if (!cap)
        return PLAYBACK_FEED_END;
    ssize_t n = playback_clip_read(answer->clip, dst, cap, nowait);
    if (n == 0)
        n = -EIO; /* fewer than promised */
    if (n < 0) {
        if (n != -EAGAIN)
            kn_log_warn("clip_cut", "left=%" PRIu64 " err=%s", answer->left, kn_errname((int) n));
        return (int) n;
    }
    answer->left -= (uint64_t) n;
    *ret_len = (size_t) n;
    return PLAYBACK_FEED_MORE;
}

int playback_clip_answer_new(struct playback_clip *clip, struct playback_clip_answer **ret)
{
    struct playback_clip_answer *answer = calloc(1, sizeof *answer);
    if (!answer) {
        playback_clip_free(clip);
        return -ENOMEM;
    }
    answer->clip = clip;
    answer->feed = (struct playback_feed){.step = step, .ctx = answer, .cap_min = 1};
    playback_feed_count(&answer->feed, "GetClip");
    *ret = answer;
    return 0;
}

void playback_clip_answer_free(struct playback_clip_answer *answer)
{
    if (!answer)
        return;
    playback_feed_done(&answer->feed);
    playback_clip_free(answer->clip);
    free(answer);
}

void playback_clip_answer_start(struct playback_clip_answer *answer, struct kn_http_req *req,
                                struct kn_http_header *headers, size_t count)
{
    uint64_t bytes = playback_clip_bytes(answer->clip), from = 0, to = bytes;
    char range[96];
    /* no validator is sent, so a condition on one can only fail: RFC 9110, 13.1.5 */
    bool conditional = kn_http_header(req, "if-range").ptr != NULL;
    int r = conditional ? 0 : playback_media_range(kn_http_header(req, "range"), bytes, &from, &to);
    headers[count++] = (struct kn_http_header){KN_STR("accept-ranges"), KN_STR("bytes")};
    if (r > 0)
        (void) snprintf(range, sizeof range, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, from, to - 1,
                        bytes);
    if (r < 0)
        (void) snprintf(range, sizeof range, "bytes */%" PRIu64, bytes);
    if (r != 0)
        headers[count++] = (struct kn_http_header){KN_STR("content-range"), kn_str_from(range)};
    if (r < 0) {
        kn_http_reply(req, 416, headers, count, (struct kn_bytes){NULL, 0});
        return;
    }
    answer->left = to - from;
    playback_clip_seek(answer->clip, from);
    kn_http_reply_stream(req, r ? 206 : 200, headers, count, answer->left);
}

ssize_t playback_clip_answer_pull(struct playback_clip_answer *answer, struct kn_http_req *req,
                                  void *dst, size_t cap)
{
    bool idle = false; /* never: the source does not wait */
    return playback_feed_pull(&answer->feed, req, dst, cap, &idle);
}

void playback_clip_answer_wake(struct playback_clip_answer *answer, uint32_t bits)
{
    playback_feed_woken(&answer->feed, bits);
}
