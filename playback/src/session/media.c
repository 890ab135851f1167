/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Media segments as answers. fMP4 has a length known in advance and is read at any offset without
 * reading the rest, so Range costs what it names. TS is made by the muxer module while it is sent:
 * a worker fills a buffer, the loop empties it. Either way a viewer holds one bounded buffer.
 */
#include "session/media.h"

#include "core/log.h"
#include "ts/ts.h"

enum {
    COLD_BYTES = 256 * 1024,
    RETRY_MS = 20
};

struct playback_media {
    struct playback *playback;
    struct playback_mp4_source source;
    const struct playback_media_metrics *metrics;
    struct playback_rendered *rendered; /* fMP4 */
    struct playback_ts *ts;             /* TS */
    uint64_t pos, end;                  /* fMP4: still to be sent */
    /* what a worker read or made, owned by it while the job runs */
    uint8_t *cold;
    size_t cold_at, cold_len;
    bool job_runs, ts_done;
    bool job_later; /* it found that others hold too much */
    int job_result;
};

int playback_media_prepare(struct playback *playback, const struct playback_session *session,
                           const struct storage_fragment *fragment, uint64_t track,
                           struct playback_media **ret, struct kn_err *err, bool nowait)
{
    int r;
    struct playback_rendered *rendered = NULL;
    struct playback_ts *ts = NULL;
    if (session->container == PLAYBACK_TS)
        r = nowait ? -EAGAIN : playback_ts_open(playback, session, fragment, &ts, err);
    else
        r = playback_sessions_segment(playback, session, fragment, track, &rendered, err, nowait);
    if (r < 0)
        return r;
    struct playback_media *media = calloc(1, sizeof *media);
    if (!media) {
        playback_cached_unref(rendered ? &rendered->base : NULL);
        playback_ts_free(ts);
        return -ENOMEM;
    }
    const struct playback_mp4_source source = {.storage = playback->storage,
                                               .stream = session->stream,
                                               .fragment = rendered ? rendered->source : *fragment};
    if (rendered)
        playback_sessions_segment_warm(playback, &source, &rendered);
    bool dash = session->container == PLAYBACK_DASH;
    *media = (struct playback_media){.playback = playback,
                                     .metrics = &playback->sessions->metrics[dash],
                                     .source = source,
                                     .rendered = rendered,
                                     .ts = ts,
                                     .end = rendered ? rendered->segment->bytes : 0};
    kn_metric_add(media->metrics->readers, 1);
    *ret = media;
    return 0;
}

void playback_media_free(struct playback_media *media)
{
    if (!media)
        return;
    kn_metric_add(media->metrics->readers, -1);
    playback_cached_unref(media->rendered ? &media->rendered->base : NULL);
    playback_ts_free(media->ts);
    free(media->cold);
    free(media);
}

int playback_media_range(struct kn_str header, uint64_t bytes, uint64_t *ret_from, uint64_t *ret_to)
{
    struct kn_str unit, first;
    struct kn_str spec = kn_str_cut(header, '=', &unit);
    if (!header.ptr || !spec.ptr || !kn_str_eq_nocase(kn_str_trim(unit), KN_STR("bytes")))
        return 0;
    struct kn_str last = kn_str_cut(kn_str_trim(spec), '-', &first);
    uint64_t from = 0, to = UINT64_MAX;
    if (!last.ptr || (!first.len && !last.len) ||
        (first.len && kn_str_to_u64(first, UINT64_MAX, &from) < 0) ||
        (last.len && kn_str_to_u64(last, UINT64_MAX, &to) < 0) || (first.len && to < from))
        return 0; /* several ranges, or none we can read: RFC 9110 lets us ignore them */
    if (!first.len) {
        from = to < bytes ? bytes - to : 0;
        if (to == 0)
            return -EINVAL;
        to = UINT64_MAX;
    }
    if (from >= bytes)
        return -EINVAL;
    *ret_from = from;
    *ret_to = to < bytes - 1 ? to + 1 : bytes;
    return 1;
}

static void reply_mp4(struct playback_media *media, struct kn_http_req *req)
{
    char range[96];
    struct kn_http_header headers[8];
    size_t count = 0;
    bool audio = media->rendered->audio;
    uint64_t bytes = media->rendered->segment->bytes;
    headers[count++] = (struct kn_http_header){KN_STR("content-type"),
                                               audio ? KN_STR("audio/mp4") : KN_STR("video/mp4")};
    headers[count++] = (struct kn_http_header){KN_STR("access-control-allow-origin"), KN_STR("*")};
    headers[count++] = (struct kn_http_header){KN_STR("access-control-expose-headers"),
                                               KN_STR("Content-Length,Content-Range")};
    headers[count++] = (struct kn_http_header){KN_STR("accept-ranges"), KN_STR("bytes")};
    headers[count++] =
        (struct kn_http_header){KN_STR("cache-control"), KN_STR("max-age=86400, immutable")};
    /* no validator is sent, so a condition on one can only fail: RFC 9110, 13.1.5 */
    bool conditional = kn_http_header(req, "if-range").ptr != NULL;
    int r = conditional ? 0
                        : playback_media_range(kn_http_header(req, "range"), bytes, &media->pos,
                                               &media->end);
    if (r != 0) {
        if (r > 0)
            (void) snprintf(range, sizeof range, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
                            media->pos, media->end - 1, bytes);
        else
            (void) snprintf(range, sizeof range, "bytes */%" PRIu64, bytes);
        headers[count++] = (struct kn_http_header){KN_STR("content-range"), kn_str_from(range)};
    }
    bool whole = !kn_http_is_tls(req) && !kn_http_is_h2(req) && media->rendered->memory_fd >= 0;
    const struct kn_http_file file = {
        .fd = media->rendered->memory_fd, .off = media->pos, .len = media->end - media->pos};
    if (r < 0)
        kn_http_reply(req, 416, headers, count, (struct kn_bytes){NULL, 0});
    else if (whole) /* by sendfile; the descriptor stays as long as media does */
        kn_http_reply_file(req, r ? 206 : 200, headers, count, &file);
    else
        kn_http_reply_stream(req, r ? 206 : 200, headers, count, media->end - media->pos);
    if (r >= 0 && whole)
        kn_metric_add(media->metrics->bytes, (int64_t) file.len);
}

