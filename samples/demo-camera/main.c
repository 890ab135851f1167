/* SPDX-License-Identifier: Apache-2.0 */
/*
 * demo-camera: a camera that is not there, streaming through the real protocol.
 *
 *   source (GStreamer) → muxer (fragments, kept until PERSISTED) → PutMedia (libcurl, full duplex)
 *
 * One thread runs the transfer; GStreamer's threads only queue frames and wake it. When the
 * connection ends for any reason it comes back after a growing pause and sends what was not yet
 * PERSISTED again.
 */
#include "kvs.h"
#include "muxer.h"
#include "source.h"

#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    BACKOFF_FIRST_MS = 500,
    BACKOFF_MAX_MS = 15000,
    POLL_MS = 500,
    STOP_MS = 5000,
    STOP_SOUND_MS = 1000, /* of them, for a sound to the last picture */
    REPORT_S = 60
};

struct camera {
    struct kvs kvs;
    struct source_options picture;
    struct source *source;
    struct muxer muxer;
    bool ended; /* nothing more is made */
    bool has_header;
    CURLM *multi;
    /* the running upload */
    CURL *upload;
    struct curl_slist *headers;
    size_t header_sent, fragment, offset; /* how far the body has got */
    bool paused, refused;
    bool cut; /* the fragment being sent had to be dropped: the body cannot go on */
    struct kn_buf acks;
    /* what happened */
    unsigned backoff_ms;
    uint64_t persisted, errors, connections;
    int64_t last_report_s;
};

static volatile sig_atomic_t stopping;

static void on_signal(int number)
{
    (void) number;
    stopping = 1;
}

