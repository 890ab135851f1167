/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a commit costs: streams that upload in real time, or one as fast as it goes, straight into
 * the storage. Prints rate, CPU per MB, and the time from the last byte to the callback.
 *
 *   bench_storage DIR live STREAMS KBIT SECONDS     2 s fragments of frames 25 a second
 *   bench_storage DIR offline MIB FRAGMENT_KIB
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "core/mkv.h"
#include "storage/stream.h"
#include "storage/writer.h"

enum {
    FRAMES_PER_SECOND = 25,
    FRAGMENT_FRAMES = 50,
    SAMPLES_MAX = 1 << 20,
    STREAMS_MAX = 2000
};

struct upload {
    struct storage_writer *w;
    _Atomic bool short_of_room;
    uint64_t timecode;
    unsigned frame;           /* within the fragment */
    uint32_t at;              /* bytes of the fragment so far */
    _Atomic int64_t ended_ns; /* of the fragment whose commit is awaited */
};

static struct kn_clock *sys_clock;
static struct upload uploads[STREAMS_MAX];
static double samples_ms[SAMPLES_MAX];
static _Atomic size_t sample_count;
static _Atomic uint64_t committed, failed;
static uint8_t payload[1 << 20];

static void on_committed(void *ctx, const struct storage_fragment *fragment, bool duplicate,
                         int result)
{
    struct upload *up = ctx;
    (void) fragment;
    (void) duplicate;
    if (result < 0) {
        failed++;
        return;
    }
    committed++;
    size_t at = sample_count++;
    if (at < SAMPLES_MAX)
        samples_ms[at] = (double) (kn_mono_ns(sys_clock) - up->ended_ns) / 1e6;
}

static void on_writable(void *ctx)
{
    struct upload *up = ctx;
    up->short_of_room = false;
}

static void must(int r, const char *what)
{
    if (r >= 0)
        return;
    fprintf(stderr, "%s: %s\n", what, kn_errname(r));
    exit(1);
}

static struct storage *open_storage(const char *dir)
{
    static struct storage_conf conf;
    struct kn_conf_table table = {"storage", storage_conf_keys, storage_conf_key_count, &conf};
    struct storage *storage;
    struct kn_err err = {0};
    must(kn_conf_defaults(&table, 1), "settings");
    int r = storage_open(dir, &conf, kn_fs_system(), sys_clock, &storage, NULL, &err);
    if (r < 0)
        fprintf(stderr, "%s\n", err.text);
    must(r, "open");
    return storage;
}

static void open_upload(struct storage *storage, struct upload *up, unsigned n)
{
    static const struct storage_writer_events events = {on_committed, on_writable};
    char name[32];
    snprintf(name, sizeof(name), "bench-%d-%u", (int) getpid(), n);
    struct storage_stream_new settings = {.name = kn_str_from(name), .retention_hours = 1};
    struct storage_stream *stream;
    must(storage_stream_create(storage, &settings, &stream), "stream");
    must(storage_writer_open(storage, &stream->id, false, &events, up, &up->w), "writer");
    storage_stream_unref(stream);
    struct kn_buf header;
    struct kn_mkv_header parsed = {.timestamp_scale_ns = 1000000, .track_count = 1};
    parsed.tracks[0] =
        (struct kn_mkv_track){.number = 1, .type = KN_MKV_VIDEO, .codec_id = "V_MPEG4/ISO/AVC"};
    kn_buf_init(&header, 1 << 16);
    must(kn_mkv_write_header(&header, &parsed, KN_STR("bench")), "header");
    must(storage_writer_header(up->w, kn_buf_bytes(&header), &parsed), "header");
    kn_buf_done(&header);
}

static void wait_room(struct upload *up)
{
    while (up->short_of_room)
        usleep(50); /* the price of not having a loop here; it counts against us */
}

static void put(struct upload *up, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    while (len > 0) {
        up->short_of_room = true;
        ssize_t n = storage_writer_part(up->w, p, len);
        must((int) n, "part");
        p += n;
        len -= (size_t) n;
        up->at += (uint32_t) n;
        if (len > 0)
            wait_room(up);
    }
    up->short_of_room = false;
}

static void begin(struct upload *up)
{
    struct storage_begin begin = {.producer_ts_ms = kn_wall_ms(sys_clock),
                                  .timecode = up->timecode};
    struct storage_fragment f;
    for (;;) {
        up->short_of_room = true;
        int r = storage_writer_begin(up->w, &begin, &f);
        if (r != -EAGAIN) {
            must(r, "begin");
            break;
        }
        wait_room(up);
    }
    up->at = 0;
    struct kn_buf head;
    kn_buf_init(&head, 64);
    must(kn_mkv_write_cluster(&head, up->timecode), "cluster");
    put(up, head.ptr, head.len);
    kn_buf_done(&head);
}

