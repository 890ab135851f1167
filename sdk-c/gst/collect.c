/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The buffers of all pads one after the other, the oldest first. A streaming thread waits inside
 * its pad's chain function for its turn: until no pad holds an older buffer, and none may still
 * bring one. Those that have none are waited for; not those that are at their end, that have said
 * by GAP events how long they have none, and in real time not those that have brought nothing for
 * pad-wait and the pipeline's latency.
 *
 * Everything here is under the element's lock, but for the calls of frames.c, of which one is under
 * way at a time: `busy`.
 */
#include "sink.h"

static gint64 ns_of(const struct sink_pad *pad, gboolean original, GstClockTime stamp)
{
    guint64 running = 0;
    int sign = 1;
    if (original)
        return (gint64) stamp;
    if (pad->segment.format == GST_FORMAT_TIME)
        sign = gst_segment_to_running_time_full(&pad->segment, GST_FORMAT_TIME, stamp, &running);
    return sign * (gint64) running;
}

/* Buffers are compared by when they are decoded, and taken by when they are shown; timestamps that
 * are times already stay as they are. FALSE: it lies outside its segment. */
static gboolean place(KinemaSink *sink, struct sink_pad *pad, GstBuffer *buffer, gint64 *ret_ns)
{
    GstClockTime dts = GST_BUFFER_DTS(buffer), pts = GST_BUFFER_PTS(buffer);
    if (!GST_CLOCK_TIME_IS_VALID(pts))
        pts = dts;
    if (!GST_CLOCK_TIME_IS_VALID(dts))
        dts = pts;
    *ret_ns = pad->order_ns = 0;
    if (!GST_CLOCK_TIME_IS_VALID(pts))
        return TRUE;
    *ret_ns = ns_of(pad, sink->original_pts, pts);
    pad->order_ns = ns_of(pad, sink->original_pts, dts);
    return sink->original_pts || pad->segment.format != GST_FORMAT_TIME ||
           gst_segment_to_running_time(&pad->segment, GST_FORMAT_TIME, pts) != GST_CLOCK_TIME_NONE;
}

/* Of two that are equally old the one whose pad was there first. */
static gboolean is_before(KinemaSink *sink, const struct sink_pad *a, const struct sink_pad *b)
{
    return a->order_ns != b->order_ns ? a->order_ns < b->order_ns
                                      : g_slist_index(sink->pads, a) < g_slist_index(sink->pads, b);
}

/* *ret_until: when it may be by itself; G_MAXINT64: somebody will say so. Who has been silent for
 * too long, by a latency that was just asked for, is absent until it brings something. */
static gboolean is_turn(KinemaSink *sink, const struct sink_pad *pad, gboolean asked,
                        gint64 *ret_until)
{
    gint64 now = g_get_monotonic_time();
    gboolean turn = sink->playing && !sink->busy;
    *ret_until = G_MAXINT64;
    for (GSList *one = sink->pads; one && sink->playing; one = one->next) {
        struct sink_pad *other = one->data;
        gint64 until = other->heard_us + sink->pad_wait_us + sink->latency_us;
        if (other == pad || other->ended || other->absent)
            continue;
        if (other->holds) {
            turn = turn && !is_before(sink, other, pad);
        } else if (other->gap_ns < pad->order_ns && sink->pad_wait_us < 0) {
            turn = FALSE;
        } else if (other->gap_ns < pad->order_ns && !(asked && now >= until)) {
            turn = FALSE;
            *ret_until = MIN(*ret_until, until);
        } else if (other->gap_ns < pad->order_ns) {
            GST_INFO_OBJECT(other->pad, "silent; the others go on");
            other->absent = TRUE;
        }
    }
    return turn;
}

/* FALSE: it is that late. */
static gboolean wait_until(KinemaSink *sink, gint64 until)
{
    if (until != G_MAXINT64)
        return g_cond_wait_until(&sink->changed, &sink->lock, until);
    g_cond_wait(&sink->changed, &sink->lock);
    return TRUE;
}

