/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A streamed answer that is read from storage: pull on the loop without waiting for a disk; when
 * that is not possible, the same source runs on a worker and fills a buffer that the next pulls
 * hand out. The buffer exists only while the disk is cold. Belongs to one request, used on its
 * loop; the source runs on the loop or on a worker, never on both at once.
 */
#ifndef PLAYBACK_FEED_H
#define PLAYBACK_FEED_H

#include "media_metrics.h"

#include "core/http.h"

enum playback_feed_result {
    PLAYBACK_FEED_MORE = 0, /* *ret_len bytes (0 too) were put into dst: ask again */
    PLAYBACK_FEED_WAIT = 1, /* nothing until the gate passes `seen` */
    PLAYBACK_FEED_END = 2,  /* the answer is complete */
};

enum {
    PLAYBACK_FEED_COLD_BYTES = 256 << 10,
    PLAYBACK_FEED_BYTES_MIN = 64
};

struct playback_feed {
    /* One step: a playback_feed_result; -EAGAIN with nowait: would wait for a disk, nothing done;
     * any other error breaks the answer off. cap >= cap_min. */
    int (*step)(void *ctx, uint8_t *dst, size_t cap, bool nowait, size_t *ret_len);
    void *ctx;
    size_t cap_min;       /* a step needs this much; 0: PLAYBACK_FEED_BYTES_MIN */
    struct kn_gate *gate; /* NULL: the source never waits */
    struct playback_media_metrics metrics;
    uint64_t seen; /* set by step before it looks */

    uint8_t *cold; /* PLAYBACK_FEED_COLD_BYTES, or NULL */
    size_t cold_at, cold_len;
    int cold_result; /* of the worker's last step */
    bool cold_ran;   /* cold_result has not been looked at yet */
    bool working;    /* a worker has the source */
};

/* Sets the series up and counts the reader; done takes it off again. */
void playback_feed_count(struct playback_feed *feed, const char *operation);
/* For the ops' pull: a count, or KN_HTTP_WAIT, _EOF, _FAIL. With KN_HTTP_WAIT *ret_idle tells
 * whether it waits for new media (then the gate has been joined) or for a worker. */
ssize_t playback_feed_pull(struct playback_feed *feed, struct kn_http_req *req, void *dst,
                           size_t cap, bool *ret_idle);
void playback_feed_woken(struct playback_feed *feed, uint32_t bits); /* for the ops' wake */
void playback_feed_done(struct playback_feed *feed);                 /* for the ops' gone */

#endif
