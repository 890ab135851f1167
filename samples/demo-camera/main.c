/* SPDX-License-Identifier: Apache-2.0 */
/*
 * demo-camera: a camera that is not there, streaming through the real protocol.
 *
 *   source (GStreamer) → libkinema-producer (fragments, kept until PERSISTED) → PutMedia
 *
 * GStreamer's threads queue frames and wake the main thread, which puts them in order of time; the
 * producer sends, listens and reconnects on a thread of its own.
 */
#include "source.h"

#include <curl/curl.h>
#include <errno.h>
#include <getopt.h>
#include <kinema/producer.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    BUFFER_BYTES = 32 << 20, /* minutes, while the server is away */
    LOOK_MS = 500,
    STOP_MS = 5000,        /* for what is not PERSISTED when it is told to end */
    STOP_SOUND_MS = 10000, /* for a sound to the last picture, on a machine with much else to do */
    REPORT_S = 60
};

struct camera {
    struct kinema_config config;
    struct kinema_track tracks[2];
    struct kinema_producer *producer;
    struct source_options picture;
    struct source *source;
    sem_t frames;   /* there may be some */
    unsigned seen;  /* tracks with a frame in the open fragment, a bit each */
    bool has_begun; /* a fragment */
    int64_t last_report_s;
};

static volatile sig_atomic_t stopping;

static void on_signal(int number)
{
    (void) number;
    stopping = 1;
}

