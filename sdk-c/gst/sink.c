/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kinemasink: buffers of its pads, in the order of their times, become frames of one producer. The
 * only thread that it has of its own is the producer's helper, which sends and listens; and one of
 * GStreamer's while it waits for the end to be confirmed.
 *
 * Names of pads, properties and of the event for metadata are those of AWS's kvssink.
 */
#include "sink.h"

#include <errno.h>
#include <string.h>

G_DEFINE_TYPE(KinemaSink, kinema_sink, GST_TYPE_ELEMENT)

/* --- events ----------------------------------------------------------------------------------- */
struct upstream {
    GstEvent *event;
    gboolean taken;
};

static gboolean push_upstream(GstElement *element, GstPad *pad, gpointer ctx)
{
    struct upstream *upstream = ctx;
    (void) element;
    upstream->taken |= gst_pad_push_event(pad, gst_event_ref(upstream->event));
    return TRUE;
}

/* A pipeline is sought through its sinks; GstElement by itself knows of source pads only. */
static gboolean send_event(GstElement *element, GstEvent *event)
{
    struct upstream upstream = {event, FALSE};
    if (GST_EVENT_TYPE(event) == GST_EVENT_LATENCY) /* another than before */
        sink_find_latency(KINEMA_SINK(element));
    if (!GST_EVENT_IS_UPSTREAM(event))
        return GST_ELEMENT_CLASS(kinema_sink_parent_class)->send_event(element, event);
    (void) gst_element_foreach_sink_pad(element, push_upstream, &upstream);
    gst_event_unref(event);
    return upstream.taken;
}

/* GstElement would ask one of the pads; the slowest counts. */
static gboolean ask_latency(GstElement *element, GstPad *pad, gpointer ctx)
{
    GstQuery *all = ctx, *one = gst_query_new_latency();
    GstClockTime min, max, all_min, all_max;
    gboolean live, all_live;
    (void) element;
    if (gst_pad_peer_query(pad, one)) {
        gst_query_parse_latency(one, &live, &min, &max);
        gst_query_parse_latency(all, &all_live, &all_min, &all_max);
        if (live)
            gst_query_set_latency(all, TRUE, MAX(min, all_min), MIN(max, all_max));
    }
    gst_query_unref(one);
    return TRUE;
}

static gboolean query(GstElement *element, GstQuery *query)
{
    if (GST_QUERY_TYPE(query) != GST_QUERY_LATENCY)
        return GST_ELEMENT_CLASS(kinema_sink_parent_class)->query(element, query);
    gst_query_set_latency(query, FALSE, 0, GST_CLOCK_TIME_NONE);
    return gst_element_foreach_sink_pad(element, ask_latency, query);
}

void sink_find_latency(KinemaSink *sink)
{
    GstQuery *query = gst_query_new_latency();
    GstClockTime min = 0;
    gboolean live;
    if (gst_element_query(GST_ELEMENT(sink), query))
        gst_query_parse_latency(query, &live, &min, NULL);
    gst_query_unref(query);
    sink_set_latency(sink, (gint64) GST_TIME_AS_USECONDS(min));
}

/* --- pads and states -------------------------------------------------------------------------- */
static GstPad *request_pad(GstElement *element, GstPadTemplate *template, const gchar *name,
                           const GstCaps *caps)
{
    KinemaSink *sink = KINEMA_SINK(element);
    gboolean video = strcmp(GST_PAD_TEMPLATE_NAME_TEMPLATE(template), "video_%u") == 0;
    char *own = NULL;
    GstPad *pad = NULL;
    gboolean added;
    guint count;
    (void) caps;
    GST_OBJECT_LOCK(sink);
    count = element->numsinkpads;
    GST_OBJECT_UNLOCK(sink);
    if (count >= KINEMA_TRACKS_MAX) {
        GST_WARNING_OBJECT(sink, "a stream has %d tracks at most", KINEMA_TRACKS_MAX);
        return NULL;
    }
    for (guint i = 0; !pad && i < KINEMA_TRACKS_MAX; i++) {
        own = name ? g_strdup(name) : g_strdup_printf("%s_%u", video ? "video" : "audio", i);
        pad = gst_element_get_static_pad(element, own);
        if (!pad)
            break;
        g_clear_pointer(&own, g_free);
        g_clear_object(&pad);
    }
    if (!own)
        return NULL;
    pad = gst_object_ref_sink(gst_pad_new_from_template(template, own));
    g_free(own);
    sink_add_pad(sink, pad);
    added = gst_element_add_pad(element, pad);
    if (!added) {
        GST_WARNING_OBJECT(sink, "the pad cannot be added");
        sink_remove_pad(sink, pad);
    }
    gst_object_unref(pad);
    return added ? pad : NULL;
}

