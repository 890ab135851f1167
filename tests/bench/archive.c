/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Archives of any age in little time, and what it costs to open them and to find something in them.
 *
 *   archive make DIR STREAMS FRAGMENTS FRAMES FRAME_BYTES [--kill]
 *       STREAMS streams named bench-0 … with FRAGMENTS fragments of 2 s each, the last of which
 * ends now. Goes through the storage's own writer; only the clock is set and flushes are left out.
 *       --kill: ends as kill -9 would, with every stream's chunk open.
 *   archive open DIR          opens the folder (recovering it) and closes it
 *   archive find DIR COUNT    looks COUNT times for the fragment at a random time, by either time
 *
 * Each prints one line of JSON. Seeded by KINEMA_SEED.
 */
#include "folder.h"
#include "tool.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/mkv.h"
#include "storage/stream.h"
#include "storage/writer.h"

enum {
    STREAMS_MAX = 2000,
    FRAGMENT_MS = 2000,
    UNDER_WAY_MAX = 16, /* commits of one stream that are waited for */
};

struct upload {
    struct storage_id id;
    struct storage_writer *w;
    _Atomic uint64_t committed;
    uint64_t submitted;
    uint64_t bytes;
};

struct plan {
    unsigned streams, frames;
    uint64_t fragments;
    size_t frame_bytes;
    bool kill;
};

static struct upload uploads[STREAMS_MAX];
static struct kn_fake_clock fake_clock;
static struct kn_fs_ops lazy_ops;
static struct kn_fs lazy_fs = {&lazy_ops};

static uint64_t max_rss_kib(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (uint64_t) u.ru_maxrss;
}

/* --- a disk that is believed to be durable ---------------------------------------------------- */
static int lazy_open(struct kn_fs *fs, const char *path, int flags, struct kn_file **ret)
{
    int r = kn_fs_system()->ops->open(kn_fs_system(), path, flags, ret);
    if (r == 0)
        (*ret)->fs = fs;
    return r;
}

static int lazy_sync(struct kn_file *file)
{
    (void) file;
    return 0;
}

static int lazy_sync_dir(struct kn_fs *fs, const char *path)
{
    (void) fs;
    (void) path;
    return 0;
}

static int lazy_allocate(struct kn_file *file, uint64_t off, uint64_t len)
{
    (void) file;
    (void) off;
    (void) len;
    return 0;
}

static struct kn_fs *lazy(void)
{
    lazy_ops = *kn_fs_system()->ops;
    lazy_ops.open = lazy_open;
    lazy_ops.sync = lazy_ops.sync_start = lazy_sync;
    lazy_ops.sync_dir = lazy_sync_dir;
    lazy_ops.allocate = lazy_allocate;
    return &lazy_fs;
}

static struct storage *open_archive(const char *dir, struct kn_fs *fs, struct kn_clock *clock,
                                    struct storage_report *report)
{
    struct storage_conf conf = folder_conf();
    conf.linger_ms = 0;
    return folder_open(dir, &conf, fs, clock, report);
}

/* --- making ----------------------------------------------------------------------------------- */
static void on_committed(void *ctx, const struct storage_fragment *fragment, bool duplicate,
                         int result)
{
    struct upload *up = ctx;
    (void) fragment;
    (void) duplicate;
    tool_must(result, "commit");
    up->committed++;
}

static void open_upload(struct storage *storage, struct upload *up, unsigned n)
{
    static const struct storage_writer_events events = {.committed = on_committed};
    char name[32];
    snprintf(name, sizeof(name), "bench-%u", n);
    struct storage_stream_new settings = {.name = kn_str_from(name),
                                          .retention_hours = STORAGE_RETENTION_HOURS_MAX};
    struct storage_stream *stream;
    tool_must(storage_stream_create(storage, &settings, &stream), "stream");
    up->id = stream->id;
    storage_stream_unref(stream);
    tool_must(storage_writer_open(storage, &up->id, false, &events, up, &up->w), "writer");
    static const uint8_t avcc[] = {/* baseline, 1920 x 1080, 30 a second */
                                   0x01, 0x42, 0xc0, 0x28, 0xff, 0xe1, 0x00, 0x19, 0x67, 0x42,
                                   0xc0, 0x28, 0xda, 0x01, 0xe0, 0x08, 0x9f, 0x97, 0x01, 0x10,
                                   0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0xc0,
                                   0xf1, 0x83, 0x2a, 0x01, 0x00, 0x04, 0x68, 0xce, 0x3c, 0x80};
    struct kn_buf header;
    struct kn_mkv_header parsed = {.timestamp_scale_ns = 1000000, .track_count = 1};
    parsed.tracks[0] = (struct kn_mkv_track){
        .number = 1,
        .type = KN_MKV_VIDEO,
        .codec_id = "V_MPEG4/ISO/AVC",
        .codec_private = {avcc, sizeof avcc},
        .pixel_width = 1920,
        .pixel_height = 1080
    };
    kn_buf_init(&header, 1 << 16);
    tool_must(kn_mkv_write_header(&header, &parsed, KN_STR("bench")), "header");
    tool_must(storage_writer_header(up->w, kn_buf_bytes(&header), &parsed), "header");
    kn_buf_done(&header);
}

