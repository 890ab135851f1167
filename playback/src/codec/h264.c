/* SPDX-License-Identifier: Apache-2.0 */
/* H.264 codec private data: the AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1) and as
 * much of its first SPS (ITU-T H.264, 7.3.2.1.1 and E.1.1) as a playlist wants to say. */
#include "codec/bits.h"
#include "codec/codec.h"

enum {
    MACROBLOCKS_MAX = 4096,
    NAL_SPS = 7,
    HRD_MAX = 32,        /* E.2.2 */
    DPB_FRAMES_MAX = 16, /* A.3.1 */
};

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

static bool has_chroma_format(uint32_t profile)
{
    static const uint8_t profiles[] = {100, 110, 122, 244, 44,  83, 86,
                                       118, 128, 138, 139, 134, 135};
    for (size_t i = 0; i < KN_ARRAY_LEN(profiles); i++)
        if (profiles[i] == profile)
            return true;
    return false;
}

static void skip_scaling_lists(struct playback_bits *b, unsigned count)
{
    for (unsigned i = 0; i < count && !b->overrun; i++) {
        if (!playback_bits_read(b, 1))
            continue;
        int32_t last = 8, next = 8;
        for (unsigned k = 0; k < (i < 6 ? 16u : 64u) && !b->overrun; k++) {
            if (next)
                next = (int32_t) (((uint32_t) last + (uint32_t) playback_bits_se(b)) & 0xff);
            last = next ? next : last;
        }
    }
}

static void skip_order_count(struct playback_bits *b)
{
    uint32_t type = playback_bits_ue(b);
    if (type == 0) {
        (void) playback_bits_ue(b);
    } else if (type == 1) {
        playback_bits_skip(b, 1);
        (void) playback_bits_se(b);
        (void) playback_bits_se(b);
        uint32_t cycle = playback_bits_ue(b);
        for (uint32_t i = 0; i < cycle && i < 256 && !b->overrun; i++)
            (void) playback_bits_se(b);
    }
}

static void skip_hrd(struct playback_bits *b)
{
    uint32_t count = playback_bits_ue(b) + 1;
    playback_bits_skip(b, 8);
    for (uint32_t i = 0; i < count && i < HRD_MAX; i++) {
        (void) playback_bits_ue(b);
        (void) playback_bits_ue(b);
        playback_bits_skip(b, 1);
    }
    playback_bits_skip(b, 20);
}

/* max_num_reorder_frames, where bitstream_restriction says it. */
static uint8_t vui_reorder_frames(struct playback_bits *b)
{
    bool any_hrd = false;
    for (unsigned i = 0; i < 2; i++) /* of NAL units, of VCL units */
        if (playback_bits_read(b, 1)) {
            skip_hrd(b);
            any_hrd = true;
        }
    playback_bits_skip(b, any_hrd ? 2 : 1);
    if (!playback_bits_read(b, 1))
        return 0;
    playback_bits_skip(b, 1);
    for (unsigned i = 0; i < 4; i++) /* bytes a picture, bits a macroblock, lengths of vectors */
        (void) playback_bits_ue(b);
    uint32_t frames = playback_bits_ue(b);
    return b->overrun || frames > DPB_FRAMES_MAX ? 0 : (uint8_t) frames;
}

/* E.1.1: the frame rate and the depth of reordering are all we ask it for. */
static void parse_vui(struct playback_bits *b, struct playback_codec_info *ret)
{
    if (playback_bits_read(b, 1) && playback_bits_read(b, 8) == 255) /* aspect ratio, extended */
        playback_bits_skip(b, 32);
    if (playback_bits_read(b, 1)) /* overscan */
        playback_bits_skip(b, 1);
    if (playback_bits_read(b, 1)) { /* video signal */
        playback_bits_skip(b, 4);
        if (playback_bits_read(b, 1))
            playback_bits_skip(b, 24);
    }
    if (playback_bits_read(b, 1)) { /* chroma location */
        (void) playback_bits_ue(b);
        (void) playback_bits_ue(b);
    }
    if (playback_bits_read(b, 1)) {
        uint32_t units = playback_bits_read(b, 32), scale = playback_bits_read(b, 32);
        playback_bits_skip(b, 1);
        ret->frames_per_s = units && scale && !b->overrun ? scale / (2.0 * units) : 0;
    }
    ret->reorder_frames = vui_reorder_frames(b);
}

static int parse_sps(struct kn_bytes sps, struct playback_codec_info *ret, struct kn_err *err)
{
    if (sps.len < 4 || (sps.ptr[0] & 0x1f) != NAL_SPS)
        return kn_fail(err, -EBADMSG, "avcC: the first parameter set is no SPS");
    struct playback_bits b;
    playback_bits_init(&b, sps, true);
    playback_bits_skip(&b, 8);
    uint32_t profile = playback_bits_read(&b, 8);
    playback_bits_skip(&b, 16);
    (void) playback_bits_ue(&b);
    uint32_t chroma = 1;
    if (has_chroma_format(profile)) {
        chroma = playback_bits_ue(&b);
        if (chroma == 3 && playback_bits_read(&b, 1))
            chroma = 0; /* separate planes are cropped like monochrome */
        (void) playback_bits_ue(&b);
        (void) playback_bits_ue(&b);
        playback_bits_skip(&b, 1);
        if (playback_bits_read(&b, 1))
            skip_scaling_lists(&b, chroma == 3 ? 12 : 8);
    }
    (void) playback_bits_ue(&b);
    skip_order_count(&b);
    (void) playback_bits_ue(&b);
    playback_bits_skip(&b, 1);
    uint32_t columns = playback_bits_ue(&b), rows = playback_bits_ue(&b);
    uint32_t frame_only = playback_bits_read(&b, 1);
    if (!frame_only)
        playback_bits_skip(&b, 1);
    playback_bits_skip(&b, 1);
    uint32_t crop[4] = {0};
    if (playback_bits_read(&b, 1))
        for (unsigned i = 0; i < 4; i++)
            crop[i] = playback_bits_ue(&b);
    if (b.overrun || columns >= MACROBLOCKS_MAX || rows >= MACROBLOCKS_MAX || chroma > 3)
        return kn_fail(err, -EBADMSG, "avcC: the SPS is not readable");
    uint64_t width = 16 * (columns + 1), height = 16 * (rows + 1) * (2 - frame_only);
    uint64_t unit_x = chroma == 1 || chroma == 2 ? 2 : 1,
             unit_y = (chroma == 1 ? 2 : 1) * (2 - frame_only);
    uint64_t cut_x = unit_x * ((uint64_t) crop[0] + crop[1]);
    uint64_t cut_y = unit_y * ((uint64_t) crop[2] + crop[3]);
    if (cut_x >= width || cut_y >= height)
        return kn_fail(err, -EBADMSG, "avcC: the SPS crops everything");
    ret->width = (uint32_t) (width - cut_x);
    ret->height = (uint32_t) (height - cut_y);
    if (playback_bits_read(&b, 1))
        parse_vui(&b, ret);
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
    int r = parse_sps(sps, &info, err);
    if (r < 0)
        return r;
    info.nal_length_bytes = (uint8_t) ((head[4] & 3) + 1);
    if (info.nal_length_bytes == 3)
        return kn_fail(err, -EBADMSG, "avcC: NAL lengths of 3 bytes");
    /* RFC 6381, 3.3: profile, constraint flags and level, as the SPS has them */
    (void) snprintf(info.text, sizeof info.text, "avc1.%02x%02x%02x", sps.ptr[1], sps.ptr[2],
                    sps.ptr[3]);
    *ret = info;
    return 0;
}