static int64_t now_ms(clockid_t clock)
{
    struct timespec now;
    (void) clock_gettime(clock, &now);
    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void wake(void *ctx)
{
    struct camera *c = ctx;
    (void) sem_post(&c->frames);
}

static void wait_for_frames(struct camera *c)
{
    int64_t at_ms = now_ms(CLOCK_REALTIME) + LOOK_MS;
    struct timespec at = {at_ms / 1000, at_ms % 1000 * 1000000};
    if (sem_timedwait(&c->frames, &at) == 0)
        while (sem_trywait(&c->frames) == 0)
            ; /* they are taken together */
}

/* --- what is said ----------------------------------------------------------------------------- */
static void on_event(void *ctx, const struct kinema_event *event)
{
    const struct camera *c = ctx;
    switch (event->type) {
    case KINEMA_CONNECTED:
        (void) fprintf(stderr, "demo-camera: streaming %s to %s\n", c->config.stream,
                       c->config.endpoint);
        break;
    case KINEMA_DISCONNECTED:
    case KINEMA_CALL_FAILED:
        if (!stopping)
            (void) fprintf(stderr, "demo-camera: %s, HTTP %ld; again in a moment\n", event->text,
                           event->http_status);
        break;
    case KINEMA_ACK_ERROR:
        (void) fprintf(stderr, "demo-camera: error %u %s at fragment %lld\n", event->error_id,
                       event->text, (long long) event->time_ms);
        break;
    default:
        break;
    }
}

static void say(struct camera *c)
{
    struct kinema_stats s = {0};
    if (c->producer)
        kinema_producer_stats(c->producer, &s);
    (void) fprintf(stderr,
                   "demo-camera: made=%llu persisted=%llu waiting=%zu errors=%llu "
                   "connections=%llu dropped=%llu\n",
                   (unsigned long long) s.fragments_put, (unsigned long long) s.fragments_persisted,
                   s.fragments_waiting, (unsigned long long) s.errors,
                   (unsigned long long) s.connections,
                   (unsigned long long) (s.fragments_lost + s.fragments_skipped));
}

static void report(struct camera *c)
{
    int64_t second = now_ms(CLOCK_MONOTONIC) / 1000;
    if (second - c->last_report_s < REPORT_S)
        return;
    if (c->last_report_s > 0)
        say(c);
    c->last_report_s = second;
}

/* --- frames ----------------------------------------------------------------------------------- */
static int open_producer(struct camera *c, const struct source_format *format)
{
    c->tracks[0] = (struct kinema_track){.type = KINEMA_VIDEO,
                                         .codec_id = "V_MPEG4/ISO/AVC",
                                         .codec_private = format->codec_private[0],
                                         .codec_private_len = format->codec_private_bytes[0],
                                         .width = format->width,
                                         .height = format->height};
    c->tracks[1] = (struct kinema_track){.type = KINEMA_AUDIO,
                                         .codec_id = "A_AAC",
                                         .codec_private = format->codec_private[1],
                                         .codec_private_len = format->codec_private_bytes[1],
                                         .sampling_hz = format->sampling_hz,
                                         .channels = format->channels};
    c->config.tracks = c->tracks;
    c->config.track_count = c->picture.audio ? 2 : 1;
    int code = kinema_producer_open(&c->config, &c->producer);
    return code == 0 ? kinema_producer_start(c->producer) : code;
}

/* A fragment without a frame of each track would be refused (4011). */
static bool can_end(const struct camera *c)
{
    return !c->has_begun || c->seen == (c->picture.audio ? 3u : 1u);
}

static int put(struct camera *c, const struct source_frame *frame)
{
    if (frame->key)
        c->seen = 0;
    c->has_begun = c->has_begun || frame->key;
    c->seen |= 1u << (frame->track - 1);
    int code = kinema_producer_put_frame(c->producer,
                                         &(struct kinema_frame){.track = frame->track,
                                                                .key = frame->key,
                                                                .time_ms = frame->time_ns / 1000000,
                                                                .data = frame->bytes,
                                                                .len = frame->len});
    return code == -ENODATA || code == -ENOBUFS ? 0 : code; /* until the next key frame */
}

static int take_frames(struct camera *c)
{
    const struct source_format *format = source_format(c->source);
    struct source_frame frame;
    int code = 0;
    if (!format)
        return 0;
    if (!c->producer)
        code = open_producer(c, format);
    while (code == 0 && !(stopping && can_end(c)) && source_take(c->source, &frame)) {
        code = put(c, &frame);
        free(frame.bytes);
    }
    return code;
}

static int run(struct camera *c)
{
    int64_t stop_at_ms = 0;
    while (!stopping || (!can_end(c) && now_ms(CLOCK_MONOTONIC) < stop_at_ms)) {
        int code = take_frames(c);
        if (code < 0)
            (void) fprintf(stderr, "demo-camera: %s\n", strerror(-code));
        if (code < 0 || source_failed(c->source))
            return EXIT_FAILURE;
        if (stopping && !stop_at_ms)
            stop_at_ms = now_ms(CLOCK_MONOTONIC) + STOP_SOUND_MS;
        report(c);
        wait_for_frames(c);
    }
    if (c->producer && c->has_begun) /* what cannot be sent now is told by waiting= */
        (void) kinema_producer_drain(c->producer, STOP_MS);
    say(c);
    return EXIT_SUCCESS;
}

/* --- start ------------------------------------------------------------------------------------ */
static void usage(FILE *out)
{
    (void) fprintf(
        out, "demo-camera [OPTIONS]: a test picture with a clock, streamed by PutMedia.\n"
             "  --endpoint URL     control plane (http://127.0.0.1:4566, or CONTROL_PLANE_URI)\n"
             "  --stream NAME      made when it is not there (demo-camera)\n"
             "  --region NAME      in the signature (us-east-1, or AWS_DEFAULT_REGION)\n"
             "  --hours N          retention of a new stream (24)\n"
             "  --size WxH         (1280x720)   --fps N (25)   --kbit N (1500)\n"
             "  --fragment N       seconds a fragment (2)\n"
             "  --no-audio         picture only\n"
             "  --ca FILE          certificate to trust\n"
             "Keys come from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN.\n");
}

static const char *env_or(const char *name, const char *fallback)
{
    const char *value = getenv(name);
    return value && *value ? value : fallback;
}

static bool number(const char *text, unsigned min, unsigned max, unsigned *ret)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno || end == text || *end || *text == '-' || value < min || value > max)
        return false;
    *ret = (unsigned) value;
    return true;
}