static void release_pad(GstElement *element, GstPad *pad)
{
    sink_remove_pad(KINEMA_SINK(element), pad);
    (void) gst_element_remove_pad(element, pad);
}

static gboolean begin(KinemaSink *sink)
{
    const char *wrong;
    int code = 0;
    GST_OBJECT_LOCK(sink);
    wrong = sink_check_settings(&sink->settings);
    sink->original_pts = sink->settings.original_pts;
    sink->pad_wait_us = sink->settings.streaming == SINK_OFFLINE || sink->settings.pad_wait_ms == 0
                            ? -1
                            : (gint64) sink->settings.pad_wait_ms * 1000;
    if (!wrong)
        code = sink_open_credentials(&sink->settings, &sink->credentials);
    GST_OBJECT_UNLOCK(sink);
    if (code < 0)
        wrong = code == -ENOENT
                    ? "There is no access key: set access-key and secret-key, credential-path, "
                      "iot-certificate, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
                    : "The access key or certificate cannot be used as it is given.";
    if (wrong) {
        GST_ELEMENT_ERROR(sink, RESOURCE, SETTINGS, ("%s", wrong), (NULL));
        return FALSE;
    }
    sink_begin_pads(sink);
    return TRUE;
}

/* Streaming threads are out of the element by now. */
static void end(KinemaSink *sink)
{
    guint timeout_ms;
    gboolean failed;
    sink_stop(sink);
    failed = sink->failed;
    GST_OBJECT_LOCK(sink);
    timeout_ms = sink->settings.stop_timeout_ms;
    GST_OBJECT_UNLOCK(sink);
    if (sink->producer && !failed && timeout_ms > 0)
        (void) kinema_producer_drain(sink->producer, timeout_ms);
    sink_close_producer(sink);
    kinema_credentials_free(sink->credentials);
    sink->credentials = NULL;
    sink_free_metadata(sink);
}

static GstStateChangeReturn change_state(GstElement *element, GstStateChange change)
{
    KinemaSink *sink = KINEMA_SINK(element);
    GstStateChangeReturn code;
    if (change == GST_STATE_CHANGE_READY_TO_PAUSED && !begin(sink))
        return GST_STATE_CHANGE_FAILURE;
    if (change == GST_STATE_CHANGE_PAUSED_TO_PLAYING ||
        change == GST_STATE_CHANGE_PLAYING_TO_PAUSED)
        sink_set_playing(sink, change == GST_STATE_CHANGE_PAUSED_TO_PLAYING);
    if (change == GST_STATE_CHANGE_PAUSED_TO_READY)
        sink_stop(sink);
    code = GST_ELEMENT_CLASS(kinema_sink_parent_class)->change_state(element, change);
    if (change == GST_STATE_CHANGE_PAUSED_TO_READY ||
        (change == GST_STATE_CHANGE_READY_TO_PAUSED && code == GST_STATE_CHANGE_FAILURE))
        end(sink);
    return code;
}

/* --- the class -------------------------------------------------------------------------------- */
static void finalize(GObject *object)
{
    KinemaSink *sink = KINEMA_SINK(object);
    sink_free_settings(&sink->settings);
    g_mutex_clear(&sink->lock);
    g_cond_clear(&sink->changed);
    G_OBJECT_CLASS(kinema_sink_parent_class)->finalize(object);
}

static void kinema_sink_class_init(KinemaSinkClass *class)
{
    GObjectClass *object_class = G_OBJECT_CLASS(class);
    GstElementClass *element_class = GST_ELEMENT_CLASS(class);
    object_class->finalize = finalize;
    sink_install_properties(object_class);
    sink_install_signals(object_class);
    element_class->change_state = change_state;
    element_class->send_event = send_event;
    element_class->query = query;
    element_class->request_new_pad = request_pad;
    element_class->release_pad = release_pad;
    gst_element_class_add_static_pad_template(element_class, &sink_video_template);
    gst_element_class_add_static_pad_template(element_class, &sink_audio_template);
    gst_element_class_set_static_metadata(
        element_class, "Kinema sink", "Sink/Network",
        "Sends encoded video and audio to a stream of Kinesis Video or Kinema, until it is kept",
        "The Kinema authors");
}

static void kinema_sink_init(KinemaSink *sink)
{
    g_mutex_init(&sink->lock);
    g_cond_init(&sink->changed);
    g_queue_init(&sink->tags);
    sink->stopped = TRUE;
    GST_OBJECT_FLAG_SET(sink, GST_ELEMENT_FLAG_SINK);
}
