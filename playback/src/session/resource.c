/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The resources of a session under /hls/v1/ and /dash/v1/, and clips under /clip/v1/: plain GETs
 * whose token is all they need, as a parameter or as the folder they lie in. A request tries
 * everything without waiting first, on its event loop; what needs the disk, or a long list, goes to
 * a worker once. Media leaves in pieces read straight into the answer; when a piece is not in
 * memory, a worker reads a quarter of a megabyte, which is all a viewer ever holds. Any page may
 * play: CORS is open here, since a token, not a cookie, is the right to see.
 */
#include "clip/answer.h"
#include "core/json.h"
#include "core/log.h"
#include "dash/manifest.h"
#include "hls/hls.h"
#include "hls/playlist.h"
#include "session/media.h"

enum {
    TEXT_WHOLE_ENTRIES = 64,
    COUNTED_ON_LOOP_MAX =
        50000, /* entries: half a millisecond; longer texts are counted on a worker */
};

enum family { /* of resources: a folder each */
    OF_HLS,
    OF_DASH,
    OF_CLIPS,
};
static const char *const roots[] = {PLAYBACK_HLS_RESOURCES, PLAYBACK_DASH_RESOURCES,
                                    PLAYBACK_CLIP_RESOURCES};

enum resource {
    MASTER,
    PLAYLIST,
    INIT,
    MEDIA,
    TS,
    MANIFEST,
    CLIP,
};

struct request {
    struct playback *playback;
    struct kn_http_req *req;
    enum resource resource;
    enum family family;
    struct playback_session session;
    struct kn_str folder; /* the path's part that is the token; empty: it is a parameter */
    struct kn_str token, number;
    uint64_t track, sequence;
    struct kn_err err;
    int result; /* of the preparation */
    bool key_checked, answered, job_runs;
    /* what is answered */
    struct playback_list *list;
    struct playback_playlist playlist;
    struct playback_manifest manifest;
    bool manifest_more; /* text is not all of it */
    struct kn_buf text; /* all of it, or what did not fit into the last piece */
    size_t text_at;
    uint64_t text_bytes; /* of a playlist that is written as it leaves */
    struct playback_init *init;
    struct playback_media *media;
    struct playback_clip_answer *clip;
    char clip_name[384]; /* what a browser calls the file */
};

/* --- errors ---------------------------------------------------------------------------------- */

static void reply_error(struct kn_http_req *req, int status, const char *name, const char *message)
{
    char id[37], type[128];
    kn_api_uuid(id);
    (void) snprintf(type, sizeof type, "%s:", name);
    struct kn_http_header headers[] = {
        {KN_STR("content-type"),                  KN_STR("application/json")     },
        {KN_STR("x-amzn-errortype"),              kn_str_from(type)              },
        {KN_STR("x-amzn-requestid"),              kn_str_from(id)                },
        {KN_STR("access-control-allow-origin"),   KN_STR("*")                    },
        {KN_STR("access-control-expose-headers"),
         KN_STR("x-amzn-ErrorType,x-amzn-RequestId,Content-Length,Content-Range")},
        {KN_STR("cache-control"),                 KN_STR("no-store")             },
    };
    struct kn_buf body;
    struct kn_json_writer w;
    kn_buf_init(&body, KIB(4));
    kn_json_writer_init(&w, &body);
    kn_json_object_begin(&w);
    kn_json_key(&w, "Message");
    kn_json_text(&w, message);
    kn_json_object_end(&w);
    kn_http_reply(req, status, headers, KN_ARRAY_LEN(headers), kn_buf_bytes(&body));
    kn_buf_done(&body);
}