static bool size(const char *text, struct source_options *picture)
{
    char width[16];
    const char *x = strchr(text, 'x');
    if (!x || (size_t) (x - text) >= sizeof width)
        return false;
    memcpy(width, text, (size_t) (x - text));
    width[x - text] = '\0';
    return number(width, 160, 7680, &picture->width) && number(x + 1, 120, 4320, &picture->height);
}

static bool take_option(struct camera *c, int o, const char *text)
{
    switch (o) {
    case 'e':
        c->config.endpoint = text;
        return true;
    case 's':
        c->config.stream = text;
        return true;
    case 'r':
        c->config.region = text;
        return true;
    case 'c':
        c->config.ca_file = text;
        return true;
    case 'n':
        c->picture.audio = false;
        return true;
    case 'h':
        return number(text, 0, 87600, &c->config.retention_hours);
    case 'S':
        return size(text, &c->picture);
    case 'f':
        return number(text, 1, 120, &c->picture.frames_per_second);
    case 'k':
        return number(text, 50, 100000, &c->picture.kbit_per_second);
    case 'F':
        return number(text, 1, 10, &c->picture.fragment_seconds);
    default:
        return false;
    }
}

/* 0: go on; otherwise the exit code and 1. */
static int read_options(struct camera *c, int argc, char **argv)
{
    static const struct option options[] = {
        {"endpoint", 1, NULL, 'e'},
        {"stream",   1, NULL, 's'},
        {"region",   1, NULL, 'r'},
        {"hours",    1, NULL, 'h'},
        {"size",     1, NULL, 'S'},
        {"fps",      1, NULL, 'f'},
        {"kbit",     1, NULL, 'k'},
        {"fragment", 1, NULL, 'F'},
        {"no-audio", 0, NULL, 'n'},
        {"ca",       1, NULL, 'c'},
        {"help",     0, NULL, 'H'},
        {NULL,       0, NULL, 0  },
    };
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) >= 0;) {
        if (o == 'H') {
            usage(stdout);
            return 1;
        }
        if (!take_option(c, o, optarg)) {
            usage(stderr);
            return 3;
        }
    }
    if (optind < argc)
        usage(stderr);
    return optind < argc ? 3 : 0;
}

int main(int argc, char **argv)
{
    struct camera camera = {
        .config = {.stream = "demo-camera",
                   .region = env_or("AWS_DEFAULT_REGION", "us-east-1"),
                   .endpoint = env_or("CONTROL_PLANE_URI", "http://127.0.0.1:4566"),
                   .retention_hours = 24,
                   .mode = KINEMA_REALTIME,
                   .buffer_bytes = BUFFER_BYTES,
                   .on_event = on_event},
        .picture = {1280,    720,                25,                         1500,    2,           true, NULL}
    };
    struct camera *c = &camera;
    int code = read_options(c, argc, argv);
    if (code != 0)
        return code - 1;
    c->config.ctx = c;
    c->picture.title = c->config.stream;
    (void) setenv("AWS_ACCESS_KEY_ID", env_or("AWS_ACCESS_KEY_ID", "none"), 1); /* --no-auth */
    (void) setenv("AWS_SECRET_ACCESS_KEY", env_or("AWS_SECRET_ACCESS_KEY", "none"), 1);
    struct sigaction action = {.sa_handler = on_signal};
    (void) sigaction(SIGINT, &action, NULL);
    (void) sigaction(SIGTERM, &action, NULL);
    (void) curl_global_init(CURL_GLOBAL_DEFAULT);
    (void) sem_init(&c->frames, 0, 0);
    code = kinema_credentials_environment(&c->config.credentials);
    c->source = code == 0 ? source_start(&c->picture, wake, c) : NULL;
    code = c->source ? run(c) : EXIT_FAILURE;
    if (c->source)
        source_stop(c->source);
    kinema_producer_close(c->producer);
    kinema_credentials_free(c->config.credentials);
    (void) sem_destroy(&c->frames);
    curl_global_cleanup();
    return code;
}
