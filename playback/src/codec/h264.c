/* SPDX-License-Identifier: Apache-2.0 */
/* H.264 codec private data: the AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1). */
#include "codec/codec.h"
#include "core/sps.h"

/* Walks the record. Both counts of parameter sets may be larger than we keep. */
static int walk(struct kn_bytes avcc, uint8_t head[6], struct playback_parameter_sets *ret,
                struct kn_bytes *ret_sps)
{
    struct kn_reader r = kn_reader_of(avcc);
    struct kn_bytes fixed;
    if (kn_read_bytes(&r, 6, &fixed) < 0 || fixed.ptr[0] != 1)
        return -EBADMSG;
    memcpy(head, fixed.ptr, 6);
    unsigned count = head[5] & 0x1f;
    for (int kind = 0; kind < 2; kind++) {
        uint8_t pps_count = 0;
        if (kind == 1) {
            if (kn_read_u8(&r, &pps_count) < 0)
                return -EBADMSG;
            count = pps_count;
        }
        for (unsigned i = 0; i < count; i++) {
            uint16_t len;
            struct kn_bytes set;
            if (kn_read_u16be(&r, &len) < 0 || len == 0 || kn_read_bytes(&r, len, &set) < 0)
                return -EBADMSG;
            if (kind == 0 && i == 0)
                *ret_sps = set;
            if (ret->count < PLAYBACK_PARAMETER_SETS_MAX)
                ret->items[ret->count++] = set;
        }
    }
    return ret_sps->len ? 0 : -EBADMSG;
}

int playback_h264_parameter_sets(struct kn_bytes avcc, struct playback_parameter_sets *ret)
{
    uint8_t head[6];
    struct kn_bytes sps = {NULL, 0};
    struct playback_parameter_sets sets = {.count = 0};
    int r = walk(avcc, head, &sets, &sps);
    if (r < 0)
        return r;
    *ret = sets;
    return 0;
}

int playback_h264_parse(struct kn_bytes avcc, struct playback_codec_info *ret, struct kn_err *err)
{
    uint8_t head[6];
    struct kn_bytes sps = {NULL, 0};
    struct playback_parameter_sets sets = {.count = 0};
    if (walk(avcc, head, &sets, &sps) < 0)
        return kn_fail(err, -EBADMSG, "not an AVCDecoderConfigurationRecord");
    struct playback_codec_info info = {.codec = PLAYBACK_H264, .config = avcc};
    struct kn_sps facts;
    if (kn_sps_h264(sps, &facts, err) < 0)
        return -EBADMSG;
    info.width = facts.width;
    info.height = facts.height;
    info.frames_per_s = facts.frames_per_s;
    info.reorder_frames = facts.reorder_frames;
    info.nal_length_bytes = (uint8_t) ((head[4] & 3) + 1);
    if (info.nal_length_bytes == 3)
        return kn_fail(err, -EBADMSG, "avcC: NAL lengths of 3 bytes");
    /* RFC 6381, 3.3: profile, constraint flags and level, as the SPS has them */
    (void) snprintf(info.text, sizeof info.text, "avc1.%02x%02x%02x", sps.ptr[1], sps.ptr[2],
                    sps.ptr[3]);
    *ret = info;
    return 0;
}
