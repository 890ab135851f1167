/* SPDX-License-Identifier: Apache-2.0 */
#include "timing.h"

#define NS_PER_S UINT64_C(1000000000)

void camera_timing_init(struct camera_timing *timing, int64_t latency_ms)
{
    *timing = (struct camera_timing){0};
    camera_clock_init(&timing->clock, latency_ms);
}

void camera_timing_stream(struct camera_timing *timing, unsigned stream, unsigned hz)
{
    kn_assert(stream < CAMERA_CLOCK_STREAMS_MAX);
    timing->streams[stream] = (struct camera_timing_stream){.hz = hz};
    if (hz > 0)
        camera_clock_stream(&timing->clock, stream, hz);
}

void camera_timing_packet(struct camera_timing *timing, unsigned stream, uint64_t pts_ns,
                          uint32_t time)
{
    struct camera_timing_stream *s = &timing->streams[stream];
    unsigned last = (s->count - 1) % CAMERA_TIMING_SEEN_MAX;
    if (s->hz == 0 ||
        (s->count > 0 && s->seen[last].pts_ns == pts_ns && s->seen[last].time == time))
        return; /* the next packet of a picture */
    unsigned at = s->count++ % CAMERA_TIMING_SEEN_MAX;
    s->seen[at].pts_ns = pts_ns;
    s->seen[at].time = time;
}

void camera_timing_rtcp(struct camera_timing *timing, unsigned stream, struct kn_bytes packets,
                        int64_t now_ms)
{
    struct kn_bytes one;
    struct camera_sender_report report;
    while (camera_rtcp_next(&packets, &one)) {
        if (timing->streams[stream].hz > 0 && camera_rtcp_sender_report(one, &report))
            camera_clock_report(&timing->clock, stream, report.time, report.own_ms, now_ms);
    }
}

/* Most frames have the very time of a packet; of several in one packet the later ones have a time
 * of their own, some milliseconds on. */
bool camera_timing_frame(struct camera_timing *timing, unsigned stream, uint64_t pts_ns,
                         int64_t now_ms, int64_t *ret_ms)
{
    const struct camera_timing_stream *s = &timing->streams[stream];
    unsigned known = s->count < CAMERA_TIMING_SEEN_MAX ? s->count : CAMERA_TIMING_SEEN_MAX;
    unsigned best = 0;
    uint64_t least_ns = UINT64_MAX;
    for (unsigned back = 1; back <= known; back++) {
        unsigned at = (s->count - back) % CAMERA_TIMING_SEEN_MAX;
        uint64_t seen_ns = s->seen[at].pts_ns;
        uint64_t off_ns = pts_ns > seen_ns ? pts_ns - seen_ns : seen_ns - pts_ns;
        if (off_ns < least_ns) {
            best = at;
            least_ns = off_ns;
        }
    }
    if (s->hz == 0 || known == 0)
        return false;
    int64_t ticks = (int64_t) (kn_min_u64(least_ns, NS_PER_S) * s->hz / NS_PER_S);
    if (pts_ns < s->seen[best].pts_ns)
        ticks = -ticks;
    *ret_ms =
        camera_clock_frame(&timing->clock, stream, s->seen[best].time + (uint32_t) ticks, now_ms);
    return true;
}
