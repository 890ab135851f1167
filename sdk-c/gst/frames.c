/* SPDX-License-Identifier: Apache-2.0 */
/* Buffers of all pads, the oldest first, become frames of the producer. */
#include "sink.h"

#include <errno.h>

/* The first frame is of now, or of file-start-time; the others keep their distance from it. */
static gint64 ms_of(KinemaSink *sink, gint64 time_ns)
{
    gint64 ms = time_ns / GST_MSECOND;
    gboolean anew;
    g_mutex_lock(&sink->lock);
    anew = sink->anew;
    sink->anew = FALSE;
    g_mutex_unlock(&sink->lock);
    if (anew) {
        GST_OBJECT_LOCK(sink);
        if (sink->original_pts)
            sink->offset_ms = 0;
        else if (sink->settings.file_start_s > 0)
            sink->offset_ms = (gint64) sink->settings.file_start_s * 1000 - ms;
        else
            sink->offset_ms = g_get_real_time() / 1000 - ms;
        GST_OBJECT_UNLOCK(sink);
    }
    return ms + sink->offset_ms;
}

/* What the producer said of a frame. */
static GstFlowReturn judge(KinemaSink *sink, int code)
{
    if (code != -ERANGE)
        sink->late_told = FALSE;
    switch (code) {
    case 0:
        sink_put_metadata(sink);
        return GST_FLOW_OK;
    case -ENODATA: /* before the first key frame */
    case -ENOBUFS: /* of a fragment whose loss was told */
        return GST_FLOW_OK;
    case -ERANGE:
        if (!sink->late_told)
            GST_ELEMENT_WARNING(sink, STREAM, FORMAT,
                                ("Frames more than 32 s after their key frame are left out."),
                                ("set a shorter distance of key frames"));
        sink->late_told = TRUE;
        return GST_FLOW_OK;
    case -EMSGSIZE:
        GST_ELEMENT_ERROR(sink, RESOURCE, NO_SPACE_LEFT, ("A frame is larger than storage-size."),
                          (NULL));
        break;
    default:
        GST_ELEMENT_ERROR(sink, STREAM, FAILED, ("A frame was refused: %s.", g_strerror(-code)),
                          (NULL));
        break;
    }
    sink_fail(sink);
    return GST_FLOW_ERROR;
}

static GstFlowReturn put(KinemaSink *sink, const struct sink_pad *pad, GstBuffer *buffer,
                         gint64 time_ns)
{
    struct kinema_frame frame = {.track = pad->number, .time_ms = ms_of(sink, time_ns)};
    GstFlowReturn flow;
    GstMapInfo map;
    guint64 news;
    int code = -EAGAIN;
    frame.key = pad->track.track.type == KINEMA_AUDIO ||
                !GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT);
    if (!gst_buffer_map(buffer, &map, GST_MAP_READ)) {
        GST_ELEMENT_ERROR(sink, RESOURCE, READ, ("A frame's memory cannot be read."), (NULL));
        sink_fail(sink);
        return GST_FLOW_ERROR;
    }
    frame.data = map.data;
    frame.len = map.size;
    while ((flow = sink_look(sink, pad, &news)) == GST_FLOW_OK && code == -EAGAIN) {
        code = kinema_producer_put_frame(sink->producer, &frame);
        if (code == -EAGAIN) /* offline: the buffer is full */
            sink_wait_for_news(sink, pad, news);
    }
    gst_buffer_unmap(buffer, &map);
    return flow == GST_FLOW_OK ? judge(sink, code) : flow;
}

void sink_finish(KinemaSink *sink)
{
    GstMessage *message;
    gboolean over;
    if (sink_drain(sink, NULL) != GST_FLOW_OK)
        return;
    sink_close_producer(sink);
    message = gst_message_new_eos(GST_OBJECT(sink));
    g_mutex_lock(&sink->lock);
    over = sink->over;
    sink->over = FALSE;
    if (sink->eos_seqnum != GST_SEQNUM_INVALID)
        gst_message_set_seqnum(message, sink->eos_seqnum);
    g_mutex_unlock(&sink->lock);
    if (over)
        (void) gst_element_post_message(GST_ELEMENT(sink), message);
    else
        gst_message_unref(message);
}

/* Fragments that begin from now on do without the tracks that have ended. */
static void tell_ends(KinemaSink *sink)
{
    unsigned ends;
    g_mutex_lock(&sink->lock);
    ends = sink->ends;
    sink->ends = 0;
    g_mutex_unlock(&sink->lock);
    for (unsigned number = 1; number <= KINEMA_TRACKS_MAX; number++)
        if (ends & 1U << number)
            (void) kinema_producer_end_track(sink->producer, number);
}

/* Buffers of other pads that are older than the first one of new caps still belong to the upload
 * that there is. */
GstFlowReturn sink_take_buffer(KinemaSink *sink, struct sink_pad *pad, GstBuffer *buffer,
                               gint64 time_ns)
{
    GstFlowReturn flow = GST_FLOW_OK;
    if (pad->is_new && sink->producer) /* a microphone that is back */
        sink_take_over(sink, pad);
    if ((pad->is_new || sink->drained) && sink->producer) {
        flow = sink_drain(sink, pad); /* a header holds for a whole upload */
        if (flow == GST_FLOW_OK)
            sink_close_producer(sink);
    }
    if (flow == GST_FLOW_OK && !sink->producer)
        flow = sink_open_producer(sink);
    if (flow != GST_FLOW_OK)
        return flow;
    tell_ends(sink);
    return put(sink, pad, buffer, time_ns);
}
