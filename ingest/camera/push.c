/* SPDX-License-Identifier: Apache-2.0 */
#include "push.h"

#include "document.h"
#include "recording.h"
#include "say.h"
#include "source_announced.h"
#include "track.h"

#include <gst/sdp/sdp.h>
#include <stdlib.h>

enum {
    MEDIAS_MAX = 8, /* of an announcement; more than can be stored are left out */
    SAID_BYTES = 400,
    ARRIVE_MS = 2000,
    ARRIVE_LOOK_MS = 20,
};

struct camera_push {
    struct camera_listener *listener;
    struct camera_peer *peer;
    char *stream, *key;
    struct camera_source *source;
    GstElement *bin; /* its chains */
    GMutex lock;     /* what follows; taken inside the source's lock */
    struct camera_recording recording;
    bool began, ended;
    char said[SAID_BYTES];
};

/* --- its life --------------------------------------------------------------------------------- */
static void fail_locked(void *owner, const char *said)
{
    struct camera_push *push = owner;
    if (!*push->said)
        g_strlcpy(push->said, said, sizeof push->said);
    camera_recording_close(&push->recording);
    camera_peer_hang_up(push->peer);
}

static void on_header(void *ctx, const struct kn_mkv_header *header)
{
    struct camera_push *push = ctx;
    g_mutex_lock(&push->lock);
    if (!push->ended)
        camera_recording_header(&push->recording, header);
    g_mutex_unlock(&push->lock);
}

static void on_frame(void *ctx, const struct camera_frame *frame)
{
    struct camera_push *push = ctx;
    g_mutex_lock(&push->lock);
    if (!push->ended && !*push->said) {
        camera_recording_frame(&push->recording, frame);
        if (!push->began)
            camera_say("push_began", push->stream, push->peer->address, push->key, NULL);
        push->began = true;
    }
    g_mutex_unlock(&push->lock);
}

static void on_left_out(void *ctx, const char *media, const char *encoding)
{
    struct camera_push *push = ctx;
    char *said = g_strdup_printf("%s %s cannot be stored", media, encoding);
    camera_say("left_out", push->stream, push->peer->address, push->key, said);
    g_free(said);
}

static void on_failed(void *ctx, enum camera_fault fault, const char *said)
{
    struct camera_push *push = ctx;
    (void) fault;
    g_mutex_lock(&push->lock);
    fail_locked(push, said);
    g_mutex_unlock(&push->lock);
}

static struct camera_push *push_new(struct camera_listener *listener, struct camera_peer *peer)
{
    static const struct camera_source_ops ops = {on_header, on_frame, on_left_out, on_failed};
    struct camera_push *push = g_new0(struct camera_push, 1);
    push->listener = listener;
    push->peer = camera_peer_ref(peer);
    push->stream = g_strdup(peer->stream);
    push->key = g_strdup(peer->key);
    g_mutex_init(&push->lock);
    camera_recording_init(&push->recording, listener->socket_path, push->stream);
    push->recording.lock = &push->lock;
    push->recording.failed = fail_locked;
    push->recording.owner = push;
    push->source =
        camera_source_new(&ops, push, listener->settings.latency_ms, listener->settings.idle_ms);
    g_mutex_lock(&listener->lock);
    g_ptr_array_add(listener->pushes, push);
    g_mutex_unlock(&listener->lock);
    return push;
}

static void push_end(struct camera_push *push)
{
    g_mutex_lock(&push->lock);
    bool first = !push->ended && push->began;
    char *said = g_strdup_printf("%" G_GUINT64_FORMAT " frames%s%s", push->recording.frames,
                                 *push->said ? "; " : "", push->said);
    push->ended = true;
    camera_recording_close(&push->recording);
    g_mutex_unlock(&push->lock);
    if (first)
        camera_say("push_ended", push->stream, push->peer->address, push->key, said);
    g_free(said);
}

/* The media is gone, and with it whoever called. */
static void push_free(gpointer arg)
{
    struct camera_push *push = arg;
    g_mutex_lock(&push->listener->lock);
    g_ptr_array_remove_fast(push->listener->pushes, push);
    g_mutex_unlock(&push->listener->lock);
    push_end(push);
    gst_clear_object(&push->bin);
    camera_source_stop(push->source);
    camera_recording_done(&push->recording);
    g_mutex_clear(&push->lock);
    camera_peer_unref(push->peer);
    g_free(push->stream);
    g_free(push->key);
    g_free(push);
}

