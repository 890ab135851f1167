/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Codec private data, and what is made of it, under hostile bytes. The first byte chooses the
 * codec; the rest is the CodecPrivate. Whatever comes: no overrun, and what is accepted can be
 * written as an init segment whose boxes add up, and asked for its parameter sets.
 */
#include "codec/codec.h"
#include "core/buf.h"
#include "mp4/mp4.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void check_init(const struct playback_track *track)
{
    struct kn_buf out;
    kn_buf_init(&out, KN_MKV_CODEC_PRIVATE_BYTES_MAX + KIB(4));
    int r = playback_mp4_init_write(&out, track, 1000000);
    kn_assert(r == 0);
    size_t at = 0;
    while (at < out.len) { /* ftyp, moov */
        struct kn_reader reader = kn_reader_of((struct kn_bytes){out.ptr + at, out.len - at});
        uint32_t size = 0;
        kn_assert(kn_read_u32be(&reader, &size) == 0 && size >= 8 && size <= out.len - at);
        at += size;
    }
    kn_buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static const struct {
        const char *id;
        enum kn_mkv_track_type type;
    } codecs[] = {
        {"V_MPEG4/ISO/AVC",  KN_MKV_VIDEO},
        {"V_MPEGH/ISO/HEVC", KN_MKV_VIDEO},
        {"A_AAC",            KN_MKV_AUDIO}
    };
    if (!len)
        return 0;
    size_t which = bytes[0] % KN_ARRAY_LEN(codecs);
    struct kn_mkv_header header = {.timestamp_scale_ns = 1000000, .track_count = 1};
    struct kn_mkv_track *mkv = &header.tracks[0];
    *mkv = (struct kn_mkv_track){
        .number = 1, .type = codecs[which].type, .codec_private = {bytes + 1, len - 1}
    };
    memcpy(mkv->codec_id, codecs[which].id, strlen(codecs[which].id));
    struct playback_tracks tracks;
    struct kn_err err;
    if (playback_tracks_choose(&header, PLAYBACK_FMP4, &tracks, &err) < 0)
        return 0;
    const struct playback_codec_info *info = &tracks.items[0].info;
    kn_assert(strlen(info->text) < sizeof info->text);
    kn_assert(info->codec == PLAYBACK_AAC ? info->sample_hz && info->frame_samples
                                          : info->width && info->height && info->nal_length_bytes);
    check_init(&tracks.items[0]);
    struct playback_parameter_sets sets;
    uint8_t adts[PLAYBACK_ADTS_BYTES];
    if (info->codec == PLAYBACK_H264)
        kn_assert(playback_h264_parameter_sets(info->config, &sets) == 0 && sets.count);
    int r = info->codec == PLAYBACK_AAC ? playback_aac_adts(info, 100, adts) : 0;
    kn_assert(r == 0 || r == -EINVAL); /* it may refuse */
    kn_assert(playback_tracks_hash(&tracks) != 0);
    return 0;
}
