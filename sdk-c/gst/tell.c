/* SPDX-License-Identifier: Apache-2.0 */
/* What the producer tells, on its helper's thread or in a streaming thread: errors and warnings for
 * the bus, acknowledgements for the signal, news for who waits for room. */
#include "sink.h"

static guint ack_signal;

void sink_install_signals(GObjectClass *object_class)
{
    ack_signal =
        g_signal_new("fragment-ack", G_TYPE_FROM_CLASS(object_class), G_SIGNAL_RUN_LAST, 0, NULL,
                     NULL, NULL, G_TYPE_NONE, 1, GST_TYPE_STRUCTURE | G_SIGNAL_TYPE_STATIC_SCOPE);
}

void sink_fail(KinemaSink *sink)
{
    g_mutex_lock(&sink->lock);
    sink->failed = TRUE;
    g_cond_broadcast(&sink->changed);
    g_mutex_unlock(&sink->lock);
}

/* Before the first connection a refusal is the user's mistake; afterwards it may pass. */
static void tell_failed_call(KinemaSink *sink, const struct kinema_event *event)
{
    gboolean connected;
    long status = event->http_status;
    g_mutex_lock(&sink->lock);
    connected = sink->connected;
    g_mutex_unlock(&sink->lock);
    if (!connected && (status == 401 || status == 403)) {
        GST_ELEMENT_ERROR(sink, RESOURCE, NOT_AUTHORIZED,
                          ("The server refused the access key (HTTP %ld).", status),
                          ("%s", event->text));
    } else if (!connected && status == 404) {
        GST_ELEMENT_ERROR(sink, RESOURCE, NOT_FOUND,
                          ("There is no such stream, and none may be made (HTTP 404)."),
                          ("%s", event->text));
    } else if (!connected && status == 400) {
        GST_ELEMENT_ERROR(sink, RESOURCE, SETTINGS, ("The server refused a call (HTTP 400)."),
                          ("%s", event->text));
    } else {
        GST_ELEMENT_WARNING(sink, RESOURCE, OPEN_WRITE,
                            ("The server cannot be reached; it is tried again."),
                            ("HTTP %ld: %s", status, event->text));
        return;
    }
    sink_fail(sink);
}

static void tell_lost(KinemaSink *sink, const struct kinema_event *event)
{
    if (sink->offline) {
        GST_ELEMENT_ERROR(sink, RESOURCE, NO_SPACE_LEFT,
                          ("A fragment of %" G_GUINT64_FORMAT
                           " frames is larger than storage-size.",
                           event->frames),
                          ("%s", event->text));
        sink_fail(sink);
    } else {
        GST_ELEMENT_WARNING(sink, RESOURCE, NO_SPACE_LEFT,
                            ("%" G_GUINT64_FORMAT " frames were dropped.", event->frames),
                            ("%s", event->text));
    }
}

static void tell_ack(KinemaSink *sink, const struct kinema_event *event)
{
    static const char *const names[] = {"buffering", "received", "persisted", "error"};
    gboolean wanted;
    GstStructure *ack;
    if (event->type == KINEMA_ACK_ERROR)
        GST_ELEMENT_WARNING(sink, RESOURCE, WRITE,
                            ("The server reported error %u of a fragment: %s.", event->error_id,
                             kinema_ack_error_name(event->error_id)),
                            ("%s", event->skipped ? "it is given up" : "it is sent again"));
    GST_OBJECT_LOCK(sink);
    wanted = sink->settings.fragment_acks;
    GST_OBJECT_UNLOCK(sink);
    if (!wanted)
        return;
    ack = gst_structure_new("fragment-ack", "type", G_TYPE_STRING,
                            names[event->type - KINEMA_ACK_BUFFERING], "timecode", G_TYPE_INT64,
                            (gint64) event->time_ms, "fragment-number", G_TYPE_STRING,
                            event->fragment_number, "error-id", G_TYPE_UINT, event->error_id, NULL);
    g_signal_emit(sink, ack_signal, 0, ack);
    gst_structure_free(ack);
}

void sink_tell(void *ctx, const struct kinema_event *event)
{
    KinemaSink *sink = ctx;
    switch (event->type) {
    case KINEMA_ACK_BUFFERING:
    case KINEMA_ACK_RECEIVED:
    case KINEMA_ACK_PERSISTED:
    case KINEMA_ACK_ERROR:
        tell_ack(sink, event);
        break;
    case KINEMA_CALL_FAILED:
        tell_failed_call(sink, event);
        break;
    case KINEMA_FRAGMENT_LOST:
        tell_lost(sink, event);
        break;
    case KINEMA_SPILL_FAILED:
        GST_ELEMENT_WARNING(sink, RESOURCE, WRITE, ("The spill file cannot be used."),
                            ("%s", event->text));
        break;
    case KINEMA_SPILL_OVER:
        GST_ELEMENT_INFO(sink, RESOURCE, WRITE,
                         ("What the spill file could not hold has an end: %" G_GUINT64_FORMAT
                          " frames were dropped meanwhile.",
                          event->frames),
                         (NULL));
        break;
    case KINEMA_PRESSURE:
        if (!sink->offline) /* offline that is the usual state */
            GST_ELEMENT_WARNING(sink, RESOURCE, WRITE,
                                ("More than 4/5 of the buffer wait to be sent."), (NULL));
        break;
    case KINEMA_DISCONNECTED:
        GST_INFO_OBJECT(sink, "disconnected: %s", event->text);
        break;
    case KINEMA_CONNECTED:
    case KINEMA_ACK_IDLE:
        break;
    }
    g_mutex_lock(&sink->lock);
    sink->connected |= event->type == KINEMA_CONNECTED;
    sink->news++;
    g_cond_broadcast(&sink->changed);
    g_mutex_unlock(&sink->lock);
}
