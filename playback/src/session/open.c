/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a session, whichever protocol it speaks: the checks in the order of kvs-api.md §4.3
 * (stream, retention, arguments, a fragment, its tracks, their codec private data), then a token.
 * Ranges are clamped to now, never refused for reaching past it (rules.md 32).
 */
#include "session/open.h"

#include "clip/clip.h"

enum {
    EXPIRES_S_DEFAULT = 300,
    LIVE_RESULTS_DEFAULT = 5,
    ON_DEMAND_RESULTS_DEFAULT = 1000,
    ON_DEMAND_RESULTS_MAX = 1000000, /* of sessions of our own */
    CONSOLE_EXPIRES_S = 43200,
};

/* --- what every door shares ------------------------------------------------------------------- */

static bool is_live(struct playback *playback, const struct storage_fragment *newest)
{
    int64_t end_ms = newest->number.server_ts_ms + playback_duration_ms(newest);
    return kn_wall_ms(playback->clock) - end_ms <= (int64_t) playback->conf.session_live_window_ms;
}

static int check_media(struct playback *playback, const struct playback_session *session,
                       const struct playback_list *list, struct kn_err *err)
{
    /* The console plays what can be played. */
    size_t first = session->some ? playback_list_find_kinds(list, session->kinds) : 0;
    const struct playback_entry *oldest = &list->entries[first];
    const struct playback_entry *newest = &list->entries[list->count - 1];
    struct storage_fragment fragment;
    int r;
    if (session->mode == PLAYBACK_LIVE) {
        r = storage_find_number(playback->storage, &session->stream, &newest->number, &fragment,
                                false);
        if (r < 0)
            return r;
        if (!is_live(playback, &fragment))
            return kn_fail(err, -ENOENT,
                           "No fragments found in the stream for the streaming request: the newest "
                           "one is older than %" PRIu64 " seconds.",
                           playback->conf.session_live_window_ms / 1000);
    }
    r = storage_find_number(playback->storage, &session->stream, &oldest->number, &fragment, false);
    if (r < 0)
        return r;
    struct playback_view view;
    r = playback_view_get(playback, session, &fragment, &view, err, false);
    if (r == 0)
        playback_view_done(&view);
    return r;
}

/* DASH: where SequenceNumber and presentation begin. A replay has what is listed at once behind it,
 * so that the next fragment is due when its length has passed. */
static void set_base(struct playback_session *session, const struct playback_list *list)
{
    const struct playback_entry *base = &list->entries[0];
    int64_t listed_ms = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (list->entries[i].ordinal < base->ordinal)
            base = &list->entries[i];
        listed_ms += list->entries[i].duration_ms;
    }
    session->base_seq = base->number.seq;
    session->base_ordinal = base->ordinal;
    session->base_ms = session->mode == PLAYBACK_LIVE_REPLAY ? session->opened_ms - listed_ms
                                                             : list->entries[0].number.server_ts_ms;
}

/* HLS: what its renditions are, also where one is missing just now. */
static int set_kinds(struct playback *playback, struct playback_session *session,
                     const struct playback_list *list)
{
    const struct playback_list_in in = {.storage = playback->storage, .session = session};
    if (session->container == PLAYBACK_DASH)
        return 0;
    int r = playback_list_find_whole(&in, list, &session->whole_seq);
    if (session->container == PLAYBACK_FMP4)
        session->kinds =
            session->whole_seq ? PLAYBACK_PICTURES | PLAYBACK_SOUND : playback_list_kinds(list);
    return r;
}

int playback_sessions_open(struct playback *playback, const struct storage_stream *stream,
                           struct playback_session *session, struct kn_buf *token,
                           struct kn_err *err)
{
    session->stream = stream->id;
    session->stream_created_ms = stream->created_ms;
    session->opened_ms = kn_wall_ms(playback->clock);
    session->target_s = 0;
    session->from_seq = 0;
    session->kinds = 0;
    session->whole_seq = 0;
    if (session->mode == PLAYBACK_LIVE) {
        session->from_ms = INT64_MIN;
        session->to_ms = INT64_MAX;
    }
    struct playback_list *list;
    int r = playback_sessions_list(playback, session, &list, false);
    if (r < 0)
        return r;
    r = set_kinds(playback, session, list);
    if (r == 0)
        r = list->count ? check_media(playback, session, list, err)
                        : kn_fail(err, -ENOENT,
                                  "No fragments found in the stream for the streaming request.");
    if (r == 0) {
        session->target_s = list->target_s;
        if (session->mode == PLAYBACK_LIVE)
            session->from_seq = list->entries[0].number.seq;
        if (session->container == PLAYBACK_DASH)
            set_base(session, list);
        r = playback_session_seal(&playback->sessions->key, session, token);
    }
    playback_list_unref(list);
    return r;
}

