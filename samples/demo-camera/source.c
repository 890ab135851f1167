/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See source.h. The pipeline encodes without B-frames and look-ahead, so frames leave in the order
 * they are shown; every fragment_seconds a key frame opens a fragment. Times are running times of
 * the pipeline put on the wall clock once, at the first frame.
 */
#include "source.h"

#include <gst/app/gstappsink.h>
#include <gst/gst.h>

enum {
    TRACKS = 2,
    STALL_NS = 400 * 1000 * 1000,
    QUEUE_MAX = 4096
};

struct source {
    GstElement *pipeline;
    GMutex lock;
    GQueue queues[TRACKS]; /* of struct source_frame *, guarded by lock */
    struct source_format format;
    bool has_format[TRACKS], failed;
    int64_t wall_offset_ns; /* wall = running + this; 0: not known yet */
    unsigned tracks;
    void (*wake)(void *ctx);
    void *ctx;
};

static void read_format(struct source *s, unsigned track, GstCaps *caps)
{
    const GstStructure *st = gst_caps_get_structure(caps, 0);
    const GValue *data = gst_structure_get_value(st, "codec_data");
    GstBuffer *buffer = data ? gst_value_get_buffer(data) : NULL;
    gint value = 0;
    if (!buffer)
        return;
    gsize len = gst_buffer_get_size(buffer);
    s->format.codec_private[track] = g_malloc(len);
    s->format.codec_private_bytes[track] = len;
    gst_buffer_extract(buffer, 0, s->format.codec_private[track], len);
    if (track == 0) {
        if (gst_structure_get_int(st, "width", &value))
            s->format.width = (unsigned) value;
        if (gst_structure_get_int(st, "height", &value))
            s->format.height = (unsigned) value;
    } else {
        if (gst_structure_get_int(st, "rate", &value))
            s->format.sampling_hz = value;
        if (gst_structure_get_int(st, "channels", &value))
            s->format.channels = (unsigned) value;
    }
    s->has_format[track] = true;
}

static GstFlowReturn on_sample(GstAppSink *sink, gpointer arg)
{
    struct source *s = arg;
    unsigned track = g_object_get_data(G_OBJECT(sink), "sound") ? 1 : 0;
    GstSample *sample = gst_app_sink_pull_sample(sink);
    GstBuffer *buffer = sample ? gst_sample_get_buffer(sample) : NULL;
    GstMapInfo map;
    if (!buffer || !gst_buffer_map(buffer, &map, GST_MAP_READ)) {
        if (sample)
            gst_sample_unref(sample);
        return GST_FLOW_OK;
    }
    guint64 running = gst_segment_to_running_time(gst_sample_get_segment(sample), GST_FORMAT_TIME,
                                                  GST_BUFFER_PTS(buffer));
    struct source_frame *frame = g_new0(struct source_frame, 1);
    frame->bytes = g_malloc(map.size);
    frame->len = map.size;
    memcpy(frame->bytes, map.data, map.size);
    frame->track = track + 1;
    frame->key = track == 0 && !GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT);

    g_mutex_lock(&s->lock);
    if (!s->has_format[track])
        read_format(s, track, gst_sample_get_caps(sample));
    if (s->wall_offset_ns == 0) {
        GstClock *clock = gst_element_get_clock(s->pipeline);
        gint64 now = (gint64) (gst_clock_get_time(clock) - gst_element_get_base_time(s->pipeline));
        s->wall_offset_ns = g_get_real_time() * 1000 - now;
        gst_object_unref(clock);
    }
    frame->time_ns = s->wall_offset_ns + (int64_t) running;
    if (running == GST_CLOCK_TIME_NONE || g_queue_get_length(&s->queues[track]) >= QUEUE_MAX) {
        g_free(frame->bytes);
        g_free(frame);
    } else {
        g_queue_push_tail(&s->queues[track], frame);
    }
    g_mutex_unlock(&s->lock);

    gst_buffer_unmap(buffer, &map);
    gst_sample_unref(sample);
    s->wake(s->ctx);
    return GST_FLOW_OK;
}

static void connect_sink(struct source *s, const char *name, bool sound)
{
    GstElement *sink = gst_bin_get_by_name(GST_BIN(s->pipeline), name);
    GstAppSinkCallbacks callbacks = {.new_sample = on_sample};
    if (!sink)
        return;
    if (sound)
        g_object_set_data(G_OBJECT(sink), "sound", s);
    gst_app_sink_set_callbacks(GST_APP_SINK(sink), &callbacks, s, NULL);
    gst_object_unref(sink);
}

