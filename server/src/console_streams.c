/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the page shows of the streams: settings, what is stored, what comes in just now, what is
 * recorded for the timeline, and session URLs to play it. A login sees the streams its access key
 * may describe, and plays those it may open HLS sessions for.
 */
#include "console_health.h"

#include "ingest/camera.h"
#include "storage/fragment.h"
#include "storage/stream.h"

enum {
    RECENT_FRAGMENTS_MAX = 30, /* looked at for the current bitrate */
    RECENT_MS_MAX = 30 * 1000,
    LIST_PAGE = 256,
    SPANS_MAX = 4000,
};

static const char action_describe[] = "kinesisvideo:DescribeStream";
static const char action_play[] = "kinesisvideo:GetHLSStreamingSessionURL";
static const char action_dash[] = "kinesisvideo:GetDASHStreamingSessionURL";
static const char action_clip[] = "kinesisvideo:GetClip";

/* --- what comes in now ------------------------------------------------------------------------ */
struct recent {
    struct storage_fragment items[RECENT_FRAGMENTS_MAX]; /* newest first */
    size_t count;
    uint64_t bytes, media_ms; /* of those at most RECENT_MS_MAX older than the newest */
    size_t used;
};

static int recent_read(struct storage *storage, const struct storage_id *id, struct recent *ret)
{
    const struct storage_query query = {
        .order = STORAGE_BY_NUMBER, .from_ms = INT64_MIN, .to_ms = INT64_MAX, .newest_first = true};
    *ret = (struct recent){0};
    int code =
        storage_find(storage, id, &query, ret->items, RECENT_FRAGMENTS_MAX, &ret->count, false);
    if (code < 0)
        return code;
    for (size_t i = 0; i < ret->count; i++) {
        if (ret->items[0].number.server_ts_ms - ret->items[i].number.server_ts_ms > RECENT_MS_MAX)
            break;
        ret->bytes += ret->items[i].bytes;
        ret->media_ms += ret->items[i].full_duration_ms;
        ret->used++;
    }
    return 0;
}

static void write_tracks(struct kn_json_writer *w, const struct kn_mkv_header *header)
{
    kn_json_key(w, "tracks");
    kn_json_array_begin(w);
    for (unsigned i = 0; i < header->track_count; i++) {
        const struct kn_mkv_track *track = &header->tracks[i];
        kn_json_object_begin(w);
        kn_json_key(w, "codec");
        kn_json_text(w, track->codec_id);
        kn_json_key(w, "type");
        kn_json_text(w, track->type == KN_MKV_VIDEO   ? "video"
                        : track->type == KN_MKV_AUDIO ? "audio"
                                                      : "other");
        if (track->type == KN_MKV_VIDEO && track->pixel_width > 0) {
            kn_json_key(w, "width");
            kn_json_u64(w, track->pixel_width);
            kn_json_key(w, "height");
            kn_json_u64(w, track->pixel_height);
        }
        if (track->type == KN_MKV_AUDIO && track->sampling_hz > 0) {
            kn_json_key(w, "samplingHz");
            kn_json_double(w, track->sampling_hz);
            kn_json_key(w, "channels");
            kn_json_u64(w, track->channels);
        }
        kn_json_object_end(w);
    }
    kn_json_array_end(w);
}

/* "now": bitrate, fragment length and delay, from the newest fragments; nothing for an empty one.
 */
static void write_now(struct console_call *call, const struct storage_stream *stream,
                      const struct recent *recent)
{
    struct storage *storage = call->console->conf.storage;
    struct kn_json_writer *w = &call->json;
    struct storage_header *header = NULL;
    if (recent->count == 0)
        return;
    const struct storage_fragment *newest = &recent->items[0];
    kn_json_key(w, "now");
    kn_json_object_begin(w);
    kn_json_key(w, "bitsPerSecond");
    kn_json_u64(w, recent->media_ms > 0 ? recent->bytes * 8000 / recent->media_ms : 0);
    kn_json_key(w, "fragmentMs");
    kn_json_u64(w, recent->media_ms / recent->used);
    kn_json_key(w, "delayMs"); /* from the camera's clock to ours, at the fragment's start */
    kn_json_i64(w, newest->number.server_ts_ms - newest->producer_ts_ms);
    if (storage_header_get(storage, &stream->id, newest, &header, false) == 0) {
        write_tracks(w, &header->parsed);
        storage_header_unref(header);
    }
    kn_json_object_end(w);
}

