/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Initialisation segments: ftyp and a moov without samples, for one track (ISO/IEC 14496-12; sample
 * entries: 14496-15 for avc1 and hvc1, 14496-14 for mp4a, QuickTime's for alaw and ulaw; RFC 8216,
 * 3.3).
 */
#include "mp4/box.h"
#include "mp4/mp4.h"

enum {
    FIXED_ONE = 0x10000,
    ESDS_OBJECT_AAC = 0x40,
    ESDS_STREAM_AUDIO = 0x15
};

static void write_matrix(struct kn_buf *out)
{
    static const uint32_t unity[9] = {FIXED_ONE, 0, 0, 0, FIXED_ONE, 0, 0, 0, 0x40000000};
    for (size_t i = 0; i < KN_ARRAY_LEN(unity); i++)
        kn_buf_append_u32be(out, unity[i]);
}

void playback_mp4_mvhd(struct kn_buf *out, uint32_t timescale, uint32_t duration)
{
    size_t box = playback_box_begin_full(out, "mvhd", 0, 0);
    kn_buf_append_u32be(out, 0);
    kn_buf_append_u32be(out, 0);
    kn_buf_append_u32be(out, timescale);
    kn_buf_append_u32be(out, duration);
    kn_buf_append_u32be(out, FIXED_ONE); /* rate */
    playback_box_u16(out, 0x0100);       /* volume */
    playback_box_zeros(out, 10);
    write_matrix(out);
    playback_box_zeros(out, 24);
    kn_buf_append_u32be(out, UINT32_MAX); /* next track id: unknown */
    playback_box_end(out, box);
}

void playback_mp4_tkhd(struct kn_buf *out, const struct playback_track *track, uint32_t duration)
{
    bool audio = playback_codec_is_audio(track->info.codec);
    size_t box = playback_box_begin_full(out, "tkhd", 0, 3); /* enabled, in the movie */
    kn_buf_append_u32be(out, 0);
    kn_buf_append_u32be(out, 0);
    kn_buf_append_u32be(out, track->number);
    kn_buf_append_u32be(out, 0);
    kn_buf_append_u32be(out, duration);
    playback_box_zeros(out, 8 + 2 + 2);
    playback_box_u16(out, audio ? 0x0100 : 0);
    playback_box_u16(out, 0);
    write_matrix(out);
    kn_buf_append_u32be(out, track->info.width << 16);
    kn_buf_append_u32be(out, track->info.height << 16);
    playback_box_end(out, box);
}

void playback_mp4_mdhd_hdlr(struct kn_buf *out, const struct playback_track *track,
                            uint32_t timescale, uint64_t duration)
{
    bool large = duration > UINT32_MAX;
    bool audio = playback_codec_is_audio(track->info.codec);
    size_t box = playback_box_begin_full(out, "mdhd", large, 0);
    playback_box_zeros(out, large ? 16 : 8);
    kn_buf_append_u32be(out, timescale);
    if (large)
        kn_buf_append_u64be(out, duration);
    else
        kn_buf_append_u32be(out, (uint32_t) duration);
    playback_box_u16(out, 0x55c4); /* "und" */
    playback_box_u16(out, 0);
    playback_box_end(out, box);

    box = playback_box_begin_full(out, "hdlr", 0, 0);
    kn_buf_append_u32be(out, 0);
    kn_buf_append(out, audio ? "soun" : "vide", 4);
    playback_box_zeros(out, 12);
    kn_buf_append(out, audio ? "audio" : "video", 6);
    playback_box_end(out, box);
}

static void write_video_entry(struct kn_buf *out, const struct playback_codec_info *info)
{
    bool h264 = info->codec == PLAYBACK_H264;
    size_t box = playback_box_begin(out, h264 ? "avc1" : "hvc1");
    playback_box_zeros(out, 6);
    playback_box_u16(out, 1); /* data reference */
    playback_box_zeros(out, 16);
    playback_box_u16(out, info->width);
    playback_box_u16(out, info->height);
    kn_buf_append_u32be(out, 72 * FIXED_ONE); /* pixels an inch */
    kn_buf_append_u32be(out, 72 * FIXED_ONE);
    kn_buf_append_u32be(out, 0);
    playback_box_u16(out, 1); /* frames a sample */
    playback_box_zeros(out, 32);
    playback_box_u16(out, 0x18); /* depth */
    playback_box_u16(out, 0xffff);
    size_t config = playback_box_begin(out, h264 ? "avcC" : "hvcC");
    kn_buf_append(out, info->config.ptr, info->config.len);
    if (!h264 && !out->error) /* the SPS knows better than the record: see h265.c */
        memcpy(out->ptr + config + 8 + 1, info->profile_level, sizeof info->profile_level);
    playback_box_end(out, config);
    playback_box_end(out, box);
}

/* An MPEG-4 descriptor's tag and length (ISO/IEC 14496-1, 8.3.3), always four length bytes. */
static void write_descriptor(struct kn_buf *out, uint8_t tag, size_t len)
{
    kn_buf_append_byte(out, tag);
    for (int shift = 21; shift >= 0; shift -= 7)
        kn_buf_append_byte(out, (uint8_t) ((len >> shift & 0x7f) | (shift ? 0x80 : 0)));
}

