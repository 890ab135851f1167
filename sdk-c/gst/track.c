/* SPDX-License-Identifier: Apache-2.0 */
/* Caps of GStreamer become tracks of Matroska. */
#include "sink.h"

#include <string.h>

enum {
    WAVE_BYTES = 18, /* WAVEFORMATEX, as A_MS/ACM has it */
    WAVE_ALAW = 6,
    WAVE_MULAW = 7,
    OPUS_HEAD_BYTES = 19,
    OPUS_HZ = 48000,
    OPUS_SKIP = 312 /* samples, of an encoder that does not say */
};

GstStaticPadTemplate sink_video_template = GST_STATIC_PAD_TEMPLATE(
    "video_%u", GST_PAD_SINK, GST_PAD_REQUEST,
    GST_STATIC_CAPS("video/x-h264, stream-format=(string)avc, alignment=(string)au; "
                    "video/x-h265, stream-format=(string)hvc1, alignment=(string)au"));
GstStaticPadTemplate sink_audio_template = GST_STATIC_PAD_TEMPLATE(
    "audio_%u", GST_PAD_SINK, GST_PAD_REQUEST,
    GST_STATIC_CAPS("audio/mpeg, mpegversion=(int){2,4}, stream-format=(string)raw; "
                    "audio/x-alaw, rate=(int)[1,192000], channels=(int)[1,2]; "
                    "audio/x-mulaw, rate=(int)[1,192000], channels=(int)[1,2]; "
                    "audio/x-opus, channel-mapping-family=(int)0"));

static GBytes *bytes_of(const GValue *value)
{
    GstBuffer *buffer = value && GST_VALUE_HOLDS_BUFFER(value) ? gst_value_get_buffer(value) : NULL;
    gpointer copy = NULL;
    gsize len = 0;
    if (!buffer)
        return NULL;
    gst_buffer_extract_dup(buffer, 0, gst_buffer_get_size(buffer), &copy, &len);
    return g_bytes_new_take(copy, len);
}

static GBytes *wave_of(guint16 tag, guint hz, guint16 channels)
{
    guint8 wave[WAVE_BYTES] = {0};
    GST_WRITE_UINT16_LE(wave, tag);
    GST_WRITE_UINT16_LE(wave + 2, channels);
    GST_WRITE_UINT32_LE(wave + 4, hz);
    GST_WRITE_UINT32_LE(wave + 8, hz * channels);
    GST_WRITE_UINT16_LE(wave + 12, channels);
    GST_WRITE_UINT16_LE(wave + 14, 8);
    return g_bytes_new(wave, sizeof(wave));
}

/* OpusHead of RFC 7845; caps of an encoder carry it. */
static GBytes *opus_of(const GstStructure *shape, guint channels)
{
    const GValue *headers = gst_structure_get_value(shape, "streamheader");
    guint8 head[OPUS_HEAD_BYTES] = "OpusHead\x01";
    if (headers && GST_VALUE_HOLDS_ARRAY(headers) && gst_value_array_get_size(headers) > 0)
        return bytes_of(gst_value_array_get_value(headers, 0));
    head[9] = (guint8) channels;
    GST_WRITE_UINT16_LE(head + 10, OPUS_SKIP);
    GST_WRITE_UINT32_LE(head + 12, OPUS_HZ);
    return g_bytes_new(head, sizeof(head));
}

static guint number_of(const GstStructure *shape, const char *name, guint fallback)
{
    gint value = 0;
    return gst_structure_get_int(shape, name, &value) && value > 0 ? (guint) value : fallback;
}

static void video_of(const GstStructure *shape, gboolean h265, struct sink_track *ret)
{
    ret->media_type = h265 ? "video/h265" : "video/h264";
    ret->track.type = KINEMA_VIDEO;
    ret->track.codec_id = h265 ? "V_MPEGH/ISO/HEVC" : "V_MPEG4/ISO/AVC";
    ret->track.width = number_of(shape, "width", 0);
    ret->track.height = number_of(shape, "height", 0);
    ret->private = bytes_of(gst_structure_get_value(shape, "codec_data"));
}

static void audio_of(const GstStructure *shape, const char *name, struct sink_track *ret)
{
    gboolean opus = strcmp(name, "audio/x-opus") == 0, alaw = strcmp(name, "audio/x-alaw") == 0;
    guint channels = number_of(shape, "channels", 1);
    guint hz = number_of(shape, "rate", opus ? OPUS_HZ : 8000);
    ret->track.type = KINEMA_AUDIO;
    ret->track.channels = channels;
    ret->track.sampling_hz = hz;
    if (strcmp(name, "audio/mpeg") == 0) {
        ret->media_type = "audio/aac";
        ret->track.codec_id = "A_AAC";
        ret->private = bytes_of(gst_structure_get_value(shape, "codec_data"));
    } else if (opus) {
        ret->media_type = "audio/opus";
        ret->track.codec_id = "A_OPUS";
        ret->private = opus_of(shape, channels);
    } else {
        ret->media_type = alaw ? "audio/alaw" : "audio/mulaw";
        ret->track.codec_id = "A_MS/ACM";
        ret->private = wave_of(alaw ? WAVE_ALAW : WAVE_MULAW, hz, (guint16) channels);
    }
}

gboolean sink_track_of(const GstCaps *caps, struct sink_track *ret)
{
    const GstStructure *shape = gst_caps_get_structure(caps, 0);
    const char *name = gst_structure_get_name(shape);
    gsize len = 0;
    memset(ret, 0, sizeof(*ret));
    if (g_str_has_prefix(name, "video/"))
        video_of(shape, strcmp(name, "video/x-h265") == 0, ret);
    else
        audio_of(shape, name, ret);
    if (!ret->private)
        return FALSE; /* nobody could decode it */
    ret->track.codec_private = g_bytes_get_data(ret->private, &len);
    ret->track.codec_private_len = len;
    return TRUE;
}

gboolean sink_track_equal(const struct sink_track *a, const struct sink_track *b)
{
    return a->private && b->private && a->media_type == b->media_type &&
           a->track.width == b->track.width && a->track.height == b->track.height &&
           a->track.channels == b->track.channels && a->track.sampling_hz >= b->track.sampling_hz &&
           a->track.sampling_hz <= b->track.sampling_hz && g_bytes_equal(a->private, b->private);
}

void sink_track_clear(struct sink_track *track)
{
    if (track->private)
        g_bytes_unref(track->private);
    memset(track, 0, sizeof(*track));
}
