/* SPDX-License-Identifier: Apache-2.0 */
/* G.711 as Matroska carries it: a WAVEFORMATEX says which law, how many channels and the rate
 * (RFC 2361; Matroska, A_MS/ACM). One byte is one sample of one channel (ITU-T G.711). */
#include "codec/codec.h"

enum {
    WAVE_BYTES_MIN = 16, /* up to and with wBitsPerSample */
    WAVE_ALAW = 6,
    CHANNELS_MAX = 8,
    RATE_MAX = 192000,
};

static uint32_t le(const uint8_t *at, int bytes)
{
    uint32_t v = 0;
    while (bytes-- > 0)
        v = v << 8 | at[bytes];
    return v;
}

int playback_g711_parse(struct kn_bytes format, struct playback_codec_info *ret, struct kn_err *err)
{
    if (format.len < WAVE_BYTES_MIN)
        return kn_fail(err, -EBADMSG, "a WAVEFORMATEX of %zu bytes", format.len);
    uint32_t tag = le(format.ptr, 2), channels = le(format.ptr + 2, 2), hz = le(format.ptr + 4, 4);
    if (!channels || channels > CHANNELS_MAX || !hz || hz > RATE_MAX)
        return kn_fail(err, -EBADMSG, "G.711 of %u channels at %u Hz", (unsigned) channels,
                       (unsigned) hz);
    *ret = (struct playback_codec_info){.codec = tag == WAVE_ALAW ? PLAYBACK_ALAW : PLAYBACK_ULAW,
                                        .config = format,
                                        .sample_hz = hz,
                                        .channels = channels};
    (void) snprintf(ret->text, sizeof ret->text, "%s", tag == WAVE_ALAW ? "alaw" : "ulaw");
    return 0;
}
