/* SPDX-License-Identifier: Apache-2.0 */
#include "rtcp.h"

enum {
    REPORT_BYTES = 28, /* without blocks about others */
};
#define NTP_EPOCH_S INT64_C(2208988800) /* 1900 to 1970 */

bool camera_rtcp_next(struct kn_bytes *packets, struct kn_bytes *ret)
{
    if (packets->len < 4 || packets->ptr[0] >> 6 != 2)
        return false;
    size_t len = 4 + 4 * ((size_t) packets->ptr[2] << 8 | packets->ptr[3]);
    if (len > packets->len)
        return false;
    *ret = (struct kn_bytes){packets->ptr, len};
    *packets = kn_bytes_skip(*packets, len);
    return true;
}

bool camera_rtcp_sender_report(struct kn_bytes packet, struct camera_sender_report *ret)
{
    uint32_t seconds, fraction;
    if (packet.len < REPORT_BYTES || packet.ptr[1] != CAMERA_RTCP_SENDER_REPORT)
        return false;
    struct kn_reader r = kn_reader_of(kn_bytes_skip(packet, 8));
    if (kn_read_u32be(&r, &seconds) < 0 || kn_read_u32be(&r, &fraction) < 0 ||
        kn_read_u32be(&r, &ret->time) < 0 || seconds == 0)
        return false;
    ret->ntp = seconds << 16 | fraction >> 16;
    ret->own_ms =
        ((int64_t) seconds - NTP_EPOCH_S) * 1000 + (int64_t) (((uint64_t) fraction * 1000) >> 32);
    return true;
}
