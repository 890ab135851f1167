/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real uploads of AWS's producers through the MP4 writer: the payload is compared byte for byte
 * with the frames as sent, and ffprobe, which shares no code with us, must find every frame at its
 * time.
 */
#include "fake_storage.h"
#include "test.h"

#include <sys/wait.h>
#include <unistd.h>

#include "mp4/mp4.h"
#include "mp4/silence.h"

static struct kn_fake_clock fake_clock;

struct world {
    struct storage *storage;
    struct storage_id stream;
    struct capture capture;
    struct storage_fragment fragments[512];
    size_t count;
    struct storage_header *header;
    struct playback_tracks tracks;
};

static void world_open(struct world *w, const char *name)
{
    *w = (struct world){.count = 0};
    kn_fake_clock_init(&fake_clock, 1700000000000);
    w->storage = fake_storage_new(&fake_clock.clock);
    w->stream = fake_storage_stream(w->storage, "cam", 24);
    w->capture = capture_read(name);
    (void) fake_storage_load(w->storage, &w->stream, &w->capture,
                             &(struct fake_load){.server_ts_ms = 1700000000000});
    struct storage_query all = {.order = STORAGE_BY_NUMBER};
    assert_ok(storage_find(w->storage, &w->stream, &all, w->fragments, KN_ARRAY_LEN(w->fragments),
                           &w->count, false));
    assert_true(w->count > 0);
    assert_ok(storage_header_get(w->storage, &w->stream, &w->fragments[0], &w->header, false));
    assert_ok(playback_tracks_choose(&w->header->parsed, PLAYBACK_FMP4, &w->tracks, NULL));
}

static void world_close(struct world *w)
{
    storage_header_unref(w->header);
    capture_done(&w->capture);
    fake_storage_free(w->storage);
}

static struct playback_mp4_segment *segment_of(struct world *w, size_t at,
                                               const struct playback_track *track)
{
    struct storage_frames *frames;
    assert_ok(storage_frames_get(w->storage, &w->stream, &w->fragments[at], &frames, false));
    struct playback_timeline_in in = {
        .track = track,
        .frames = frames,
        .scale_ns = w->header->parsed.timestamp_scale_ns,
        .start_ms = w->fragments[at].producer_ts_ms,
        .next_start_ms = at + 1 < w->count ? w->fragments[at + 1].producer_ts_ms : INT64_MIN};
    struct playback_timeline *line;
    assert_ok(playback_timeline_make(&in, &line));
    storage_frames_free(frames);
    struct playback_mp4_segment *segment;
    assert_ok(playback_mp4_segment_make(line, track->number, (uint32_t) at + 1, &segment));
    free(line);
    return segment;
}

/* Reads [from, to) in pieces of at most piece bytes. */
static void read_range(struct world *w, const struct playback_mp4_segment *segment, size_t at,
                       uint64_t from, uint64_t to, size_t piece, uint8_t *dst)
{
    struct playback_mp4_source source = {w->storage, w->stream, w->fragments[at]};
    while (from < to) {
        size_t want = (size_t) kn_min_u64(piece, to - from);
        ssize_t got = playback_mp4_segment_read(segment, &source, from, dst, want, false);
        assert_true(got > 0 && (size_t) got <= want);
        dst += got;
        from += (uint64_t) got;
    }
}

/* The payload is the track's frames, in order, as the capture has them. */
static void check_payload(struct world *w, const struct playback_mp4_segment *segment, size_t at,
                          const struct playback_track *track, const uint8_t *bytes)
{
    const struct capture_fragment *sent = &w->capture.fragments[at];
    uint64_t pos = segment->head_bytes;
    for (size_t i = 0; i < sent->frame_count; i++) {
        const struct storage_frame *frame = &sent->frames[i];
        if (frame->track != track->mkv_number)
            continue;
        assert_true(pos + frame->bytes <= segment->bytes);
        assert_memory_equal(bytes + pos, w->capture.bytes + sent->start + frame->offset,
                            frame->bytes);
        pos += frame->bytes;
    }
    assert_int_equal(pos, segment->bytes);
}