static GstFlowReturn wait_for_turn(KinemaSink *sink, const struct sink_pad *pad)
{
    gboolean asked = FALSE;
    gint64 until;
    GstFlowReturn flow;
    while ((flow = sink_flow(sink)) == GST_FLOW_OK && !pad->released &&
           !is_turn(sink, pad, asked, &until)) {
        asked = !wait_until(sink, until);
        if (asked) { /* an encoder may know it only now */
            g_mutex_unlock(&sink->lock);
            sink_find_latency(sink);
            g_mutex_lock(&sink->lock);
        }
    }
    return pad->released ? GST_FLOW_FLUSHING : flow;
}

/* What is done in between is done without the lock. */
static void begin_work(KinemaSink *sink)
{
    sink->busy = TRUE;
    g_mutex_unlock(&sink->lock);
}

static void end_work(KinemaSink *sink)
{
    g_mutex_lock(&sink->lock);
    sink->busy = FALSE;
    g_cond_broadcast(&sink->changed);
}

static GstFlowReturn take_buffer(GstPad *gst_pad, GstObject *parent, GstBuffer *buffer)
{
    KinemaSink *sink = KINEMA_SINK(parent);
    struct sink_pad *pad = gst_pad_get_element_private(gst_pad);
    GstFlowReturn flow = GST_FLOW_OK;
    gint64 ns;
    g_mutex_lock(&sink->lock);
    if (place(sink, pad, buffer, &ns)) {
        pad->holds = TRUE;
        pad->absent = FALSE;
        g_cond_broadcast(&sink->changed);
        flow = wait_for_turn(sink, pad);
        pad->holds = FALSE;
        if (flow == GST_FLOW_OK) {
            begin_work(sink);
            flow = sink_take_buffer(sink, pad, buffer, ns);
            end_work(sink);
        }
        pad->heard_us = g_get_monotonic_time();
        g_cond_broadcast(&sink->changed);
    }
    g_mutex_unlock(&sink->lock);
    gst_buffer_unref(buffer);
    return flow;
}

/* Takes the lock when nobody is busy. */
static void lock_idle(KinemaSink *sink)
{
    g_mutex_lock(&sink->lock);
    while (sink->busy)
        g_cond_wait(&sink->changed, &sink->lock);
}

/* --- events ----------------------------------------------------------------------------------- */
static gboolean take_caps(KinemaSink *sink, struct sink_pad *pad, GstEvent *event)
{
    struct sink_track track;
    GstCaps *caps;
    gst_event_parse_caps(event, &caps);
    if (!sink_track_of(caps, &track)) {
        GST_ELEMENT_ERROR(sink, STREAM, FORMAT, ("The caps carry no codec_data."),
                          ("h264parse, h265parse or aacparse before this element adds it"));
        sink_fail(sink);
        return FALSE;
    }
    if (sink_track_equal(&track, &pad->track)) {
        sink_track_clear(&track);
        return TRUE;
    }
    lock_idle(sink); /* nobody reads the old one now */
    sink_track_clear(&pad->track);
    pad->track = track;
    pad->is_new = TRUE;
    g_mutex_unlock(&sink->lock);
    sink_find_latency(sink);
    return TRUE;
}

/* What is older than its end needs not wait for this pad. */
static void take_gap(KinemaSink *sink, struct sink_pad *pad, GstEvent *event)
{
    GstClockTime start, duration;
    gst_event_parse_gap(event, &start, &duration);
    if (GST_CLOCK_TIME_IS_VALID(duration))
        start += duration;
    g_mutex_lock(&sink->lock);
    pad->gap_ns = MAX(pad->gap_ns, ns_of(pad, sink->original_pts, start));
    pad->heard_us = g_get_monotonic_time();
    g_cond_broadcast(&sink->changed);
    g_mutex_unlock(&sink->lock);
}

/* The last pad's end is that of all. */
static void take_end(KinemaSink *sink, struct sink_pad *pad, GstEvent *event)
{
    gboolean last = TRUE;
    g_mutex_lock(&sink->lock);
    sink->eos_seqnum = gst_event_get_seqnum(event);
    pad->ended = TRUE;
    g_cond_broadcast(&sink->changed);
    for (GSList *one = sink->pads; one; one = one->next)
        last = last && ((struct sink_pad *) one->data)->ended;
    if (last && wait_for_turn(sink, pad) == GST_FLOW_OK) {
        begin_work(sink);
        sink_finish(sink);
        end_work(sink);
    }
    g_mutex_unlock(&sink->lock);
}

