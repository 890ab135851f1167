/* SPDX-License-Identifier: Apache-2.0 */
/* Event loops never touch the disk (rules.md 19), viewers hold no media (rules.md 18): read without
 * waiting where the bytes are resident, else let a worker fetch one bounded buffer. */
#include "feed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    POOL_FULL_RETRY_MS = 10,
    CROWDED_RETRY_MS = 100 /* too many answers wait for their peers */
};

static size_t cap_min(const struct playback_feed *feed)
{
    return feed->cap_min ? feed->cap_min : PLAYBACK_FEED_BYTES_MIN;
}

/* On a worker: fills the cold buffer until it is full or the source has nothing more at this time.
 */
static void work(void *arg)
{
    struct playback_feed *feed = arg;
    int r = PLAYBACK_FEED_MORE;

    while (PLAYBACK_FEED_COLD_BYTES - feed->cold_len >= cap_min(feed)) {
        size_t len = 0;

        r = feed->step(feed->ctx, feed->cold + feed->cold_len,
                       PLAYBACK_FEED_COLD_BYTES - feed->cold_len, false, &len);
        feed->cold_len += len;
        if (r != PLAYBACK_FEED_MORE)
            break;
    }
    feed->cold_result = r;
}

static ssize_t go_cold(struct playback_feed *feed, struct kn_http_req *req)
{
    int r;

    if (!feed->cold && kn_http_hold(req, PLAYBACK_FEED_COLD_BYTES) < 0) {
        kn_http_deadline(req, CROWDED_RETRY_MS);
        return KN_HTTP_WAIT;
    }
    if (!feed->cold)
        feed->cold = malloc(PLAYBACK_FEED_COLD_BYTES);
    if (!feed->cold)
        return KN_HTTP_FAIL;
    feed->cold_at = feed->cold_len = 0;
    feed->working = true;
    r = kn_http_offload(req, KN_HTTP_READS, work, feed);
    if (r < 0) {
        feed->working = false;
        if (r != -EAGAIN)
            return KN_HTTP_FAIL;
        kn_http_deadline(req, POOL_FULL_RETRY_MS);
        return KN_HTTP_WAIT;
    }
    feed->cold_ran = true;
    kn_metric_add(feed->metrics.cold, 1);
    return KN_HTTP_WAIT;
}

static size_t take_cold(struct playback_feed *feed, uint8_t *dst, size_t cap)
{
    size_t n = feed->cold_len - feed->cold_at;

    n = n < cap ? n : cap;
    if (!n)
        return 0;
    memcpy(dst, feed->cold + feed->cold_at, n);
    feed->cold_at += n;
    return n;
}

static void drop_cold(struct playback_feed *feed, struct kn_http_req *req)
{
    if (feed->cold)
        kn_http_unhold(req);
    free(feed->cold);
    feed->cold = NULL;
    feed->cold_at = feed->cold_len = 0;
}

/* What a step's result means for the caller of pull, when no byte was put out. */
static ssize_t settle(struct playback_feed *feed, struct kn_http_req *req, int result,
                      bool *ret_idle)
{
    if (result == PLAYBACK_FEED_END)
        return KN_HTTP_EOF;
    if (result == -EAGAIN)
        return go_cold(feed, req);
    if (result != PLAYBACK_FEED_WAIT)
        return KN_HTTP_FAIL;
    *ret_idle = true;
    drop_cold(feed, req); /* nothing of it is left */
    kn_http_gate_wait(req, feed->gate, feed->seen);
    return KN_HTTP_WAIT;
}

static ssize_t pull(struct playback_feed *feed, struct kn_http_req *req, void *dst, size_t cap,
                    bool *ret_idle)
{
    uint8_t *to = dst;
    size_t len;
    int r = PLAYBACK_FEED_MORE;

    *ret_idle = false;
    if (feed->working)
        return KN_HTTP_WAIT;
    len = take_cold(feed, to, cap);
    if (len)
        return (ssize_t) len;
    if (feed->cold_ran) {
        feed->cold_ran = false;
        if (feed->cold_result < 0)
            return KN_HTTP_FAIL;
        if (feed->cold_result != PLAYBACK_FEED_MORE)
            return settle(feed, req, feed->cold_result, ret_idle);
    }
    while (cap - len >= cap_min(feed)) {
        size_t n = 0;

        r = feed->step(feed->ctx, to + len, cap - len, true, &n);
        len += n;
        if (n)
            drop_cold(feed, req); /* the bytes are resident again */
        if (r != PLAYBACK_FEED_MORE)
            break;
    }
    if (len)
        return (ssize_t) len;
    return settle(feed, req, r, ret_idle);
}

ssize_t playback_feed_pull(struct playback_feed *feed, struct kn_http_req *req, void *dst,
                           size_t cap, bool *ret_idle)
{
    ssize_t n = pull(feed, req, dst, cap, ret_idle);

    if (n > 0)
        kn_metric_add(feed->metrics.bytes, n);
    return n;
}

void playback_feed_woken(struct playback_feed *feed, uint32_t bits)
{
    if (bits & KN_HTTP_WAKE_JOB)
        feed->working = false;
}

void playback_feed_count(struct playback_feed *feed, const char *operation)
{
    feed->metrics = playback_media_metrics_of(operation);
    kn_metric_add(feed->metrics.readers, 1);
}

void playback_feed_done(struct playback_feed *feed)
{
    if (feed->metrics.readers)
        kn_metric_add(feed->metrics.readers, -1);
    free(feed->cold);
    feed->cold = NULL;
}