static int64_t now_ms(void)
{
    struct timespec now;
    (void) clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void wake(void *ctx)
{
    struct camera *c = ctx;
    (void) curl_multi_wakeup(c->multi);
}

/* --- body and acknowledgements ---------------------------------------------------------------- */
static size_t send_body(char *dst, size_t size, size_t count, void *ctx)
{
    struct camera *c = ctx;
    size_t cap = size * count;
    struct kn_bytes rest = {c->muxer.header.ptr + c->header_sent,
                            c->muxer.header.len - c->header_sent};
    if (rest.len > 0) {
        size_t len = (size_t) kn_min_u64(rest.len, cap);
        memcpy(dst, rest.ptr, len);
        c->header_sent += len;
        return len;
    }
    while (c->fragment < c->muxer.count) {
        struct muxer_fragment *fragment = muxer_at(&c->muxer, c->fragment);
        size_t len = (size_t) kn_min_u64(fragment->bytes.len - c->offset, cap);
        if (len > 0) {
            memcpy(dst, fragment->bytes.ptr + c->offset, len);
            c->offset += len;
            return len;
        }
        if (!fragment->complete)
            break;
        c->fragment++;
        c->offset = 0;
    }
    if (stopping && c->muxer.count == 0)
        return 0; /* all is PERSISTED: the end of the body */
    c->paused = true;
    return CURL_READFUNC_PAUSE;
}

static void on_ack(struct camera *c, const struct kvs_ack *ack)
{
    if (strcmp(ack->event, "PERSISTED") == 0) {
        size_t before = c->muxer.count;
        muxer_persisted(&c->muxer, ack->timecode);
        size_t gone = before - c->muxer.count;
        c->fragment -= (size_t) kn_min_u64(gone, c->fragment);
        c->persisted++;
        c->backoff_ms = BACKOFF_FIRST_MS;
    } else if (strcmp(ack->event, "ERROR") == 0) {
        c->errors++;
        (void) fprintf(stderr, "demo-camera: error %llu %s at fragment %llu\n",
                       (unsigned long long) ack->error_id, ack->error_code,
                       (unsigned long long) ack->timecode);
    }
}

static size_t take_answer(char *ptr, size_t size, size_t count, void *ctx)
{
    struct camera *c = ctx;
    struct kvs_ack ack;
    long status = 0;
    if (kn_buf_append(&c->acks, ptr, size * count) < 0)
        return 0;
    curl_easy_getinfo(c->upload, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) {
        c->refused = true;
        return size * count;
    }
    while (kvs_ack_take(&c->acks, &ack) == 0)
        on_ack(c, &ack);
    return size * count;
}

/* --- the upload ------------------------------------------------------------------------------- */
static int upload_start(struct camera *c, struct kn_err *err)
{
    struct kn_buf endpoint;
    kn_buf_init(&endpoint, 8192);
    int code = kvs_ensure_stream(&c->kvs, err);
    if (code == 0)
        code = kvs_data_endpoint(&c->kvs, &endpoint, err);
    if (code == 0) {
        c->upload = kvs_put_media(&c->kvs, (const char *) endpoint.ptr, &c->headers);
        if (!c->upload)
            code = kn_fail(err, -ENOMEM, "out of memory");
    }
    if (code == 0) {
        c->header_sent = c->fragment = c->offset = 0;
        c->paused = c->refused = c->cut = false;
        kn_buf_clear(&c->acks);
        curl_easy_setopt(c->upload, CURLOPT_READFUNCTION, send_body);
        curl_easy_setopt(c->upload, CURLOPT_READDATA, c);
        curl_easy_setopt(c->upload, CURLOPT_WRITEFUNCTION, take_answer);
        curl_easy_setopt(c->upload, CURLOPT_WRITEDATA, c);
        curl_multi_add_handle(c->multi, c->upload);
        c->connections++;
        (void) fprintf(stderr, "demo-camera: streaming %s to %s\n", c->kvs.stream,
                       (const char *) endpoint.ptr);
    }
    kn_buf_done(&endpoint);
    return code;
}

static void upload_end(struct camera *c)
{
    if (c->upload) {
        curl_multi_remove_handle(c->multi, c->upload);
        curl_easy_cleanup(c->upload);
    }
    curl_slist_free_all(c->headers);
    c->upload = NULL;
    c->headers = NULL;
}

/* Says why the transfer ended; true when it has. */
static bool upload_ended(struct camera *c)
{
    int left;
    long status = 0;
    CURLMsg *message = curl_multi_info_read(c->multi, &left);
    if (!message || message->msg != CURLMSG_DONE)
        return false;
    curl_easy_getinfo(c->upload, CURLINFO_RESPONSE_CODE, &status);
    if (!stopping || c->muxer.count > 0)
        (void) fprintf(stderr, "demo-camera: connection ended: %s, HTTP %ld %.*s\n",
                       curl_easy_strerror(message->data.result), status,
                       c->refused ? (int) kn_min_u64(c->acks.len, 200) : 0,
                       (const char *) c->acks.ptr);
    return true;
}

/* --- frames ----------------------------------------------------------------------------------- */
static int write_header(struct camera *c, const struct source_format *format)
{
    const struct muxer_track tracks[] = {
        {.codec_id = "V_MPEG4/ISO/AVC",
         .codec_private = {format->codec_private[0], format->codec_private_bytes[0]},
         .width = format->width,
         .height = format->height    },
        { .audio = true,
         .codec_id = "A_AAC",
         .codec_private = {format->codec_private[1], format->codec_private_bytes[1]},
         .sampling_hz = format->sampling_hz,
         .channels = format->channels},
    };
    c->has_header = true;
    return muxer_header(&c->muxer, tracks, c->picture.audio ? 2 : 1);
}

/* A fragment without a frame of each track would be refused (4011). */
static bool can_end(const struct camera *c)
{
    return c->muxer.count == 0 || c->muxer.seen == (c->picture.audio ? 6u : 2u);
}

static int take_frames(struct camera *c)
{
    const struct source_format *format = source_format(c->source);
    struct source_frame frame;
    int code = 0;
    if (!format)
        return 0;
    if (!c->has_header)
        code = write_header(c, format);
    while (code == 0 && !c->ended && !(stopping && can_end(c)) && source_take(c->source, &frame)) {
        uint64_t dropped = c->muxer.dropped;
        code = muxer_frame(&c->muxer, frame.track, frame.key, (uint64_t) (frame.time_ns / 1000000),
                           (struct kn_bytes){frame.bytes, frame.len});
        free(frame.bytes);
        if (c->muxer.dropped > dropped) {
            if (c->fragment > 0)
                c->fragment--;
            else
                c->cut = c->upload != NULL;
        }
    }
    return code;
}

static void say(const struct camera *c)
{
    (void) fprintf(stderr,
                   "demo-camera: made=%llu persisted=%llu waiting=%zu errors=%llu "
                   "connections=%llu dropped=%llu\n",
                   (unsigned long long) c->muxer.made, (unsigned long long) c->persisted,
                   c->muxer.count, (unsigned long long) c->errors,
                   (unsigned long long) c->connections, (unsigned long long) c->muxer.dropped);
}

static void report(struct camera *c)
{
    int64_t second = now_ms() / 1000;
    if (second - c->last_report_s < REPORT_S)
        return;
    if (c->last_report_s > 0)
        say(c);
    c->last_report_s = second;
}

/* --- the loop --------------------------------------------------------------------------------- */
static void stream_on(struct camera *c)
{
    int running = 0;
    if (c->paused) {
        c->paused = false;
        curl_easy_pause(c->upload, CURLPAUSE_CONT);
    }
    (void) curl_multi_perform(c->multi, &running);
}

static int run(struct camera *c)
{
    int64_t retry_at_ms = 0, stop_at_ms = 0;
    struct kn_err err;
    while (!stop_at_ms || (now_ms() < stop_at_ms && c->upload && c->muxer.count > 0)) {
        if (take_frames(c) < 0 || source_failed(c->source))
            return EXIT_FAILURE;
        if (stopping && !stop_at_ms)
            stop_at_ms = now_ms() + STOP_MS;
        if (stopping && !c->ended &&
            (can_end(c) || now_ms() >= stop_at_ms - STOP_MS + STOP_SOUND_MS)) {
            c->ended = true;
            (void) muxer_end(&c->muxer);
        }
        if (!c->upload && c->has_header && c->muxer.count > 0 && now_ms() >= retry_at_ms &&
            upload_start(c, &err) < 0) {
            (void) fprintf(stderr, "demo-camera: %s; again in %u ms\n", err.text, c->backoff_ms);
            retry_at_ms = now_ms() + c->backoff_ms;
            c->backoff_ms = (unsigned) kn_min_u64(c->backoff_ms * 2ull, BACKOFF_MAX_MS);
        }
        if (c->upload)
            stream_on(c);
        if (c->upload && (c->cut || upload_ended(c))) {
            upload_end(c);
            retry_at_ms = now_ms() + c->backoff_ms;
            c->backoff_ms = (unsigned) kn_min_u64(c->backoff_ms * 2ull, BACKOFF_MAX_MS);
        }
        report(c);
        (void) curl_multi_poll(c->multi, NULL, 0, stopping ? 20 : POLL_MS, NULL);
    }
    if (c->upload) /* lets the body's end go out */
        stream_on(c);
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

static bool number(const char *text, uint64_t min, uint64_t max, unsigned *ret)
{
    uint64_t value;
    if (kn_str_to_u64(kn_str_from(text), max, &value) < 0 || value < min)
        return false;
    *ret = (unsigned) value;
    return true;
}

static bool size(const char *text, struct source_options *picture)
{
    char width[16];
    struct kn_str head, rest = kn_str_cut(kn_str_from(text), 'x', &head);
    return rest.ptr && kn_str_copy(width, sizeof width, head) == 0 &&
           number(width, 160, 7680, &picture->width) &&
           number(rest.ptr, 120, 4320, &picture->height);
}

/* 0 go on, 1 done, < 0 wrong. */
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
        {"help",     0, NULL, '?'},
        {NULL,       0, NULL, 0  },
    };
    bool ok = true;
    for (int o; ok && (o = getopt_long(argc, argv, "", options, NULL)) >= 0;) {
        switch (o) {
        case 'e':
            c->kvs.endpoint = optarg;
            break;
        case 's':
            c->kvs.stream = optarg;
            break;
        case 'r':
            c->kvs.region = optarg;
            break;
        case 'c':
            c->kvs.ca_file = optarg;
            break;
        case 'n':
            c->picture.audio = false;
            break;
        case 'h':
            ok = number(optarg, 0, 87600, &c->kvs.retention_hours);
            break;
        case 'S':
            ok = size(optarg, &c->picture);
            break;
        case 'f':
            ok = number(optarg, 1, 120, &c->picture.frames_per_second);
            break;
        case 'k':
            ok = number(optarg, 50, 100000, &c->picture.kbit_per_second);
            break;
        case 'F':
            ok = number(optarg, 1, 10, &c->picture.fragment_seconds);
            break;
        default:
            usage(optopt ? stderr : stdout);
            return optopt ? -EINVAL : 1;
        }
    }
    if (!ok || optind < argc) {
        usage(stderr);
        return -EINVAL;
    }
    return 0;
}

