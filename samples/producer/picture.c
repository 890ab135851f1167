/* SPDX-License-Identifier: Apache-2.0 */
/* See picture.h. No B-frames and no look-ahead: frames leave in the order they are shown. */
#include "picture.h"

#include <errno.h>
#include <gst/app/gstappsink.h>
#include <gst/gst.h>

enum {
    WAIT_MS = 200,
    FIRST_MS = 30000 /* a camera may take long to wake up */
};

static const char from_device[] = "v4l2src name=device ! decodebin ! videoconvert";
static const char from_nothing[] = "videotestsrc is-live=true pattern=ball ! "
                                   "video/x-raw,width=320,height=240,framerate=25/1 ! "
                                   "videoconvert";
static const char to_frames[] =
    " ! video/x-raw,format=I420 ! queue max-size-buffers=4 leaky=downstream ! "
    "x264enc tune=zerolatency speed-preset=superfast bitrate=1000 key-int-max=50 bframes=0 ! "
    "h264parse ! video/x-h264,stream-format=avc,alignment=au ! appsink name=frames sync=false";

struct picture {
    GstElement *pipeline, *frames;
    GstSample *sample; /* of the frame that is out */
    GstMapInfo map;
    struct kinema_track track;
    GstBuffer *codec_private;
    GstMapInfo codec_map;
    gint64 began_ms; /* on the wall, at running time 0 */
    int held;        /* the first sample was taken for its format, and is still to be given */
};

static int say_why(struct picture *p)
{
    GstBus *bus = gst_element_get_bus(p->pipeline);
    GstMessage *message = gst_bus_pop_filtered(bus, GST_MESSAGE_ERROR);
    GError *error = NULL;
    if (message)
        gst_message_parse_error(message, &error, NULL);
    g_printerr("the camera is gone: %s\n", error ? error->message : "no frame came");
    g_clear_error(&error);
    if (message)
        gst_message_unref(message);
    gst_object_unref(bus);
    return -EIO;
}

static void drop(struct picture *p)
{
    if (!p->sample)
        return;
    gst_buffer_unmap(gst_sample_get_buffer(p->sample), &p->map);
    gst_sample_unref(p->sample);
    p->sample = NULL;
}

static int pull(struct picture *p, int wait_ms)
{
    GstSample *sample =
        gst_app_sink_try_pull_sample(GST_APP_SINK(p->frames), (GstClockTime) wait_ms * GST_MSECOND);
    drop(p);
    if (!sample)
        return gst_app_sink_is_eos(GST_APP_SINK(p->frames)) ? say_why(p) : -EAGAIN;
    if (!gst_buffer_map(gst_sample_get_buffer(sample), &p->map, GST_MAP_READ)) {
        gst_sample_unref(sample);
        return -EAGAIN;
    }
    p->sample = sample;
    return 0;
}

/* The track as the first frame's caps say it. */
static int find_track(struct picture *p)
{
    const GstStructure *caps = gst_caps_get_structure(gst_sample_get_caps(p->sample), 0);
    const GValue *data = gst_structure_get_value(caps, "codec_data");
    gint width = 0, height = 0;
    (void) gst_structure_get_int(caps, "width", &width);
    (void) gst_structure_get_int(caps, "height", &height);
    if (!data)
        return -EIO;
    p->codec_private = gst_buffer_ref(gst_value_get_buffer(data));
    (void) gst_buffer_map(p->codec_private, &p->codec_map, GST_MAP_READ);
    p->track = (struct kinema_track){.type = KINEMA_VIDEO,
                                     .codec_id = "V_MPEG4/ISO/AVC",
                                     .codec_private = p->codec_map.data,
                                     .codec_private_len = p->codec_map.size,
                                     .width = (unsigned) width,
                                     .height = (unsigned) height};
    return 0;
}

static int start(struct picture *p, const char *device)
{
    char *text = g_strconcat(device ? from_device : from_nothing, to_frames, NULL);
    GError *error = NULL;
    int code;
    p->pipeline = gst_parse_launch(text, &error);
    g_free(text);
    if (!p->pipeline || error) {
        g_printerr("no pipeline: %s\n", error ? error->message : "");
        g_clear_error(&error);
        return -EIO;
    }
    p->frames = gst_bin_get_by_name(GST_BIN(p->pipeline), "frames");
    if (device)
        gst_child_proxy_set(GST_CHILD_PROXY(p->pipeline), "device::device", device, NULL);
    if (gst_element_set_state(p->pipeline, GST_STATE_PLAYING) == GST_STATE_CHANGE_FAILURE)
        return say_why(p);
    code = pull(p, FIRST_MS);
    return code == 0 ? find_track(p) : code == -EAGAIN ? say_why(p) : code;
}

int picture_open(const char *device, struct picture **ret)
{
    struct picture *p;
    int code;
    gst_init(NULL, NULL);
    p = g_new0(struct picture, 1);
    code = start(p, device);
    if (code < 0) {
        picture_close(p);
        return code;
    }
    p->held = 1;
    *ret = p;
    return 0;
}

const struct kinema_track *picture_track(const struct picture *p)
{
    return &p->track;
}

int picture_next(struct picture *p, struct kinema_frame *ret)
{
    int code = p->held ? 0 : pull(p, WAIT_MS);
    GstBuffer *buffer;
    gint64 running_ms;
    if (code < 0)
        return code;
    p->held = 0;
    buffer = gst_sample_get_buffer(p->sample);
    running_ms = (gint64) gst_segment_to_running_time(gst_sample_get_segment(p->sample),
                                                      GST_FORMAT_TIME, GST_BUFFER_PTS(buffer)) /
                 GST_MSECOND;
    if (p->began_ms == 0)
        p->began_ms = g_get_real_time() / 1000 - running_ms;
    *ret = (struct kinema_frame){.track = 1,
                                 .key = !GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT),
                                 .time_ms = p->began_ms + running_ms,
                                 .data = p->map.data,
                                 .len = p->map.size};
    return 0;
}

/* GstForceKeyUnit, as GStreamer's video library names it; it travels against the frames. */
void picture_want_key(struct picture *p)
{
    GstStructure *want =
        gst_structure_new("GstForceKeyUnit", "all-headers", G_TYPE_BOOLEAN, TRUE, NULL);
    (void) gst_element_send_event(p->frames, gst_event_new_custom(GST_EVENT_CUSTOM_UPSTREAM, want));
}

void picture_close(struct picture *p)
{
    if (!p)
        return;
    drop(p);
    if (p->pipeline)
        (void) gst_element_set_state(p->pipeline, GST_STATE_NULL);
    if (p->codec_private) {
        gst_buffer_unmap(p->codec_private, &p->codec_map);
        gst_buffer_unref(p->codec_private);
    }
    g_clear_object(&p->frames);
    g_clear_object(&p->pipeline);
    g_free(p);
}