static void begin_pad(struct sink_pad *pad)
{
    gst_segment_init(&pad->segment, GST_FORMAT_UNDEFINED);
    pad->gap_ns = G_MININT64;
    pad->holds = pad->ended = pad->absent = FALSE;
    pad->heard_us = g_get_monotonic_time();
}

static void take_flush(KinemaSink *sink, struct sink_pad *pad)
{
    lock_idle(sink);
    sink->offset_ms = G_MININT64;
    sink->flushing = FALSE;
    begin_pad(pad);
    g_mutex_unlock(&sink->lock);
}

static gboolean take_event(GstPad *gst_pad, GstObject *parent, GstEvent *event)
{
    KinemaSink *sink = KINEMA_SINK(parent);
    struct sink_pad *pad = gst_pad_get_element_private(gst_pad);
    gboolean taken = TRUE;
    switch (GST_EVENT_TYPE(event)) {
    case GST_EVENT_CAPS:
        taken = take_caps(sink, pad, event);
        break;
    case GST_EVENT_SEGMENT:
        gst_event_copy_segment(event, &pad->segment);
        break;
    case GST_EVENT_STREAM_START:
        sink_set_flag(sink, &pad->ended, FALSE);
        break;
    case GST_EVENT_GAP:
        take_gap(sink, pad, event);
        break;
    case GST_EVENT_EOS:
        take_end(sink, pad, event);
        break;
    case GST_EVENT_FLUSH_START:
        sink_set_flag(sink, &sink->flushing, TRUE);
        break;
    case GST_EVENT_FLUSH_STOP:
        take_flush(sink, pad);
        break;
    case GST_EVENT_CUSTOM_DOWNSTREAM:
        if (gst_event_has_name(event, "kvs-add-metadata"))
            sink_take_metadata(sink, gst_event_get_structure(event));
        break;
    default:
        break;
    }
    gst_event_unref(event);
    return taken;
}

/* --- pads ------------------------------------------------------------------------------------- */
void sink_add_pad(KinemaSink *sink, GstPad *gst_pad)
{
    struct sink_pad *pad = g_new0(struct sink_pad, 1);
    pad->pad = gst_pad;
    begin_pad(pad);
    gst_pad_set_element_private(gst_pad, pad);
    gst_pad_set_chain_function(gst_pad, take_buffer);
    gst_pad_set_event_function(gst_pad, take_event);
    g_mutex_lock(&sink->lock);
    sink->pads = g_slist_append(sink->pads, pad);
    g_mutex_unlock(&sink->lock);
}

void sink_remove_pad(KinemaSink *sink, GstPad *gst_pad)
{
    struct sink_pad *pad = gst_pad_get_element_private(gst_pad);
    g_mutex_lock(&sink->lock);
    pad->released = TRUE;
    g_cond_broadcast(&sink->changed);
    g_mutex_unlock(&sink->lock);
    (void) gst_pad_set_active(gst_pad, FALSE); /* its streaming thread is out of it then */
    lock_idle(sink);
    sink->pads = g_slist_remove(sink->pads, pad);
    g_cond_broadcast(&sink->changed);
    g_mutex_unlock(&sink->lock);
    sink_track_clear(&pad->track);
    g_free(pad);
}

void sink_begin_pads(KinemaSink *sink)
{
    g_mutex_lock(&sink->lock);
    for (GSList *one = sink->pads; one; one = one->next)
        begin_pad(one->data);
    g_mutex_unlock(&sink->lock);
}

void sink_set_flag(KinemaSink *sink, gboolean *flag, gboolean value)
{
    g_mutex_lock(&sink->lock);
    *flag = value;
    g_cond_broadcast(&sink->changed);
    g_mutex_unlock(&sink->lock);
}

void sink_set_latency(KinemaSink *sink, gint64 latency_us)
{
    g_mutex_lock(&sink->lock);
    sink->latency_us = latency_us;
    g_cond_broadcast(&sink->changed);
    g_mutex_unlock(&sink->lock);
}

/* Who is waited for has that long from now on. */
void sink_set_playing(KinemaSink *sink, gboolean playing)
{
    g_mutex_lock(&sink->lock);
    sink->playing = playing;
    for (GSList *one = sink->pads; one; one = one->next)
        ((struct sink_pad *) one->data)->heard_us = g_get_monotonic_time();
    g_cond_broadcast(&sink->changed);
    g_mutex_unlock(&sink->lock);
}
