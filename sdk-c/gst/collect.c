/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The buffers of all pads one after the other, the oldest first. A streaming thread waits inside
 * its pad's chain function for its turn: until no pad holds an older buffer, and none may still
 * bring one. Those that have none are waited for; not those that are at their end, that have said
 * by GAP events how long they have none, and in real time not those that have brought nothing for
 * pad-wait and the pipeline's latency.
 *
 * Everything here is under the element's lock, but for the calls of frames.c, of which one is under
 * way at a time: `busy`. That may last, offline until there is room, so nobody but who has a buffer
 * waits for it: not who ends, flushes or releases a pad.
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
    while ((flow = sink_flow(sink, pad)) == GST_FLOW_OK && !is_turn(sink, pad, asked, &until)) {
        asked = !wait_until(sink, until);
        if (asked) { /* an encoder may know it only now */
            g_mutex_unlock(&sink->lock);
            sink_find_latency(sink);
            g_mutex_lock(&sink->lock);
        }
    }
    return flow;
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

/* --- the end ---------------------------------------------------------------------------------- */
static gboolean waits_to_finish(KinemaSink *sink)
{
    return sink_flow(sink, NULL) == GST_FLOW_OK && (sink->busy || !sink->playing);
}

/* On a thread of its own: all is to be kept first, and an application that releases its last pad is
 * not to wait for that. */
static void finish(GstElement *element, gpointer ctx)
{
    KinemaSink *sink = KINEMA_SINK(element);
    (void) ctx;
    g_mutex_lock(&sink->lock);
    while (waits_to_finish(sink))
        g_cond_wait(&sink->changed, &sink->lock);
    if (sink_flow(sink, NULL) == GST_FLOW_OK) {
        begin_work(sink);
        sink_finish(sink);
        end_work(sink);
    }
    g_mutex_unlock(&sink->lock);
}

/* Nothing more comes of it. TRUE: nor of any other pad, and finish() is to be called. */
static gboolean end_pad(KinemaSink *sink, struct sink_pad *pad)
{
    gboolean was_open = !pad->ended, any_open = FALSE;
    if (was_open && pad->number > 0)
        sink->ends |= 1U << pad->number;
    pad->ended = TRUE;
    for (GSList *one = sink->pads; one; one = one->next)
        any_open |= !((struct sink_pad *) one->data)->ended;
    g_cond_broadcast(&sink->changed);
    if (!was_open || any_open || sink->stopped)
        return FALSE;
    sink->over = TRUE;
    return TRUE;
}

/* It may bring something, so that there is no end yet. */
static void open_pad(KinemaSink *sink, struct sink_pad *pad)
{
    if (pad->released)
        return;
    pad->ended = sink->over = FALSE;
    g_cond_broadcast(&sink->changed);
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
    g_mutex_lock(&sink->lock);
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
    gboolean over;
    g_mutex_lock(&sink->lock);
    sink->eos_seqnum = gst_event_get_seqnum(event);
    over = end_pad(sink, pad);
    g_mutex_unlock(&sink->lock);
    if (over)
        gst_element_call_async(GST_ELEMENT(sink), finish, NULL, NULL);
}

static void take_start(KinemaSink *sink, struct sink_pad *pad)
{
    g_mutex_lock(&sink->lock);
    open_pad(sink, pad);
    g_mutex_unlock(&sink->lock);
}

static void begin_pad(KinemaSink *sink, struct sink_pad *pad)
{
    gst_segment_init(&pad->segment, GST_FORMAT_UNDEFINED);
    pad->gap_ns = G_MININT64;
    pad->holds = pad->absent = pad->flushing = FALSE;
    pad->heard_us = g_get_monotonic_time();
    open_pad(sink, pad);
}

static void begin_flush(KinemaSink *sink, struct sink_pad *pad)
{
    g_mutex_lock(&sink->lock);
    pad->flushing = TRUE;
    open_pad(sink, pad);
    g_mutex_unlock(&sink->lock);
}

static void end_flush(KinemaSink *sink, struct sink_pad *pad, GstEvent *event)
{
    gboolean resets;
    gst_event_parse_flush_stop(event, &resets);
    g_mutex_lock(&sink->lock);
    sink->anew |= resets;
    begin_pad(sink, pad);
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
        take_start(sink, pad);
        break;
    case GST_EVENT_GAP:
        take_gap(sink, pad, event);
        break;
    case GST_EVENT_EOS:
        take_end(sink, pad, event);
        break;
    case GST_EVENT_FLUSH_START:
        begin_flush(sink, pad);
        break;
    case GST_EVENT_FLUSH_STOP:
        end_flush(sink, pad, event);
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
static void free_pad(gpointer ptr)
{
    struct sink_pad *pad = ptr;
    sink_track_clear(&pad->track);
    g_free(pad);
}

/* Lives as long as the GstPad: a flush may still be on its way when that is released. */
void sink_add_pad(KinemaSink *sink, GstPad *gst_pad)
{
    struct sink_pad *pad = g_new0(struct sink_pad, 1);
    pad->pad = gst_pad;
    gst_pad_set_element_private(gst_pad, pad);
    g_object_set_data_full(G_OBJECT(gst_pad), "kinema", pad, free_pad);
    gst_pad_set_chain_function(gst_pad, take_buffer);
    gst_pad_set_event_function(gst_pad, take_event);
    g_mutex_lock(&sink->lock);
    begin_pad(sink, pad);
    sink->pads = g_slist_append(sink->pads, pad);
    g_mutex_unlock(&sink->lock);
}

void sink_remove_pad(KinemaSink *sink, GstPad *gst_pad)
{
    struct sink_pad *pad = gst_pad_get_element_private(gst_pad);
    gboolean over;
    g_mutex_lock(&sink->lock);
    pad->released = TRUE;
    over = end_pad(sink, pad);
    g_mutex_unlock(&sink->lock);
    (void) gst_pad_set_active(gst_pad, FALSE); /* its streaming thread is out of it then */
    g_mutex_lock(&sink->lock);
    sink->pads = g_slist_remove(sink->pads, pad);
    g_mutex_unlock(&sink->lock);
    if (over)
        gst_element_call_async(GST_ELEMENT(sink), finish, NULL, NULL);
}

/* As if nothing had been before. */
void sink_begin_pads(KinemaSink *sink)
{
    g_mutex_lock(&sink->lock);
    for (GSList *one = sink->pads; one; one = one->next)
        begin_pad(sink, one->data);
    sink->stopped = sink->failed = sink->connected = sink->over = FALSE;
    sink->anew = TRUE;
    sink->eos_seqnum = GST_SEQNUM_INVALID;
    g_mutex_unlock(&sink->lock);
}

void sink_stop(KinemaSink *sink)
{
    g_mutex_lock(&sink->lock);
    sink->stopped = TRUE;
    g_cond_broadcast(&sink->changed);
    while (sink->busy)
        g_cond_wait(&sink->changed, &sink->lock);
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
