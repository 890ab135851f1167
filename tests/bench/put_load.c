/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many PutMedia uploads, over plain HTTP/1.1 to a server started with --no-auth, a frame a chunk as
 * AWS's producers send. Prints one JSON object: fragments, bytes, acknowledgements, and how long
 * after a fragment's last byte its PERSISTED came. Streams must exist.
 *
 *   put_load --port 4567 --streams 50 --kbps 2000 --seconds 30 [--fps 30] [--gop-ms 2000]
 *            [--no-audio] [--fast] [--watch N --api-port 4566]
 *
 * --fast: not in real time; everything is made in memory first and then sent as fast as it goes.
 * --watch: N of the streams are watched by a GetMedia each, which times frames.
 */
#include "load.h"
#include "watch.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/mkv.h"

enum {
    PENDING_MAX = 4096, /* fragments sent and not yet persisted, one stream */
    LINE_BYTES_MAX = 512,
};

struct put {
    int64_t start_ms; /* producer time of frame 0 */
    uint64_t cluster; /* timecode of the open one; 0: none */
    char line[LINE_BYTES_MAX];
    size_t line_len;
    struct {
        uint64_t timecode;
        int64_t sent_ns; /* when its last byte was on its way */
    } pending[PENDING_MAX];
    unsigned pending_head, pending_count;
};

static struct {
    uint64_t fragments, persisted, errors;
    struct tool_samples persisted_ms;
} total;

static void chunk(struct load_camera *c, struct kn_bytes head, struct kn_bytes body)
{
    (void) kn_buf_printf(&c->out, "%zx\r\n", head.len + body.len);
    (void) kn_buf_append(&c->out, head.ptr, head.len);
    (void) kn_buf_append(&c->out, body.ptr, body.len);
    (void) kn_buf_append(&c->out, "\r\n", 2);
}

static void put_open(struct load_camera *c)
{
    static const uint8_t avcc[] = {/* baseline, 1920 x 1080, 30 a second */
                                   0x01, 0x42, 0xc0, 0x28, 0xff, 0xe1, 0x00, 0x19, 0x67, 0x42,
                                   0xc0, 0x28, 0xda, 0x01, 0xe0, 0x08, 0x9f, 0x97, 0x01, 0x10,
                                   0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0xc0,
                                   0xf1, 0x83, 0x2a, 0x01, 0x00, 0x04, 0x68, 0xce, 0x3c, 0x80};
    static const uint8_t aac[] = {0x11, 0x90};
    const struct kn_mkv_header header = {
        .timestamp_scale_ns = 1000000,
        .track_count = load_options.no_audio ? 1 : 2,
        .tracks = {{.number = 1,
                    .type = KN_MKV_VIDEO,
                    .codec_id = "V_MPEG4/ISO/AVC",
                    .codec_private = {avcc, sizeof avcc},
                    .pixel_width = 1920,
                    .pixel_height = 1080},
                   {.number = 2,
                    .type = KN_MKV_AUDIO,
                    .codec_id = "A_AAC",
                    .codec_private = {aac, sizeof aac},
                    .sampling_hz = 48000,
                    .channels = 2}}
    };
    struct put *p = c->own;
    struct kn_buf mkv;
    p->start_ms = kn_wall_ms(kn_clock_system());
    (void) kn_buf_printf(
        &c->out,
        "POST /putMedia HTTP/1.1\r\nHost: 127.0.0.1\r\nconnection: keep-alive\r\n"
        "transfer-encoding: chunked\r\nx-amzn-fragment-acknowledgment-required: 1\r\n"
        "x-amzn-fragment-timecode-type: ABSOLUTE\r\n"
        "x-amzn-producer-start-timestamp: %lld.%03lld\r\n"
        "x-amzn-stream-name: %s%u\r\n\r\n",
        (long long) (p->start_ms / 1000), (long long) (p->start_ms % 1000), load_options.prefix,
        c->index);
    kn_buf_init(&mkv, 16384);
    (void) kn_mkv_write_header(&mkv, &header, KN_STR("put_load"));
    chunk(c, kn_buf_bytes(&mkv), (struct kn_bytes){0});
    kn_buf_done(&mkv);
    watch_open(c->index);
}