static void write_health(struct console_call *call, const struct storage_stream *stream,
                         const struct recent *recent)
{
    struct console_health health = {0};
    for (size_t i = recent->used; i > 0; i--)
        (void) console_health_add(&health, &recent->items[i - 1]);
    kn_json_key(&call->json, "health");
    kn_json_object_begin(&call->json);
    console_health_judge(call, stream, &health);
    kn_json_object_end(&call->json);
}

static void write_stream(struct console_call *call, const struct storage_stream *stream,
                         const struct recent *recent)
{
    struct kn_json_writer *w = &call->json;
    struct storage_stream_stats stats;
    int64_t now_ms = kn_wall_ms(call->console->conf.clock);
    kn_json_key(w, "name");
    kn_json_str(w, stream->name);
    kn_json_key(w, "status");
    kn_json_text(w, stream->status == STORAGE_STREAM_ACTIVE ? "ACTIVE" : "DELETING");
    kn_json_key(w, "mediaType");
    kn_json_str(w, stream->media_type);
    kn_json_key(w, "deviceName");
    kn_json_str(w, stream->device_name);
    kn_json_key(w, "version");
    kn_json_text(w, stream->version);
    kn_json_key(w, "createdMs");
    kn_json_i64(w, stream->created_ms);
    kn_json_key(w, "retentionHours");
    kn_json_u64(w, stream->retention_hours);
    kn_json_key(w, "retentionBytes"); /* 0: no limit of its own */
    kn_json_u64(w, stream->retention_bytes);
    if (storage_stream_stats(call->console->conf.storage, &stream->id, &stats, false) == 0) {
        kn_json_key(w, "fragments");
        kn_json_u64(w, stats.fragments);
        kn_json_key(w, "bytes");
        kn_json_u64(w, stats.bytes);
        kn_json_key(w, "oldestMs");
        kn_json_i64(w, stats.oldest_server_ts_ms);
        kn_json_key(w, "newestMs");
        kn_json_i64(w, stats.newest_server_ts_ms);
        kn_json_key(w, "uploading");
        kn_json_bool(w, stats.uploading);
        kn_json_key(w, "live");
        kn_json_bool(w, stats.newest_server_ts_ms > now_ms - CONSOLE_LIVE_MS);
    }
    const char *camera =
        call->console->conf.ingest ? ingest_camera_state(call->console->conf.ingest, stream) : NULL;
    if (camera) {
        kn_json_key(w, "camera");
        kn_json_text(w, camera);
    }
    write_health(call, stream, recent);
    kn_json_key(w, "canPlay");
    kn_json_bool(w, console_allows(call, action_play, stream->name));
    kn_json_key(w, "canDash");
    kn_json_bool(w, console_allows(call, action_dash, stream->name));
    kn_json_key(w, "canClip");
    kn_json_bool(w, console_allows(call, action_clip, stream->name));
    write_now(call, stream, recent);
}

static void write_volume(struct console_call *call)
{
    kn_json_key(&call->json, "volumeFull");
    kn_json_bool(&call->json, storage_ailments(call->console->conf.storage) & STORAGE_VOLUME_FULL);
}

/* --- the list --------------------------------------------------------------------------------- */
static size_t write_page(struct console_call *call, struct storage_stream **page, size_t count)
{
    size_t written = 0;
    for (size_t i = 0; i < count; i++) {
        struct recent recent;
        if (!console_allows(call, action_describe, page[i]->name) ||
            recent_read(call->console->conf.storage, &page[i]->id, &recent) < 0)
            continue;
        kn_json_object_begin(&call->json);
        write_stream(call, page[i], &recent);
        kn_json_object_end(&call->json);
        written++;
    }
    return written;
}

