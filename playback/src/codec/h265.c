/* SPDX-License-Identifier: Apache-2.0 */
/* H.265 codec private data: the HEVCDecoderConfigurationRecord (ISO/IEC 14496-15, 8.3.3.1), and the
 * codec string of ISO/IEC 14496-15, annex E. */
#include "codec/codec.h"
#include "core/sps.h"

enum {
    HVCC_FIXED_BYTES = 23,
    NAL_SPS = 33,
};

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
    struct kn_sps facts;
    if (kn_sps_h265(sps, &facts, err) < 0)
        return -EBADMSG;
    info.width = facts.width;
    info.height = facts.height;
    memcpy(info.profile_level, facts.profile_level, sizeof info.profile_level);
    info.nal_length_bytes = (uint8_t) ((hvcc.ptr[21] & 3) + 1);
    if (info.nal_length_bytes == 3)
        return kn_fail(err, -EBADMSG, "hvcC: NAL lengths of 3 bytes");
    uint32_t rate = (uint32_t) hvcc.ptr[19] << 8 | hvcc.ptr[20];
    info.frames_per_s = rate / 256.0;
    codec_text(info.profile_level, info.text);
    *ret = info;
    return 0;
}
