/* SPDX-License-Identifier: Apache-2.0 */
#include "player.h"

#include "reader.h"
#include "say.h"
#include "send_track.h"

#include <errno.h>
#include <gst/app/gstappsrc.h>

enum {
    PATIENCE_MS = 6000,     /* of a DESCRIBE, for the stream's first fragment */
    GAP_MS = 10000,         /* a longer one is not waited out */
    GAP_SHOWN_MS = 40,      /* what is left of it */
    WAITING_MAX = 16 << 20, /* bytes of a track that wait for their time */
    SAID_BYTES = 200,
};

struct outlet { /* of one track */
    struct kn_mkv_track track;
    struct kn_buf private; /* its codec_private */
    GstElement *appsrc;    /* NULL: not sent */
    bool settled;          /* appsrc has the caps of the header of now */
};

struct camera_player {
    struct camera_listener *listener;
    struct camera_peer *peer;
    char *stream, *key;
    struct camera_reader *reader;
    GThread *thread;
    GMutex lock; /* what follows */
    GCond changed;
    bool known, ready, over; /* tracks are known; appsrcs are there; the thread has ended */
    bool began;
    struct outlet outlets[KN_MKV_TRACKS_MAX];
    unsigned count;
    char said[SAID_BYTES];
    /* the thread's */
    bool timed;
    int64_t base_ms, last_ms;
    uint64_t frames;
};

/* --- tracks ----------------------------------------------------------------------------------- */
static int outlet_set(struct outlet *o, const struct kn_mkv_track *track)
{
    struct kn_bytes private = track->codec_private;
    bool same = o->private.len == private.len &&
                (private.len == 0 || !memcmp(o->private.ptr, private.ptr, private.len));
    o->settled = o->settled && same;
    o->track = *track;
    if (!same) {
        kn_buf_clear(&o->private);
        if (kn_buf_append(&o->private, private.ptr, private.len) < 0)
            return -ENOMEM;
    }
    o->track.codec_private = kn_buf_bytes(&o->private);
    return 0;
}

static bool any_is_sent(const struct camera_player *p)
{
    for (unsigned i = 0; i < p->count; i++) {
        if (camera_send_chain(&p->outlets[i].track))
            return true;
    }
    return false;
}

/* The tracks of a session stay what they are; their parameter sets may change. */
static int on_header(void *ctx, const struct kn_mkv_header *header)
{
    struct camera_player *p = ctx;
    int code = 0;
    g_mutex_lock(&p->lock);
    if (!p->known)
        p->count = header->track_count;
    if (header->track_count != p->count)
        code = -ESTALE;
    for (unsigned i = 0; i < p->count && code == 0; i++) {
        struct outlet *o = &p->outlets[i];
        if (p->known && strcmp(o->track.codec_id, header->tracks[i].codec_id) != 0)
            code = -ESTALE;
        else
            code = outlet_set(o, &header->tracks[i]);
    }
    p->known = true;
    g_cond_broadcast(&p->changed);
    while (code == 0 && !p->ready && !p->over)
        g_cond_wait(&p->changed, &p->lock);
    code = p->over ? -ECANCELED : code;
    g_mutex_unlock(&p->lock);
    return code;
}

/* --- frames ----------------------------------------------------------------------------------- */
/* When a frame is due, in ms since the first. Time that was not recorded is not waited for, nor is
 * a clock followed that was set back. */
static int64_t due(struct camera_player *p, const struct camera_frame *frame, bool fragment_begins)
{
    int64_t ms = frame->time_ms - p->base_ms;
    if (!p->timed || (fragment_begins && (ms - p->last_ms > GAP_MS || p->last_ms - ms > GAP_MS))) {
        p->base_ms = frame->time_ms - (p->timed ? p->last_ms + GAP_SHOWN_MS : 0);
        p->timed = true;
        ms = frame->time_ms - p->base_ms;
    }
    p->last_ms = kn_max_i64(p->last_ms, ms);
    return kn_max_i64(ms, 0);
}

static GstBuffer *buffer_of(const struct outlet *o, const struct camera_frame *frame)
{
    GstBuffer *buffer = gst_buffer_new_memdup(frame->bytes.ptr, frame->bytes.len);
    if (frame->key && frame->video && camera_send_private_first(&o->track))
        gst_buffer_prepend_memory(
            buffer, gst_memory_new_wrapped(0, g_memdup2(o->private.ptr, o->private.len),
                                           o->private.len, 0, o->private.len, NULL, NULL));
    if (!frame->key)
        GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT);
    return buffer;
}