/* Runs ffprobe over the file; every packet must come back with the size and time expected. */
static void check_ffprobe(struct world *w, const char *path, const struct playback_track *track)
{
    char command[512];
    (void) snprintf(command, sizeof command,
                    "ffprobe -v error -show_entries packet=pts_time,size,flags -of csv=p=0 %s 2>&1",
                    path);
    FILE *probe = popen(command, "r");
    assert_non_null(probe);
    for (size_t at = 0; at < w->count; at++) {
        const struct capture_fragment *sent = &w->capture.fragments[at];
        for (size_t i = 0; i < sent->frame_count; i++) {
            const struct storage_frame *frame = &sent->frames[i];
            if (frame->track != track->mkv_number)
                continue;
            char line[128];
            assert_non_null(fgets(line, sizeof line, probe));
            double shown;
            unsigned size;
            char flags[4] = "";
            if (sscanf(line, "%lf,%u,%3s", &shown, &size, flags) != 3)
                fail_msg("ffprobe says: %s", line);
            double scale_s = (double) w->header->parsed.timestamp_scale_ns / 1e9;
            double expected =
                (double) w->fragments[at].producer_ts_ms / 1e3 + frame->time * scale_s;
            assert_int_equal(size, frame->bytes);
            if (shown < expected - 0.0025 || shown > expected + 0.0025)
                fail_msg("frame %zu of fragment %zu at %f, expected %f", i, at, shown, expected);
            bool audio = track->info.codec == PLAYBACK_AAC; /* kvssink flags no audio frame */
            assert_int_equal(flags[0] == 'K', frame->key || audio);
        }
    }
    char line[256];
    if (fgets(line, sizeof line, probe))
        fail_msg("ffprobe has more to say: %s", line);
    assert_int_equal(WEXITSTATUS(pclose(probe)), 0);
}

static void check_track(struct world *w, const struct playback_track *track, uint64_t *state)
{
    char path[] = "/tmp/kinema-mp4-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    struct kn_buf init;
    kn_buf_init(&init, 1 << 20);
    assert_ok(playback_mp4_init_write(&init, track, w->header->parsed.timestamp_scale_ns));
    assert_int_equal(write(fd, init.ptr, init.len), init.len);
    kn_buf_done(&init);
    for (size_t at = 0; at < w->count; at++) {
        struct playback_mp4_segment *segment = segment_of(w, at, track);
        uint8_t *whole = malloc(segment->bytes), *part = malloc(segment->bytes);
        assert_true(whole && part);
        read_range(w, segment, at, 0, segment->bytes, SIZE_MAX, whole);
        check_payload(w, segment, at, track, whole);
        for (int round = 0; round < 8; round++) {
            uint64_t from = test_random(state) % segment->bytes;
            uint64_t to = from + 1 + test_random(state) % (segment->bytes - from);
            size_t piece = 1 + test_random(state) % 70000;
            read_range(w, segment, at, from, to, to - from > 100000 ? piece + 1000 : piece, part);
            assert_memory_equal(part, whole + from, to - from);
        }
        assert_int_equal(write(fd, whole, segment->bytes), segment->bytes);
        free(part);
        free(whole);
        playback_mp4_segment_unref(segment);
    }
    assert_int_equal(close(fd), 0);
    check_ffprobe(w, path, track);
    assert_int_equal(unlink(path), 0);
}

static void check_capture(const char *name)
{
    uint64_t state = test_seed();
    struct world w;
    world_open(&w, name);
    for (unsigned i = 0; i < w.tracks.count; i++)
        check_track(&w, &w.tracks.items[i], &state);
    world_close(&w);
}

TEST(h264_of_producer_c_comes_out_frame_by_frame)
{
    check_capture("media/captures/c164_h264_abs_eofr_meta.mkv");
}

TEST(h265_of_producer_c_comes_out_frame_by_frame)
{
    check_capture("media/captures/c164_h265_abs_eofr_meta.mkv");
}

TEST(video_and_audio_come_out_as_tracks_of_their_own)
{
    check_capture("media/captures/sink360_h264_aac_abs.mkv");
    check_capture("media/captures/c164_h264_aac_abs_tc0.mkv");
}

TEST(a_scale_of_ten_milliseconds_keeps_its_times)
{
    check_capture("media/captures/sink360_h264_scale10ms.mkv");
}

TEST(a_segment_says_its_length_before_a_byte_is_read)
{
    struct world w;
    world_open(&w, "media/captures/sink360_h264_aac_abs.mkv");
    size_t before = fake_storage_blocking_calls(w.storage);
    struct playback_mp4_segment *segment = segment_of(&w, 0, &w.tracks.items[0]);
    assert_int_equal(fake_storage_blocking_calls(w.storage), before + 1); /* the frame table */
    struct playback_mp4_source source = {w.storage, w.stream, w.fragments[0]};
    uint8_t head[16];
    assert_int_equal(playback_mp4_segment_read(segment, &source, 0, head, sizeof head, true),
                     sizeof head);
    assert_memory_equal(head + 4, "styp", 4);
    assert_int_equal(playback_mp4_segment_read(segment, &source, segment->bytes, head, 1, true), 0);
    playback_mp4_segment_unref(segment);
    world_close(&w);
}

