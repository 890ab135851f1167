/* SPDX-License-Identifier: Apache-2.0 */
/* The producer of an element: opened with what the pads carry, waited for, closed. */
#include "sink.h"

#include <errno.h>

enum {
    SLICE_MS = 200 /* how long a wait goes without looking whether it was ended */
};

GstFlowReturn sink_flow(KinemaSink *sink, const struct sink_pad *pad)
{
    gboolean goes_on = pad ? !pad->flushing && !pad->released : sink->over;
    return sink->failed                ? GST_FLOW_ERROR
           : sink->stopped || !goes_on ? GST_FLOW_FLUSHING
                                       : GST_FLOW_OK;
}

void sink_wait_for_news(KinemaSink *sink, const struct sink_pad *pad, guint64 seen)
{
    gint64 until = g_get_monotonic_time() + SLICE_MS * G_TIME_SPAN_MILLISECOND;
    gboolean waits = TRUE;
    g_mutex_lock(&sink->lock);
    while (waits && sink->news == seen && sink_flow(sink, pad) == GST_FLOW_OK)
        waits = g_cond_wait_until(&sink->changed, &sink->lock, until);
    g_mutex_unlock(&sink->lock);
}

GstFlowReturn sink_look(KinemaSink *sink, const struct sink_pad *pad, guint64 *ret_news)
{
    GstFlowReturn flow;
    g_mutex_lock(&sink->lock);
    flow = sink_flow(sink, pad);
    *ret_news = sink->news;
    g_mutex_unlock(&sink->lock);
    return flow;
}

void sink_close_producer(KinemaSink *sink)
{
    kinema_producer_close(sink->producer);
    sink->producer = NULL;
    for (size_t i = 0; i < KINEMA_TRACKS_MAX; i++)
        sink_track_clear(&sink->tracks[i]);
    sink->drained = FALSE;
    sink->fragments = 0;
}

/* Waits until all is kept; timeout_ms 0: as long as it takes. GST_FLOW_EOS: time is over. */
static GstFlowReturn wait_until_kept(KinemaSink *sink, const struct sink_pad *pad,
                                     gint64 timeout_ms)
{
    gint64 until = g_get_monotonic_time() + timeout_ms * G_TIME_SPAN_MILLISECOND;
    GstFlowReturn flow = GST_FLOW_OK;
    guint64 news;
    sink->drained = TRUE;
    while (sink->producer && kinema_producer_drain(sink->producer, SLICE_MS) < 0 &&
           (flow = sink_look(sink, pad, &news)) == GST_FLOW_OK)
        if (timeout_ms > 0 && g_get_monotonic_time() >= until)
            return GST_FLOW_EOS;
    return flow;
}

GstFlowReturn sink_drain(KinemaSink *sink, const struct sink_pad *pad)
{
    struct kinema_stats stats;
    GstFlowReturn flow;
    guint timeout_s;
    GST_OBJECT_LOCK(sink);
    timeout_s = sink->settings.eos_timeout_s;
    GST_OBJECT_UNLOCK(sink);
    flow = wait_until_kept(sink, pad, (gint64) timeout_s * 1000);
    if (flow != GST_FLOW_EOS)
        return flow;
    kinema_producer_stats(sink->producer, &stats);
    GST_ELEMENT_ERROR(sink, RESOURCE, WRITE,
                      ("%" G_GSIZE_FORMAT " fragments are not confirmed after %u s.",
                       stats.fragments_waiting, timeout_s),
                      ("see the property eos-timeout"));
    sink_fail(sink);
    return GST_FLOW_ERROR;
}

/* Numbers the pads that may bring something, video first, as AWS's producers do; they are new to
 * nobody then. Their private bytes stay, whatever becomes of the pads. */
static size_t gather_tracks(KinemaSink *sink, struct kinema_track *tracks, GString *media_type)
{
    size_t count = 0;
    g_mutex_lock(&sink->lock);
    sink->ends = 0;
    for (GSList *one = sink->pads; one; one = one->next) {
        ((struct sink_pad *) one->data)->number = 0;
        ((struct sink_pad *) one->data)->is_new = TRUE;
    }
    for (int type = KINEMA_VIDEO; type <= KINEMA_AUDIO; type++) {
        for (GSList *one = sink->pads; one; one = one->next) {
            struct sink_pad *pad = one->data;
            if (!pad->track.private || pad->ended || (int) pad->track.track.type != type ||
                count == KINEMA_TRACKS_MAX)
                continue;
            g_string_append_printf(media_type, "%s%s", count ? "," : "", pad->track.media_type);
            sink->tracks[count] = pad->track;
            (void) g_bytes_ref(pad->track.private);
            tracks[count++] = pad->track.track;
            pad->number = (unsigned) count;
            pad->is_new = FALSE;
        }
    }
    g_mutex_unlock(&sink->lock);
    return count;
}

static int open_with(KinemaSink *sink, const struct sink_settings *s)
{
    struct kinema_track tracks[KINEMA_TRACKS_MAX];
    GString *media_type = g_string_new(NULL);
    struct kinema_config config = {.stream = s->stream_name,
                                   .region = sink_region(s),
                                   .endpoint = s->endpoint,
                                   .ca_file = s->ca_file,
                                   .device_name = s->device_name,
                                   .retention_hours = s->retention_hours,
                                   .no_create = !s->allow_create,
                                   .credentials = sink->credentials,
                                   .tracks = tracks,
                                   .buffer_bytes = (size_t) s->storage_mb << 20,
                                   .spill_path = s->spill_file,
                                   .spill_bytes = (uint64_t) s->spill_mb << 20,
                                   .fragment_ms = s->fragment_ms,
                                   .on_event = sink_tell,
                                   .ctx = sink};
    int code;
    sink->offline = s->streaming == SINK_OFFLINE;
    config.mode = sink->offline ? KINEMA_OFFLINE : KINEMA_REALTIME;
    config.track_count = gather_tracks(sink, tracks, media_type);
    config.media_type = s->content_type ? s->content_type : media_type->str;
    code = config.track_count == 0 ? -ECANCELED : kinema_producer_open(&config, &sink->producer);
    g_string_free(media_type, TRUE);
    return code;
}

void sink_take_over(KinemaSink *sink, struct sink_pad *pad)
{
    unsigned taken = 0;
    g_mutex_lock(&sink->lock);
    for (GSList *one = sink->pads; one; one = one->next)
        if (one->data != pad)
            taken |= 1U << ((struct sink_pad *) one->data)->number;
    for (unsigned number = 1; number <= KINEMA_TRACKS_MAX && pad->is_new; number++) {
        if (taken & 1U << number || !sink_track_equal(&sink->tracks[number - 1], &pad->track))
            continue;
        pad->number = number;
        pad->is_new = FALSE;
    }
    g_mutex_unlock(&sink->lock);
}

GstFlowReturn sink_open_producer(KinemaSink *sink)
{
    int code;
    GST_OBJECT_LOCK(sink);
    code = open_with(sink, &sink->settings);
    GST_OBJECT_UNLOCK(sink);
    if (code == 0)
        code = kinema_producer_start(sink->producer);
    if (code == 0 || code == -ECANCELED)
        return code == 0 ? GST_FLOW_OK : GST_FLOW_FLUSHING;
    sink_close_producer(sink);
    GST_ELEMENT_ERROR(sink, RESOURCE, SETTINGS,
                      ("The producer cannot be opened: %s.", g_strerror(-code)),
                      ("stream-name, endpoint, aws-region, content-type, spill-file"));
    sink_fail(sink);
    return GST_FLOW_ERROR;
}
