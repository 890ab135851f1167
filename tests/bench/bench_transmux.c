/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matroska to fragmented MP4 as the server does it, without the network: every fragment of a stream
 * becomes one segment a track, found, rendered and read through the same calls that answer a
 * player, and written to one file a track (or /dev/null). Prints the CPU time it took.
 *
 *   bench_transmux DIR STREAM VIDEO_OUT AUDIO_OUT
 */
#include "folder.h"
#include "tool.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "session/sessions.h"

enum {
    PIECE_BYTES = 256 << 10,
    PAGE = 64
};

static struct playback *playback;
static struct playback_session session;
static uint8_t piece[PIECE_BYTES];
static uint64_t read_bytes, written_bytes, segments;

static void put(int fd, const uint8_t *bytes, size_t len)
{
    if (write(fd, bytes, len) != (ssize_t) len)
        tool_must(-EIO, "write");
    written_bytes += len;
}

static void write_init(int fd, const struct storage_fragment *fragment, unsigned track)
{
    struct playback_view view;
    struct kn_buf out;
    kn_buf_init(&out, 1 << 20);
    tool_must(playback_view_get(playback, &session, fragment, &view, NULL, false), "header");
    tool_must(playback_mp4_init_write(&out, playback_tracks_find(&view.tracks, track),
                                      view.header->parsed.timestamp_scale_ns),
              "init");
    put(fd, out.ptr, out.len);
    playback_view_done(&view);
    kn_buf_done(&out);
}

static void write_segment(int fd, const struct storage_fragment *fragment, unsigned track)
{
    struct playback_rendered *rendered;
    const struct playback_mp4_source source = {playback->storage, session.stream, *fragment};
    tool_must(
        playback_sessions_segment(playback, &session, fragment, track, &rendered, NULL, false),
        "segment");
    for (uint64_t pos = 0; pos < rendered->segment->bytes;) {
        ssize_t n =
            playback_mp4_segment_read(rendered->segment, &source, pos, piece, PIECE_BYTES, false);
        tool_must(n, "read");
        put(fd, piece, (size_t) n);
        pos += (uint64_t) n;
    }
    playback_cached_unref(&rendered->base);
    segments++;
}

static void transmux(int video, int audio)
{
    struct storage_query query = {.order = STORAGE_BY_NUMBER};
    struct storage_fragment page[PAGE];
    for (;;) {
        size_t count;
        tool_must(
            storage_find(playback->storage, &session.stream, &query, page, PAGE, &count, false),
            "find");
        if (!count)
            return;
        for (size_t i = 0; i < count; i++) {
            if (segments == 0) {
                write_init(video, &page[i], 1);
                write_init(audio, &page[i], 2);
            }
            write_segment(video, &page[i], 1);
            write_segment(audio, &page[i], 2);
            read_bytes += page[i].bytes;
        }
        query.after_seq = page[count - 1].number.seq;
    }
}

int main(int argc, char **argv)
{
    static struct playback_conf conf;
    struct kn_conf_table table = {"playback", playback_conf_keys, playback_conf_key_count, &conf};
    const struct playback_endpoints endpoints = {0};
    const struct kn_api_identity identity = {0};
    struct kn_err err = {0};
    if (argc != 5)
        return fprintf(stderr, "see the top of bench_transmux.c\n"), 2;
    int video = open(argv[3], O_WRONLY | O_CREAT | O_TRUNC, 0644);
    int audio = open(argv[4], O_WRONLY | O_CREAT | O_TRUNC, 0644);
    struct storage_conf folder = folder_conf();
    struct storage *storage =
        folder_open(argv[1], &folder, kn_fs_system(), kn_clock_system(), NULL);
    struct storage_stream *stream = storage_stream_find(storage, kn_str_from(argv[2]));
    if (video < 0 || audio < 0 || !stream)
        tool_must(-ENOENT, "the stream, or an output");
    session = (struct playback_session){.stream = stream->id,
                                        .stream_created_ms = stream->created_ms,
                                        .mode = PLAYBACK_ON_DEMAND,
                                        .clock = PLAYBACK_PRODUCER_CLOCK,
                                        .from_ms = INT64_MIN,
                                        .to_ms = INT64_MAX};
    storage_stream_unref(stream);
    tool_must(kn_conf_defaults(&table, 1), "settings");
    tool_must(playback_new(storage, &conf, &endpoints, &identity, NULL, kn_clock_system(),
                           &playback, &err),
              "playback");
    int64_t cpu_ns = tool_cpu_ns(0);
    transmux(video, audio);
    double cpu = (double) (tool_cpu_ns(0) - cpu_ns) / 1e9;
    printf("{\"segments\":%" PRIu64 ",\"read_bytes\":%" PRIu64 ",\"written_bytes\":%" PRIu64
           ",\"cpu_s\":%.4f,\"mb_per_cpu_s\":%.1f}\n",
           segments, read_bytes, written_bytes, cpu, (double) read_bytes / 1e6 / cpu);
    playback_free(playback);
    storage_close(storage);
    return 0;
}