/* --- the AWS operations ----------------------------------------------------------------------- */

static const char invalid[] = "InvalidArgumentException";

enum playback_mode playback_mode_of(enum playback_PlaybackMode mode)
{
    return mode == PLAYBACK_PlaybackMode_ON_DEMAND     ? PLAYBACK_ON_DEMAND
           : mode == PLAYBACK_PlaybackMode_LIVE_REPLAY ? PLAYBACK_LIVE_REPLAY
                                                       : PLAYBACK_LIVE;
}

static int read_range(struct playback *playback, const struct playback_url_in *in,
                      struct kn_api_call *call, struct playback_session *session)
{
    if (session->mode == PLAYBACK_LIVE) {
        if (in->range)
            return kn_api_fault(call, invalid, "TimestampRange must not be given with LIVE.");
        return 0;
    }
    if (!in->range || !in->range->StartTimestamp.set)
        return kn_api_fault(call, invalid,
                            "%s with a StartTimestamp is required unless PlaybackMode is LIVE.",
                            in->selector);
    int64_t from_ms = in->range->StartTimestamp.v;
    struct kn_api_i64 to = in->range->EndTimestamp;
    if (session->mode == PLAYBACK_ON_DEMAND && !to.set)
        return kn_api_fault(call, invalid,
                            "EndTimestamp is required when PlaybackMode is ON_DEMAND.");
    int r = to.set ? playback_range_check(playback, call, from_ms, to.v) : 0;
    if (r < 0)
        return r;
    session->from_ms = from_ms;
    session->to_ms = to.set ? to.v : INT64_MAX;
    if (session->mode == PLAYBACK_ON_DEMAND && session->clock == PLAYBACK_SERVER_CLOCK)
        session->to_ms = kn_min_i64(session->to_ms, kn_wall_ms(playback->clock));
    return 0;
}

int playback_range_check(struct playback *playback, struct kn_api_call *call, int64_t from_ms,
                         int64_t to_ms)
{
    if (to_ms <= from_ms)
        return kn_api_fault(call, invalid, "EndTimestamp must be later than StartTimestamp.");
    if (to_ms - from_ms > (int64_t) playback->conf.range_ms_max)
        return kn_api_fault(call, invalid,
                            "The time range must not be longer than %" PRIu64 " hours.",
                            playback->conf.range_ms_max / 3600000);
    return 0;
}

int playback_url_begin(struct playback *playback, struct kn_api_call *call,
                       const struct playback_url_in *in, struct playback_session *session,
                       struct storage_stream **ret_stream)
{
    KN_CLEANUP(storage_stream_unrefp) struct storage_stream *stream = NULL;
    int r = playback_stream_find(playback, call, in->stream_name, in->stream_arn, &stream);
    if (r < 0)
        return r;
    if (stream->retention_hours == 0)
        return playback_no_retention(call);
    session->from_ms = INT64_MIN;
    session->to_ms = INT64_MAX;
    session->clock = in->by_producer ? PLAYBACK_PRODUCER_CLOCK : PLAYBACK_SERVER_CLOCK;
    session->results_max =
        session->mode == PLAYBACK_ON_DEMAND ? ON_DEMAND_RESULTS_DEFAULT : LIVE_RESULTS_DEFAULT;
    if (in->results_max.set)
        session->results_max = (uint64_t) in->results_max.v;
    session->results_max = kn_min_u64(session->results_max, playback->conf.playlist_fragments_max);
    int64_t expires_s = in->expires_s.set ? in->expires_s.v : EXPIRES_S_DEFAULT;
    session->expires_ms = kn_wall_ms(playback->clock) + expires_s * 1000;
    kn_assert(!call->key ||
              kn_str_copy(session->key_id, sizeof session->key_id, kn_key_lasting(call->key)) == 0);
    r = read_range(playback, in, call, session);
    if (r == 0)
        *ret_stream = KN_MOVE(stream);
    return r;
}

