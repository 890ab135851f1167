/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GetMedia: one Matroska document a fragment, in ascending number order, from a chosen start
 * through history into the live tail, where the frames of the fragment now arriving are passed on
 * as they come (kvs-api.md §3). The session holds a position; media is pulled by the peer's pace.
 *
 *   START → NEXT → MEDIA → CLOSING → NEXT …     CLOSING → LAST when an error ends the body
 *
 * Ends after 3 s without media (§3.3), after the time limit at a fragment's end, or with an error
 * document (§3.4). A fragment given up while it was passed on ends its document without the closing
 * Tags, so that no consumer takes it for whole, and the session goes on with the next one.
 */
#include "document.h"
#include "feed.h"
#include "playback_api.h"
#include "playback_internal.h"

#include <stdlib.h>

enum state {
    STATE_START,   /* find where to begin */
    STATE_NEXT,    /* find the fragment after after_seq */
    STATE_MEDIA,   /* a document is going out */
    STATE_CLOSING, /* its last bytes are */
    STATE_LAST,    /* the error document is; the answer ends with it */
};

struct get_media {
    struct playback *playback;
    struct kn_api_call *call;
    struct storage_stream *stream;
    struct playback_feed feed;
    struct playback_document doc;
    enum state state;
    enum playback_GetMedia_StartSelector_StartSelectorType start;
    int64_t start_ms;   /* of the two timestamp selectors */
    uint64_t after_seq; /* the fragment passed on last */
    int error_id;       /* an error document is due; 0: none */
    const char *error_code;
    struct kn_buf error_text;
    int64_t started_ns;
    int64_t waiting_since_ns; /* -1: media is flowing */
    uint64_t idle_ms_max;     /* 0: no limit */
    uint64_t ms_max;          /* 0: no limit */
    bool draining;            /* the server stops */
};

enum {
    NS_PER_MS = 1000000,
    ERROR_NOT_FOUND = 4000,
    ERROR_INTERNAL = 5000
}; /* kvs-api.md §3.4 */

/* ms left of a limit that began at since_ns; INT64_MAX without a limit. */
static int64_t ms_left(const struct get_media *g, uint64_t limit_ms, int64_t since_ns)
{
    int64_t spent_ms = (kn_mono_ns(g->playback->clock) - since_ns) / NS_PER_MS;

    return limit_ms ? (int64_t) limit_ms - spent_ms : INT64_MAX;
}

/* Nothing there at this time. A deleted stream will have nothing ever again. */
static int wait_for_more(const struct get_media *g)
{
    struct storage_stream *now = storage_stream_find_id(g->playback->storage, &g->stream->id);
    bool active = now && now->status == STORAGE_STREAM_ACTIVE;

    storage_stream_unref(now);
    return active ? PLAYBACK_FEED_WAIT : PLAYBACK_FEED_END;
}

/* --- finding ---------------------------------------------------------------------------------- */

static int find_newest(struct get_media *g, struct storage_fragment *ret, size_t *ret_count,
                       bool nowait)
{
    struct storage_query query = {
        .order = STORAGE_BY_NUMBER, .newest_first = true, .in_flight = true};

    return storage_find(g->playback->storage, &g->stream->id, &query, ret, 1, ret_count, nowait);
}

static int start_now(struct get_media *g, bool nowait)
{
    struct storage_fragment newest;
    size_t count = 0;
    int r = find_newest(g, &newest, &count, nowait);

    if (r < 0)
        return r;
    if (count) /* the fragment in flight from its beginning, else the next one */
        g->after_seq =
            newest.flags & STORAGE_FRAGMENT_IN_FLIGHT ? newest.number.seq - 1 : newest.number.seq;
    g->state = STATE_NEXT;
    return PLAYBACK_FEED_MORE;
}

/* Nothing stored covers the time or is later: the fragment in flight may reach it, if the time is
 * not further from its start than the fragment is old. */
static bool may_cover(const struct get_media *g, const struct storage_fragment *f)
{
    int64_t start_ms =
        g->start == PLAYBACK_GetMedia_StartSelector_StartSelectorType_PRODUCER_TIMESTAMP
            ? f->producer_ts_ms
            : f->number.server_ts_ms;
    int64_t age_ms = kn_wall_ms(g->playback->clock) - f->number.server_ts_ms;

    return start_ms >= g->start_ms || g->start_ms - start_ms <= age_ms;
}

