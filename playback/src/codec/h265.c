/* SPDX-License-Identifier: Apache-2.0 */
/* H.265 codec private data: the HEVCDecoderConfigurationRecord (ISO/IEC 14496-15, 8.3.3.1), the
 * size from its first SPS (ITU-T H.265, 7.3.2.2), and the codec string of ISO/IEC 14496-15, annex
 * E. */
#include "codec/bits.h"
#include "codec/codec.h"

enum {
    HVCC_FIXED_BYTES = 23,
    NAL_SPS = 33,
    SIDE_MAX = 16384
};

static void read_profile_tier_level(struct playback_bits *b, unsigned sub_layers_minus1,
                                    uint8_t general[12])
{
    for (unsigned i = 0; i < 12; i++)
        general[i] = (uint8_t) playback_bits_read(b, 8);
    bool profile[8] = {0}, level[8] = {0};
    for (unsigned i = 0; i < sub_layers_minus1; i++) {
        profile[i] = playback_bits_read(b, 1);
        level[i] = playback_bits_read(b, 1);
    }
    if (sub_layers_minus1)
        playback_bits_skip(b, 2 * (8 - sub_layers_minus1));
    for (unsigned i = 0; i < sub_layers_minus1; i++)
        playback_bits_skip(b, (profile[i] ? 88u : 0) + (level[i] ? 8u : 0));
}

static int parse_sps(struct kn_bytes sps, struct playback_codec_info *ret, struct kn_err *err)
{
    struct playback_bits b;
    playback_bits_init(&b, sps, true);
    playback_bits_skip(&b, 16 + 4);
    unsigned sub_layers_minus1 = playback_bits_read(&b, 3);
    playback_bits_skip(&b, 1);
    if (sub_layers_minus1 > 6)
        return kn_fail(err, -EBADMSG, "hvcC: the SPS is not readable");
    read_profile_tier_level(&b, sub_layers_minus1, ret->profile_level);
    (void) playback_bits_ue(&b);
    uint32_t chroma = playback_bits_ue(&b);
    if (chroma == 3 && playback_bits_read(&b, 1))
        chroma = 0;
    uint64_t width = playback_bits_ue(&b), height = playback_bits_ue(&b);
    uint32_t crop[4] = {0};
    if (playback_bits_read(&b, 1))
        for (unsigned i = 0; i < 4; i++)
            crop[i] = playback_bits_ue(&b);
    if (b.overrun || chroma > 3 || !width || !height || width > SIDE_MAX || height > SIDE_MAX)
        return kn_fail(err, -EBADMSG, "hvcC: the SPS is not readable");
    uint64_t cut_x = (chroma == 1 || chroma == 2 ? 2u : 1u) * ((uint64_t) crop[0] + crop[1]);
    uint64_t cut_y = (chroma == 1 ? 2u : 1u) * ((uint64_t) crop[2] + crop[3]);
    if (cut_x >= width || cut_y >= height)
        return kn_fail(err, -EBADMSG, "hvcC: the SPS crops everything");
    ret->width = (uint32_t) (width - cut_x);
    ret->height = (uint32_t) (height - cut_y);
    return 0;
}

static uint32_t reversed(uint32_t v)
{
    uint32_t out = 0;
    for (unsigned i = 0; i < 32; i++)
        out |= (v >> i & 1) << (31 - i);
    return out;
}

static void codec_text(const uint8_t general[12], char dst[PLAYBACK_CODEC_TEXT_BYTES])
{
    static const char *const spaces[] = {"", "A", "B", "C"};
    uint32_t compatible = (uint32_t) general[1] << 24 | (uint32_t) general[2] << 16 |
                          (uint32_t) general[3] << 8 | general[4];
    int n = snprintf(dst, PLAYBACK_CODEC_TEXT_BYTES, "hvc1.%s%u.%X.%c%u", spaces[general[0] >> 6],
                     general[0] & 0x1fu, reversed(compatible), general[0] & 0x20 ? 'H' : 'L',
                     general[11]);
    unsigned last = 6; /* trailing zero bytes of the constraint flags are left out */
    while (last && !general[5 + last - 1])
        last--;
    for (unsigned i = 0; i < last; i++)
        n += snprintf(dst + n, (size_t) (PLAYBACK_CODEC_TEXT_BYTES - n), ".%X", general[5 + i]);
}

/* The first SPS among the arrays; the record must be whole. */
static int find_sps(struct kn_bytes hvcc, struct kn_bytes *ret)
{
    struct kn_reader r = kn_reader_of(hvcc);
    struct kn_bytes fixed, sps = {NULL, 0};
    if (kn_read_bytes(&r, HVCC_FIXED_BYTES, &fixed) < 0 || fixed.ptr[0] != 1)
        return -EBADMSG;
    for (unsigned array = 0; array < fixed.ptr[22]; array++) {
        uint8_t kind;
        uint16_t count;
        if (kn_read_u8(&r, &kind) < 0 || kn_read_u16be(&r, &count) < 0)
            return -EBADMSG;
        for (unsigned i = 0; i < count; i++) {
            uint16_t len;
            struct kn_bytes set;
            if (kn_read_u16be(&r, &len) < 0 || kn_read_bytes(&r, len, &set) < 0)
                return -EBADMSG;
            if ((kind & 0x3f) == NAL_SPS && !sps.len)
                sps = set;
        }
    }
    if (sps.len < 3)
        return -EBADMSG;
    *ret = sps;
    return 0;
}

int playback_h265_parse(struct kn_bytes hvcc, struct playback_codec_info *ret, struct kn_err *err)
{
    struct kn_bytes sps;
    if (find_sps(hvcc, &sps) < 0)
        return kn_fail(err, -EBADMSG, "not an HEVCDecoderConfigurationRecord with an SPS");
    struct playback_codec_info info = {.codec = PLAYBACK_H265, .config = hvcc};
    int r = parse_sps(sps, &info, err);
    if (r < 0)
        return r;
    info.nal_length_bytes = (uint8_t) ((hvcc.ptr[21] & 3) + 1);
    if (info.nal_length_bytes == 3)
        return kn_fail(err, -EBADMSG, "hvcC: NAL lengths of 3 bytes");
    uint32_t rate = (uint32_t) hvcc.ptr[19] << 8 | hvcc.ptr[20];
    info.frames_per_s = rate / 256.0;
    codec_text(info.profile_level, info.text);
    *ret = info;
    return 0;
}