static void reply_result(struct request *r, int result)
{
    const char *text = r->err.code ? r->err.text : "The media could not be read.";
    switch (-result) {
    case ENOENT:
        reply_error(r->req, 404, "ResourceNotFoundException",
                    r->resource == MASTER || r->resource == PLAYLIST || r->resource == MANIFEST
                        ? "No fragments found in the stream for the streaming request."
                        : "The requested fragment is not found or not in this session.");
        return;
    case EINVAL:
        reply_error(r->req, 400, "UnsupportedStreamMediaTypeException", text);
        return;
    case ENODATA:
        reply_error(r->req, 400, "MissingCodecPrivateDataException", text);
        return;
    case EILSEQ:
        reply_error(r->req, 400, "InvalidMediaFrameException", text);
        return;
    case EBADMSG:
        reply_error(r->req, 400, "InvalidCodecPrivateDataException", text);
        return;
    case EACCES:
        reply_error(r->req, 403, "NotAuthorizedException",
                    "The access key that opened the streaming session is not valid any more.");
        return;
    case EAGAIN:
        reply_error(r->req, 503, "ServiceUnavailable", "The server is busy.");
        return;
    default:
        kn_log_warn("session_resource_failed", "resource=%d err=%s", (int) r->resource,
                    kn_errname(result));
        reply_error(r->req, 500, "InternalFailure", text);
    }
}

/* --- the answer ------------------------------------------------------------------------------- */

static void reply_text(struct request *r)
{
    const struct kn_http_header headers[] = {
        {KN_STR("content-type"),                r->resource == MANIFEST ? KN_STR("application/dash+xml")
                                                         : KN_STR("application/vnd.apple.mpegurl")},
        {KN_STR("access-control-allow-origin"), KN_STR("*")                                                                       },
        {KN_STR("cache-control"),               KN_STR("no-cache")                                                                },
    };
    if (r->manifest_more)
        kn_http_reply_stream(r->req, 200, headers, KN_ARRAY_LEN(headers), KN_HTTP_LENGTH_UNKNOWN);
    else if (r->resource == MASTER || r->resource == MANIFEST || r->playlist.done)
        kn_http_reply(r->req, 200, headers, KN_ARRAY_LEN(headers), kn_buf_bytes(&r->text));
    else
        kn_http_reply_stream(r->req, 200, headers, KN_ARRAY_LEN(headers), r->text_bytes);
}

static void reply_init(struct request *r)
{
    const struct kn_http_header headers[] = {
        {KN_STR("content-type"),                r->init->audio ? KN_STR("audio/mp4") : KN_STR("video/mp4")},
        {KN_STR("access-control-allow-origin"), KN_STR("*")                                               },
        {KN_STR("cache-control"),               KN_STR("max-age=86400, immutable")                        },
    };
    kn_http_reply(r->req, 200, headers, KN_ARRAY_LEN(headers),
                  (struct kn_bytes){r->init->bytes, r->init->len});
}

static void reply_clip(struct request *r)
{
    struct kn_http_header headers[4 + PLAYBACK_CLIP_HEADERS] = {
        {KN_STR("content-type"),                KN_STR("video/mp4")      },
        {KN_STR("content-disposition"),         kn_str_from(r->clip_name)},
        {KN_STR("access-control-allow-origin"), KN_STR("*")              },
        {KN_STR("cache-control"),               KN_STR("no-store")       },
    };
    playback_clip_answer_start(r->clip, r->req, headers, 4);
}

static void answer(struct request *r)
{
    r->answered = true;
    if (r->result < 0)
        reply_result(r, r->result);
    else if (r->media)
        playback_media_reply(r->media, r->req);
    else if (r->clip)
        reply_clip(r);
    else if (r->init)
        reply_init(r);
    else
        reply_text(r);
}

/* --- preparing it, on the loop or on a worker ------------------------------------------------- */

static int check_key(struct request *r, bool nowait)
{
    struct kn_keyring *ring = r->playback->keyring;
    if (r->key_checked || !ring)
        return 0;
    struct kn_key *key;
    struct kn_str id = kn_str_from(r->session.key_id);
    int result = nowait ? ring->find(ring, id, &key) : ring->find_blocking(ring, id, &key);
    if (result == -ENOENT)
        return -EACCES; /* revoking a key ends its sessions */
    if (result < 0)
        return result;
    bool expired = key->expires_ms && key->expires_ms <= kn_wall_ms(r->playback->clock);
    ring->unref(ring, key);
    r->key_checked = !expired;
    return expired ? -EACCES : 0;
}