static int start_at_time(struct get_media *g, bool nowait)
{
    bool by_producer =
        g->start == PLAYBACK_GetMedia_StartSelector_StartSelectorType_PRODUCER_TIMESTAMP;
    struct storage_fragment found;
    size_t count = 1;
    int r = storage_find_at(g->playback->storage, &g->stream->id,
                            by_producer ? STORAGE_BY_PRODUCER_TS : STORAGE_BY_SERVER_TS,
                            g->start_ms, &found, nowait);

    if (r == -ENOENT) {
        r = find_newest(g, &found, &count, nowait);
        if (!r && (!count || !(found.flags & STORAGE_FRAGMENT_IN_FLIGHT) || !may_cover(g, &found)))
            return wait_for_more(g);
    }
    if (r < 0)
        return r;
    g->after_seq = found.number.seq - 1;
    g->state = STATE_NEXT;
    return PLAYBACK_FEED_MORE;
}

static int find_start(struct get_media *g, bool nowait)
{
    int r = PLAYBACK_FEED_MORE;

    g->feed.seen = kn_gate_value(g->feed.gate); /* before looking, or a change would be missed */
    switch (g->start) {
    case PLAYBACK_GetMedia_StartSelector_StartSelectorType_NOW:
        r = start_now(g, nowait);
        break;
    case PLAYBACK_GetMedia_StartSelector_StartSelectorType_SERVER_TIMESTAMP:
    case PLAYBACK_GetMedia_StartSelector_StartSelectorType_PRODUCER_TIMESTAMP:
        r = start_at_time(g, nowait);
        break;
    case PLAYBACK_GetMedia_StartSelector_StartSelectorType_ABSENT:
    case PLAYBACK_GetMedia_StartSelector_StartSelectorType_EARLIEST:
    case PLAYBACK_GetMedia_StartSelector_StartSelectorType_FRAGMENT_NUMBER:
    case PLAYBACK_GetMedia_StartSelector_StartSelectorType_CONTINUATION_TOKEN:
        g->state = STATE_NEXT; /* after_seq says it all */
        break;
    }
    return r;
}

/* --- a document's life ------------------------------------------------------------------------ */

static int close_document(struct get_media *g)
{
    playback_document_cut(&g->doc);
    g->state = STATE_CLOSING;
    return PLAYBACK_FEED_MORE;
}

/* What an error of the storage in the middle of a fragment leads to. */
static int break_off(struct get_media *g, int error)
{
    if (error == -EAGAIN || error == -ENOMEM)
        return error;
    if (error != -ECANCELED) {
        g->error_id = error == -ENOENT ? ERROR_NOT_FOUND : ERROR_INTERNAL;
        g->error_code = error == -ENOENT ? "FRAGMENT_NOT_FOUND" : "INTERNAL_ERROR";
    }
    return close_document(g);
}

static int open_next(struct get_media *g, bool nowait)
{
    struct storage_query query = {
        .order = STORAGE_BY_NUMBER, .after_seq = g->after_seq, .in_flight = true};
    struct storage_fragment next;
    size_t count = 0;
    bool in_flight;
    int r;

    if (g->draining || ms_left(g, g->ms_max, g->started_ns) <= 0)
        return PLAYBACK_FEED_END;
    g->feed.seen = kn_gate_value(g->feed.gate);
    r = storage_find(g->playback->storage, &g->stream->id, &query, &next, 1, &count, nowait);
    if (r < 0)
        return r;
    if (!count)
        return wait_for_more(g);
    in_flight = next.flags & STORAGE_FRAGMENT_IN_FLIGHT;
    r = playback_document_open(&g->doc, &next, nowait);
    if (in_flight && (r == -ENODATA || r == -ECANCELED || r == -ENOENT))
        return wait_for_more(g); /* its Cluster has not come, or it was given up just now */
    if (r == -EAGAIN || r == -ENOMEM)
        return r;
    g->after_seq = next.number.seq;
    g->doc.fragment = next;
    if (r < 0)
        return break_off(g, r);
    g->state = STATE_MEDIA;
    return PLAYBACK_FEED_MORE;
}

