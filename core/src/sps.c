/* SPDX-License-Identifier: Apache-2.0 */
/* Sequence parameter sets: ITU-T H.264, 7.3.2.1.1 and E.1.1; ITU-T H.265, 7.3.2.2. */
#include "core/sps.h"

#include "core/bits.h"

enum {
    MACROBLOCKS_MAX = 4096,
    NAL_SPS = 7,         /* of H.264 */
    HRD_MAX = 32,        /* E.2.2 */
    DPB_FRAMES_MAX = 16, /* A.3.1 */
    SIDE_MAX = 16384,    /* of H.265 */
    DEPTH_BITS_MAX = 16,
};

static uint8_t read_depth(struct kn_bits *b)
{
    return (uint8_t) (8 + kn_min_u64(kn_bits_ue(b), DEPTH_BITS_MAX));
}

/* --- H.264 ------------------------------------------------------------------------------------ */
static bool has_chroma_format(uint32_t profile)
{
    static const uint8_t profiles[] = {100, 110, 122, 244, 44,  83, 86,
                                       118, 128, 138, 139, 134, 135};
    for (size_t i = 0; i < KN_ARRAY_LEN(profiles); i++)
        if (profiles[i] == profile)
            return true;
    return false;
}

static void skip_scaling_lists(struct kn_bits *b, unsigned count)
{
    for (unsigned i = 0; i < count && !b->overrun; i++) {
        if (!kn_bits_read(b, 1))
            continue;
        int32_t last = 8, next = 8;
        for (unsigned k = 0; k < (i < 6 ? 16u : 64u) && !b->overrun; k++) {
            if (next)
                next = (int32_t) (((uint32_t) last + (uint32_t) kn_bits_se(b)) & 0xff);
            last = next ? next : last;
        }
    }
}

static void skip_order_count(struct kn_bits *b)
{
    uint32_t type = kn_bits_ue(b);
    if (type == 0) {
        (void) kn_bits_ue(b);
    } else if (type == 1) {
        kn_bits_skip(b, 1);
        (void) kn_bits_se(b);
        (void) kn_bits_se(b);
        uint32_t cycle = kn_bits_ue(b);
        for (uint32_t i = 0; i < cycle && i < 256 && !b->overrun; i++)
            (void) kn_bits_se(b);
    }
}

static void skip_hrd(struct kn_bits *b)
{
    uint32_t count = kn_bits_ue(b) + 1;
    kn_bits_skip(b, 8);
    for (uint32_t i = 0; i < count && i < HRD_MAX; i++) {
        (void) kn_bits_ue(b);
        (void) kn_bits_ue(b);
        kn_bits_skip(b, 1);
    }
    kn_bits_skip(b, 20);
}

/* max_num_reorder_frames, where bitstream_restriction says it. */
static uint8_t vui_reorder_frames(struct kn_bits *b)
{
    bool any_hrd = false;
    for (unsigned i = 0; i < 2; i++) /* of NAL units, of VCL units */
        if (kn_bits_read(b, 1)) {
            skip_hrd(b);
            any_hrd = true;
        }
    kn_bits_skip(b, any_hrd ? 2 : 1);
    if (!kn_bits_read(b, 1))
        return 0;
    kn_bits_skip(b, 1);
    for (unsigned i = 0; i < 4; i++) /* bytes a picture, bits a macroblock, lengths of vectors */
        (void) kn_bits_ue(b);
    uint32_t frames = kn_bits_ue(b);
    return b->overrun || frames > DPB_FRAMES_MAX ? 0 : (uint8_t) frames;
}

/* E.1.1: the frame rate and the depth of reordering are all we ask it for. */
static void parse_vui(struct kn_bits *b, struct kn_sps *ret)
{
    if (kn_bits_read(b, 1) && kn_bits_read(b, 8) == 255) /* aspect ratio, extended */
        kn_bits_skip(b, 32);
    if (kn_bits_read(b, 1)) /* overscan */
        kn_bits_skip(b, 1);
    if (kn_bits_read(b, 1)) { /* video signal */
        kn_bits_skip(b, 4);
        if (kn_bits_read(b, 1))
            kn_bits_skip(b, 24);
    }
    if (kn_bits_read(b, 1)) { /* chroma location */
        (void) kn_bits_ue(b);
        (void) kn_bits_ue(b);
    }
    if (kn_bits_read(b, 1)) {
        uint32_t units = kn_bits_read(b, 32), scale = kn_bits_read(b, 32);
        kn_bits_skip(b, 1);
        ret->frames_per_s = units && scale && !b->overrun ? scale / (2.0 * units) : 0;
    }
    ret->reorder_frames = vui_reorder_frames(b);
}