static int check_stream(struct request *r)
{
    KN_CLEANUP(storage_stream_unrefp)
    struct storage_stream *stream =
        storage_stream_find_id(r->playback->storage, &r->session.stream);
    bool same = stream && stream->status == STORAGE_STREAM_ACTIVE &&
                stream->created_ms == r->session.stream_created_ms;
    return same ? 0 : -ENOENT;
}

/* What the addresses of a playlist must carry: in the session's folder nothing. */
static struct kn_str token_to_write(const struct request *r)
{
    return r->folder.len ? KN_STR("") : r->token;
}

static int prepare_playlist(struct request *r, bool nowait)
{
    int result = playback_sessions_list(r->playback, &r->session, &r->list, nowait);
    if (result < 0)
        return result;
    if (!r->list->count && r->session.mode != PLAYBACK_LIVE_REPLAY)
        return -ENOENT;
    if (nowait && r->list->count > COUNTED_ON_LOOP_MAX) {
        playback_list_unref(r->list);
        r->list = NULL;
        return -EAGAIN;
    }
    const unsigned both = PLAYBACK_PICTURES | PLAYBACK_SOUND; /* then nothing need be lent */
    int lends = (r->list->kinds & both) == both
                    ? 0
                    : playback_sessions_lends(r->playback, &r->session, nowait);
    if (lends < 0) {
        playback_list_unref(r->list);
        r->list = NULL;
        return lends;
    }
    playback_playlist_init(&r->playlist, &r->session, r->list, token_to_write(r),
                           (unsigned) r->track, lends > 0);
    r->text_bytes = playback_playlist_bytes(&r->playlist);
    if (r->list->count > TEXT_WHOLE_ENTRIES)
        return 0;
    kn_buf_clear(&r->text);
    result = kn_buf_reserve(&r->text, (size_t) r->text_bytes);
    if (result == 0)
        r->text.len = playback_playlist_read(&r->playlist, (char *) r->text.ptr, r->text.cap);
    return result;
}

/* A short one is text at once; of a long one each pull writes on. */
static int prepare_manifest(struct request *r, bool nowait)
{
    playback_manifest_done(&r->manifest);
    playback_list_unref(r->list);
    r->list = NULL;
    int result = playback_sessions_list(r->playback, &r->session, &r->list, nowait);
    if (result == 0)
        result = r->list->count ? playback_manifest_init(&r->manifest, r->playback, &r->session,
                                                         r->list, token_to_write(r), nowait)
                                : -ENOENT;
    if (result < 0)
        return result;
    kn_buf_clear(&r->text);
    r->manifest_more = r->list->count > TEXT_WHOLE_ENTRIES;
    while (!r->manifest_more && playback_manifest_step(&r->manifest, &r->text))
        continue;
    return r->text.error;
}

static int prepare_media(struct request *r, bool nowait)
{
    struct storage_fragment fragment;
    int result =
        r->family == OF_DASH
            ? playback_sessions_sequence(r->playback, &r->session, r->sequence, &fragment, nowait)
            : playback_sessions_fragment(r->playback, &r->session, r->number, &fragment, nowait);
    return result < 0 ? result
                      : playback_media_prepare(r->playback, &r->session, &fragment, r->track,
                                               &r->media, &r->err, nowait);
}

/* Planning reads the frame tables of all fragments: never on the loop. */
static int prepare_clip(struct request *r, bool nowait)
{
    struct playback_clip *clip;
    KN_CLEANUP(storage_stream_unrefp) struct storage_stream *stream = NULL;
    if (nowait)
        return -EAGAIN;
    stream = storage_stream_find_id(r->playback->storage, &r->session.stream);
    (void) snprintf(r->clip_name, sizeof r->clip_name,
                    "attachment; filename=\"" KN_STR_FMT "-%" PRId64 ".mp4\"",
                    KN_STR_ARG(stream ? stream->name : KN_STR("clip")), r->session.from_ms);
    int result = playback_clip_open(r->playback,
                                    &(struct playback_clip_in){.stream = r->session.stream,
                                                               .clock = r->session.clock,
                                                               .from_ms = r->session.from_ms,
                                                               .to_ms = r->session.to_ms,
                                                               .exact = true},
                                    &clip, &r->err);
    return result < 0 ? result : playback_clip_answer_new(clip, &r->clip);
}