int playback_no_retention(struct kn_api_call *call)
{
    return kn_api_fault(call, "NoDataRetentionException",
                        "The stream does not retain data: its retention period is 0.");
}

int playback_media_fault(struct kn_api_call *call, int error, const struct kn_err *err)
{
    switch (-error) {
    case ENOENT:
        return kn_api_fault(call, "ResourceNotFoundException", "%s",
                            err->code ? err->text
                                      : "No fragments found in the stream for the streaming "
                                        "request.");
    case EINVAL:
        return kn_api_fault(call, "UnsupportedStreamMediaTypeException", "%s", err->text);
    case ENODATA:
        return kn_api_fault(call, "MissingCodecPrivateDataException",
                            "The codec private data is missing: %s.", err->text);
    case EBADMSG:
        return kn_api_fault(call, "InvalidCodecPrivateDataException",
                            "The codec private data is not valid: %s.", err->text);
    default:
        return error;
    }
}

static bool is_host(struct kn_str host)
{
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];
        bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '.' || c == '-' || c == '_' || c == ':' || c == '[' || c == ']';
        if (!fine)
            return false;
    }
    return host.len > 0;
}

/* "http://name:4566": as the client reaches us now, unless a setting says otherwise. */
static int write_origin(struct playback *playback, struct kn_api_call *call, struct kn_buf *out)
{
    const char *given = playback->endpoints.public_api_url;
    if (given && given[0]) {
        struct kn_str url = kn_str_from(given);
        while (url.len && url.ptr[url.len - 1] == '/')
            url.len--;
        return kn_buf_append_str(out, url);
    }
    struct kn_str host = kn_http_header(call->req, "host"), name;
    if (!is_host(host))
        return kn_api_fault(call, invalid, "The Host header does not name this server.");
    if (host.ptr[0] == '[') {
        struct kn_str rest = kn_str_cut(host, ']', &name);
        name.len += rest.ptr != NULL;
    } else {
        (void) kn_str_cut(host, ':', &name);
    }
    const struct playback_endpoints *ends = &playback->endpoints;
    bool tls = ends->api_tls_port && (kn_http_is_tls(call->req) || !ends->api_port);
    return kn_buf_printf(out, "%s://" KN_STR_FMT ":%u", tls ? "https" : "http", KN_STR_ARG(name),
                         (unsigned) (tls ? ends->api_tls_port : ends->api_port));
}

int playback_url_open(struct playback *playback, struct kn_api_call *call,
                      const struct storage_stream *stream, struct playback_session *session,
                      const char *resource, struct kn_str *ret_url)
{
    struct kn_buf url;
    kn_buf_init(&url, KIB(4));
    int r = write_origin(playback, call, &url);
    if (r == 0) {
        struct kn_err err = {.code = 0};
        kn_buf_append_text(&url, resource);
        r = playback_sessions_open(playback, stream, session, &url, &err);
        r = r < 0 ? playback_media_fault(call, r, &err) : url.error;
    }
    if (r == 0) {
        *ret_url = kn_arena_str(call->arena, kn_buf_str(&url));
        r = ret_url->ptr ? 0 : -ENOMEM;
    }
    kn_buf_done(&url);
    return r;
}

/* --- the console's door ----------------------------------------------------------------------- */