/* ?after=<name>&limit=<n>: streams in order of their names; "next" is there when more may follow.
 */
void console_run_streams(struct console_call *call)
{
    struct storage_stream *page[LIST_PAGE];
    struct kn_json_writer *w = &call->json;
    struct kn_str after = console_query_find(call, "after"); /* names need no escapes in a query */
    int64_t limit = LIST_PAGE;
    if (console_query_i64(call, "limit", LIST_PAGE, &limit) < 0)
        return;
    limit = kn_max_i64(1, kn_min_i64(limit, LIST_PAGE));
    size_t count = storage_stream_list(call->console->conf.storage, (struct kn_str){0}, after, page,
                                       (size_t) limit);
    kn_json_object_begin(w);
    kn_json_key(w, "nowMs");
    kn_json_i64(w, kn_wall_ms(call->console->conf.clock));
    kn_json_key(w, "streams");
    kn_json_array_begin(w);
    (void) write_page(call, page, count);
    kn_json_array_end(w);
    write_volume(call);
    kn_json_key(w, "canAddCamera");
    kn_json_bool(w, console_may_add_camera(call));
    kn_json_key(w, "canCreate");
    kn_json_bool(w, console_allows_some(call, "kinesisvideo:CreateStream"));
    if (count == (size_t) limit) {
        kn_json_key(w, "next");
        kn_json_str(w, page[count - 1]->name);
    }
    kn_json_object_end(w);
    for (size_t i = 0; i < count; i++)
        storage_stream_unref(page[i]);
}

/* --- one stream ------------------------------------------------------------------------------- */
struct storage_stream *console_stream_find(struct console_call *call, const char *action)
{
    struct storage_stream *stream =
        console_allows(call, action, call->name)
            ? storage_stream_find(call->console->conf.storage, call->name)
            : NULL;
    if (!stream)
        console_fail(call, 404, "no_such_stream",
                     "there is no stream " KN_STR_FMT " that you may see", KN_STR_ARG(call->name));
    return stream;
}

void console_run_stream(struct console_call *call)
{
    KN_CLEANUP(storage_stream_unrefp)
    struct storage_stream *stream = console_stream_find(call, action_describe);
    struct kn_json_writer *w = &call->json;
    struct recent recent;
    if (!stream)
        return;
    int code = recent_read(call->console->conf.storage, &stream->id, &recent);
    if (code < 0) {
        console_fail(call, 500, "internal", "the index cannot be read: %s", kn_errname(code));
        return;
    }
    kn_json_object_begin(w);
    kn_json_key(w, "nowMs");
    kn_json_i64(w, kn_wall_ms(call->console->conf.clock));
    write_stream(call, stream, &recent);
    write_volume(call);
    console_write_may_video(call, stream->name);
    kn_json_key(w, "recent"); /* oldest first: for a curve of the bitrate */
    kn_json_array_begin(w);
    for (size_t i = recent.count; i > 0; i--) {
        const struct storage_fragment *fragment = &recent.items[i - 1];
        char number[STORAGE_NUMBER_TEXT_BYTES];
        storage_number_format(&fragment->number, number);
        kn_json_object_begin(w);
        kn_json_key(w, "number");
        kn_json_text(w, number);
        kn_json_key(w, "serverMs");
        kn_json_i64(w, fragment->number.server_ts_ms);
        kn_json_key(w, "producerMs");
        kn_json_i64(w, fragment->producer_ts_ms);
        kn_json_key(w, "bytes");
        kn_json_u64(w, fragment->bytes);
        kn_json_key(w, "durationMs");
        kn_json_u64(w, fragment->full_duration_ms);
        kn_json_key(w, "frames");
        kn_json_u64(w, fragment->frame_count);
        kn_json_object_end(w);
    }
    kn_json_array_end(w);
    kn_json_object_end(w);
}

