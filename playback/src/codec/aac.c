/* SPDX-License-Identifier: Apache-2.0 */
/* AAC codec private data: AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1) and ADTS headers made from
 * it (1.A.2). SBR is known only where it is signalled outright; implicit SBR plays all the same. */
#include "codec/codec.h"
#include "core/bits.h"

enum {
    TYPE_MAIN = 1,
    TYPE_LC = 2,
    TYPE_LTP = 4,
    TYPE_SBR = 5,
    TYPE_PS = 29,
    TYPE_ESCAPE = 31
};

static const uint32_t rates_hz[] = {96000, 88200, 64000, 48000, 44100, 32000, 24000,
                                    22050, 16000, 12000, 11025, 8000,  7350};

static uint32_t read_type(struct kn_bits *b)
{
    uint32_t type = kn_bits_read(b, 5);
    return type == TYPE_ESCAPE ? 32 + kn_bits_read(b, 6) : type;
}

static uint32_t read_rate(struct kn_bits *b)
{
    uint32_t index = kn_bits_read(b, 4);
    if (index == 15)
        return kn_bits_read(b, 24);
    return index < KN_ARRAY_LEN(rates_hz) ? rates_hz[index] : 0;
}

int playback_aac_parse(struct kn_bytes config, struct playback_codec_info *ret, struct kn_err *err)
{
    static const uint8_t channels[] = {0, 1, 2, 3, 4, 5, 6, 8};
    struct playback_codec_info info = {.codec = PLAYBACK_AAC, .config = config};
    struct kn_bits b;
    kn_bits_init(&b, config, false);
    uint32_t type = read_type(&b), core = type;
    info.sample_hz = read_rate(&b);
    uint32_t layout = kn_bits_read(&b, 4);
    if (type == TYPE_SBR || type == TYPE_PS) {
        (void) read_rate(&b);
        core = read_type(&b);
    }
    bool general = (core >= TYPE_MAIN && core <= TYPE_LTP);
    info.frame_samples = kn_bits_read(&b, 1) ? 960 : 1024;
    if (b.overrun || !general || !info.sample_hz || info.sample_hz > 192000 ||
        layout >= KN_ARRAY_LEN(channels))
        return kn_fail(err, -EBADMSG, "not an AudioSpecificConfig of AAC");
    info.channels = channels[layout];
    info.object_type = (uint8_t) type;
    info.core_type = (uint8_t) core;
    (void) snprintf(info.text, sizeof info.text, "mp4a.40.%u", type);
    *ret = info;
    return 0;
}

int playback_aac_adts(const struct playback_codec_info *info, size_t frame_bytes,
                      uint8_t dst[PLAYBACK_ADTS_BYTES])
{
    size_t total = frame_bytes + PLAYBACK_ADTS_BYTES;
    unsigned rate = 0;
    while (rate < KN_ARRAY_LEN(rates_hz) && rates_hz[rate] != info->sample_hz)
        rate++;
    unsigned layout = info->channels == 8 ? 7 : info->channels;
    if (rate == KN_ARRAY_LEN(rates_hz) || !layout || layout > 7 || total > 0x1fff)
        return -EINVAL;
    dst[0] = 0xff;
    dst[1] = 0xf1; /* MPEG-4, layer 0, no CRC */
    dst[2] = (uint8_t) ((info->core_type - 1u) << 6 | rate << 2 | layout >> 2);
    dst[3] = (uint8_t) ((layout & 3) << 6 | total >> 11);
    dst[4] = (uint8_t) (total >> 3);
    dst[5] = (uint8_t) ((total & 7) << 5 | 0x1f);
    dst[6] = 0xfc;
    return 0;
}