TEST(a_cold_or_trimmed_chunk_is_said_not_hidden)
{
    struct world w;
    uint8_t byte[4096];
    world_open(&w, "media/captures/sink360_h264_abs.mkv");
    struct playback_mp4_segment *segment = segment_of(&w, 0, &w.tracks.items[0]);
    struct playback_mp4_source source = {w.storage, w.stream, w.fragments[0]};
    uint64_t pos = segment->head_bytes;
    fake_storage_set_cold(w.storage, true);
    assert_int_equal(playback_mp4_segment_read(segment, &source, pos, byte, 1, true), -EAGAIN);
    assert_int_equal(playback_mp4_segment_read(segment, &source, pos, byte, 1, false), 1);
    fake_storage_fail_read(w.storage, -EIO, 1);
    assert_int_equal(playback_mp4_segment_read(segment, &source, pos, byte, 1, false), -EIO);
    fake_storage_trim(w.storage, &w.stream, w.fragments[0].number.seq);
    assert_int_equal(playback_mp4_segment_read(segment, &source, pos, byte, 1, false), -ENOENT);
    playback_mp4_segment_unref(segment);
    world_close(&w);
}

/* The first frame of sound with silence before and behind it, read whole and in pieces of any size.
 */
TEST(silence_and_frames_are_read_as_one_payload)
{
    struct world w;
    uint64_t state = test_seed();
    world_open(&w, "media/captures/sink360_h264_aac_abs.mkv");
    const struct playback_track *track = &w.tracks.items[1];
    struct storage_frames *frames;
    assert_ok(storage_frames_get(w.storage, &w.stream, &w.fragments[0], &frames, false));
    size_t first = 0;
    while (frames->items[first].track != track->mkv_number)
        first++;
    frames->items[0] = frames->items[first];
    frames->items[0].time = 1000;
    frames->count = 1;
    const struct storage_frame frame = frames->items[0];
    const struct playback_timeline_in in = {.track = track,
                                            .frames = frames,
                                            .scale_ns = 1000000,
                                            .start_ms = w.fragments[0].producer_ts_ms,
                                            .next_start_ms = INT64_MIN,
                                            .length_ms = 2000};
    struct playback_timeline *line;
    assert_ok(playback_timeline_make(&in, &line));
    assert_ok(playback_silence_fill(&in, &line));
    storage_frames_free(frames);
    struct playback_mp4_segment *segment;
    assert_ok(playback_mp4_segment_make(line, 2, 1, &segment));
    uint8_t *expected = malloc(segment->bytes), *got = malloc(segment->bytes);
    assert_true(expected && got);
    size_t at = segment->head_bytes;
    for (size_t i = 0; i < line->count; i++) {
        bool silent = line->samples[i].offset == playback_silent;
        memcpy(expected + at,
               silent ? line->silence.bytes
                      : w.capture.bytes + w.capture.fragments[0].start + frame.offset,
               line->samples[i].bytes);
        at += line->samples[i].bytes;
    }
    assert_int_equal(at, segment->bytes);
    assert_true(line->count > 40);
    for (int round = 0; round < 200; round++) {
        uint64_t from = segment->head_bytes + test_random(&state) % (at - segment->head_bytes);
        size_t piece = 1 + test_random(&state) % 300;
        read_range(&w, segment, 0, from, at, piece, got);
        assert_memory_equal(got, expected + from, at - from);
    }
    free(expected);
    free(got);
    free(line);
    playback_mp4_segment_unref(segment);
    world_close(&w);
}

TEST(a_fragment_without_the_track_gives_a_segment_without_samples)
{
    struct playback_timeline line = {.timescale = 1000, .decode_time = 5};
    struct playback_mp4_segment *segment;
    assert_ok(playback_mp4_segment_make(&line, 2, 1, &segment));
    assert_int_equal(segment->bytes, segment->head_bytes);
    assert_memory_equal(segment->head + segment->head_bytes - 8, "\0\0\0\10mdat", 8);
    playback_mp4_segment_unref(segment);
}

TESTS_MAIN(TEST_OF(h264_of_producer_c_comes_out_frame_by_frame),
           TEST_OF(h265_of_producer_c_comes_out_frame_by_frame),
           TEST_OF(video_and_audio_come_out_as_tracks_of_their_own),
           TEST_OF(a_scale_of_ten_milliseconds_keeps_its_times),
           TEST_OF(a_segment_says_its_length_before_a_byte_is_read),
           TEST_OF(a_cold_or_trimmed_chunk_is_said_not_hidden),
           TEST_OF(silence_and_frames_are_read_as_one_payload),
           TEST_OF(a_fragment_without_the_track_gives_a_segment_without_samples))