static int prepare(struct request *r, bool nowait)
{
    int result = check_key(r, nowait);
    if (result == 0)
        result = check_stream(r);
    if (result < 0)
        return result;
    switch (r->resource) {
    case MASTER:
        kn_buf_clear(&r->text);
        return playback_hls_master(r->playback, &r->session, token_to_write(r), &r->text, &r->err,
                                   nowait);
    case PLAYLIST:
        return prepare_playlist(r, nowait);
    case INIT:
        return playback_sessions_init_segment(r->playback, &r->session, r->sequence, r->track,
                                              &r->init, &r->err, nowait);
    case MANIFEST:
        return prepare_manifest(r, nowait);
    case CLIP:
        return prepare_clip(r, nowait);
    case MEDIA:
    case TS:
        break;
    }
    return prepare_media(r, nowait);
}

static void prepare_job(void *arg)
{
    struct request *r = arg;
    r->result = prepare(r, false);
}

/* --- reading the request ---------------------------------------------------------------------- */

/* /hls/v1/RESOURCE or /hls/v1/s/TOKEN/RESOURCE; so under /dash/v1/. */
static int find_resource(struct kn_str path, enum family *ret_family, enum resource *ret,
                         struct kn_str *ret_folder)
{
    static const struct {
        const char *name;
        enum family family;
        enum resource resource;
    } names[] = {
        {"getHLSMasterPlaylist.m3u8", OF_HLS,   MASTER  },
        {"getHLSMediaPlaylist.m3u8",  OF_HLS,   PLAYLIST},
        {"getMP4InitFragment.mp4",    OF_HLS,   INIT    },
        {"getMP4MediaFragment.mp4",   OF_HLS,   MEDIA   },
        {"getTSFragment.ts",          OF_HLS,   TS      },
        {"getTSFragment",             OF_HLS,   TS      },
        {"getDASHManifest.mpd",       OF_DASH,  MANIFEST},
        {"getMP4InitFragment.mp4",    OF_DASH,  INIT    },
        {"getMP4MediaFragment.mp4",   OF_DASH,  MEDIA   },
        {"getClip.mp4",               OF_CLIPS, CLIP    },
    };
    enum family family = OF_HLS;
    for (size_t i = 0; i < KN_ARRAY_LEN(roots); i++)
        if (kn_str_starts_with(path, kn_str_from(roots[i])))
            family = (enum family) i;
    struct kn_str name = kn_str_skip(path, strlen(roots[family])), folder = {0};
    if (kn_str_starts_with(name, KN_STR(PLAYBACK_SESSION_FOLDER))) {
        name = kn_str_skip(name, strlen(PLAYBACK_SESSION_FOLDER));
        name = kn_str_cut(name, '/', &folder);
        if (!folder.len)
            return -ENOENT;
    }
    for (size_t i = 0; i < KN_ARRAY_LEN(names); i++)
        if (names[i].family == family && kn_str_eq(name, kn_str_from(names[i].name))) {
            *ret_family = family;
            *ret = names[i].resource;
            *ret_folder = folder;
            return 0;
        }
    return -ENOENT;
}

static int read_number(struct kn_http_req *req, const char *name, uint64_t *ret)
{
    struct kn_str text;
    int r = kn_http_query_param(req, name, &text);
    return r < 0 ? r : kn_str_to_u64(text, INT64_MAX, ret);
}

