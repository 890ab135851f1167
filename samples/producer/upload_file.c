/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upload-file: a recorded file into a stream, frame by frame, on libkinema-producer.
 *
 * Offline (the default) it goes as fast as the service takes it and nothing is ever dropped; with
 * --realtime the file plays like a camera, on the producer's own thread. Exit code 0: every
 * fragment is PERSISTED.
 */
#include <curl/curl.h>
#include <errno.h>
#include <getopt.h>
#include <libavformat/avformat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kinema/producer.h"

enum {
    POLL_MS = 100,
    DRAIN_MS = 120000,
    BUFFER_BYTES = 16 << 20
};

struct upload {
    const char *file;
    struct kinema_config config;
    const char *credential_file;
    struct kinema_iot iot;             /* endpoint NULL: not so */
    const char *tags[KINEMA_TAGS_MAX]; /* NAME=VALUE, with every fragment */
    size_t tag_count;
    int64_t start_ms;
    int times, end_fragments, speed;
    AVFormatContext *input;
    struct kinema_track tracks[KINEMA_TRACKS_MAX];
    int track_of[16]; /* of each of the file's streams; 0: left out */
    struct kinema_producer *producer;
};

static void on_event(void *ctx, const struct kinema_event *event)
{
    static const char *const names[] = {"BUFFERING", "RECEIVED",  "PERSISTED",    "ERROR",
                                        "IDLE",      "CONNECTED", "DISCONNECTED", "FAILED",
                                        "PRESSURE",  "LOST",      "SPILL",        "SPILLED"};
    (void) ctx;
    (void) fprintf(stderr, "%s time=%lld number=%s frames=%llu http=%ld error=%u %s\n",
                   names[event->type], (long long) event->time_ms, event->fragment_number,
                   (unsigned long long) event->frames, event->http_status, event->error_id,
                   event->text);
}

