/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See track.h. Codec ids: the Matroska codec registry; those of G.711 as PutMedia takes them,
 * A_MS/ACM with a WAVEFORMATEX (mmreg.h: tags 6 and 7).
 */
#include "track.h"

#include <errno.h>

enum {
    PRIVATE_BYTES_MAX = 64 << 10,
    WAVE_ALAW = 6,
    WAVE_MULAW = 7,
    OPUS_HEAD_BYTES = 19,
};

/* --- chains ----------------------------------------------------------------------------------- */
#define H264 "h264parse ! capsfilter caps=video/x-h264,stream-format=avc,alignment=au"
#define H265 "h265parse ! capsfilter caps=video/x-h265,stream-format=hvc1,alignment=au"
#define AAC  "aacparse ! capsfilter caps=audio/mpeg,mpegversion=4,stream-format=raw"
/* Between a demuxer, which goes on with a file's next stream, and a sink that waits until a frame's
 * time has come. */
#define QUEUE "queue max-size-buffers=0 max-size-bytes=16777216 max-size-time=3000000000 ! "

static const struct chain {
    const char *media, *encoding; /* of SDP's a=rtpmap */
    const char *text;
} chains[] = {
    {"video",       "H264",               "rtph264depay ! " H264    },
    {"video",       "H265",               "rtph265depay ! " H265    },
    {"audio",       "MPEG4-GENERIC",      "rtpmp4gdepay ! " AAC     },
    {"audio",       "MP4A-LATM",          "rtpmp4adepay ! " AAC     },
    {"audio",       "PCMU",               "rtppcmudepay"            },
    {"audio",       "PCMA",               "rtppcmadepay"            },
    {"audio",       "OPUS",               "rtpopusdepay ! opusparse"},
    {"application", "VND.ONVIF.METADATA", "identity"                }, /* document.c */
};

static const struct file_chain {
    const char *name; /* of a demuxer's caps */
    const char *text;
} file_chains[] = {
    {"video/x-h264",  QUEUE H264       },
    {"video/x-h265",  QUEUE H265       },
    {"audio/mpeg",    QUEUE AAC        },
    {"audio/x-mulaw", QUEUE "identity" },
    {"audio/x-alaw",  QUEUE "identity" },
    {"audio/x-opus",  QUEUE "opusparse"},
};

/* By a field that SDP gives: the name differs, as with SRTP. */
bool camera_track_is_rtp(const GstStructure *caps)
{
    return gst_structure_has_field(caps, "media");
}

/* Payload types that need no a=rtpmap: RFC 3551, table 4. */
static const char *static_encoding(const GstStructure *rtp)
{
    gint payload = -1;
    if (!gst_structure_get_int(rtp, "payload", &payload))
        return NULL;
    return payload == 0 ? "PCMU" : payload == 8 ? "PCMA" : NULL;
}

static const char *file_chain(const GstStructure *caps)
{
    gint version = 0;
    if (gst_structure_has_name(caps, "audio/mpeg") &&
        (!gst_structure_get_int(caps, "mpegversion", &version) || version == 1))
        return NULL; /* MP3, and what came before it */
    for (size_t i = 0; i < G_N_ELEMENTS(file_chains); i++) {
        if (gst_structure_has_name(caps, file_chains[i].name))
            return file_chains[i].text;
    }
    return NULL;
}

const char *camera_track_chain(const GstStructure *caps)
{
    if (!camera_track_is_rtp(caps))
        return file_chain(caps);
    const char *media = gst_structure_get_string(caps, "media");
    const char *encoding = gst_structure_get_string(caps, "encoding-name");
    encoding = encoding ? encoding : static_encoding(caps);
    for (size_t i = 0; media && encoding && i < G_N_ELEMENTS(chains); i++) {
        if (!strcmp(media, chains[i].media) && !g_ascii_strcasecmp(encoding, chains[i].encoding))
            return chains[i].text;
    }
    return NULL;
}

bool camera_track_is_video(const GstStructure *caps)
{
    return camera_track_is_rtp(caps) ? !g_strcmp0(gst_structure_get_string(caps, "media"), "video")
                                     : g_str_has_prefix(gst_structure_get_name(caps), "video/");
}

/* A demuxer's name says both: "audio/x-ac3". */
static const char *file_name(const char *name, const char **ret_media)
{
    const char *slash = strchr(name, '/');
    *ret_media = g_str_has_prefix(name, "video/")   ? "video"
                 : g_str_has_prefix(name, "audio/") ? "audio"
                                                    : "data";
    name = slash ? slash + 1 : name;
    return g_str_has_prefix(name, "x-") ? name + 2 : name;
}

void camera_track_name(const GstStructure *caps, const char **ret_media, const char **ret_encoding)
{
    const char *media = NULL, *encoding = NULL;
    if (camera_track_is_rtp(caps)) {
        media = gst_structure_get_string(caps, "media");
        encoding = gst_structure_get_string(caps, "encoding-name");
    } else {
        encoding = file_name(gst_structure_get_name(caps), &media);
    }
    *ret_media = media ? media : "?";
    *ret_encoding = encoding ? encoding : "?";
}

/* --- descriptions ----------------------------------------------------------------------------- */
void camera_track_init(struct camera_track *track)
{
    *track = (struct camera_track){0};
    kn_buf_init(&track->private, PRIVATE_BYTES_MAX);
}

void camera_track_done(struct camera_track *track)
{
    kn_buf_done(&track->private);
}