void playback_media_reply(struct playback_media *media, struct kn_http_req *req)
{
    if (media->rendered) {
        reply_mp4(media, req);
        return;
    }
    const struct kn_http_header headers[] = {
        {KN_STR("content-type"),                KN_STR("video/MP2T")              },
        {KN_STR("access-control-allow-origin"), KN_STR("*")                       },
        {KN_STR("cache-control"),               KN_STR("max-age=86400, immutable")},
    };
    kn_http_reply_stream(req, 200, headers, KN_ARRAY_LEN(headers), KN_HTTP_LENGTH_UNKNOWN);
}

/* On a worker: the next piece into cold. */
static void job(void *arg)
{
    struct playback_media *media = arg;
    ssize_t got;
    media->cold_at = media->cold_len = 0;
    /* asked again: many may have been let in before the first of them held anything */
    media->job_later = media->ts && !playback_ts_may_read(media->ts);
    if (media->job_later)
        return;
    if (media->ts) {
        got = playback_ts_read(media->ts, media->cold, COLD_BYTES);
        media->ts_done = got == 0;
    } else {
        size_t want = (size_t) kn_min_u64(COLD_BYTES, media->end - media->pos);
        got = playback_mp4_segment_read(media->rendered->segment, &media->source, media->pos,
                                        media->cold, want, false);
    }
    media->cold_len = got > 0 ? (size_t) got : 0;
    media->job_result = got < 0 ? (int) got : 0;
}

static ssize_t start_job(struct playback_media *media, struct kn_http_req *req)
{
    if (media->ts && !playback_ts_may_read(media->ts)) { /* until others have read on, or left */
        kn_http_deadline(req, RETRY_MS);
        return KN_HTTP_WAIT;
    }
    if (!media->cold)
        media->cold = malloc(COLD_BYTES);
    if (!media->cold)
        return KN_HTTP_FAIL;
    media->job_runs = true;
    kn_metric_add(media->metrics->cold, 1);
    if (kn_http_offload(req, KN_HTTP_READS, job, media) <
        0) { /* every worker is busy, and so is the queue */
        media->job_runs = false;
        kn_http_deadline(req, RETRY_MS);
    }
    return KN_HTTP_WAIT;
}

static ssize_t fail(const struct playback_media *media, int result)
{
    kn_log_warn("segment_cut", "seq=%" PRIu64 " at=%" PRIu64 " err=%s",
                media->source.fragment.number.seq, media->pos, kn_errname(result));
    return KN_HTTP_FAIL;
}

ssize_t playback_media_pull(struct playback_media *media, struct kn_http_req *req, void *dst,
                            size_t cap)
{
    if (media->job_runs)
        return KN_HTTP_WAIT;
    if (media->job_result < 0)
        return fail(media, media->job_result);
    if (media->job_later) {
        media->job_later = false;
        kn_http_deadline(req, RETRY_MS);
        return KN_HTTP_WAIT;
    }
    if (media->cold_at < media->cold_len) {
        size_t len = media->cold_len - media->cold_at;
        len = len < cap ? len : cap;
        memcpy(dst, media->cold + media->cold_at, len);
        media->cold_at += len;
        media->pos += len;
        kn_metric_add(media->metrics->bytes, (int64_t) len);
        return (ssize_t) len;
    }
    if (media->ts)
        return media->ts_done ? KN_HTTP_EOF : start_job(media, req);
    if (media->pos == media->end)
        return KN_HTTP_EOF;
    size_t want = (size_t) kn_min_u64(cap, media->end - media->pos);
    ssize_t got = playback_mp4_segment_read(media->rendered->segment, &media->source, media->pos,
                                            dst, want, true);
    if (got == -EAGAIN)
        return start_job(media, req);
    if (got < 0)
        return fail(media, (int) got);
    media->pos += (uint64_t) got;
    kn_metric_add(media->metrics->bytes, got);
    return got;
}

void playback_media_wake(struct playback_media *media, uint32_t bits)
{
    if (bits & KN_HTTP_WAKE_JOB)
        media->job_runs = false; /* pull is tried again */
}