/* All bytes known so far are out. */
static int drained(struct get_media *g, bool nowait)
{
    uint64_t had = g->doc.fragment.bytes;
    int r;

    kn_assert(playback_document_is_drained(&g->doc));
    if (playback_fragment_is_arriving(&g->doc.fragment)) {
        g->feed.seen = kn_gate_value(g->feed.gate);
        r = playback_document_refresh(&g->doc, nowait);
        if (r < 0)
            return break_off(g, r);
        if (g->doc.fragment.bytes > had)
            return PLAYBACK_FEED_MORE;
        if (playback_fragment_is_arriving(&g->doc.fragment))
            return PLAYBACK_FEED_WAIT;
    }
    r = playback_document_finish(&g->doc, true, kn_wall_ms(g->playback->clock));
    g->state = STATE_CLOSING;
    return r;
}

static int closed(struct get_media *g)
{
    char number[STORAGE_NUMBER_TEXT_BYTES];

    if (g->state == STATE_LAST)
        return PLAYBACK_FEED_END;
    g->state = STATE_NEXT;
    if (!g->error_id)
        return PLAYBACK_FEED_MORE;
    storage_number_format(&g->doc.fragment.number, number);
    playback_tags_write_error(&g->error_text,
                              &(struct playback_media_error){.fragment_number = kn_str_from(number),
                                                             .id = g->error_id,
                                                             .code = g->error_code});
    playback_document_text(&g->doc, kn_buf_bytes(&g->error_text));
    g->state = STATE_LAST;
    return g->error_text.error;
}

static int step(void *ctx, uint8_t *dst, size_t cap, bool nowait, size_t *ret_len)
{
    struct get_media *g = ctx;
    ssize_t n;

    if (g->state == STATE_START)
        return find_start(g, nowait);
    if (g->state == STATE_NEXT)
        return open_next(g, nowait);
    n = playback_document_read(&g->doc, dst, cap, nowait);
    if (n > 0) {
        *ret_len = (size_t) n;
        return PLAYBACK_FEED_MORE;
    }
    if (n < 0)
        return break_off(g, (int) n);
    return g->state == STATE_MEDIA ? drained(g, nowait) : closed(g);
}

/* --- the request ------------------------------------------------------------------------------ */

static int on_head(struct kn_http_req *req, void **ctx)
{
    struct get_media *g = *ctx;
    struct kn_http_header headers[KN_API_STREAM_HEADERS];
    size_t count =
        kn_api_stream_headers(g->call, "video/webm", headers); /* as AWS is reported to send */

    kn_http_reply_stream(req, 200, headers, count, KN_HTTP_LENGTH_UNKNOWN);
    return 0;
}

/* Nothing to send: wait for media, but not for ever. */
static ssize_t wait_for_media(struct get_media *g, struct kn_http_req *req)
{
    int64_t left_ms;

    if (g->waiting_since_ns < 0)
        g->waiting_since_ns = kn_mono_ns(g->playback->clock);
    left_ms = kn_min_i64(ms_left(g, g->idle_ms_max, g->waiting_since_ns),
                         ms_left(g, g->ms_max, g->started_ns));
    if (left_ms <= 0 || g->draining) {
        kn_http_gate_wait(req, NULL, 0);
        return KN_HTTP_EOF;
    }
    kn_http_deadline(req, left_ms == INT64_MAX ? -1 : left_ms);
    return KN_HTTP_WAIT;
}

static ssize_t on_pull(struct kn_http_req *req, void *ctx, void *dst, size_t cap)
{
    struct get_media *g = ctx;
    bool idle = false;
    ssize_t n = playback_feed_pull(&g->feed, req, dst, cap, &idle);

    if (idle)
        return wait_for_media(g, req);
    if (n > 0)
        g->waiting_since_ns = -1;
    return n;
}

static void on_wake(struct kn_http_req *req KN_UNUSED, void *ctx, uint32_t bits)
{
    struct get_media *g = ctx;

    playback_feed_woken(&g->feed, bits);
    if (bits & KN_HTTP_WAKE_SHUTDOWN)
        g->draining = true;
}

static void get_media_free(struct get_media *g)
{
    playback_feed_done(&g->feed);
    playback_document_done(&g->doc);
    kn_buf_done(&g->error_text);
    storage_stream_unref(g->stream);
    free(g);
}

static void on_gone(struct kn_http_req *req KN_UNUSED, void *ctx, enum kn_http_why why KN_UNUSED)
{
    get_media_free(ctx);
}