/* 0, or an error has been answered. */
static int read_query(struct request *r)
{
    struct kn_http_req *req = r->req;
    bool fmp4_only = r->resource == INIT || r->resource == MEDIA;
    bool by_sequence = r->resource == INIT || (r->family == OF_DASH && r->resource == MEDIA);
    bool bad =
        (fmp4_only || r->resource == PLAYLIST) && read_number(req, "TrackNumber", &r->track) < 0;
    bad |= by_sequence && read_number(req, "SequenceNumber", &r->sequence) < 0;
    bad |= r->family == OF_HLS && (r->resource == MEDIA || r->resource == TS) &&
           kn_http_query_param(req, "FragmentNumber", &r->number) < 0;
    if (bad) {
        reply_error(req, 400, "InvalidArgumentException",
                    "A parameter of the session resource is missing or malformed.");
        return -EINVAL;
    }
    enum family due_family = r->session.container == PLAYBACK_DASH   ? OF_DASH
                             : r->session.container == PLAYBACK_CLIP ? OF_CLIPS
                                                                     : OF_HLS;
    if (r->family != due_family) {
        reply_error(req, 400, "InvalidArgumentException",
                    "The session was opened for another protocol.");
        return -EINVAL;
    }
    enum playback_container due = r->resource == TS      ? PLAYBACK_TS
                                  : r->family == OF_DASH ? PLAYBACK_DASH
                                                         : PLAYBACK_FMP4;
    if ((fmp4_only || r->resource == TS) && r->session.container != due) {
        reply_error(req, 400, "InvalidArgumentException",
                    "The session was opened for another ContainerFormat.");
        return -EINVAL;
    }
    if (r->resource == PLAYLIST && (r->track < 1 || r->track > PLAYBACK_TRACKS_MAX)) {
        reply_error(req, 404, "ResourceNotFoundException", "The session has no such track.");
        return -EINVAL;
    }
    return 0;
}

static int read_token(struct request *r)
{
    int result = r->folder.len ? kn_http_decode(r->req, r->folder, &r->token)
                               : kn_http_query_param(r->req, "SessionToken", &r->token);
    if (result < 0) {
        reply_error(r->req, 400, "InvalidArgumentException", "SessionToken is required.");
        return -EINVAL;
    }
    result = playback_session_open(&r->playback->sessions->key, r->token, &r->session);
    if (result < 0) {
        reply_error(r->req, 403, "NotAuthorizedException", "Streaming session token is invalid");
        return result;
    }
    if (r->session.expires_ms <= kn_wall_ms(r->playback->clock)) {
        reply_error(r->req, 403, "NotAuthorizedException", "Streaming session token is expired");
        return -EACCES;
    }
    return 0;
}

static int head(struct kn_http_req *req, void **ctx)
{
    struct playback *playback = *ctx;
    *ctx = NULL;
    enum resource resource;
    enum family family;
    struct kn_str folder;
    if (find_resource(kn_http_path(req), &family, &resource, &folder) < 0) {
        reply_error(req, 404, "ResourceNotFoundException", "There is no such session resource.");
        return 0;
    }
    struct request *r = calloc(1, sizeof *r);
    if (!r)
        return -ENOMEM;
    *ctx = r;
    r->playback = playback;
    r->req = req;
    r->resource = resource;
    r->family = family;
    r->folder = folder;
    kn_buf_init(&r->text, MIB(1));
    if (read_token(r) < 0 || read_query(r) < 0) {
        r->answered = true;
        return 0;
    }
    r->result = prepare(r, true);
    if (r->result == -EAGAIN) {
        r->job_runs = kn_http_offload(req, KN_HTTP_READS, prepare_job, r) == 0;
        if (r->job_runs)
            return 0;
    }
    answer(r);
    return 0;
}

static void wake(struct kn_http_req *req, void *ctx, uint32_t bits)
{
    struct request *r = ctx;
    (void) req;
    if (!r)
        return;
    if (bits & KN_HTTP_WAKE_JOB && !r->answered) {
        r->job_runs = false;
        answer(r);
    } else if (r->media) {
        playback_media_wake(r->media, bits);
    } else if (r->clip) {
        playback_clip_answer_wake(r->clip, bits);
    }
}

