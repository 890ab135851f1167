/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a stored fragment's frame table to what players get: times, MP4 segments, and MPEG-TS by
 * libavformat, which sees parameters and frames of foreign making (rules.md 30). Byte 0 chooses.
 */
#include "codec/codec.h"
#include "core/buf.h"
#include "mp4/mp4.h"
#include "mp4/silence.h"
#include "ts/module.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    INPUT_BYTES_MAX = 1 << 16,
    FRAMES_MAX = 512,
    PACKETS_MAX = 64,
    TS_BYTES_MAX = 8 << 20
};

extern const struct playback_ts_module kinema_ts_module;

static uint64_t take(struct kn_reader *in, unsigned bytes)
{
    uint64_t v = 0;
    uint8_t byte = 0;
    for (unsigned i = 0; i < bytes; i++) {
        (void) !kn_read_u8(in, &byte);
        v = v << 8 | byte;
        byte = 0;
    }
    return v;
}

static struct playback_track take_track(struct kn_reader *in)
{
    struct playback_track track = {.mkv_number = 1, .number = 1};
    track.info.codec = take(in, 1) & 1 ? PLAYBACK_AAC : PLAYBACK_H264;
    track.info.sample_hz = 8000 + (uint32_t) take(in, 1) * 400; /* a table of them in the codec */
    track.info.frame_samples = take(in, 1) & 1 ? 1024 : 960;
    track.info.channels = 2;
    track.info.width = track.info.height = 16;
    return track;
}

static void try_timeline(struct kn_reader in)
{
    struct playback_track track = take_track(&in);
    struct storage_frames *frames =
        calloc(1, sizeof *frames + FRAMES_MAX * sizeof frames->items[0]);
    kn_assert(frames != NULL);
    struct playback_timeline_in args = {
        .track = &track, .frames = frames, .scale_ns = take(&in, 4) + 1};
    /* what the index can hold: milliseconds of the years to 9999, in either direction */
    args.start_ms = (int64_t) (take(&in, 6) % 253402300800000);
    args.next_start_ms = take(&in, 1) & 1 ? INT64_MIN : args.start_ms + (int64_t) take(&in, 4);
    args.length_ms = (uint32_t) (args.start_ms % 100000);
    uint32_t offset = 0;
    while (kn_reader_left(&in) && frames->count < FRAMES_MAX) {
        struct storage_frame *frame = &frames->items[frames->count++];
        uint8_t flags = (uint8_t) take(&in, 1);
        frame->track = flags & 3;
        frame->key = flags & 4;
        frame->time = (int32_t) (uint32_t) take(&in, flags & 8 ? 4 : 2);
        frame->offset = offset += (uint32_t) take(&in, 1);
        frame->bytes = (uint32_t) take(&in, flags & 16 ? 3 : 1);
        offset += frame->bytes;
    }
    struct playback_timeline *line;
    if (playback_timeline_make(&args, &line) == 0) {
        kn_assert(playback_silence_fill(&args, &line) == 0);
        struct playback_mp4_segment *segment;
        uint64_t payload = 0;
        for (size_t i = 0; i < line->count; i++) {
            payload += line->samples[i].bytes;
            kn_assert(line->samples[i].duration > 0);
        }
        if (playback_mp4_segment_make(line, 1, 1, &segment) == 0) {
            kn_assert(segment->bytes == segment->head_bytes + payload);
            playback_mp4_segment_unref(segment);
        }
        free(line);
    }
    free(frames);
}

static void sink(void *ctx, const uint8_t *bytes, size_t len)
{
    uint64_t *total = ctx;
    (void) bytes;
    *total += len;
    kn_assert(*total < TS_BYTES_MAX);
}

static void try_ts(struct kn_reader in)
{
    uint64_t total = 0;
    struct playback_ts_mux_conf conf = {
        .track_count = 1 + (take(&in, 1) & 1), .sink = sink, .ctx = &total};
    for (unsigned i = 0; i < conf.track_count; i++) {
        conf.codecs[i] = take(&in, 1) & 1 ? PLAYBACK_TS_AAC : PLAYBACK_TS_H264;
        conf.sample_hz[i] = (uint32_t) take(&in, 4);
    }
    struct playback_ts_mux *mux;
    if (kinema_ts_module.open(&conf, &mux) < 0)
        return;
    int r = 0;
    for (unsigned i = 0; r == 0 && i < PACKETS_MAX && kn_reader_left(&in); i++) {
        uint8_t flags = (uint8_t) take(&in, 1);
        struct playback_ts_packet packet = {.track = flags & 1, .key = flags & 2};
        packet.shown = (int64_t) take(&in, flags & 4 ? 8 : 4);
        packet.decoded = flags & 8 ? (int64_t) take(&in, 8) : packet.shown;
        uint64_t len = take(&in, 1);
        packet.len = kn_min_u64(len, kn_reader_left(&in));
        struct kn_bytes bytes = {0};
        (void) !kn_read_bytes(&in, packet.len, &bytes);
        packet.bytes = bytes.ptr;
        r = kinema_ts_module.write(mux, &packet);
        kn_assert(r <= 0);
    }
    if (r == 0)
        (void) kinema_ts_module.finish(mux);
    kinema_ts_module.close(mux);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > INPUT_BYTES_MAX)
        return 0;
    struct kn_reader in = kn_reader_of((struct kn_bytes){data + 1, size - 1});
    if (data[0] & 1)
        try_timeline(in);
    else
        try_ts(in);
    return 0;
}