int playback_console_session(struct playback *playback, struct kn_str stream_name,
                             enum playback_protocol protocol, const char *mode, int64_t from_ms,
                             int64_t to_ms, const struct kn_key *key, struct kn_buf *dst,
                             struct kn_err *err)
{
    KN_CLEANUP(storage_stream_unrefp)
    struct storage_stream *stream = storage_stream_find(playback->storage, stream_name);
    if (!stream || stream->status != STORAGE_STREAM_ACTIVE)
        return kn_fail(err, -ENOENT, "The requested stream is not found or not active.");
    bool dash = protocol == PLAYBACK_OVER_DASH;
    struct kn_str name = kn_str_from(mode);
    struct playback_session session = {
        .container = dash ? PLAYBACK_DASH : PLAYBACK_FMP4,
        .clock = PLAYBACK_SERVER_CLOCK,
        .discontinuity = dash ? PLAYBACK_DISCONTINUITY_WHERE_BROKEN : PLAYBACK_DISCONTINUITY_ALWAYS,
        .display_time = true,
        .some = !dash,
        .from_ms = from_ms,
        .to_ms = to_ms ? to_ms : INT64_MAX,
        .results_max = LIVE_RESULTS_DEFAULT,
        .expires_ms = kn_wall_ms(playback->clock) + CONSOLE_EXPIRES_S * 1000};
    if (kn_str_eq(name, KN_STR("LIVE"))) {
        session.mode = PLAYBACK_LIVE;
    } else if (kn_str_eq(name, KN_STR("LIVE_REPLAY"))) {
        session.mode = PLAYBACK_LIVE_REPLAY;
    } else if (kn_str_eq(name, KN_STR("ON_DEMAND"))) {
        session.mode = PLAYBACK_ON_DEMAND;
        session.to_ms = kn_min_i64(session.to_ms, kn_wall_ms(playback->clock));
        session.results_max = ON_DEMAND_RESULTS_MAX;
    } else {
        return kn_fail(err, -EINVAL, "no such playback mode: %.20s", mode);
    }
    if (key && kn_str_copy(session.key_id, sizeof session.key_id, kn_key_lasting(key)) < 0)
        return kn_fail(err, -EINVAL, "the access key's id is too long");
    kn_buf_append_text(dst, dash ? PLAYBACK_DASH_FIRST : PLAYBACK_HLS_FIRST);
    int r = playback_sessions_open(playback, stream, &session, dst, err);
    return r < 0 ? r : dst->error;
}

int playback_console_clip(struct playback *playback, struct kn_str stream_name, int64_t from_ms,
                          int64_t to_ms, const struct kn_key *key, struct kn_buf *dst,
                          uint64_t *ret_bytes, struct kn_err *err)
{
    KN_CLEANUP(storage_stream_unrefp)
    struct storage_stream *stream = storage_stream_find(playback->storage, stream_name);
    if (!stream || stream->status != STORAGE_STREAM_ACTIVE)
        return kn_fail(err, -ENOENT, "The requested stream is not found or not active.");
    int64_t now_ms = kn_wall_ms(playback->clock);
    struct playback_session session = {.stream = stream->id,
                                       .stream_created_ms = stream->created_ms,
                                       .mode = PLAYBACK_ON_DEMAND,
                                       .container = PLAYBACK_CLIP,
                                       .clock = PLAYBACK_SERVER_CLOCK,
                                       .from_ms = from_ms,
                                       .to_ms = kn_min_i64(to_ms, now_ms),
                                       .opened_ms = now_ms,
                                       .expires_ms = now_ms + CONSOLE_EXPIRES_S * 1000};
    if (key && kn_str_copy(session.key_id, sizeof session.key_id, kn_key_lasting(key)) < 0)
        return kn_fail(err, -EINVAL, "the access key's id is too long");
    if (session.to_ms <= from_ms || to_ms - from_ms > (int64_t) playback->conf.range_ms_max)
        return kn_fail(err, -EINVAL, "a clip spans some time, and at most %" PRIu64 " hours",
                       playback->conf.range_ms_max / 3600000);
    struct playback_clip *clip;
    int r = playback_clip_open(playback,
                               &(struct playback_clip_in){.stream = session.stream,
                                                          .clock = session.clock,
                                                          .from_ms = session.from_ms,
                                                          .to_ms = session.to_ms,
                                                          .exact = true},
                               &clip, err);
    if (r < 0)
        return r;
    *ret_bytes = playback_clip_bytes(clip);
    playback_clip_free(clip);
    kn_buf_append_text(dst, PLAYBACK_CLIP_FIRST);
    r = playback_session_seal(&playback->sessions->key, &session, dst);
    return r < 0 ? r : dst->error;
}