int main(int argc, char **argv)
{
    static struct camera camera;
    struct camera *c = &camera;
    c->kvs = (struct kvs){.endpoint = env_or("CONTROL_PLANE_URI", "http://127.0.0.1:4566"),
                          .region = env_or("AWS_DEFAULT_REGION", "us-east-1"),
                          .key_id = env_or("AWS_ACCESS_KEY_ID", "none"),
                          .secret = env_or("AWS_SECRET_ACCESS_KEY", "none"),
                          .token = getenv("AWS_SESSION_TOKEN"),
                          .stream = "demo-camera",
                          .retention_hours = 24};
    c->picture = (struct source_options){1280, 720, 25, 1500, 2, true, NULL};
    int code = read_options(c, argc, argv);
    if (code != 0)
        return code < 0 ? 2 : EXIT_SUCCESS;
    c->picture.title = c->kvs.stream;
    c->backoff_ms = BACKOFF_FIRST_MS;
    struct sigaction action = {.sa_handler = on_signal};
    (void) sigaction(SIGINT, &action, NULL);
    (void) sigaction(SIGTERM, &action, NULL);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    c->multi = curl_multi_init();
    kn_buf_init(&c->acks, MIB(1));
    muxer_init(&c->muxer);
    c->source = c->multi ? source_start(&c->picture, wake, c) : NULL;
    code = c->source ? run(c) : EXIT_FAILURE;
    upload_end(c);
    if (c->source)
        source_stop(c->source);
    muxer_done(&c->muxer);
    kn_buf_done(&c->acks);
    curl_multi_cleanup(c->multi);
    curl_global_cleanup();
    return code;
}