static int on_frame(void *ctx, const struct camera_frame *frame, bool fragment_begins)
{
    struct camera_player *p = ctx;
    struct outlet *o = NULL;
    int64_t due_ms = due(p, frame, fragment_begins);
    for (unsigned i = 0; i < p->count && !o; i++)
        o = p->outlets[i].track.number == frame->track ? &p->outlets[i] : NULL;
    if (!o || !o->appsrc || frame->bytes.len == 0)
        return 0;
    if (!o->settled) {
        GstCaps *caps = camera_send_caps(&o->track, frame->bytes);
        if (!caps)
            return 0; /* a later frame may tell */
        gst_app_src_set_caps(GST_APP_SRC(o->appsrc), caps);
        gst_caps_unref(caps);
        o->settled = true;
    }
    GstBuffer *buffer = buffer_of(o, frame);
    GST_BUFFER_PTS(buffer) = (GstClockTime) due_ms * GST_MSECOND;
    p->frames++;
    /* Waits while the track is far enough ahead. */
    return gst_app_src_push_buffer(GST_APP_SRC(o->appsrc), buffer) == GST_FLOW_OK ? 0 : -ECANCELED;
}

/* --- its life --------------------------------------------------------------------------------- */
static gpointer thread_main(gpointer arg)
{
    static const struct camera_reader_ops ops = {on_header, on_frame};
    struct camera_player *p = arg;
    int code = camera_reader_run(p->reader, &ops, p);
    g_mutex_lock(&p->lock);
    bool left = p->over || code == -ECANCELED; /* the viewer */
    p->over = true;
    if (code == -ESTALE)
        g_strlcpy(p->said, "the stream's tracks have changed", sizeof p->said);
    else if (code == -ENOENT)
        g_strlcpy(p->said, "the stream is gone", sizeof p->said);
    else if (code < 0 && !left)
        g_strlcpy(p->said, g_strerror(-code), sizeof p->said);
    else if (!left)
        g_strlcpy(p->said, "nothing more came", sizeof p->said);
    for (unsigned i = 0; i < p->count && !left; i++) {
        if (p->outlets[i].appsrc)
            gst_app_src_end_of_stream(GST_APP_SRC(p->outlets[i].appsrc));
    }
    g_cond_broadcast(&p->changed);
    g_mutex_unlock(&p->lock);
    return NULL;
}

static struct camera_player *player_new(struct camera_listener *listener, struct camera_peer *peer,
                                        int64_t from_ms)
{
    struct camera_player *p = g_new0(struct camera_player, 1);
    p->listener = listener;
    p->peer = camera_peer_ref(peer);
    p->stream = g_strdup(peer->stream);
    p->key = g_strdup(peer->key);
    g_mutex_init(&p->lock);
    g_cond_init(&p->changed);
    for (unsigned i = 0; i < KN_MKV_TRACKS_MAX; i++)
        kn_buf_init(&p->outlets[i].private, KN_MKV_CODEC_PRIVATE_BYTES_MAX);
    p->reader =
        camera_reader_new(listener->socket_path, p->stream, from_ms, listener->settings.idle_ms);
    p->thread = g_thread_new("player", thread_main, p);
    return p;
}

/* The media is gone, or there was none: whoever waits in an appsrc has been let go. */
static void player_free(gpointer arg)
{
    struct camera_player *p = arg;
    g_mutex_lock(&p->lock);
    p->over = true;
    g_cond_broadcast(&p->changed);
    g_mutex_unlock(&p->lock);
    camera_reader_stop(p->reader);
    g_thread_join(p->thread);
    if (p->began) {
        char *said = g_strdup_printf("%" G_GUINT64_FORMAT " frames%s%s", p->frames,
                                     *p->said ? "; " : "", p->said);
        g_mutex_lock(&p->listener->lock);
        p->listener->viewers--;
        g_mutex_unlock(&p->listener->lock);
        camera_say("view_ended", p->stream, p->peer->address, p->key, said);
        g_free(said);
    }
    camera_reader_free(p->reader);
    for (unsigned i = 0; i < KN_MKV_TRACKS_MAX; i++) {
        if (p->outlets[i].appsrc)
            gst_object_unref(p->outlets[i].appsrc);
        kn_buf_done(&p->outlets[i].private);
    }
    g_cond_clear(&p->changed);
    g_mutex_clear(&p->lock);
    camera_peer_unref(p->peer);
    g_free(p->stream);
    g_free(p->key);
    g_free(p);
}

/* --- the media -------------------------------------------------------------------------------- */
typedef struct {
    GstRTSPMediaFactory parent;
    struct camera_player *player; /* until a media has it */
} CameraPlayerFactory;
typedef struct {
    GstRTSPMediaFactoryClass parent;
} CameraPlayerFactoryClass;
GType camera_player_factory_get_type(void);
G_DEFINE_TYPE(CameraPlayerFactory, camera_player_factory, GST_TYPE_RTSP_MEDIA_FACTORY)

static const char player_name[] = "kinema-player";