static void write_esds(struct kn_buf *out, const struct playback_codec_info *info)
{
    enum {
        HEAD = 5
    };
    size_t esds = playback_box_begin_full(out, "esds", 0, 0);
    size_t config = 13 + HEAD + info->config.len;
    write_descriptor(out, 3, 3 + HEAD + config + HEAD + 1);
    playback_box_u16(out, 1); /* ES id */
    kn_buf_append_byte(out, 0);
    write_descriptor(out, 4, config);
    kn_buf_append_byte(out, ESDS_OBJECT_AAC);
    kn_buf_append_byte(out, ESDS_STREAM_AUDIO);
    playback_box_zeros(out, 3 + 4 + 4); /* buffer size and bit rates: not said */
    write_descriptor(out, 5, info->config.len);
    kn_buf_append(out, info->config.ptr, info->config.len);
    write_descriptor(out, 6, 1);
    kn_buf_append_byte(out, 2);
    playback_box_end(out, esds);
}

static void write_audio_entry(struct kn_buf *out, const struct playback_codec_info *info)
{
    bool aac = info->codec == PLAYBACK_AAC;
    size_t box = playback_box_begin(out, aac ? "mp4a" : info->text);
    playback_box_zeros(out, 6);
    playback_box_u16(out, 1);
    playback_box_zeros(out, 8);
    playback_box_u16(out, info->channels);
    playback_box_u16(out, 16);
    kn_buf_append_u32be(out, 0);
    kn_buf_append_u32be(out, info->sample_hz <= UINT16_MAX ? info->sample_hz << 16 : 0);
    if (aac)
        write_esds(out, info);
    playback_box_end(out, box);
}

void playback_mp4_sample_entry(struct kn_buf *out, const struct playback_codec_info *info)
{
    if (playback_codec_is_audio(info->codec))
        write_audio_entry(out, info);
    else
        write_video_entry(out, info);
}

static void write_stbl(struct kn_buf *out, const struct playback_codec_info *info)
{
    static const char *const empty[] = {"stts", "stsc", "stco"};
    size_t stbl = playback_box_begin(out, "stbl");
    size_t stsd = playback_box_begin_full(out, "stsd", 0, 0);
    kn_buf_append_u32be(out, 1);
    playback_mp4_sample_entry(out, info);
    playback_box_end(out, stsd);
    for (size_t i = 0; i < KN_ARRAY_LEN(empty); i++) {
        size_t box = playback_box_begin_full(out, empty[i], 0, 0);
        kn_buf_append_u32be(out, 0);
        playback_box_end(out, box);
    }
    size_t stsz = playback_box_begin_full(out, "stsz", 0, 0);
    kn_buf_append_u64be(out, 0);
    playback_box_end(out, stsz);
    playback_box_end(out, stbl);
}

void playback_mp4_media_head(struct kn_buf *out, const struct playback_codec_info *info)
{
    bool audio = playback_codec_is_audio(info->codec);
    size_t box = playback_box_begin_full(out, audio ? "smhd" : "vmhd", 0, audio ? 0 : 1);
    playback_box_zeros(out, audio ? 4 : 8);
    playback_box_end(out, box);
    size_t dinf = playback_box_begin(out, "dinf");
    size_t dref = playback_box_begin_full(out, "dref", 0, 0);
    kn_buf_append_u32be(out, 1);
    playback_box_end(out, playback_box_begin_full(out, "url ", 0, 1)); /* in this file */
    playback_box_end(out, dref);
    playback_box_end(out, dinf);
}

static void write_minf(struct kn_buf *out, const struct playback_codec_info *info)
{
    size_t minf = playback_box_begin(out, "minf");
    playback_mp4_media_head(out, info);
    write_stbl(out, info);
    playback_box_end(out, minf);
}

int playback_mp4_init_write(struct kn_buf *out, const struct playback_track *track,
                            uint64_t scale_ns)
{
    uint32_t timescale = playback_timescale(&track->info, scale_ns);
    size_t ftyp = playback_box_begin(out, "ftyp");
    kn_buf_append_text(out, "iso6");
    kn_buf_append_u32be(out, 1);
    kn_buf_append_text(out, "iso6iso5mp41");
    playback_box_end(out, ftyp);

    size_t moov = playback_box_begin(out, "moov");
    playback_mp4_mvhd(out, timescale, 0);
    size_t trak = playback_box_begin(out, "trak");
    playback_mp4_tkhd(out, track, 0);
    size_t mdia = playback_box_begin(out, "mdia");
    playback_mp4_mdhd_hdlr(out, track, timescale, 0);
    write_minf(out, &track->info);
    playback_box_end(out, mdia);
    playback_box_end(out, trak);
    size_t mvex = playback_box_begin(out, "mvex");
    size_t trex = playback_box_begin_full(out, "trex", 0, 0);
    kn_buf_append_u32be(out, track->number);
    kn_buf_append_u32be(out, 1); /* sample description */
    playback_box_zeros(out, 12);
    playback_box_end(out, trex);
    playback_box_end(out, mvex);
    playback_box_end(out, moov);
    return out->error;
}
