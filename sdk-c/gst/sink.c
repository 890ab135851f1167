/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kinemasink: buffers of its pads, in the order of their times, become frames of one producer. The
 * only thread that it has of its own is the producer's helper, which sends and listens.
 *
 * Names of pads, properties and of the event for metadata are those of AWS's kvssink.
 */
#include "sink.h"

#include <errno.h>
#include <string.h>

enum {
    SLICE_MS = 200 /* how long a wait goes without looking whether it was ended */
};

struct sink_pad {
    GstCollectData collect; /* first: GstCollectPads makes it */
    struct sink_track track;
    unsigned number;
};

struct sink_tag {
    char *name, *value;
    gboolean persist, fresh;
};

G_DEFINE_TYPE(KinemaSink, kinema_sink, GST_TYPE_ELEMENT)

static void free_tag(gpointer ptr)
{
    struct sink_tag *tag = ptr;
    g_free(tag->name);
    g_free(tag->value);
    g_free(tag);
}

/* --- waiting ---------------------------------------------------------------------------------- */
static GstFlowReturn flow_of(KinemaSink *sink)
{
    return sink->failed                       ? GST_FLOW_ERROR
           : sink->stopping || sink->flushing ? GST_FLOW_FLUSHING
                                              : GST_FLOW_OK;
}

static GstFlowReturn wait_for_playing(KinemaSink *sink, gboolean *ret_tracks_changed)
{
    GstFlowReturn flow;
    g_mutex_lock(&sink->lock);
    while ((flow = flow_of(sink)) == GST_FLOW_OK && !sink->playing)
        g_cond_wait(&sink->changed, &sink->lock);
    *ret_tracks_changed = sink->tracks_changed;
    sink->tracks_changed = FALSE;
    g_mutex_unlock(&sink->lock);
    return flow;
}

/* Returns when there is other news than those seen, or after a while. */
static void wait_for_news(KinemaSink *sink, guint64 seen)
{
    gint64 until = g_get_monotonic_time() + SLICE_MS * G_TIME_SPAN_MILLISECOND;
    gboolean waits = TRUE;
    g_mutex_lock(&sink->lock);
    while (waits && sink->news == seen && flow_of(sink) == GST_FLOW_OK)
        waits = g_cond_wait_until(&sink->changed, &sink->lock, until);
    g_mutex_unlock(&sink->lock);
}

static GstFlowReturn look(KinemaSink *sink, guint64 *ret_news)
{
    GstFlowReturn flow;
    g_mutex_lock(&sink->lock);
    flow = flow_of(sink);
    *ret_news = sink->news;
    g_mutex_unlock(&sink->lock);
    return flow;
}

static void set_flag(KinemaSink *sink, gboolean *flag, gboolean value)
{
    g_mutex_lock(&sink->lock);
    *flag = value;
    g_cond_broadcast(&sink->changed);
    g_mutex_unlock(&sink->lock);
}

/* --- the producer ----------------------------------------------------------------------------- */
static void close_producer(KinemaSink *sink)
{
    kinema_producer_close(sink->producer);
    sink->producer = NULL;
    sink->fragments = 0;
}

/* Waits until all is kept; timeout_ms 0: as long as it takes. GST_FLOW_EOS: time is over. */
static GstFlowReturn drain(KinemaSink *sink, gint64 timeout_ms)
{
    gint64 until = g_get_monotonic_time() + timeout_ms * G_TIME_SPAN_MILLISECOND;
    GstFlowReturn flow = GST_FLOW_OK;
    guint64 news;
    while (sink->producer && kinema_producer_drain(sink->producer, SLICE_MS) < 0 &&
           (flow = look(sink, &news)) == GST_FLOW_OK)
        if (timeout_ms > 0 && g_get_monotonic_time() >= until)
            return GST_FLOW_EOS;
    return flow;
}

