/* SPDX-License-Identifier: Apache-2.0 */
/*
 * read-frames: the frames of a video stream, a line each, on libkinema-consumer: from anywhere in
 * the archive and live. --payload writes what the frames hold.
 */
#include "program.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kinema/media.h"

enum {
    FRAGMENTS_MAX = 64,
    POLL_MS = 200
};

struct reader {
    struct kinema_media_config config;
    const char *fragments[FRAGMENTS_MAX];
    FILE *payload;
    unsigned long frames, fragments_whole;
    unsigned long stop_after; /* frames; 0: never */
};

static void say_fragment(const char *what, const struct kinema_media_fragment *fragment)
{
    (void) printf("%s\t%s\tproducer=%lld server=%lld frames=%llu token=%s\n", what,
                  fragment->number, (long long) fragment->producer_ms,
                  (long long) fragment->server_ms, (unsigned long long) fragment->frames,
                  fragment->token);
}

static int on_event(void *ctx, const struct kinema_media_event *event)
{
    struct reader *reader = ctx;
    const struct kinema_media_frame *frame = event->frame;
    switch (event->type) {
    case KINEMA_FRAGMENT_BEGINS:
        say_fragment("begins", event->fragment);
        for (size_t i = 0; i < event->fragment->track_count; i++) {
            const struct kinema_media_track *track = &event->fragment->tracks[i];
            (void) printf("track\t%u\t%s\tprivate=%zu %ux%u %g Hz\n", track->number,
                          track->format.codec_id, track->format.codec_private_len,
                          track->format.width, track->format.height, track->format.sampling_hz);
        }
        break;
    case KINEMA_FRAME:
        (void) printf("frame\t%u\ttime=%lld key=%d len=%zu\n", frame->track->number,
                      (long long) frame->time_ms, frame->key, frame->len);
        if (reader->payload && fwrite(frame->data, 1, frame->len, reader->payload) != frame->len)
            return -1;
        if (++reader->frames == reader->stop_after)
            return -1;
        break;
    case KINEMA_FRAGMENT_ENDS:
        for (size_t i = 0; i < event->fragment->tag_count; i++)
            (void) printf("tag\t%s\t%s\n", event->fragment->tags[i].name,
                          event->fragment->tags[i].value);
        say_fragment("ends", event->fragment);
        reader->fragments_whole++;
        break;
    case KINEMA_FRAGMENT_BROKEN:
        say_fragment("broken", event->fragment);
        break;
    case KINEMA_MEDIA_ERROR:
        (void) printf("error\t%u\t%s\n", event->error_id, event->text);
        break;
    case KINEMA_MEDIA_CONNECTED:
    case KINEMA_MEDIA_DISCONNECTED:
    case KINEMA_MEDIA_CALL_FAILED:
        (void) printf("%s\t%ld\t%s\n",
                      event->type == KINEMA_MEDIA_CONNECTED      ? "connected"
                      : event->type == KINEMA_MEDIA_DISCONNECTED ? "disconnected"
                                                                 : "failed",
                      event->http_status, event->text);
        break;
    }
    return 0;
}

static int run(void *ctx)
{
    struct reader *reader = ctx;
    struct kinema_media *media;
    int code = kinema_media_open(&reader->config, &media);
    if (code < 0) {
        (void) fprintf(stderr, "read-frames: %s\n", strerror(-code));
        return 1;
    }
    while (!program_is_told_to_end() && code == 0) {
        code = kinema_media_poll(media, POLL_MS);
        (void) fflush(stdout);
    }
    (void) printf("stats\tframes=%lu fragments=%lu token=%s\n", reader->frames,
                  reader->fragments_whole, kinema_media_token(media));
    kinema_media_close(media);
    return code >= 0 || (reader->stop_after && reader->frames == reader->stop_after) ? 0 : 1;
}

static const char usage[] =
    "usage: read-frames --stream NAME [options]\n"
    "\n"
    "  --endpoint URL    AWS's of the region; of a Kinema http://127.0.0.1:4566\n"
    "  --region REGION   us-east-1\n"
    "  --ca FILE         trust this certificate\n"
    "  --from POSITION   NOW (the default), EARLIEST, or the server's ms since 1970\n"
    "  --producer MS     from the fragment of that time, by the producer's clock\n"
    "  --after NUMBER    from what follows that fragment\n"
    "  --token TOKEN     from what follows that continuation token\n"
    "  --fragment NUMBER these alone; may be given again\n"
    "  --once            end with what is there\n"
    "  --frame-max BYTES of one frame\n"
    "  --stop-after N    end after so many frames\n"
    "  --payload FILE    what the frames hold, one behind the other\n"
    "\n"
    "The key is taken from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.\n";

static void take_start(struct kinema_media_config *config, int option, const char *text)
{
    config->start_text = text;
    config->start_ms = strtoll(text, NULL, 10);
    if (option == 'a')
        config->start = KINEMA_MEDIA_AFTER_FRAGMENT;
    else if (option == 't')
        config->start = KINEMA_MEDIA_AFTER_TOKEN;
    else if (option == 'p')
        config->start = KINEMA_MEDIA_PRODUCER_TIME;
    else if (strcmp(text, "EARLIEST") == 0)
        config->start = KINEMA_MEDIA_EARLIEST;
    else if (strcmp(text, "NOW") != 0)
        config->start = KINEMA_MEDIA_SERVER_TIME;
}

static int read_options(struct reader *reader, int argc, char **argv)
{
    static const struct option options[] = {
        {"stream",     required_argument, NULL, 's'},
        {"endpoint",   required_argument, NULL, 'e'},
        {"region",     required_argument, NULL, 'r'},
        {"ca",         required_argument, NULL, 'c'},
        {"from",       required_argument, NULL, 'f'},
        {"producer",   required_argument, NULL, 'p'},
        {"after",      required_argument, NULL, 'a'},
        {"token",      required_argument, NULL, 't'},
        {"fragment",   required_argument, NULL, 'F'},
        {"once",       no_argument,       NULL, 'o'},
        {"frame-max",  required_argument, NULL, 'm'},
        {"stop-after", required_argument, NULL, 'S'},
        {"payload",    required_argument, NULL, 'P'},
        {"help",       no_argument,       NULL, 'h'},
        {NULL,         0,                 NULL, 0  },
    };
    struct kinema_media_config *config = &reader->config;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 's')
            config->stream = optarg;
        else if (option == 'e')
            config->endpoint = optarg;
        else if (option == 'r')
            config->region = optarg;
        else if (option == 'c')
            config->ca_file = optarg;
        else if (option == 'o')
            config->once = 1;
        else if (option == 'm')
            config->frame_bytes_max = strtoul(optarg, NULL, 10);
        else if (option == 'S')
            reader->stop_after = strtoul(optarg, NULL, 10);
        else if (option == 'F' && config->fragment_count < FRAGMENTS_MAX)
            reader->fragments[config->fragment_count++] = optarg;
        else if (option == 'P' && !reader->payload)
            reader->payload = fopen(optarg, "wb");
        else if (strchr("fpat", option))
            take_start(config, option, optarg);
        else
            return 0;
    }
    config->fragments = reader->fragments;
    return config->stream && optind == argc;
}

int main(int argc, char **argv)
{
    static struct reader reader = {
        .config = {.region = "us-east-1", .on_event = on_event}
    };
    reader.config.ctx = &reader;
    if (!read_options(&reader, argc, argv))
        return program_usage(argc, argv, usage);
    int code = program_run(run, &reader, &reader.config.credentials);
    if (reader.payload && fclose(reader.payload) != 0)
        code = 1;
    return code;
}