static int64_t clock_ms(clockid_t id)
{
    struct timespec now;
    (void) clock_gettime(id, &now);
    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- the file's tracks ------------------------------------------------------------------------ */
static const char *codec_id(enum AVCodecID id)
{
    return id == AV_CODEC_ID_H264   ? "V_MPEG4/ISO/AVC"
           : id == AV_CODEC_ID_HEVC ? "V_MPEGH/ISO/HEVC"
           : id == AV_CODEC_ID_AAC  ? "A_AAC"
           : id == AV_CODEC_ID_OPUS ? "A_OPUS"
                                    : NULL;
}

static int find_tracks(struct upload *u)
{
    for (unsigned i = 0; i < u->input->nb_streams && i < 16; i++) {
        const AVCodecParameters *codec = u->input->streams[i]->codecpar;
        const char *id = codec_id(codec->codec_id);
        if (!id || u->config.track_count == KINEMA_TRACKS_MAX)
            continue;
        u->tracks[u->config.track_count++] = (struct kinema_track){
            .type = codec->codec_type == AVMEDIA_TYPE_VIDEO ? KINEMA_VIDEO : KINEMA_AUDIO,
            .codec_id = id,
            .codec_private = codec->extradata,
            .codec_private_len = (size_t) codec->extradata_size,
            .width = (unsigned) codec->width,
            .height = (unsigned) codec->height,
            .sampling_hz = codec->sample_rate,
            .channels = (unsigned) codec->ch_layout.nb_channels};
        u->track_of[i] = (int) u->config.track_count;
    }
    u->config.tracks = u->tracks;
    return u->config.track_count > 0 ? 0 : -EINVAL;
}

/* --- frames ----------------------------------------------------------------------------------- */
static int put_tags(struct upload *u)
{
    int code = 0;
    for (size_t i = 0; code == 0 && i < u->tag_count; i++) {
        char name[KINEMA_TAG_NAME_BYTES_MAX + 1];
        const char *equals = strchr(u->tags[i], '=');
        size_t len = equals ? (size_t) (equals - u->tags[i]) : strlen(u->tags[i]);
        if (len >= sizeof(name))
            return -EINVAL;
        memcpy(name, u->tags[i], len);
        name[len] = '\0';
        code = kinema_producer_put_tag(u->producer, name, equals ? equals + 1 : "");
    }
    return code;
}

static int put(struct upload *u, const struct kinema_frame *frame)
{
    int code;
    if (frame->key && frame->track == 1) {
        if (u->end_fragments)
            (void) kinema_producer_end_fragment(u->producer);
        code = put_tags(u);
        if (code < 0)
            return code;
    }
    /* Offline the buffer may be full: the service takes its time, or is away. */
    while ((code = kinema_producer_put_frame(u->producer, frame)) == -EAGAIN)
        (void) kinema_producer_poll(u->producer, POLL_MS);
    if (code == 0 && u->config.mode == KINEMA_OFFLINE)
        (void) kinema_producer_poll(u->producer, 0);
    return code == -ENODATA || code == -ENOBUFS ? 0 : code; /* left out until the next key frame */
}

static void wait_until(int64_t at_ms)
{
    int64_t left_ms = at_ms - clock_ms(CLOCK_MONOTONIC);
    struct timespec left = {left_ms / 1000, left_ms % 1000 * 1000000};
    if (left_ms > 0)
        (void) nanosleep(&left, NULL);
}

/* The whole file once, from base_ms on; *ret_end_ms: when the next one may begin. */
static int play(struct upload *u, int64_t base_ms, int64_t *ret_end_ms)
{
    AVPacket *packet = av_packet_alloc();
    int64_t first_ms = -1, last_ms = 0, began_ms = clock_ms(CLOCK_MONOTONIC);
    int code = packet ? 0 : -ENOMEM;
    while (code == 0 && av_read_frame(u->input, packet) >= 0) {
        int track = packet->stream_index < 16 ? u->track_of[packet->stream_index] : 0;
        int64_t stamp = packet->pts != AV_NOPTS_VALUE ? packet->pts : packet->dts;
        int64_t ms = av_rescale_q(stamp, u->input->streams[packet->stream_index]->time_base,
                                  (AVRational){1, 1000});
        if (first_ms < 0)
            first_ms = ms;
        if (u->config.mode == KINEMA_REALTIME)
            wait_until(began_ms + (ms - first_ms) / u->speed);
        if (track > 0)
            code = put(u, &(struct kinema_frame){.track = (unsigned) track,
                                                 .key = (packet->flags & AV_PKT_FLAG_KEY) != 0,
                                                 .time_ms = base_ms + ms - first_ms,
                                                 .data = packet->data,
                                                 .len = (size_t) packet->size});
        if (ms - first_ms > last_ms)
            last_ms = ms - first_ms;
        av_packet_unref(packet);
    }
    av_packet_free(&packet);
    *ret_end_ms = base_ms + last_ms + 40;
    return code;
}

static int run(struct upload *u)
{
    struct kinema_stats stats;
    int64_t at_ms = u->start_ms ? u->start_ms : clock_ms(CLOCK_REALTIME);
    int code = kinema_producer_open(&u->config, &u->producer);
    if (code == 0 && u->config.mode == KINEMA_REALTIME)
        code = kinema_producer_start(u->producer);
    for (int i = 0; code == 0 && i < u->times; i++) {
        if (i > 0 && av_seek_frame(u->input, -1, 0, AVSEEK_FLAG_BACKWARD) < 0)
            code = -EIO;
        if (code == 0)
            code = play(u, at_ms, &at_ms);
    }
    if (code == 0)
        code = kinema_producer_drain(u->producer, DRAIN_MS);
    if (code < 0)
        (void) fprintf(stderr, "upload-file: %s\n", strerror(-code));
    if (u->producer) {
        kinema_producer_stats(u->producer, &stats);
        (void) printf(
            "frames=%llu persisted=%llu fragments=%llu lost=%llu skipped=%llu "
            "connections=%llu errors=%llu\n",
            (unsigned long long) stats.frames_put, (unsigned long long) stats.frames_persisted,
            (unsigned long long) stats.fragments_persisted,
            (unsigned long long) stats.fragments_lost, (unsigned long long) stats.fragments_skipped,
            (unsigned long long) stats.connections, (unsigned long long) stats.errors);
        if (code == 0 && stats.frames_persisted != stats.frames_put)
            code = -EIO;
    }
    kinema_producer_close(u->producer);
    return code;
}

/* --- start ------------------------------------------------------------------------------------ */
static int usage(FILE *out)
{
    (void) fputs(
        "upload-file [OPTIONS] FILE: a recorded file into a stream of Kinesis Video.\n"
        "  --stream NAME        made when it is not there (upload)\n"
        "  --endpoint URL       control plane (CONTROL_PLANE_URI, or AWS's of the region)\n"
        "  --region NAME        (us-east-1, or AWS_DEFAULT_REGION)\n"
        "  --ca FILE            certificates to trust\n"
        "  --hours N            retention of a new stream (24)\n"
        "  --start MS           time of the first frame, since 1970 (now)\n"
        "  --realtime           play it like a camera\n"
        "  --times N            the file so many times, one after the other (1)\n"
        "  --tag NAME=VALUE     with every fragment; may be repeated\n"
        "  --end-fragments      end every fragment by its tag\n"
        "  --buffer BYTES       (16 MiB)\n"
        "  --spill FILE --spill-bytes BYTES   for what the buffer cannot hold\n"
        "  --session MS, --ack-timeout MS     of a connection\n"
        "  --credentials FILE   a file that may be replaced; otherwise AWS_ACCESS_KEY_ID,\n"
        "                       AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN\n"
        "  --iot HOST:PORT --role ALIAS --thing NAME --certificate FILE --key FILE\n"
        "                       or keys for a certificate\n",
        out);
    return out == stdout ? 0 : 2;
}

static const struct option options[] = {
    {"stream",        1, NULL, 's'},
    {"endpoint",      1, NULL, 'e'},
    {"region",        1, NULL, 'r'},
    {"ca",            1, NULL, 'c'},
    {"hours",         1, NULL, 'h'},
    {"start",         1, NULL, 'S'},
    {"realtime",      0, NULL, 'R'},
    {"speed",         1, NULL, 'v'},
    {"times",         1, NULL, 'n'},
    {"tag",           1, NULL, 't'},
    {"end-fragments", 0, NULL, 'E'},
    {"buffer",        1, NULL, 'b'},
    {"spill",         1, NULL, 'p'},
    {"spill-bytes",   1, NULL, 'P'},
    {"session",       1, NULL, 'l'},
    {"ack-timeout",   1, NULL, 'a'},
    {"credentials",   1, NULL, 'k'},
    {"iot",           1, NULL, 'i'},
    {"role",          1, NULL, 'o'},
    {"thing",         1, NULL, 'T'},
    {"certificate",   1, NULL, 'C'},
    {"key",           1, NULL, 'K'},
    {"help",          0, NULL, 'H'},
    {NULL,            0, NULL, 0  }
};

static void take_text(struct upload *u, int o, const char *text)
{
    struct kinema_config *c = &u->config;
    const char **to = o == 's'   ? &c->stream
                      : o == 'e' ? &c->endpoint
                      : o == 'r' ? &c->region
                      : o == 'c' ? &c->ca_file
                      : o == 'p' ? &c->spill_path
                      : o == 'i' ? &u->iot.endpoint
                      : o == 'o' ? &u->iot.role_alias
                      : o == 'T' ? &u->iot.thing
                      : o == 'C' ? &u->iot.certificate_file
                      : o == 'K' ? &u->iot.key_file
                                 : &u->credential_file;
    *to = text;
}

static void take_number(struct upload *u, int o, unsigned long long value)
{
    struct kinema_config *c = &u->config;
    if (o == 'h')
        c->retention_hours = (unsigned) value;
    else if (o == 'S')
        u->start_ms = (int64_t) value;
    else if (o == 'v')
        u->speed = value > 0 && value <= 100 ? (int) value : 1;
    else if (o == 'n')
        u->times = (int) value;
    else if (o == 'b')
        c->buffer_bytes = (size_t) value;
    else if (o == 'P')
        c->spill_bytes = value;
    else if (o == 'l')
        c->session_ms = (unsigned) value;
    else
        c->ack_timeout_ms = (unsigned) value;
}

/* 0: go on; otherwise the exit code and 1. */
static int read_options(struct upload *u, int argc, char **argv)
{
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) >= 0;) {
        if (o == 'H')
            return usage(stdout) + 1;
        if (o == '?' || (o == 't' && u->tag_count == KINEMA_TAGS_MAX))
            return usage(stderr) + 1;
        if (o == 'R')
            u->config.mode = KINEMA_REALTIME;
        else if (o == 'E')
            u->end_fragments = 1;
        else if (o == 't')
            u->tags[u->tag_count++] = optarg;
        else if (strchr("hSvnbPla", o))
            take_number(u, o, strtoull(optarg, NULL, 10));
        else
            take_text(u, o, optarg);
    }
    if (optind != argc - 1)
        return usage(stderr) + 1;
    u->file = argv[optind];
    return 0;
}