bool camera_track_same(const struct camera_track *a, const struct camera_track *b)
{
    return !strcmp(a->mkv.codec_id, b->mkv.codec_id) && a->private.len == b->private.len &&
           (a->private.len == 0 || !memcmp(a->private.ptr, b->private.ptr, a->private.len)) &&
           a->mkv.pixel_width == b->mkv.pixel_width && a->mkv.pixel_height == b->mkv.pixel_height &&
           a->mkv.sampling_hz >= b->mkv.sampling_hz && a->mkv.sampling_hz <= b->mkv.sampling_hz &&
           a->mkv.channels == b->mkv.channels;
}

static unsigned number_of(const GstStructure *st, const char *name)
{
    gint value = 0;
    return gst_structure_get_int(st, name, &value) && value > 0 ? (unsigned) value : 0;
}

/* CodecPrivate as the parser made it: avcC, hvcC, AudioSpecificConfig. */
static int copy_codec_data(struct camera_track *track, const GstStructure *st)
{
    const GValue *value = gst_structure_get_value(st, "codec_data");
    GstBuffer *buffer = value ? gst_value_get_buffer(value) : NULL;
    GstMapInfo map;
    if (!buffer || !gst_buffer_map(buffer, &map, GST_MAP_READ))
        return -EAGAIN;
    int r = kn_buf_append(&track->private, map.data, map.size);
    gst_buffer_unmap(buffer, &map);
    return r;
}

static void put_u16le(uint8_t *dst, unsigned value)
{
    dst[0] = (uint8_t) value;
    dst[1] = (uint8_t) (value >> 8);
}

static int wave_format(struct camera_track *track, unsigned tag)
{
    uint8_t bytes[18] = {0};
    unsigned hz = (unsigned) track->mkv.sampling_hz;
    put_u16le(bytes, tag);
    put_u16le(bytes + 2, track->mkv.channels);
    kn_put_u32le(bytes + 4, hz);
    kn_put_u32le(bytes + 8, hz * track->mkv.channels); /* a byte a sample */
    put_u16le(bytes + 12, track->mkv.channels);
    put_u16le(bytes + 14, 8);
    return kn_buf_append(&track->private, bytes, sizeof bytes);
}

/* RFC 7845, 5.1. */
static int opus_head(struct camera_track *track)
{
    uint8_t bytes[OPUS_HEAD_BYTES] = "OpusHead";
    bytes[8] = 1;
    bytes[9] = (uint8_t) track->mkv.channels;
    kn_put_u32le(bytes + 12, (uint32_t) track->mkv.sampling_hz);
    return kn_buf_append(&track->private, bytes, sizeof bytes);
}

static int describe_audio(struct camera_track *track, const GstStructure *st)
{
    struct kn_mkv_track *mkv = &track->mkv;
    mkv->type = KN_MKV_AUDIO;
    mkv->sampling_hz = number_of(st, "rate");
    mkv->channels = number_of(st, "channels");
    const char *id = "A_MS/ACM";
    int r;
    if (gst_structure_has_name(st, "audio/mpeg")) {
        id = "A_AAC";
        r = copy_codec_data(track, st);
    } else if (gst_structure_has_name(st, "audio/x-opus")) {
        id = "A_OPUS";
        mkv->sampling_hz = mkv->sampling_hz > 0 ? mkv->sampling_hz : 48000;
        mkv->channels = mkv->channels ? mkv->channels : 2;
        r = opus_head(track);
    } else if (gst_structure_has_name(st, "audio/x-mulaw")) {
        r = wave_format(track, WAVE_MULAW);
    } else if (gst_structure_has_name(st, "audio/x-alaw")) {
        r = wave_format(track, WAVE_ALAW);
    } else {
        return -EINVAL;
    }
    g_strlcpy(mkv->codec_id, id, sizeof mkv->codec_id);
    return r < 0 ? r : mkv->sampling_hz > 0 && mkv->channels ? 0 : -EAGAIN;
}

static int describe_video(struct camera_track *track, const GstStructure *st)
{
    struct kn_mkv_track *mkv = &track->mkv;
    gint rate = 0, per = 0;
    mkv->type = KN_MKV_VIDEO;
    mkv->pixel_width = number_of(st, "width");
    mkv->pixel_height = number_of(st, "height");
    if (gst_structure_get_fraction(st, "framerate", &rate, &per) && rate > 0 && per > 0)
        mkv->default_duration_ns = gst_util_uint64_scale(GST_SECOND, (guint) per, (guint) rate);
    bool h264 = gst_structure_has_name(st, "video/x-h264");
    if (!h264 && !gst_structure_has_name(st, "video/x-h265"))
        return -EINVAL;
    g_strlcpy(mkv->codec_id, h264 ? "V_MPEG4/ISO/AVC" : "V_MPEGH/ISO/HEVC", sizeof mkv->codec_id);
    return mkv->pixel_width && mkv->pixel_height ? copy_codec_data(track, st) : -EAGAIN;
}

int camera_track_describe(struct camera_track *track, const GstCaps *caps)
{
    const GstStructure *st = caps ? gst_caps_get_structure(caps, 0) : NULL;
    if (!st)
        return -EAGAIN;
    kn_buf_clear(&track->private);
    track->mkv = (struct kn_mkv_track){.number = track->mkv.number};
    int r = g_str_has_prefix(gst_structure_get_name(st), "video/") ? describe_video(track, st)
                                                                   : describe_audio(track, st);
    track->mkv.codec_private = kn_buf_bytes(&track->private);
    return r;
}
