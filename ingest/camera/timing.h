/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The camera's clock for frames that GStreamer has made: its chains give frames times of its own,
 * which they have from packets. Each packet's time of both kinds is remembered for a moment, so
 * that a frame gets back the time its packets had, which is what clock.h asks for. Pure.
 */
#ifndef INGEST_CAMERA_TIMING_H
#define INGEST_CAMERA_TIMING_H

#include "clock.h"
#include "rtcp.h"

enum {
    CAMERA_TIMING_SEEN_MAX = 32, /* packets' times; more than wait in a chain */
};

struct camera_timing {
    struct camera_clock clock;
    struct camera_timing_stream {
        unsigned hz; /* 0: no such stream */
        unsigned count;
        struct {
            uint64_t pts_ns;
            uint32_t time;
        } seen[CAMERA_TIMING_SEEN_MAX]; /* a ring; the last is count - 1 */
    } streams[CAMERA_CLOCK_STREAMS_MAX];
};

void camera_timing_init(struct camera_timing *timing, int64_t latency_ms);
void camera_timing_stream(struct camera_timing *timing, unsigned stream, unsigned hz);
void camera_timing_packet(struct camera_timing *timing, unsigned stream, uint64_t pts_ns,
                          uint32_t time);
/* RTCP packets of the stream. */
void camera_timing_rtcp(struct camera_timing *timing, unsigned stream, struct kn_bytes packets,
                        int64_t now_ms);
/* A frame's wall time; false: no packet of its stream was seen. */
bool camera_timing_frame(struct camera_timing *timing, unsigned stream, uint64_t pts_ns,
                         int64_t now_ms, int64_t *ret_ms);

#endif
