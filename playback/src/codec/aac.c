/* SPDX-License-Identifier: Apache-2.0 */
/* AAC codec private data: AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1), and what is made from it:
 * ADTS headers (1.A.2) and silent frames (4.4.2). SBR is known only where it is signalled outright;
 * implicit SBR plays all the same. */
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

/* channelConfiguration, as far as the number of channels tells it; 0: it does not. */
static unsigned layout_of(const struct playback_codec_info *info)
{
    unsigned layout = info->channels == 8 ? 7 : info->channels;
    return info->channels == 7 || layout > 7 ? 0 : layout;
}

int playback_aac_adts(const struct playback_codec_info *info, size_t frame_bytes,
                      uint8_t dst[PLAYBACK_ADTS_BYTES])
{
    size_t total = frame_bytes + PLAYBACK_ADTS_BYTES;
    unsigned rate = 0;
    while (rate < KN_ARRAY_LEN(rates_hz) && rates_hz[rate] != info->sample_hz)
        rate++;
    unsigned layout = layout_of(info);
    if (rate == KN_ARRAY_LEN(rates_hz) || !layout || total > 0x1fff)
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

static void put_bits(struct playback_silence *out, size_t *at, unsigned value, unsigned count)
{
    for (; count > 0; (*at)++)
        out->bytes[*at / 8] |= (uint8_t) ((value >> --count & 1) << (7 - *at % 8));
}

/* A channel without a scale factor band is: global_gain, ics_info of one long window, and the flags
 * of pulses, TNS and gain control; each bit of it is 0. */
int playback_aac_silence(const struct playback_codec_info *info, struct playback_silence *ret)
{
    enum {
        SINGLE = 0, /* id_syn_ele */
        PAIR = 1,
        LOW_EFFECTS = 3,
        END = 7,
        CHANNEL_BITS = 22,
    };
    static const struct {
        uint8_t count, ids[5];
    } elements[] = {
        {0, {0}                                    },
        {1, {SINGLE}                               },
        {1, {PAIR}                                 },
        {2, {SINGLE, PAIR}                         },
        {3, {SINGLE, PAIR, SINGLE}                 },
        {3, {SINGLE, PAIR, PAIR}                   },
        {4, {SINGLE, PAIR, PAIR, LOW_EFFECTS}      },
        {5, {SINGLE, PAIR, PAIR, PAIR, LOW_EFFECTS}},
    };
    unsigned layout = layout_of(info), tags[LOW_EFFECTS + 1] = {0};
    struct playback_silence out = {.len = 0};
    size_t at = 0;
    if (info->codec != PLAYBACK_AAC || !layout)
        return -EINVAL;
    for (size_t i = 0; i < elements[layout].count; i++) {
        unsigned id = elements[layout].ids[i];
        put_bits(&out, &at, id, 3);
        put_bits(&out, &at, tags[id]++, 4);
        at += id == PAIR ? 1 + 2 * CHANNEL_BITS : CHANNEL_BITS; /* common_window is 0 */
    }
    put_bits(&out, &at, END, 3);
    out.len = (uint8_t) ((at + 7) / 8);
    *ret = out;
    return 0;
}