/* Its media waits for the end of every stream, also of one that was announced and never came: once
 * the push has failed that is said for all. While the media plays it makes no difference. */
static void let_end(struct camera_push *push)
{
    GstObject *pipeline = gst_object_get_parent(GST_OBJECT(push->bin));
    GstBus *bus = pipeline ? gst_element_get_bus(GST_ELEMENT(pipeline)) : NULL;
    if (bus) {
        (void) gst_bus_post(bus, gst_message_new_eos(pipeline));
        gst_object_unref(bus);
    }
    if (pipeline)
        gst_object_unref(pipeline);
}

void camera_push_check_all(struct camera_listener *listener)
{
    g_mutex_lock(&listener->lock);
    for (guint i = 0; i < listener->pushes->len; i++) {
        struct camera_push *push = g_ptr_array_index(listener->pushes, i);
        camera_source_check(push->source);
        g_mutex_lock(&push->lock);
        bool failed = *push->said;
        g_mutex_unlock(&push->lock);
        if (failed)
            let_end(push);
    }
    g_mutex_unlock(&listener->lock);
}

void camera_push_end_all(struct camera_listener *listener)
{
    g_mutex_lock(&listener->lock);
    for (guint i = 0; i < listener->pushes->len; i++)
        push_end(g_ptr_array_index(listener->pushes, i));
    g_mutex_unlock(&listener->lock);
}

/* --- the media -------------------------------------------------------------------------------- */
typedef struct {
    GstRTSPMedia parent;
} CameraPushMedia;
typedef struct {
    GstRTSPMediaClass parent;
} CameraPushMediaClass;
GType camera_push_media_get_type(void);
G_DEFINE_TYPE(CameraPushMedia, camera_push_media, GST_TYPE_RTSP_MEDIA)

/* Frames keep the distances that the sender gave them, however packets come. */
static gboolean setup_rtpbin(GstRTSPMedia *media, GstElement *rtpbin)
{
    (void) media;
    gst_util_set_object_arg(G_OBJECT(rtpbin), "buffer-mode", "none");
    return TRUE;
}

static void camera_push_media_class_init(CameraPushMediaClass *class)
{
    class->parent.setup_rtpbin = setup_rtpbin;
}

static void camera_push_media_init(CameraPushMedia *media)
{
    (void) media;
}

typedef struct {
    GstRTSPMediaFactory parent;
    struct camera_listener *listener;
    struct camera_peer *peer;
    GstSDPMessage *sdp;
} CameraPushFactory;
typedef struct {
    GstRTSPMediaFactoryClass parent;
} CameraPushFactoryClass;
GType camera_push_factory_get_type(void);
G_DEFINE_TYPE(CameraPushFactory, camera_push_factory, GST_TYPE_RTSP_MEDIA_FACTORY)

static const char push_name[] = "kinema-push";

/* As the chains of track.c know a stream; NULL: it has no format. */
static GstCaps *caps_of(const GstSDPMedia *media)
{
    const char *format =
        gst_sdp_media_formats_len(media) > 0 ? gst_sdp_media_get_format(media, 0) : NULL;
    GstCaps *caps = format ? gst_sdp_media_get_caps_from_media(media, atoi(format)) : NULL;
    if (caps)
        gst_structure_set_name(gst_caps_get_structure(caps, 0), "application/x-rtp");
    return caps;
}

/* For each stream of the announcement an element "depayN", as gst-rtsp-server wants it; what is
 * left out ends in a sink. */
static void add_stream(struct camera_push *push, GstBin *bin, const GstSDPMedia *media, guint i)
{
    char name[16];
    GstCaps *caps = caps_of(media);
    g_snprintf(name, sizeof name, "depay%u", i);
    if (caps && camera_source_add(push->source, caps, bin, name)) {
        gst_caps_unref(caps);
        return;
    }
    GstElement *sink = gst_element_factory_make("fakesink", name);
    g_object_set(sink, "async", FALSE, "sync", FALSE, NULL);
    gst_bin_add(bin, sink);
    if (caps)
        gst_caps_unref(caps);
}