static char *describe(const struct source_options *o)
{
    char *sound = g_strdup(
        o->audio ? "audiotestsrc is-live=true wave=sine freq=440 volume=0.08 ! "
                   "audio/x-raw,rate=48000,channels=2 ! audioconvert ! avenc_aac bitrate=96000 ! "
                   "aacparse ! audio/mpeg,mpegversion=4,stream-format=raw ! "
                   "appsink name=sound sync=false max-buffers=512"
                 : "");
    char *text = g_strdup_printf(
        "videotestsrc is-live=true pattern=smpte75 horizontal-speed=2 ! "
        "video/x-raw,format=I420,width=%u,height=%u,framerate=%u/1 ! "
        "clockoverlay time-format=\"%%Y-%%m-%%d  %%H:%%M:%%S\" font-desc=\"DejaVu Sans Mono Bold "
        "30\" "
        "halignment=center valignment=center shaded-background=true ! "
        "timeoverlay font-desc=\"DejaVu Sans Mono 14\" halignment=right valignment=bottom "
        "shaded-background=true ! "
        "textoverlay text=\"%s\" font-desc=\"DejaVu Sans Bold 16\" halignment=left "
        "valignment=bottom "
        "shaded-background=true ! queue max-size-buffers=4 leaky=downstream ! "
        "x264enc tune=zerolatency speed-preset=superfast bitrate=%u key-int-max=%u bframes=0 "
        "option-string=\"scenecut=0:keyint=%u:min-keyint=%u\" byte-stream=false ! "
        "h264parse ! video/x-h264,stream-format=avc,alignment=au ! "
        "appsink name=picture sync=false max-buffers=512 %s",
        o->width, o->height, o->frames_per_second, o->title, o->kbit_per_second,
        o->frames_per_second * o->fragment_seconds, o->frames_per_second * o->fragment_seconds,
        o->frames_per_second * o->fragment_seconds, sound);
    g_free(sound);
    return text;
}

struct source *source_start(const struct source_options *options, void (*wake)(void *ctx),
                            void *ctx)
{
    GError *error = NULL;
    gst_init(NULL, NULL);
    struct source *s = g_new0(struct source, 1);
    g_mutex_init(&s->lock);
    s->wake = wake;
    s->ctx = ctx;
    s->tracks = options->audio ? 2 : 1;
    char *text = describe(options);
    s->pipeline = gst_parse_launch(text, &error);
    g_free(text);
    if (!s->pipeline || error) {
        g_printerr("demo-camera: %s\n", error ? error->message : "no pipeline");
        g_clear_error(&error);
        source_stop(s);
        return NULL;
    }
    connect_sink(s, "picture", false);
    connect_sink(s, "sound", true);
    if (gst_element_set_state(s->pipeline, GST_STATE_PLAYING) == GST_STATE_CHANGE_FAILURE) {
        g_printerr("demo-camera: the test source does not start\n");
        source_stop(s);
        return NULL;
    }
    return s;
}

void source_stop(struct source *s)
{
    struct source_frame *frame;
    if (s->pipeline) {
        gst_element_set_state(s->pipeline, GST_STATE_NULL);
        gst_object_unref(s->pipeline);
    }
    for (unsigned i = 0; i < TRACKS; i++) {
        while ((frame = g_queue_pop_head(&s->queues[i]))) {
            g_free(frame->bytes);
            g_free(frame);
        }
        g_free(s->format.codec_private[i]);
    }
    g_mutex_clear(&s->lock);
    g_free(s);
}

bool source_failed(struct source *s)
{
    GstBus *bus = gst_element_get_bus(s->pipeline);
    GstMessage *message = gst_bus_pop_filtered(bus, GST_MESSAGE_ERROR | GST_MESSAGE_EOS);
    if (message && GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR) {
        GError *error = NULL;
        gst_message_parse_error(message, &error, NULL);
        g_printerr("demo-camera: %s\n", error->message);
        g_clear_error(&error);
    }
    if (message) {
        s->failed = true;
        gst_message_unref(message);
    }
    gst_object_unref(bus);
    return s->failed;
}

const struct source_format *source_format(struct source *s)
{
    g_mutex_lock(&s->lock);
    bool ready = s->has_format[0] && (s->tracks == 1 || s->has_format[1]);
    g_mutex_unlock(&s->lock);
    return ready ? &s->format : NULL;
}

/* The older of both heads; a track that has fallen silent is waited for no longer than STALL_NS. */
bool source_take(struct source *s, struct source_frame *ret)
{
    struct source_frame *best = NULL;
    unsigned from = 0;
    bool hungry = false;
    g_mutex_lock(&s->lock);
    for (unsigned i = 0; i < s->tracks; i++) {
        struct source_frame *head = g_queue_peek_head(&s->queues[i]);
        if (!head) {
            hungry = true;
        } else if (!best || head->time_ns < best->time_ns) {
            best = head;
            from = i;
        }
    }
    if (best && hungry && g_get_real_time() * 1000 - best->time_ns < STALL_NS)
        best = NULL;
    if (best)
        *ret = *(struct source_frame *) g_queue_pop_head(&s->queues[from]);
    g_mutex_unlock(&s->lock);
    g_free(best);
    return best != NULL;
}