static void fragment_ended(struct load_camera *c)
{
    struct put *p = c->own;
    if (p->pending_count == PENDING_MAX) {
        fprintf(stderr, "put_load: camera %u waits for %d fragments\n", c->index, PENDING_MAX);
        exit(1);
    }
    unsigned at = (p->pending_head + p->pending_count++) % PENDING_MAX;
    p->pending[at].timecode = p->cluster;
    p->pending[at].sent_ns = tool_now_ns();
    total.fragments++;
}

static void put_frame(struct load_camera *c, const struct load_frame *frame)
{
    struct put *p = c->own;
    uint64_t at = (uint64_t) p->start_ms + frame->at_ms;
    uint8_t room[64], stamp[WATCH_STAMP_BYTES];
    struct kn_buf mkv = {.ptr = room, .cap = sizeof room, .max = sizeof room};
    struct kn_bytes body = frame->bytes;
    if (frame->key) { /* a fragment ends by the next one's head */
        if (p->cluster)
            fragment_ended(c);
        (void) kn_mkv_write_cluster(&mkv, at);
        p->cluster = at;
    }
    (void) kn_mkv_write_block_head(&mkv, frame->video ? 1 : 2, (int16_t) (at - p->cluster),
                                   frame->key || !frame->video, body.len);
    chunk(c, kn_buf_bytes(&mkv), body);
    if (watch_stamp(c->index, stamp)) /* over the frame's last bytes, before the chunk's end */
        memcpy(c->out.ptr + c->out.len - 2 - sizeof stamp, stamp, sizeof stamp);
}

static void put_end(struct load_camera *c)
{
    fragment_ended(c);
    (void) kn_buf_append_text(&c->out, "0\r\n\r\n");
}

static void take_ack(struct load_camera *c, const char *text)
{
    struct put *p = c->own;
    const char *code = strstr(text, "\"FragmentTimecode\":");
    if (strstr(text, "\"ERROR\"") || strstr(text, "Exception")) {
        total.errors++;
        fprintf(stderr, "put_load: camera %u: %s\n", c->index, text);
        return;
    }
    if (!strstr(text, "\"PERSISTED\"") || !code)
        return;
    total.persisted++;
    if (!p->pending_count ||
        p->pending[p->pending_head].timecode != strtoull(code + 19, NULL, 10)) {
        fprintf(stderr, "put_load: camera %u: not the one expected: %s\n", c->index, text);
        total.errors++;
        return;
    }
    tool_sample(&total.persisted_ms,
                (double) (tool_now_ns() - p->pending[p->pending_head].sent_ns) / 1e6);
    p->pending_head = (p->pending_head + 1) % PENDING_MAX;
    p->pending_count--;
    c->ended = c->made && p->pending_count == 0;
}

/* Acknowledgements are lines; the response's framing lies between them and is passed over. */
static void put_received(struct load_camera *c, struct kn_bytes bytes)
{
    struct put *p = c->own;
    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.ptr[i] == '}' || p->line_len == LINE_BYTES_MAX - 1) {
            p->line[p->line_len] = '\0';
            take_ack(c, p->line);
            p->line_len = 0;
        } else {
            p->line[p->line_len++] = (char) bytes.ptr[i];
        }
    }
}

static void put_report(void)
{
    printf("\"fragments\":%llu,\"persisted\":%llu,\"errors\":%llu,\"persisted_p50_ms\":%.1f,"
           "\"persisted_p99_ms\":%.1f,\"persisted_max_ms\":%.1f,",
           (unsigned long long) total.fragments, (unsigned long long) total.persisted,
           (unsigned long long) total.errors, tool_percentile(&total.persisted_ms, 0.5),
           tool_percentile(&total.persisted_ms, 0.99), tool_percentile(&total.persisted_ms, 1));
    watch_report();
}

int main(int argc, char **argv)
{
    static const struct load_protocol protocol = {
        .name = "put_load",
        .own_bytes = sizeof(struct put),
        .open = put_open,
        .frame = put_frame,
        .end = put_end,
        .received = put_received,
        .report = put_report,
    };
    int r = load_main(argc, argv, &protocol);
    return r || total.persisted != total.fragments || total.errors ? 1 : 0;
}