static const char *env_or(const char *name, const char *fallback)
{
    const char *value = getenv(name);
    return value && *value ? value : fallback;
}

static int find_credentials(struct upload *u)
{
    struct kinema_credential_provider **ret = &u->config.credentials;
    u->iot.ca_file = u->config.ca_file;
    if (u->iot.endpoint)
        return kinema_credentials_iot(&u->iot, ret);
    return u->credential_file ? kinema_credentials_file(u->credential_file, ret)
                              : kinema_credentials_environment(ret);
}

int main(int argc, char **argv)
{
    struct upload u = {
        .config = {.stream = "upload",
                   .region = env_or("AWS_DEFAULT_REGION", "us-east-1"),
                   .endpoint = env_or("CONTROL_PLANE_URI", NULL),
                   .retention_hours = 24,
                   .mode = KINEMA_OFFLINE,
                   .buffer_bytes = BUFFER_BYTES,
                   .on_event = on_event},
        .times = 1,
        .speed = 1
    };
    int code = read_options(&u, argc, argv);
    if (code != 0)
        return code - 1;
    (void) curl_global_init(CURL_GLOBAL_DEFAULT);
    code = find_credentials(&u);
    if (code == 0 && (avformat_open_input(&u.input, u.file, NULL, NULL) < 0 ||
                      avformat_find_stream_info(u.input, NULL) < 0 || find_tracks(&u) < 0)) {
        (void) fprintf(stderr, "upload-file: %s holds nothing that can be sent\n", u.file);
        code = -EINVAL;
    }
    if (code == 0)
        code = run(&u);
    avformat_close_input(&u.input);
    kinema_credentials_free(u.config.credentials);
    curl_global_cleanup();
    return code < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
