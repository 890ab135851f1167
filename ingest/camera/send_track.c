/* SPDX-License-Identifier: Apache-2.0 */
#include "send_track.h"

#include "core/bytes.h"

enum {
    PAYLOAD_MULAW = 0, /* RFC 3551, table 4 */
    PAYLOAD_ALAW = 8,
    PAYLOAD_FIRST = 96,
    WAVE_ALAW = 6, /* mmreg.h */
    WAVE_MULAW = 7,
    OPUS_HZ = 48000,
};

enum codec {
    CODEC_NONE,
    CODEC_H264,
    CODEC_H265,
    CODEC_AAC,
    CODEC_OPUS,
    CODEC_ALAW,
    CODEC_MULAW,
};

static enum codec codec_of(const struct kn_mkv_track *track)
{
    static const struct {
        const char *id;
        enum codec codec;
    } codecs[] = {
        {"V_MPEG4/ISO/AVC",  CODEC_H264},
        {"V_MPEGH/ISO/HEVC", CODEC_H265},
        {"A_AAC",            CODEC_AAC },
        {"A_OPUS",           CODEC_OPUS},
    };
    struct kn_bytes private = track->codec_private;
    for (size_t i = 0; i < G_N_ELEMENTS(codecs); i++) {
        if (!strcmp(track->codec_id, codecs[i].id))
            return codecs[i].codec;
    }
    if (strcmp(track->codec_id, "A_MS/ACM") != 0 || private.len < 2)
        return CODEC_NONE;
    unsigned tag = private.ptr[0] | (unsigned) private.ptr[1] << 8;
    return tag == WAVE_ALAW ? CODEC_ALAW : tag == WAVE_MULAW ? CODEC_MULAW : CODEC_NONE;
}

/* The parser puts parameter sets before a key picture; the payloader would put them before each of
 * its slices, which reads as a picture a slice. */
const char *camera_send_chain(const struct kn_mkv_track *track)
{
    static const char *const chains[] = {
        [CODEC_NONE] = NULL,
        [CODEC_H264] = "h264parse config-interval=-1 ! rtph264pay aggregate-mode=zero-latency",
        [CODEC_H265] = "h265parse config-interval=-1 ! rtph265pay aggregate-mode=zero-latency",
        [CODEC_AAC] = "rtpmp4gpay",
        [CODEC_OPUS] = "rtpopuspay",
        [CODEC_ALAW] = "rtppcmapay",
        [CODEC_MULAW] = "rtppcmupay",
    };
    return chains[codec_of(track)];
}

unsigned camera_send_payload(const struct kn_mkv_track *track, unsigned index)
{
    enum codec codec = codec_of(track);
    return codec == CODEC_ALAW    ? PAYLOAD_ALAW
           : codec == CODEC_MULAW ? PAYLOAD_MULAW
                                  : PAYLOAD_FIRST + index;
}

/* Lengths of 4 bytes that lead exactly to the end (ISO/IEC 14496-15, 5.3.3.1). */
static bool has_lengths(struct kn_bytes frame)
{
    size_t at = 0;
    while (frame.len - at >= 4) {
        uint64_t len = GST_READ_UINT32_BE(frame.ptr + at);
        if (len == 0 || len > frame.len - at - 4)
            return false;
        at += 4 + (size_t) len;
    }
    return at == frame.len && at > 0;
}

static bool has_start_code(struct kn_bytes bytes)
{
    static const uint8_t code[] = {0, 0, 0, 1};
    return bytes.len > 4 && (!memcmp(bytes.ptr, code, 4) || !memcmp(bytes.ptr, code + 1, 3));
}

static GstCaps *video_caps(const struct kn_mkv_track *track, struct kn_bytes frame, bool h264)
{
    struct kn_bytes private = track->codec_private;
    const char *name = h264 ? "video/x-h264" : "video/x-h265";
    if (has_start_code(frame) && !has_lengths(frame))
        return gst_caps_new_simple(name, "stream-format", G_TYPE_STRING, "byte-stream", "alignment",
                                   G_TYPE_STRING, "au", NULL);
    if (private.len == 0 || has_start_code(private))
        return NULL;
    GstBuffer *data = gst_buffer_new_memdup(private.ptr, private.len);
    GstCaps *caps = gst_caps_new_simple(name, "stream-format", G_TYPE_STRING, h264 ? "avc" : "hvc1",
                                        "alignment", G_TYPE_STRING, "au", "codec_data",
                                        GST_TYPE_BUFFER, data, NULL);
    gst_buffer_unref(data);
    return caps;
}

static GstCaps *aac_caps(const struct kn_mkv_track *track, int hz, int channels)
{
    struct kn_bytes private = track->codec_private;
    if (private.len == 0)
        return NULL;
    GstBuffer *data = gst_buffer_new_memdup(private.ptr, private.len);
    GstCaps *caps = gst_caps_new_simple("audio/mpeg", "mpegversion", G_TYPE_INT, 4, "stream-format",
                                        G_TYPE_STRING, "raw", "framed", G_TYPE_BOOLEAN, TRUE,
                                        "rate", G_TYPE_INT, hz, "channels", G_TYPE_INT, channels,
                                        "codec_data", GST_TYPE_BUFFER, data, NULL);
    gst_buffer_unref(data);
    return caps;
}

GstCaps *camera_send_caps(const struct kn_mkv_track *track, struct kn_bytes frame)
{
    int hz = (int) track->sampling_hz, channels = track->channels ? (int) track->channels : 1;
    enum codec codec = codec_of(track);
    switch (codec) {
    case CODEC_H264:
    case CODEC_H265:
        return video_caps(track, frame, codec == CODEC_H264);
    case CODEC_AAC:
        return aac_caps(track, hz, channels);
    case CODEC_OPUS:
        return gst_caps_new_simple("audio/x-opus", "channel-mapping-family", G_TYPE_INT, 0, "rate",
                                   G_TYPE_INT, OPUS_HZ, "channels", G_TYPE_INT, channels, NULL);
    case CODEC_ALAW:
    case CODEC_MULAW:
        return gst_caps_new_simple(codec == CODEC_ALAW ? "audio/x-alaw" : "audio/x-mulaw", "rate",
                                   G_TYPE_INT, hz > 0 ? hz : 8000, "channels", G_TYPE_INT, channels,
                                   NULL);
    case CODEC_NONE:
        break;
    }
    return NULL;
}

bool camera_send_private_first(const struct kn_mkv_track *track)
{
    return has_start_code(track->codec_private);
}