/* ?from=&to=&gap= in ms: what is recorded, joined over gaps of at most gap. */
void console_run_coverage(struct console_call *call)
{
    KN_CLEANUP(storage_stream_unrefp)
    struct storage_stream *stream = console_stream_find(call, action_describe);
    struct kn_json_writer *w = &call->json;
    int64_t now_ms = kn_wall_ms(call->console->conf.clock), from_ms, to_ms, gap_ms;
    size_t count = 0;
    if (!stream)
        return;
    if (console_query_i64(call, "from", now_ms - 24 * 3600 * 1000, &from_ms) < 0 ||
        console_query_i64(call, "to", now_ms, &to_ms) < 0 ||
        console_query_i64(call, "gap", 5000, &gap_ms) < 0)
        return;
    if (from_ms < 0 || to_ms < from_ms || gap_ms < 0) {
        console_fail(call, 400, "bad_request", "from must not be after to");
        return;
    }
    struct storage_span *spans = malloc(SPANS_MAX * sizeof *spans);
    int code = spans ? storage_coverage(call->console->conf.storage, &stream->id, from_ms, to_ms,
                                        gap_ms, spans, SPANS_MAX, &count)
                     : -ENOMEM;
    if (code < 0) {
        console_fail(call, 500, "internal", "the index cannot be read: %s", kn_errname(code));
        free(spans);
        return;
    }
    kn_json_object_begin(w);
    kn_json_key(w, "nowMs");
    kn_json_i64(w, now_ms);
    kn_json_key(w, "spans");
    kn_json_array_begin(w);
    for (size_t i = 0; i < count; i++) {
        kn_json_array_begin(w); /* [from, to, fragments, bytes] */
        kn_json_i64(w, spans[i].from_ms);
        kn_json_i64(w, spans[i].to_ms);
        kn_json_u64(w, spans[i].fragments);
        kn_json_u64(w, spans[i].bytes);
        kn_json_array_end(w);
    }
    kn_json_array_end(w);
    kn_json_key(w, "complete"); /* false: more spans than one answer holds */
    kn_json_bool(w, count < SPANS_MAX);
    kn_json_object_end(w);
    free(spans);
}

/* --- playing ---------------------------------------------------------------------------------- */
struct play {
    struct kn_str mode, protocol;
    int64_t from_ms, to_ms;
};

static int play_read(struct console_call *call, struct play *ret)
{
    const struct kn_json_member members[] = {
        {"mode",     .str = &ret->mode    },
        {"protocol", .str = &ret->protocol},
        {"from",     .i64 = &ret->from_ms },
        {"to",       .i64 = &ret->to_ms   },
    };
    return kn_json_object_read(call->body, call->arena, members, KN_ARRAY_LEN(members));
}

static const char *mode_of(const struct play *play)
{
    static const char *const modes[] = {"LIVE", "LIVE_REPLAY", "ON_DEMAND"};
    for (size_t i = 0; i < KN_ARRAY_LEN(modes); i++)
        if (kn_str_eq(play->mode, kn_str_from(modes[i])))
            return i == 0 || play->from_ms > 0 ? modes[i] : NULL;
    return NULL;
}

static int protocol_of(const struct play *play, enum playback_protocol *ret)
{
    *ret = kn_str_eq(play->protocol, KN_STR("DASH")) ? PLAYBACK_OVER_DASH : PLAYBACK_OVER_HLS;
    return play->protocol.len == 0 || *ret == PLAYBACK_OVER_DASH ||
                   kn_str_eq(play->protocol, KN_STR("HLS"))
               ? 0
               : -EINVAL;
}