static const struct kn_http_ops get_media_ops = {
    .head = on_head,
    .pull = on_pull,
    .wake = on_wake,
    .gone = on_gone,
};

/* --- the operation ---------------------------------------------------------------------------- */

/* Our own request headers: callers who want to wait longer than AWS lets them (kvs-api.md §8 #3).
 */
static int read_limit(struct kn_api_call *call, const char *name, uint64_t *limit_ms)
{
    struct kn_str text = kn_http_header(call->req, name);

    if (text.ptr && kn_str_to_u64(kn_str_trim(text), UINT32_MAX, limit_ms) < 0)
        return kn_api_fault(call, "InvalidArgumentException",
                            "The header %s must be a number of milliseconds, 0 for no limit.",
                            name);
    return 0;
}

static int read_number(struct get_media *g, struct kn_str text, const char *member)
{
    struct storage_number number = {0};
    bool exact = false;

    if (!text.ptr)
        return kn_api_fault(g->call, "InvalidArgumentException",
                            "%s is needed with this StartSelectorType.", member);
    if (storage_number_parse(text, &number, &exact) < 0)
        return kn_api_fault(g->call, "InvalidArgumentException", "%s is not a fragment number.",
                            member);
    g->after_seq = number.seq; /* "after" also works for a number that no longer exists */
    return 0;
}

static int read_selector(struct get_media *g,
                         const struct playback_GetMedia_StartSelector *selector)
{
    g->start = selector->StartSelectorType;
    switch (g->start) {
    case PLAYBACK_GetMedia_StartSelector_StartSelectorType_FRAGMENT_NUMBER:
        return read_number(g, selector->AfterFragmentNumber, "AfterFragmentNumber");
    case PLAYBACK_GetMedia_StartSelector_StartSelectorType_CONTINUATION_TOKEN:
        return read_number(g, selector->ContinuationToken, "ContinuationToken");
    case PLAYBACK_GetMedia_StartSelector_StartSelectorType_SERVER_TIMESTAMP:
    case PLAYBACK_GetMedia_StartSelector_StartSelectorType_PRODUCER_TIMESTAMP:
        if (!selector->StartTimestamp.set)
            return kn_api_fault(g->call, "InvalidArgumentException",
                                "StartTimestamp is needed with this StartSelectorType.");
        g->start_ms = selector->StartTimestamp.v;
        return 0;
    case PLAYBACK_GetMedia_StartSelector_StartSelectorType_ABSENT:
    case PLAYBACK_GetMedia_StartSelector_StartSelectorType_NOW:
    case PLAYBACK_GetMedia_StartSelector_StartSelectorType_EARLIEST:
        break;
    }
    return 0;
}

KN_DEFINE_CLEANUP(struct get_media *, get_media_free)

int playback_op_GetMedia(struct playback *playback, const struct playback_GetMedia_in *in,
                         struct playback_GetMedia_out *out KN_UNUSED, struct kn_api_call *call)
{
    KN_CLEANUP(get_media_freep) struct get_media *g = calloc(1, sizeof *g);
    int r;

    if (!g)
        return -ENOMEM;
    g->playback = playback;
    g->call = call;
    g->idle_ms_max = playback->conf.get_media_idle_ms;
    g->ms_max = playback->conf.get_media_ms_max;
    g->started_ns = kn_mono_ns(playback->clock);
    g->waiting_since_ns = -1;
    kn_buf_init(&g->error_text, PLAYBACK_TAGS_BYTES_MAX);
    r = playback_stream_find(playback, call, in->StreamName, in->StreamARN, &g->stream);
    if (r < 0)
        return r;
    playback_document_init(&g->doc, playback->storage, &g->stream->id);
    g->feed = (struct playback_feed){
        .step = step,
        .ctx = g,
        .gate = storage_tail_gate(playback->storage, &g->stream->id),
    };
    if (!g->feed.gate)
        return -ENOMEM;
    if ((r = read_selector(g, in->StartSelector)) < 0 ||
        (r = read_limit(call, "x-kinema-idle-timeout-ms", &g->idle_ms_max)) < 0 ||
        (r = read_limit(call, "x-kinema-max-duration-ms", &g->ms_max)) < 0)
        return r;
    playback_feed_count(&g->feed, "GetMedia");
    kn_api_take(call, &get_media_ops, KN_MOVE(g));
    return 0;
}
