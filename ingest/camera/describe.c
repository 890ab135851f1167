/* SPDX-License-Identifier: Apache-2.0 */
#include "describe.h"

#include <gst/sdp/sdp.h>

typedef struct {
    GstRTSPClient parent;
} CameraClient;
typedef struct {
    GstRTSPClientClass parent;
} CameraClientClass;
GType camera_client_get_type(void);
G_DEFINE_TYPE(CameraClient, camera_client, GST_TYPE_RTSP_CLIENT)

static void name_track(GstSDPMedia *media, const char *base)
{
    for (guint i = 0; i < gst_sdp_media_attributes_len(media); i++) {
        const GstSDPAttribute *given = gst_sdp_media_get_attribute(media, i);
        if (strcmp(given->key, "control") != 0 || !given->value || strstr(given->value, "://"))
            continue;
        char *url = g_strconcat(base, "/", given->value, NULL);
        GstSDPAttribute whole;
        gst_sdp_attribute_set(&whole, "control", url);
        gst_sdp_media_replace_attribute(media, i, &whole);
        g_free(url);
    }
}

static GstSDPMessage *create_sdp(GstRTSPClient *client, GstRTSPMedia *media)
{
    GstSDPMessage *sdp =
        GST_RTSP_CLIENT_CLASS(camera_client_parent_class)->create_sdp(client, media);
    const GstRTSPContext *ctx = gst_rtsp_context_get_current();
    if (!sdp || !ctx || !ctx->uri || !ctx->uri->query)
        return sdp;
    GstRTSPUrl *plain = gst_rtsp_url_copy(ctx->uri);
    g_clear_pointer(&plain->query, g_free);
    char *base = gst_rtsp_url_get_request_uri(plain);
    for (guint i = 0; i < gst_sdp_message_medias_len(sdp); i++)
        name_track((GstSDPMedia *) (guintptr) gst_sdp_message_get_media(sdp, i), base);
    g_free(base);
    gst_rtsp_url_free(plain);
    return sdp;
}

static void camera_client_class_init(CameraClientClass *class)
{
    class->parent.create_sdp = create_sdp;
}

static void camera_client_init(CameraClient *client)
{
    (void) client;
}

typedef struct {
    GstRTSPServer parent;
} CameraServer;
typedef struct {
    GstRTSPServerClass parent;
} CameraServerClass;
GType camera_server_get_type(void);
G_DEFINE_TYPE(CameraServer, camera_server, GST_TYPE_RTSP_SERVER)

/* As gst-rtsp-server does it, with another class. */
static GstRTSPClient *create_client(GstRTSPServer *server)
{
    GstRTSPClient *client = g_object_new(camera_client_get_type(), NULL);
    GstRTSPSessionPool *sessions = gst_rtsp_server_get_session_pool(server);
    GstRTSPThreadPool *threads = gst_rtsp_server_get_thread_pool(server);
    GstRTSPAuth *auth = gst_rtsp_server_get_auth(server);
    gst_rtsp_client_set_session_pool(client, sessions);
    gst_rtsp_client_set_thread_pool(client, threads);
    gst_rtsp_client_set_auth(client, auth);
    gst_rtsp_client_set_content_length_limit(client,
                                             gst_rtsp_server_get_content_length_limit(server));
    g_object_unref(sessions);
    g_object_unref(threads);
    g_object_unref(auth);
    return client;
}

static void camera_server_class_init(CameraServerClass *class)
{
    class->parent.create_client = create_client;
}

static void camera_server_init(CameraServer *server)
{
    (void) server;
}

GstRTSPServer *camera_server_new(void)
{
    CameraServer *server = g_object_new(camera_server_get_type(), NULL);
    return &server->parent;
}