int kn_sps_h264(struct kn_bytes sps, struct kn_sps *ret, struct kn_err *err)
{
    *ret = (struct kn_sps){.chroma_format = 1, .luma_bits = 8, .chroma_bits = 8};
    if (sps.len < 4 || (sps.ptr[0] & 0x1f) != NAL_SPS)
        return kn_fail(err, -EBADMSG, "avcC: the first parameter set is no SPS");
    struct kn_bits b;
    kn_bits_init(&b, sps, true);
    kn_bits_skip(&b, 8);
    uint32_t profile = kn_bits_read(&b, 8);
    kn_bits_skip(&b, 16);
    (void) kn_bits_ue(&b);
    uint32_t chroma = 1;
    if (has_chroma_format(profile)) {
        chroma = kn_bits_ue(&b);
        ret->chroma_format = (uint8_t) chroma;
        if (chroma == 3 && kn_bits_read(&b, 1))
            chroma = 0; /* separate planes are cropped like monochrome */
        ret->luma_bits = read_depth(&b);
        ret->chroma_bits = read_depth(&b);
        kn_bits_skip(&b, 1);
        if (kn_bits_read(&b, 1))
            skip_scaling_lists(&b, chroma == 3 ? 12 : 8);
    }
    (void) kn_bits_ue(&b);
    skip_order_count(&b);
    (void) kn_bits_ue(&b);
    kn_bits_skip(&b, 1);
    uint32_t columns = kn_bits_ue(&b), rows = kn_bits_ue(&b);
    uint32_t frame_only = kn_bits_read(&b, 1);
    if (!frame_only)
        kn_bits_skip(&b, 1);
    kn_bits_skip(&b, 1);
    uint32_t crop[4] = {0};
    if (kn_bits_read(&b, 1))
        for (unsigned i = 0; i < 4; i++)
            crop[i] = kn_bits_ue(&b);
    if (b.overrun || columns >= MACROBLOCKS_MAX || rows >= MACROBLOCKS_MAX || chroma > 3 ||
        ret->luma_bits > DEPTH_BITS_MAX || ret->chroma_bits > DEPTH_BITS_MAX)
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
    if (kn_bits_read(&b, 1))
        parse_vui(&b, ret);
    return 0;
}

/* --- H.265 ------------------------------------------------------------------------------------ */
static void read_profile_tier_level(struct kn_bits *b, unsigned sub_layers_minus1,
                                    uint8_t general[12])
{
    for (unsigned i = 0; i < 12; i++)
        general[i] = (uint8_t) kn_bits_read(b, 8);
    bool profile[8] = {0}, level[8] = {0};
    for (unsigned i = 0; i < sub_layers_minus1; i++) {
        profile[i] = kn_bits_read(b, 1);
        level[i] = kn_bits_read(b, 1);
    }
    if (sub_layers_minus1)
        kn_bits_skip(b, 2 * (8 - sub_layers_minus1));
    for (unsigned i = 0; i < sub_layers_minus1; i++)
        kn_bits_skip(b, (profile[i] ? 88u : 0) + (level[i] ? 8u : 0));
}

int kn_sps_h265(struct kn_bytes sps, struct kn_sps *ret, struct kn_err *err)
{
    *ret = (struct kn_sps){0};
    struct kn_bits b;
    kn_bits_init(&b, sps, true);
    kn_bits_skip(&b, 16 + 4);
    unsigned sub_layers_minus1 = kn_bits_read(&b, 3);
    ret->nested = kn_bits_read(&b, 1);
    if (sub_layers_minus1 > 6)
        return kn_fail(err, -EBADMSG, "hvcC: the SPS is not readable");
    read_profile_tier_level(&b, sub_layers_minus1, ret->profile_level);
    (void) kn_bits_ue(&b);
    uint32_t chroma = kn_bits_ue(&b);
    ret->sub_layers = (uint8_t) (sub_layers_minus1 + 1);
    ret->chroma_format = (uint8_t) chroma;
    if (chroma == 3 && kn_bits_read(&b, 1))
        chroma = 0;
    uint64_t width = kn_bits_ue(&b), height = kn_bits_ue(&b);
    uint32_t crop[4] = {0};
    if (kn_bits_read(&b, 1))
        for (unsigned i = 0; i < 4; i++)
            crop[i] = kn_bits_ue(&b);
    if (b.overrun || chroma > 3 || !width || !height || width > SIDE_MAX || height > SIDE_MAX)
        return kn_fail(err, -EBADMSG, "hvcC: the SPS is not readable");
    uint64_t cut_x = (chroma == 1 || chroma == 2 ? 2u : 1u) * ((uint64_t) crop[0] + crop[1]);
    uint64_t cut_y = (chroma == 1 ? 2u : 1u) * ((uint64_t) crop[2] + crop[3]);
    if (cut_x >= width || cut_y >= height)
        return kn_fail(err, -EBADMSG, "hvcC: the SPS crops everything");
    ret->width = (uint32_t) (width - cut_x);
    ret->height = (uint32_t) (height - cut_y);
    ret->luma_bits = read_depth(&b);
    ret->chroma_bits = read_depth(&b);
    if (ret->luma_bits > DEPTH_BITS_MAX || ret->chroma_bits > DEPTH_BITS_MAX)
        return kn_fail(err, -EBADMSG, "hvcC: the SPS is not readable");
    return 0;
}