/* A fragment's bytes but for its Cluster's head, which differs each time; and its frame table. */
struct pattern {
    struct kn_buf bytes;
    struct storage_frame *frames;
};

static void make_pattern(const struct plan *plan, struct pattern *ret)
{
    kn_buf_init(&ret->bytes, SIZE_MAX);
    ret->frames = calloc(plan->frames, sizeof(*ret->frames));
    kn_assert(ret->frames != NULL);
    for (unsigned i = 0; i < plan->frames; i++) {
        int16_t time = (int16_t) (i * FRAGMENT_MS / plan->frames);
        tool_must(kn_mkv_write_block_head(&ret->bytes, 1, time, i == 0, plan->frame_bytes),
                  "block");
        ret->frames[i] = (struct storage_frame){.offset = (uint32_t) ret->bytes.len,
                                                .bytes = (uint32_t) plan->frame_bytes,
                                                .time = time,
                                                .track = 1,
                                                .key = i == 0};
        for (size_t at = 0; at < plan->frame_bytes; at++)
            tool_must(kn_buf_append_byte(&ret->bytes, (uint8_t) (at * 7 + i)), "frame");
    }
}

static void put(struct upload *up, struct kn_bytes bytes)
{
    while (bytes.len > 0) {
        ssize_t n = storage_writer_part(up->w, bytes.ptr, bytes.len);
        tool_must((int) n, "part");
        bytes.ptr += n;
        bytes.len -= (size_t) n;
        up->bytes += (uint64_t) n;
        if (n == 0)
            usleep(50);
    }
}

static void put_fragment(struct upload *up, const struct plan *plan, const struct pattern *pattern,
                         uint64_t n)
{
    struct storage_begin begin = {.producer_ts_ms = kn_wall_ms(&fake_clock.clock) - 300,
                                  .timecode = 1 + n * FRAGMENT_MS};
    struct storage_fragment f;
    struct kn_buf head;
    int r;
    while (up->submitted - up->committed >= UNDER_WAY_MAX)
        usleep(50);
    while ((r = storage_writer_begin(up->w, &begin, &f)) == -EAGAIN)
        usleep(50);
    tool_must(r, "begin");
    kn_buf_init(&head, 64);
    tool_must(kn_mkv_write_cluster(&head, begin.timecode), "cluster");
    put(up, kn_buf_bytes(&head));
    put(up, kn_buf_bytes(&pattern->bytes));
    for (unsigned i = 0; i < plan->frames; i++) {
        struct storage_frame frame = pattern->frames[i];
        frame.offset += (uint32_t) head.len;
        tool_must(storage_writer_mark(up->w, &frame), "mark");
    }
    struct storage_commit commit = {
        .cluster_bytes = head.len + pattern->bytes.len,
        .duration_ms = FRAGMENT_MS - FRAGMENT_MS / plan->frames,
        .full_duration_ms = FRAGMENT_MS,
        .flush_soon = true,
    };
    kn_buf_done(&head);
    tool_must(storage_writer_commit(up->w, &commit), "commit");
    up->submitted++;
}

static int make(const char *dir, const struct plan *plan)
{
    struct pattern pattern;
    struct storage_report report;
    int64_t begun = tool_now_ns();
    int64_t span_ms = (int64_t) plan->fragments * FRAGMENT_MS;
    kn_fake_clock_init(&fake_clock, kn_wall_ms(kn_clock_system()) - span_ms);
    struct storage *storage = open_archive(dir, lazy(), &fake_clock.clock, &report);
    make_pattern(plan, &pattern);
    for (unsigned i = 0; i < plan->streams; i++)
        open_upload(storage, &uploads[i], i);
    for (uint64_t n = 0; n < plan->fragments; n++) {
        for (unsigned i = 0; i < plan->streams; i++)
            put_fragment(&uploads[i], plan, &pattern, n);
        kn_fake_clock_advance(&fake_clock, FRAGMENT_MS);
    }
    for (unsigned i = 0; i < plan->streams; i++)
        while (uploads[i].committed < uploads[i].submitted)
            usleep(100);
    uint64_t bytes = 0;
    for (unsigned i = 0; i < plan->streams; i++)
        bytes += uploads[i].bytes;
    printf("{\"streams\": %u, \"fragments\": %" PRIu64 ", \"media_bytes\": %" PRIu64
           ", \"made_s\": %.2f}\n",
           plan->streams, plan->streams * plan->fragments, bytes,
           (double) (tool_now_ns() - begun) / 1e9);
    fflush(stdout);
    if (plan->kill)
        _exit(0);
    for (unsigned i = 0; i < plan->streams; i++)
        storage_writer_close(uploads[i].w, NULL);
    storage_close(storage);
    return 0;
}