static GstElement *create_element(GstRTSPMediaFactory *base, const GstRTSPUrl *url)
{
    CameraPushFactory *factory = (CameraPushFactory *) base;
    struct camera_push *push = push_new(factory->listener, factory->peer);
    GstElement *bin = gst_bin_new(NULL);
    (void) url;
    for (guint i = 0; i < gst_sdp_message_medias_len(factory->sdp); i++)
        add_stream(push, GST_BIN(bin), gst_sdp_message_get_media(factory->sdp, i), i);
    camera_source_complete(push->source);
    push->bin = gst_object_ref(bin);
    g_object_set_data(G_OBJECT(bin), push_name, push);
    return bin;
}

void camera_push_let_arrive(GstRTSPMedia *media)
{
    struct camera_push *push = media ? g_object_get_data(G_OBJECT(media), push_name) : NULL;
    for (int ms = 0; push && ms < ARRIVE_MS; ms += ARRIVE_LOOK_MS) {
        if (camera_source_silent_ms(push->source) > push->listener->settings.latency_ms)
            break;
        g_usleep(ARRIVE_LOOK_MS * 1000);
    }
}

static void on_unprepared(GstRTSPMedia *media, gpointer arg)
{
    (void) media;
    push_end(arg);
}

static void configure(GstRTSPMediaFactory *base, GstRTSPMedia *media)
{
    GST_RTSP_MEDIA_FACTORY_CLASS(camera_push_factory_parent_class)->configure(base, media);
    GstElement *bin = gst_rtsp_media_get_element(media);
    struct camera_push *push = g_object_get_data(G_OBJECT(bin), push_name);
    gst_object_unref(bin);
    g_object_set_data_full(G_OBJECT(media), push_name, push, push_free);
    g_signal_connect(media, "unprepared", G_CALLBACK(on_unprepared), push);
}

static void finalize(GObject *object)
{
    CameraPushFactory *factory = (CameraPushFactory *) object;
    gst_sdp_message_free(factory->sdp);
    camera_peer_unref(factory->peer);
    G_OBJECT_CLASS(camera_push_factory_parent_class)->finalize(object);
}

static void camera_push_factory_class_init(CameraPushFactoryClass *class)
{
    class->parent.create_element = create_element;
    class->parent.configure = configure;
    G_OBJECT_CLASS(class)->finalize = finalize;
}

static void camera_push_factory_init(CameraPushFactory *factory)
{
    (void) factory;
}

static bool can_be_stored(const GstSDPMessage *sdp)
{
    bool good = false;
    for (guint i = 0; i < gst_sdp_message_medias_len(sdp) && !good; i++) {
        GstCaps *caps = caps_of(gst_sdp_message_get_media(sdp, i));
        const GstStructure *rtp = caps ? gst_caps_get_structure(caps, 0) : NULL;
        good = rtp && camera_track_chain(rtp) && !camera_documents_are_of(rtp);
        if (caps)
            gst_caps_unref(caps);
    }
    return good;
}

GstRTSPStatusCode camera_push_prepare(struct camera_listener *listener, GstRTSPContext *rtsp,
                                      struct camera_peer *peer, GstRTSPMediaFactory **ret)
{
    guint8 *body = NULL;
    guint len = 0;
    GstSDPMessage *sdp = NULL;
    gst_rtsp_message_get_body(rtsp->request, &body, &len);
    gst_sdp_message_new(&sdp);
    GstRTSPStatusCode code = GST_RTSP_STS_OK;
    if (!body || len == 0 || gst_sdp_message_parse_buffer(body, len, sdp) != GST_SDP_OK ||
        gst_sdp_message_medias_len(sdp) > MEDIAS_MAX)
        code = GST_RTSP_STS_BAD_REQUEST;
    else if (!can_be_stored(sdp))
        code = GST_RTSP_STS_UNSUPPORTED_MEDIA_TYPE;
    if (code != GST_RTSP_STS_OK) {
        gst_sdp_message_free(sdp);
        return code;
    }
    CameraPushFactory *factory = g_object_new(camera_push_factory_get_type(), NULL);
    factory->listener = listener;
    factory->peer = camera_peer_ref(peer);
    factory->sdp = sdp;
    *ret = &factory->parent;
    gst_rtsp_media_factory_set_media_gtype(*ret, camera_push_media_get_type());
    gst_rtsp_media_factory_set_transport_mode(*ret, GST_RTSP_TRANSPORT_MODE_RECORD);
    gst_rtsp_media_factory_set_latency(*ret, listener->settings.latency_ms);
    gst_rtsp_media_factory_set_eos_shutdown(*ret, TRUE); /* what waits for its turn is recorded */
    return GST_RTSP_STS_OK;
}
