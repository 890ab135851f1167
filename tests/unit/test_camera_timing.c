/* SPDX-License-Identifier: Apache-2.0 */
/* Frames that GStreamer has made lie on the camera's clock, by the times of their packets. */
#include "test.h"
#include "timing.h"

enum {
    HZ = 90000,
    FRAME_MS = 40,
    BEGIN_MS = 1700000000,
};
#define MS_NS       UINT64_C(1000000)
#define NTP_EPOCH_S UINT64_C(2208988800)

/* A sender report, and a source description behind it. */
static void report(struct camera_timing *t, uint32_t time, int64_t own_ms, int64_t now_ms)
{
    uint8_t bytes[28 + 8] = {0x80, CAMERA_RTCP_SENDER_REPORT, 0, 6};
    uint64_t ms = (uint64_t) own_ms % 1000;
    kn_put_u32be(bytes + 8, (uint32_t) ((uint64_t) own_ms / 1000 + NTP_EPOCH_S));
    kn_put_u32be(bytes + 12, (uint32_t) ((ms << 32) / 1000 + 1));
    kn_put_u32be(bytes + 16, time);
    memcpy(bytes + 28, (const uint8_t[]){0x80, 202, 0, 1}, 4);
    camera_timing_rtcp(t, 0, (struct kn_bytes){bytes, sizeof bytes}, now_ms);
}

static int64_t frame(struct camera_timing *t, uint64_t pts_ns, int64_t now_ms)
{
    int64_t time_ms = 0;
    assert_true(camera_timing_frame(t, 0, pts_ns, now_ms, &time_ms));
    return time_ms;
}

TEST(frames_get_their_packets_times_and_reports_put_them_on_the_cameras_clock)
{
    struct camera_timing t;
    camera_timing_init(&t, 200);
    camera_timing_stream(&t, 0, HZ);
    int64_t time_ms = 0, ahead_ms = 700;
    for (int i = 0; i < 500; i++) {
        uint64_t pts_ns = ((uint64_t) i * FRAME_MS + 5) * MS_NS;
        int64_t now_ms = BEGIN_MS + i * FRAME_MS + 200; /* as they leave the jitter buffer */
        uint32_t time = (uint32_t) i * FRAME_MS * (HZ / 1000) - 1000000; /* wraps on the way */
        for (int part = 0; part < 3; part++)
            camera_timing_packet(&t, 0, pts_ns, time);
        if (i % 100 == 50)
            report(&t, time, BEGIN_MS + i * FRAME_MS + ahead_ms, now_ms);
        time_ms = frame(&t, pts_ns, now_ms);
        if (i < 50)
            assert_int_equal(time_ms, BEGIN_MS + i * FRAME_MS);
    }
    assert_string_equal(camera_clock_word(&t.clock), "camera");
    assert_in_range(t.clock.ahead_ms, ahead_ms - 2, ahead_ms + 2);
    assert_in_range(time_ms - (BEGIN_MS + 499 * FRAME_MS), ahead_ms - 2, ahead_ms + 2);
}

TEST(a_frame_between_packets_lies_between_their_times)
{
    struct camera_timing t;
    camera_timing_init(&t, 0);
    camera_timing_stream(&t, 0, HZ);
    camera_timing_packet(&t, 0, 1000 * MS_NS, 90000);
    assert_int_equal(frame(&t, 1000 * MS_NS, 5000), 5000);
    camera_timing_packet(&t, 0, 1100 * MS_NS, 99000);
    assert_int_equal(frame(&t, 1021 * MS_NS, 5021), 5021);
    assert_int_equal(frame(&t, 1090 * MS_NS, 5090), 5090);
    assert_int_equal(frame(&t, 1100 * MS_NS, 5100), 5100);
    assert_int_equal(frame(&t, 1164 * MS_NS, 5164), 5164);
}

TEST(without_packets_or_a_clock_rate_there_is_no_time)
{
    struct camera_timing t;
    int64_t time_ms;
    camera_timing_init(&t, 0);
    assert_false(camera_timing_frame(&t, 0, 1, 1, &time_ms));
    camera_timing_packet(&t, 0, 1, 1);
    report(&t, 1, BEGIN_MS, BEGIN_MS);
    assert_false(camera_timing_frame(&t, 0, 1, 1, &time_ms));
    camera_timing_stream(&t, 0, HZ);
    assert_false(camera_timing_frame(&t, 0, 1, 1, &time_ms));
    camera_timing_packet(&t, 0, 1, 1);
    assert_true(camera_timing_frame(&t, 0, UINT64_MAX, 1, &time_ms));
}

TEST(what_is_no_rtcp_passes_by)
{
    struct camera_sender_report said;
    uint8_t bytes[28] = {0x80, CAMERA_RTCP_SENDER_REPORT, 0, 6};
    struct kn_bytes one, all = {bytes, sizeof bytes};
    assert_true(camera_rtcp_next(&all, &one) && one.len == 28 && all.len == 0);
    assert_false(camera_rtcp_sender_report(one, &said)); /* no time */
    bytes[8] = 0xe0;
    assert_true(camera_rtcp_sender_report(one, &said));
    assert_false(camera_rtcp_sender_report((struct kn_bytes){bytes, 24}, &said));
    bytes[3] = 7; /* longer than it is */
    all = (struct kn_bytes){bytes, sizeof bytes};
    assert_false(camera_rtcp_next(&all, &one));
    bytes[0] = 0x40;
    assert_false(camera_rtcp_next(&all, &one));
    all.len = 3;
    assert_false(camera_rtcp_next(&all, &one));
}

TESTS_MAIN(TEST_OF(frames_get_their_packets_times_and_reports_put_them_on_the_cameras_clock),
           TEST_OF(a_frame_between_packets_lies_between_their_times),
           TEST_OF(without_packets_or_a_clock_rate_there_is_no_time),
           TEST_OF(what_is_no_rtcp_passes_by))