static void frame(struct upload *up, size_t bytes)
{
    struct kn_buf head;
    kn_buf_init(&head, 64);
    if (up->frame == 0)
        begin(up);
    must(kn_mkv_write_block_head(&head, 1, (int16_t) (up->frame * 40), up->frame == 0, bytes),
         "block");
    put(up, head.ptr, head.len);
    struct storage_frame entry = {.offset = up->at,
                                  .bytes = (uint32_t) bytes,
                                  .time = (int32_t) (up->frame * 40),
                                  .track = 1,
                                  .key = up->frame == 0};
    put(up, payload + up->frame * 100, bytes);
    must(storage_writer_mark(up->w, &entry), "mark");
    kn_buf_done(&head);
    if (++up->frame < FRAGMENT_FRAMES)
        return;
    struct storage_commit commit = {
        .cluster_bytes = up->at, .duration_ms = 1960, .full_duration_ms = 2000};
    up->ended_ns = kn_mono_ns(sys_clock);
    must(storage_writer_commit(up->w, &commit), "commit");
    up->frame = 0;
    up->timecode += 2000;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;
    return x < y ? -1 : x > y;
}

static double cpu_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double) (u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double) (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void report(const char *what, double mb, double took_s, double used_s)
{
    size_t n = sample_count < SAMPLES_MAX ? sample_count : SAMPLES_MAX;
    qsort(samples_ms, n, sizeof(*samples_ms), compare);
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    printf("%s: %.1f MB in %.2f s = %.1f MB/s; %" PRIu64 " commits (%.0f/s), %" PRIu64 " failed; "
           "CPU %.2f s = %.2f ms/MB = %.1f %% of a core; ack p50 %.1f p99 %.1f max %.1f ms; "
           "max RSS %ld MB\n",
           what, mb, took_s, mb / took_s, (uint64_t) committed, (double) committed / took_s,
           (uint64_t) failed, used_s, used_s * 1000 / mb, used_s / took_s * 100,
           n ? samples_ms[n / 2] : 0, n ? samples_ms[n * 99 / 100] : 0, n ? samples_ms[n - 1] : 0,
           u.ru_maxrss / 1024);
}

static void live(struct storage *storage, unsigned streams, unsigned kbit, unsigned seconds)
{
    size_t bytes = (size_t) kbit * 1000 / 8 / FRAMES_PER_SECOND;
    for (unsigned i = 0; i < streams; i++) {
        open_upload(storage, &uploads[i], i);
        uploads[i].timecode = 1;
    }
    usleep(300000);
    double cpu = cpu_s();
    int64_t start = kn_mono_ns(sys_clock);
    unsigned ticks = seconds * FRAMES_PER_SECOND;
    for (unsigned t = 0; t < ticks; t++) {
        for (unsigned i = 0; i < streams; i++) { /* spread over the 40 ms, and fragments over 2 s */
            if (t >= i % FRAGMENT_FRAMES)
                frame(&uploads[i], bytes);
        }
        int64_t due = start + (int64_t) (t + 1) * 40000000, now = kn_mono_ns(sys_clock);
        if (due > now)
            usleep((useconds_t) ((due - now) / 1000));
    }
    double took = (double) (kn_mono_ns(sys_clock) - start) / 1e9, used = cpu_s() - cpu;
    report("live", (double) streams * ticks * (double) bytes / 1e6, took, used);
}

static void offline(struct storage *storage, unsigned mib, unsigned fragment_kib)
{
    struct upload *up = &uploads[0];
    open_upload(storage, up, 0);
    up->timecode = 1;
    size_t bytes = (size_t) fragment_kib * 1024 / FRAGMENT_FRAMES;
    uint64_t fragments = (uint64_t) mib * 1024 / fragment_kib;
    double cpu = cpu_s();
    int64_t start = kn_mono_ns(sys_clock);
    for (uint64_t i = 0; i < fragments * FRAGMENT_FRAMES; i++)
        frame(up, bytes);
    while (committed + failed < fragments)
        usleep(200);
    double took = (double) (kn_mono_ns(sys_clock) - start) / 1e9, used = cpu_s() - cpu;
    report("offline", (double) fragments * FRAGMENT_FRAMES * (double) bytes / 1e6, took, used);
}

static unsigned number(const char *text)
{
    return (unsigned) strtoul(text, NULL, 10);
}

int main(int argc, char **argv)
{
    sys_clock = kn_clock_system();
    for (size_t i = 0; i < sizeof(payload); i++)
        payload[i] = (uint8_t) (i * 2654435761u >> 13);
    unsigned streams = 1;
    if (argc == 6 && strcmp(argv[2], "live") == 0)
        streams = number(argv[3]);
    else if (argc != 5 || strcmp(argv[2], "offline") != 0)
        return fprintf(stderr, "see the top of bench_storage.c\n"), 2;
    if (streams > STREAMS_MAX)
        return 2;
    struct storage *storage = open_storage(argv[1]);
    if (argc == 6)
        live(storage, streams, number(argv[4]), number(argv[5]));
    else
        offline(storage, number(argv[3]), number(argv[4]));
    for (unsigned i = 0; i < streams; i++)
        storage_writer_close(uploads[i].w, NULL);
    storage_close(storage);
    return 0;
}