static void answer_play(struct console_call *call, int code, enum playback_protocol protocol,
                        const struct kn_buf *path, const struct kn_err *err)
{
    if (code == -ENOENT) {
        console_fail(call, 404, "nothing_to_play", "%s",
                     *err->text ? err->text : "nothing is recorded there");
    } else if (code == -EINVAL || code == -ENODATA || code == -EBADMSG) { /* the codecs, it says */
        console_fail(call, 422, "cannot_play", "%s",
                     *err->text                       ? err->text
                     : protocol == PLAYBACK_OVER_DASH ? "this video cannot be carried by DASH"
                                                      : "this video cannot be carried by HLS");
    } else if (code < 0) {
        console_fail(call, 500, "internal", "%s", *err->text ? err->text : kn_errname(code));
    } else {
        kn_json_object_begin(&call->json);
        kn_json_key(&call->json, "url");
        kn_json_str(&call->json, kn_arena_printf(call->arena, KN_STR_FMT KN_STR_FMT,
                                                 KN_STR_ARG(console_api_url(call)),
                                                 KN_STR_ARG(kn_buf_str(path))));
        kn_json_object_end(&call->json);
    }
}

/* {"mode": "LIVE"} or {"mode": "LIVE_REPLAY" | "ON_DEMAND", "from": ms, "to": ms}, "protocol":
 * "HLS" | "DASH": {"url": …}. */
void console_run_play(struct console_call *call)
{
    struct play play = {0};
    struct kn_err err = {0};
    struct kn_buf path;
    enum playback_protocol protocol = PLAYBACK_OVER_HLS;
    bool read = play_read(call, &play) == 0 && protocol_of(&play, &protocol) == 0;
    const char *mode = read ? mode_of(&play) : NULL;
    if (!mode) {
        console_fail(call, 400, "bad_request",
                     "mode must be LIVE, or LIVE_REPLAY or ON_DEMAND with from (and to) in ms; "
                     "protocol HLS or DASH");
        return;
    }
    KN_CLEANUP(storage_stream_unrefp)
    struct storage_stream *stream =
        console_stream_find(call, protocol == PLAYBACK_OVER_DASH ? action_dash : action_play);
    if (!stream)
        return;
    kn_buf_init(&path, KIB(8));
    int code = playback_console_session(call->console->conf.playback, stream->name, protocol, mode,
                                        play.from_ms, play.to_ms, call->key, &path, &err);
    answer_play(call, code, protocol, &path, &err);
    kn_buf_done(&path);
}

/* {"from": ms, "to": ms}: {"url": …, "bytes": …} of an MP4 that shows just that. */
void console_run_clip(struct console_call *call)
{
    struct play play = {0};
    struct kn_err err = {0};
    struct kn_buf path;
    uint64_t bytes = 0;
    KN_CLEANUP(storage_stream_unrefp)
    struct storage_stream *stream = console_stream_find(call, action_clip);
    if (!stream)
        return;
    if (play_read(call, &play) < 0 || play.from_ms <= 0 || play.to_ms <= play.from_ms) {
        console_fail(call, 400, "bad_request", "from and to are times in ms, to the later one");
        return;
    }
    kn_buf_init(&path, KIB(8));
    int code = playback_console_clip(call->console->conf.playback, stream->name, play.from_ms,
                                     play.to_ms, call->key, &path, &bytes, &err);
    if (code == -ENOENT) {
        console_fail(call, 404, "nothing_there", "nothing is recorded there");
    } else if (code == -EINVAL || code == -ENODATA || code == -EBADMSG || code == -EILSEQ ||
               code == -EMSGSIZE) {
        console_fail(call, 422, "cannot_clip", "%s",
                     *err.text ? err.text : "an MP4 cannot hold this video");
    } else if (code < 0) {
        console_fail(call, 500, "internal", "%s", *err.text ? err.text : kn_errname(code));
    } else {
        kn_json_object_begin(&call->json);
        kn_json_key(&call->json, "url");
        kn_json_str(&call->json, kn_arena_printf(call->arena, KN_STR_FMT KN_STR_FMT,
                                                 KN_STR_ARG(console_api_url(call)),
                                                 KN_STR_ARG(kn_buf_str(&path))));
        kn_json_key(&call->json, "bytes");
        kn_json_u64(&call->json, bytes);
        kn_json_object_end(&call->json);
    }
    kn_buf_done(&path);
}