/* --- opening and finding ---------------------------------------------------------------------- */
static int open_only(const char *dir)
{
    struct storage_report report;
    int64_t begun = tool_now_ns();
    struct storage *storage = open_archive(dir, kn_fs_system(), kn_clock_system(), &report);
    double took = (double) (tool_now_ns() - begun) / 1e9;
    printf("{\"open_s\": %.4f, \"streams\": %" PRIu64 ", \"chunks_recovered\": %" PRIu64
           ", \"fragments_recovered\": %" PRIu64 ", \"bad_records\": %" PRIu64
           ", \"rss_kib\": %" PRIu64 "}\n",
           took, report.streams, report.chunks_recovered, report.fragments_recovered,
           report.bad_records, max_rss_kib());
    fflush(stdout);
    storage_close(storage);
    return 0;
}

static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

struct span {
    struct storage_id id;
    int64_t from_ms, to_ms;
};

static size_t spans_of(struct storage *storage, struct span *out, uint64_t *ret_fragments)
{
    static struct storage_stream *streams[STREAMS_MAX];
    size_t n = storage_stream_list(storage, (struct kn_str){"", 0}, (struct kn_str){"", 0}, streams,
                                   STREAMS_MAX);
    *ret_fragments = 0;
    for (size_t i = 0; i < n; i++) {
        struct storage_stream_stats stats;
        tool_must(storage_stream_stats(storage, &streams[i]->id, &stats, false), "stats");
        out[i] =
            (struct span){streams[i]->id, stats.oldest_server_ts_ms, stats.newest_server_ts_ms};
        *ret_fragments += stats.fragments;
        storage_stream_unref(streams[i]);
    }
    return n;
}

/* Microseconds of each lookup. */
static void look(struct storage *storage, const struct span *spans, size_t n, uint64_t seed,
                 enum storage_order order, struct tool_samples *us, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct span *s = &spans[random_next(&seed) % n];
        int64_t at =
            s->from_ms + (int64_t) (random_next(&seed) % (uint64_t) (s->to_ms - s->from_ms + 1));
        struct storage_fragment f;
        int64_t begun = tool_now_ns();
        tool_must(storage_find_at(storage, &s->id, order, at, &f, false), "find");
        tool_sample(us, (double) (tool_now_ns() - begun) / 1e3);
        int64_t found = order == STORAGE_BY_SERVER_TS ? f.number.server_ts_ms : f.producer_ts_ms;
        kn_assert(llabs(found - at) <= FRAGMENT_MS);
    }
}

static int find(const char *dir, size_t count)
{
    static struct span spans[STREAMS_MAX];
    const char *text = getenv("KINEMA_SEED");
    uint64_t seed = text ? tool_number(text) : (unsigned) getpid(), fragments;
    struct storage_report report;
    struct storage *storage = open_archive(dir, kn_fs_system(), kn_clock_system(), &report);
    int64_t begun = tool_now_ns();
    size_t n = spans_of(storage, spans, &fragments);
    double loaded = (double) (tool_now_ns() - begun) / 1e9;
    kn_assert(n > 0);
    printf("{\"seed\": %" PRIu64 ", \"fragments\": %" PRIu64 ", \"directories_s\": %.4f", seed,
           fragments, loaded);
    static const struct {
        enum storage_order order;
        const char *name;
    } orders[] = {
        {STORAGE_BY_SERVER_TS,   "server"  },
        {STORAGE_BY_PRODUCER_TS, "producer"}
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(orders); i++) {
        struct tool_samples us = {0};
        look(storage, spans, n, seed | 1, orders[i].order, &us, count);
        printf(", \"%s_p50_us\": %.1f, \"%s_p99_us\": %.1f", orders[i].name,
               tool_percentile(&us, 0.5), orders[i].name, tool_percentile(&us, 0.99));
        free(us.items);
    }
    printf(", \"rss_kib\": %" PRIu64 "}\n", max_rss_kib());
    storage_close(storage);
    return 0;
}

int main(int argc, char **argv)
{
    const char *mode = argc > 2 ? argv[1] : "";
    if (strcmp(mode, "open") == 0 && argc == 3)
        return open_only(argv[2]);
    if (strcmp(mode, "find") == 0 && argc == 4)
        return find(argv[2], tool_number(argv[3]));
    if (strcmp(mode, "make") == 0 && (argc == 7 || (argc == 8 && !strcmp(argv[7], "--kill")))) {
        struct plan plan = {.streams = (unsigned) tool_number(argv[3]),
                            .fragments = tool_number(argv[4]),
                            .frames = (unsigned) tool_number(argv[5]),
                            .frame_bytes = tool_number(argv[6]),
                            .kill = argc == 8};
        if (plan.streams > 0 && plan.streams <= STREAMS_MAX && plan.fragments > 0 &&
            plan.frames > 0 && plan.frames <= 1000)
            return make(argv[2], &plan);
    }
    fprintf(stderr, "see the top of archive.c\n");
    return 2;
}