static GstFlowReturn drain_or_fail(KinemaSink *sink)
{
    struct kinema_stats stats;
    GstFlowReturn flow;
    guint timeout_s;
    GST_OBJECT_LOCK(sink);
    timeout_s = sink->settings.eos_timeout_s;
    GST_OBJECT_UNLOCK(sink);
    flow = drain(sink, (gint64) timeout_s * 1000);
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

/* Numbers the pads, video first, as AWS's producers do. */
static size_t gather_tracks(KinemaSink *sink, struct kinema_track *tracks, GString *media_type)
{
    size_t count = 0;
    for (int type = KINEMA_VIDEO; type <= KINEMA_AUDIO; type++) {
        for (GSList *one = sink->collect->data; one; one = one->next) {
            struct sink_pad *pad = one->data;
            if (!pad->track.private || (int) pad->track.track.type != type ||
                count == KINEMA_TRACKS_MAX)
                continue;
            g_string_append_printf(media_type, "%s%s", count ? "," : "", pad->track.media_type);
            tracks[count++] = pad->track.track;
            pad->number = (unsigned) count;
        }
    }
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
    code = kinema_producer_open(&config, &sink->producer);
    g_string_free(media_type, TRUE);
    return code;
}

static GstFlowReturn open_producer(KinemaSink *sink)
{
    int code;
    GST_OBJECT_LOCK(sink);
    code = open_with(sink, &sink->settings);
    GST_OBJECT_UNLOCK(sink);
    if (code == 0)
        code = kinema_producer_start(sink->producer);
    if (code == 0)
        return GST_FLOW_OK;
    close_producer(sink);
    GST_ELEMENT_ERROR(sink, RESOURCE, SETTINGS,
                      ("The producer cannot be opened: %s.", g_strerror(-code)),
                      ("stream-name, endpoint, aws-region, content-type, spill-file"));
    sink_fail(sink);
    return GST_FLOW_ERROR;
}

/* --- metadata --------------------------------------------------------------------------------- */
/* What is new goes to the open fragment, what persists to each. */
static void put_tags(KinemaSink *sink)
{
    struct kinema_stats stats;
    gboolean opened;
    GQueue due = G_QUEUE_INIT;
    kinema_producer_stats(sink->producer, &stats);
    opened = stats.fragments_put != sink->fragments;
    sink->fragments = stats.fragments_put;
    g_mutex_lock(&sink->lock);
    for (GList *one = sink->tags.head, *next; one; one = next) {
        struct sink_tag *tag = one->data, *copy;
        next = one->next;
        if (!tag->fresh && !(tag->persist && opened))
            continue;
        tag->fresh = FALSE;
        copy = tag;
        if (tag->persist) {
            copy = g_new0(struct sink_tag, 1);
            copy->name = g_strdup(tag->name);
            copy->value = g_strdup(tag->value);
        } else {
            g_queue_delete_link(&sink->tags, one);
        }
        g_queue_push_tail(&due, copy);
    }
    g_mutex_unlock(&sink->lock);
    for (struct sink_tag *tag; (tag = g_queue_pop_head(&due)); free_tag(tag)) {
        int code = kinema_producer_put_tag(sink->producer, tag->name, tag->value);
        if (code < 0)
            GST_ELEMENT_WARNING(sink, STREAM, FAILED,
                                ("Metadata %s is left out: %s.", tag->name,
                                 code == -ENOSPC ? "a fragment has ten at most" : "not allowed"),
                                (NULL));
    }
}

/* kvssink's event: name, value, persist. A value that persists is replaced by the next of its name,
 * and ended by an empty one. */
static void take_metadata(KinemaSink *sink, const GstStructure *shape)
{
    const char *name = gst_structure_get_string(shape, "name");
    const char *value = gst_structure_get_string(shape, "value");
    struct sink_tag *tag;
    gboolean persist = FALSE;
    if (!name)
        return;
    (void) gst_structure_get_boolean(shape, "persist", &persist);
    g_mutex_lock(&sink->lock);
    for (GList *one = persist ? sink->tags.head : NULL, *next; one; one = next) {
        tag = one->data;
        next = one->next;
        if (tag->persist && strcmp(tag->name, name) == 0) {
            free_tag(tag);
            g_queue_delete_link(&sink->tags, one);
        }
    }
    if (!persist || (value && *value)) {
        tag = g_new0(struct sink_tag, 1);
        *tag = (struct sink_tag){g_strdup(name), g_strdup(value ? value : ""), persist, TRUE};
        g_queue_push_tail(&sink->tags, tag);
    }
    g_mutex_unlock(&sink->lock);
}

/* --- frames ----------------------------------------------------------------------------------- */
/* The first frame is of now, or of file-start-time; the others keep their distance from it. */
static gint64 time_of(KinemaSink *sink, GstBuffer *buffer)
{
    GstClockTime stamp =
        GST_BUFFER_PTS_IS_VALID(buffer) ? GST_BUFFER_PTS(buffer) : GST_BUFFER_DTS(buffer);
    gint64 ms = GST_CLOCK_TIME_IS_VALID(stamp) ? (gint64) GST_TIME_AS_MSECONDS(stamp) : 0;
    if (sink->offset_ms == G_MININT64) {
        GST_OBJECT_LOCK(sink);
        if (sink->settings.original_pts)
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
        put_tags(sink);
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

static GstFlowReturn put(KinemaSink *sink, const struct sink_pad *pad, GstBuffer *buffer)
{
    struct kinema_frame frame = {.track = pad->number, .time_ms = time_of(sink, buffer)};
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
    while ((flow = look(sink, &news)) == GST_FLOW_OK && code == -EAGAIN) {
        code = kinema_producer_put_frame(sink->producer, &frame);
        if (code == -EAGAIN) /* offline: the buffer is full */
            wait_for_news(sink, news);
    }
    gst_buffer_unmap(buffer, &map);
    return flow == GST_FLOW_OK ? judge(sink, code) : flow;
}

static GstFlowReturn finish(KinemaSink *sink)
{
    GstMessage *message;
    GstFlowReturn flow = drain_or_fail(sink);
    if (flow != GST_FLOW_OK)
        return flow;
    close_producer(sink);
    message = gst_message_new_eos(GST_OBJECT(sink));
    g_mutex_lock(&sink->lock);
    if (sink->eos_seqnum != GST_SEQNUM_INVALID)
        gst_message_set_seqnum(message, sink->eos_seqnum);
    g_mutex_unlock(&sink->lock);
    (void) gst_element_post_message(GST_ELEMENT(sink), message);
    return GST_FLOW_EOS;
}

/* The oldest buffer of all pads; NULL: all are at their end. */
static GstFlowReturn take_buffer(GstCollectPads *collect, GstCollectData *data, GstBuffer *buffer,
                                 gpointer ctx)
{
    KinemaSink *sink = ctx;
    gboolean tracks_changed;
    GstFlowReturn flow = wait_for_playing(sink, &tracks_changed);
    (void) collect;
    if (flow == GST_FLOW_OK && !buffer)
        return finish(sink);
    if (flow == GST_FLOW_OK && tracks_changed && sink->producer) {
        flow = drain_or_fail(sink); /* a header holds for a whole upload */
        if (flow == GST_FLOW_OK)
            close_producer(sink);
    }
    if (flow == GST_FLOW_OK && !sink->producer)
        flow = open_producer(sink);
    if (flow == GST_FLOW_OK)
        flow = put(sink, (struct sink_pad *) data, buffer);
    if (buffer)
        gst_buffer_unref(buffer);
    return flow;
}

/* Pads are compared by running time; timestamps that are times already stay as they are. */
static GstFlowReturn clip(GstCollectPads *collect, GstCollectData *data, GstBuffer *buffer,
                          GstBuffer **ret, gpointer ctx)
{
    KinemaSink *sink = ctx;
    gboolean original;
    GST_OBJECT_LOCK(sink);
    original = sink->settings.original_pts;
    GST_OBJECT_UNLOCK(sink);
    if (!original)
        return gst_collect_pads_clip_running_time(collect, data, buffer, ret, NULL);
    *ret = buffer;
    return GST_FLOW_OK;
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
    /* Nobody reads the old one now: this pad's last buffer was taken, and the lock is that of the
     * collected function. */
    GST_COLLECT_PADS_STREAM_LOCK(sink->collect);
    sink_track_clear(&pad->track);
    pad->track = track;
    GST_COLLECT_PADS_STREAM_UNLOCK(sink->collect);
    set_flag(sink, &sink->tracks_changed, TRUE);
    return TRUE;
}

static gboolean take_event(GstCollectPads *collect, GstCollectData *data, GstEvent *event,
                           gpointer ctx)
{
    KinemaSink *sink = ctx;
    switch (GST_EVENT_TYPE(event)) {
    case GST_EVENT_CAPS:
        if (!take_caps(sink, (struct sink_pad *) data, event)) {
            gst_event_unref(event);
            return FALSE;
        }
        break;
    case GST_EVENT_EOS:
        g_mutex_lock(&sink->lock);
        sink->eos_seqnum = gst_event_get_seqnum(event);
        g_mutex_unlock(&sink->lock);
        break;
    case GST_EVENT_FLUSH_START:
        set_flag(sink, &sink->flushing, TRUE);
        break;
    case GST_EVENT_FLUSH_STOP:
        GST_COLLECT_PADS_STREAM_LOCK(collect);
        sink->offset_ms = G_MININT64;
        GST_COLLECT_PADS_STREAM_UNLOCK(collect);
        set_flag(sink, &sink->flushing, FALSE);
        break;
    case GST_EVENT_CUSTOM_DOWNSTREAM:
        if (gst_event_has_name(event, "kvs-add-metadata"))
            take_metadata(sink, gst_event_get_structure(event));
        break;
    default:
        break;
    }
    return gst_collect_pads_event_default(collect, data, event, FALSE);
}

/* --- pads and states -------------------------------------------------------------------------- */
static void free_pad(GstCollectData *data)
{
    sink_track_clear(&((struct sink_pad *) data)->track);
}

static GstPad *request_pad(GstElement *element, GstPadTemplate *template, const gchar *name,
                           const GstCaps *caps)
{
    KinemaSink *sink = KINEMA_SINK(element);
    gboolean video = strcmp(GST_PAD_TEMPLATE_NAME_TEMPLATE(template), "video_%u") == 0;
    char *own = NULL;
    GstPad *pad = NULL;
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
    pad = gst_pad_new_from_template(template, own);
    g_free(own);
    if (!gst_collect_pads_add_pad(sink->collect, pad, sizeof(struct sink_pad), free_pad, TRUE) ||
        !gst_element_add_pad(element, pad)) {
        GST_WARNING_OBJECT(sink, "the pad cannot be added");
        return NULL;
    }
    return pad;
}

static void release_pad(GstElement *element, GstPad *pad)
{
    (void) gst_collect_pads_remove_pad(KINEMA_SINK(element)->collect, pad);
    (void) gst_element_remove_pad(element, pad);
}

static gboolean begin(KinemaSink *sink)
{
    const char *wrong;
    int code = 0;
    GST_OBJECT_LOCK(sink);
    wrong = sink_check_settings(&sink->settings);
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
    sink->stopping = sink->flushing = sink->failed = sink->connected = FALSE;
    sink->eos_seqnum = GST_SEQNUM_INVALID;
    sink->offset_ms = G_MININT64;
    gst_collect_pads_start(sink->collect);
    return TRUE;
}

/* Streaming threads are out of the element by now. */
static void end(KinemaSink *sink)
{
    guint timeout_ms;
    gboolean failed = sink->failed;
    GST_OBJECT_LOCK(sink);
    timeout_ms = sink->settings.stop_timeout_ms;
    GST_OBJECT_UNLOCK(sink);
    if (sink->producer && !failed && timeout_ms > 0)
        (void) kinema_producer_drain(sink->producer, timeout_ms);
    close_producer(sink);
    kinema_credentials_free(sink->credentials);
    sink->credentials = NULL;
    g_queue_clear_full(&sink->tags, free_tag);
}

static GstStateChangeReturn change_state(GstElement *element, GstStateChange change)
{
    KinemaSink *sink = KINEMA_SINK(element);
    GstStateChangeReturn code;
    if (change == GST_STATE_CHANGE_READY_TO_PAUSED && !begin(sink))
        return GST_STATE_CHANGE_FAILURE;
    if (change == GST_STATE_CHANGE_PAUSED_TO_PLAYING ||
        change == GST_STATE_CHANGE_PLAYING_TO_PAUSED)
        set_flag(sink, &sink->playing, change == GST_STATE_CHANGE_PAUSED_TO_PLAYING);
    if (change == GST_STATE_CHANGE_PAUSED_TO_READY) {
        set_flag(sink, &sink->stopping, TRUE);
        gst_collect_pads_stop(sink->collect);
    }
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
    gst_object_unref(sink->collect);
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
    sink->collect = gst_collect_pads_new();
    gst_collect_pads_set_buffer_function(sink->collect, take_buffer, sink);
    gst_collect_pads_set_clip_function(sink->collect, clip, sink);
    gst_collect_pads_set_event_function(sink->collect, take_event, sink);
    GST_OBJECT_FLAG_SET(sink, GST_ELEMENT_FLAG_SINK);
}