/* Lines go straight to where they are sent from; those that do not fit whole go by way of text. */
static ssize_t pull_text(struct request *r, uint8_t *dst, size_t cap)
{
    if (r->text_at == r->text.len && r->resource == MANIFEST) {
        kn_buf_clear(&r->text);
        r->text_at = 0;
        while (r->manifest_more && !r->text.len)
            r->manifest_more = playback_manifest_step(&r->manifest, &r->text);
        if (!r->text.len || r->text.error)
            return r->text.error ? KN_HTTP_FAIL : KN_HTTP_EOF;
    }
    if (r->text_at == r->text.len) {
        size_t written = playback_playlist_read(&r->playlist, (char *) dst, cap);
        if (written)
            return (ssize_t) written;
        kn_buf_clear(&r->text);
        r->text_at = 0;
        if (kn_buf_reserve(&r->text, PLAYBACK_PLAYLIST_LINES_BYTES_MAX) < 0)
            return KN_HTTP_FAIL;
        r->text.len = playback_playlist_read(&r->playlist, (char *) r->text.ptr, r->text.cap);
        if (!r->text.len)
            return KN_HTTP_EOF;
    }
    size_t len = r->text.len - r->text_at;
    len = len < cap ? len : cap;
    memcpy(dst, r->text.ptr + r->text_at, len);
    r->text_at += len;
    return (ssize_t) len;
}

static ssize_t pull(struct kn_http_req *req, void *ctx, void *dst, size_t cap)
{
    struct request *r = ctx;
    if (r && r->media)
        return playback_media_pull(r->media, req, dst, cap);
    if (r && r->clip)
        return playback_clip_answer_pull(r->clip, req, dst, cap);
    return r ? pull_text(r, dst, cap) : KN_HTTP_FAIL;
}

static void gone(struct kn_http_req *req, void *ctx, enum kn_http_why why)
{
    struct request *r = ctx;
    (void) req;
    (void) why;
    if (!r)
        return;
    playback_manifest_done(&r->manifest);
    playback_list_unref(r->list);
    playback_cached_unref(r->init ? &r->init->base : NULL);
    playback_media_free(r->media);
    playback_clip_answer_free(r->clip);
    kn_buf_done(&r->text);
    free(r);
}

static const struct kn_http_ops resource_ops = {
    .head = head, .pull = pull, .wake = wake, .gone = gone};

/* --- CORS ------------------------------------------------------------------------------------ */

static int options_head(struct kn_http_req *req, void **ctx)
{
    static const struct kn_http_header headers[] = {
        {KN_STR_INIT("access-control-allow-origin"),  KN_STR_INIT("*")                      },
        {KN_STR_INIT("access-control-allow-methods"), KN_STR_INIT("GET, HEAD, OPTIONS")     },
        {KN_STR_INIT("access-control-allow-headers"), KN_STR_INIT("*, range, authorization")},
        {KN_STR_INIT("access-control-max-age"),       KN_STR_INIT("86400")                  },
    };
    *ctx = NULL;
    kn_http_reply(req, 204, headers, KN_ARRAY_LEN(headers), (struct kn_bytes){NULL, 0});
    return 0;
}

static void options_gone(struct kn_http_req *req, void *ctx, enum kn_http_why why)
{
    (void) req;
    (void) ctx;
    (void) why;
}

static const struct kn_http_ops options_ops = {.head = options_head, .gone = options_gone};

int playback_add_routes(struct playback *playback, struct kn_http_router *router)
{
    static const char *const patterns[] = {PLAYBACK_HLS_RESOURCES "*", PLAYBACK_DASH_RESOURCES "*",
                                           PLAYBACK_CLIP_RESOURCES "*"};
    int r = 0;
    for (size_t i = 0; r == 0 && i < KN_ARRAY_LEN(patterns); i++) {
        r = kn_http_router_add(router, "GET", patterns[i], &resource_ops, playback);
        if (r == 0)
            r = kn_http_router_add(router, "OPTIONS", patterns[i], &options_ops, playback);
    }
    return r;
}