static void add_outlet(struct outlet *o, GstBin *bin, unsigned *index)
{
    const char *chain = camera_send_chain(&o->track);
    if (!chain)
        return;
    unsigned i = (*index)++;
    GError *error = NULL;
    char *text = g_strdup_printf("appsrc name=src%u format=time is-live=false block=true "
                                 "max-bytes=%d ! %s name=pay%u pt=%u",
                                 i, WAITING_MAX, chain, i, camera_send_payload(&o->track, i));
    GstElement *part = gst_parse_bin_from_description(text, FALSE, &error);
    g_free(text);
    if (error) { /* a plugin is missing */
        g_clear_error(&error);
        g_clear_object(&part);
        (*index)--;
        return;
    }
    char name[16];
    g_snprintf(name, sizeof name, "src%u", i);
    o->appsrc = gst_bin_get_by_name(GST_BIN(part), name);
    gst_bin_add(bin, part);
}

static GstElement *create_element(GstRTSPMediaFactory *base, const GstRTSPUrl *url)
{
    CameraPlayerFactory *factory = (CameraPlayerFactory *) base;
    struct camera_player *p = factory->player;
    unsigned index = 0;
    (void) url;
    if (!p)
        return NULL; /* its media was there, and is gone: DESCRIBE again */
    GstElement *bin = gst_bin_new(NULL);
    g_mutex_lock(&p->lock);
    for (unsigned i = 0; i < p->count; i++)
        add_outlet(&p->outlets[i], GST_BIN(bin), &index);
    g_mutex_unlock(&p->lock);
    g_object_set_data(G_OBJECT(bin), player_name, p);
    return bin;
}

static void configure(GstRTSPMediaFactory *base, GstRTSPMedia *media)
{
    CameraPlayerFactory *factory = (CameraPlayerFactory *) base;
    GST_RTSP_MEDIA_FACTORY_CLASS(camera_player_factory_parent_class)->configure(base, media);
    struct camera_player *p = factory->player;
    factory->player = NULL;
    g_object_set_data_full(G_OBJECT(media), player_name, p, player_free);
    g_mutex_lock(&p->listener->lock);
    p->listener->viewers++;
    g_mutex_unlock(&p->listener->lock);
    g_mutex_lock(&p->lock);
    p->began = true;
    p->ready = true;
    g_cond_broadcast(&p->changed);
    g_mutex_unlock(&p->lock);
    camera_say("view_began", p->stream, p->peer->address, p->key, NULL);
}

static void finalize(GObject *object)
{
    CameraPlayerFactory *factory = (CameraPlayerFactory *) object;
    if (factory->player)
        player_free(factory->player);
    G_OBJECT_CLASS(camera_player_factory_parent_class)->finalize(object);
}

static void camera_player_factory_class_init(CameraPlayerFactoryClass *class)
{
    class->parent.create_element = create_element;
    class->parent.configure = configure;
    G_OBJECT_CLASS(class)->finalize = finalize;
}

static void camera_player_factory_init(CameraPlayerFactory *factory)
{
    (void) factory;
}

/* --- a request -------------------------------------------------------------------------------- */
/* "start=2026-11-28T10:00:00Z" of the query: ms, -1: there is none; -2: it is no time. */
static int64_t start_of(const GstRTSPUrl *url)
{
    char **parts = g_strsplit(url->query ? url->query : "", "&", 0);
    int64_t ms = -1;
    for (size_t i = 0; parts[i]; i++) {
        if (!g_str_has_prefix(parts[i], "start="))
            continue;
        char *text = g_uri_unescape_string(parts[i] + strlen("start="), NULL);
        GDateTime *time = text ? g_date_time_new_from_iso8601(text, NULL) : NULL;
        ms =
            time ? g_date_time_to_unix(time) * 1000 + g_date_time_get_microsecond(time) / 1000 : -2;
        if (time)
            g_date_time_unref(time);
        g_free(text);
    }
    g_strfreev(parts);
    return ms;
}

GstRTSPStatusCode camera_player_prepare(struct camera_listener *listener, GstRTSPContext *rtsp,
                                        struct camera_peer *peer, GstRTSPMediaFactory **ret)
{
    int64_t from_ms = start_of(rtsp->uri);
    if (from_ms < -1)
        return GST_RTSP_STS_BAD_REQUEST;
    if (from_ms > g_get_real_time() / 1000)
        return GST_RTSP_STS_INVALID_RANGE;
    struct camera_player *p = player_new(listener, peer, from_ms);
    gint64 until = g_get_monotonic_time() + PATIENCE_MS * G_TIME_SPAN_MILLISECOND;
    g_mutex_lock(&p->lock);
    while (!p->known && !p->over && g_cond_wait_until(&p->changed, &p->lock, until))
        ;
    bool known = p->known, sent = known && any_is_sent(p);
    g_mutex_unlock(&p->lock);
    if (!sent) {
        player_free(p);
        return known          ? GST_RTSP_STS_UNSUPPORTED_MEDIA_TYPE
               : from_ms >= 0 ? GST_RTSP_STS_INVALID_RANGE        /* nothing since then */
                              : GST_RTSP_STS_SERVICE_UNAVAILABLE; /* nothing comes */
    }
    CameraPlayerFactory *factory = g_object_new(camera_player_factory_get_type(), NULL);
    factory->player = p;
    *ret = &factory->parent;
    return GST_RTSP_STS_OK;
}
