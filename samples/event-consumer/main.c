/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event-consumer: looks at one picture of every fragment that a video stream stores.
 *
 *   data stream → kinema_consumer → event → kinema_media → decoder → a line
 *
 * What it saw is a line of JSON for each event; a model would stand where picture_take is called.
 * Several of one --application share the work.
 */
#include "picture.h"

#include <curl/curl.h>
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <kinema/consumer.h>
#include <kinema/media.h>
#include <libavutil/log.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    POLL_MS = 200
};

struct program {
    struct kinema_consumer_config records;
    struct kinema_consumer *consumer;
    bool once;    /* ends when every shard has been read up to now */
    bool refused; /* by the service, which would say so again */
    unsigned long seen, failed;
};

static volatile sig_atomic_t stopping;

static void on_signal(int number)
{
    (void) number;
    stopping = 1;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* --- a fragment ------------------------------------------------------------------------------- */
struct sight {
    struct picture_decoder *decoder;
    struct picture picture;
    unsigned track; /* 0: none that could be shown */
    int result;     /* of picture_take */
    char error[256];
};

static void begin(struct sight *sight, const struct kinema_media_fragment *fragment)
{
    for (size_t i = 0; i < fragment->track_count && !sight->track; i++) {
        const struct kinema_media_track *track = &fragment->tracks[i];
        if (track->format.type == KINEMA_VIDEO &&
            picture_open(&track->format, &sight->decoder) == 0)
            sight->track = track->number;
    }
}

/* Ends the reading as soon as there is a picture. */
static int on_media(void *ctx, const struct kinema_media_event *event)
{
    struct sight *sight = ctx;
    const struct kinema_media_frame *frame = event->frame;
    if (event->type == KINEMA_FRAGMENT_BEGINS)
        begin(sight, event->fragment);
    else if (event->type == KINEMA_FRAME && frame->track->number == sight->track)
        sight->result = picture_take(sight->decoder, frame->data, frame->len, &sight->picture);
    else if (event->type == KINEMA_FRAGMENT_ENDS && sight->decoder)
        sight->result = picture_take(sight->decoder, NULL, 0, &sight->picture);
    else if (event->type == KINEMA_MEDIA_ERROR || event->type == KINEMA_MEDIA_CALL_FAILED)
        (void) snprintf(sight->error, sizeof sight->error, "%s", event->text);
    return sight->result == 0 ? 0 : -ECANCELED;
}

static void say(struct program *p, const json_t *event, const struct sight *sight)
{
    const struct picture *picture = &sight->picture;
    json_t *line =
        json_pack("{ssssss}", "shows", "fragment", "stream", text_of(event, "streamName"),
                  "fragmentNumber", text_of(event, "fragmentNumber"));
    if (sight->result == 1)
        json_object_update_new(line, json_pack("{sssssisisfsf}", "codec", picture->codec, "format",
                                               picture->format, "width", picture->width, "height",
                                               picture->height, "light", picture->light, "contrast",
                                               picture->contrast));
    else
        json_object_set_new(line, "error",
                            json_string(*sight->error ? sight->error : "no picture in it"));
    json_object_set(line, "producerTimestampMs", json_object_get(event, "producerTimestampMs"));
    json_object_set(line, "durationMs", json_object_get(event, "durationMs"));
    json_object_set(line, "frameCount", json_object_get(event, "frameCount"));
    json_dumpf(line, stdout, JSON_COMPACT | JSON_REAL_PRECISION(5));
    putchar('\n');
    fflush(stdout);
    json_decref(line);
    p->seen++;
    p->failed += sight->result != 1;
}

static void look_at(struct program *p, const json_t *event)
{
    const char *number = text_of(event, "fragmentNumber");
    struct sight sight = {.track = 0};
    const struct kinema_media_config config = {
        .stream = text_of(event, "streamName"),
        .region = p->records.region,
        .endpoint = p->records.endpoint,
        .ca_file = p->records.ca_file,
        .credentials = p->records.credentials,
        .fragments = &number,
        .fragment_count = 1,
        .on_event = on_media,
        .ctx = &sight,
    };
    struct kinema_media *media;
    int code = kinema_media_open(&config, &media);
    if (code < 0) {
        (void) snprintf(sight.error, sizeof sight.error, "the event makes no sense");
    } else {
        while (code == 0 && !stopping)
            code = kinema_media_poll(media, POLL_MS);
        kinema_media_close(media);
    }
    if (!stopping)
        say(p, event, &sight);
    picture_close(sight.decoder);
}

/* --- events ----------------------------------------------------------------------------------- */
static int on_record(void *ctx, const struct kinema_record *record)
{
    json_t *event = json_loadb(record->data, record->len, 0, NULL);
    if (strcmp(text_of(event, "type"), "kinema.fragment") == 0 &&
        json_integer_value(json_object_get(event, "version")) == 1)
        look_at(ctx, event);
    json_decref(event);               /* what else is in the stream is somebody else's */
    return stopping ? -ECANCELED : 0; /* what was not said comes again */
}

static void on_event(void *ctx, const struct kinema_consumer_event *event)
{
    struct program *p = ctx;
    if (event->type != KINEMA_CONSUMER_CALL_FAILED)
        return;
    fprintf(stderr, "event-consumer: %s\n", event->text);
    p->refused |= event->http_status >= 400 && event->http_status < 500;
}

static int run(struct program *p)
{
    int code = kinema_consumer_open(&p->records, &p->consumer);
    if (code < 0) {
        fprintf(stderr, "event-consumer: %s\n", strerror(-code));
        return 1;
    }
    while (!stopping && !p->refused) {
        struct kinema_consumer_stats stats;
        (void) kinema_consumer_poll(p->consumer, POLL_MS);
        kinema_consumer_stats(p->consumer, &stats);
        if (p->once && stats.shards == stats.shards_left && stats.behind_ms == 0)
            break;
    }
    kinema_consumer_close(p->consumer);
    fprintf(stderr, "event-consumer: %lu fragments, %lu of them could not be shown\n", p->seen,
            p->failed);
    return p->refused ? 1 : p->failed ? 2 : 0;
}

/* --- the command line ------------------------------------------------------------------------- */
static const char usage[] =
    "usage: event-consumer --stream NAME [--application NAME] [--endpoint URL] [--region REGION]\n"
    "                      [--from POSITION] [--once] [--ca-file FILE]\n"
    "\n"
    "Reads the fragment events of a Kinesis data stream, fetches each fragment, decodes its first\n"
    "picture and writes a line of JSON about it. After a restart it goes on where it was.\n"
    "\n"
    "  --stream NAME       the data stream that a video stream's events go to\n"
    "  --application NAME  event-consumer; those of one name share the events\n"
    "  --endpoint URL      http://127.0.0.1:4566\n"
    "  --region REGION     us-east-1\n"
    "  --from POSITION     TRIM_HORIZON (the oldest) or LATEST; of an application that is new\n"
    "  --once              end when everything up to now was read\n"
    "  --ca-file FILE      trust this certificate\n"
    "\n"
    "The key is taken from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.\n"
    "Exit status: 1 a call was refused, 2 a fragment could not be shown, 64 a wrong command "
    "line.\n";

static bool options_read(struct program *p, int argc, char **argv)
{
    static const struct option options[] = {
        {"stream",      required_argument, NULL, 's'},
        {"application", required_argument, NULL, 'a'},
        {"endpoint",    required_argument, NULL, 'e'},
        {"region",      required_argument, NULL, 'r'},
        {"from",        required_argument, NULL, 'f'},
        {"ca-file",     required_argument, NULL, 'c'},
        {"once",        no_argument,       NULL, 'o'},
        {"help",        no_argument,       NULL, 'h'},
        {NULL,          0,                 NULL, 0  },
    };
    const char *from = "TRIM_HORIZON";
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (option) {
        case 's':
            p->records.stream = optarg;
            break;
        case 'a':
            p->records.application = optarg;
            break;
        case 'e':
            p->records.endpoint = optarg;
            break;
        case 'r':
            p->records.region = optarg;
            break;
        case 'f':
            from = optarg;
            break;
        case 'c':
            p->records.ca_file = optarg;
            break;
        case 'o':
            p->once = true;
            break;
        case 'h':
            fputs(usage, stdout);
            exit(0);
        default:
            return false;
        }
    }
    p->records.start = strcmp(from, "LATEST") == 0 ? KINEMA_LATEST : KINEMA_TRIM_HORIZON;
    return p->records.stream && optind == argc &&
           (strcmp(from, "TRIM_HORIZON") == 0 || strcmp(from, "LATEST") == 0);
}

int main(int argc, char **argv)
{
    static struct program p = {
        .records = {.application = "event-consumer",
                    .region = "us-east-1",
                    .endpoint = "http://127.0.0.1:4566",
                    .on_record = on_record,
                    .on_event = on_event}
    };
    if (!options_read(&p, argc, argv)) {
        fputs(usage, stderr);
        return 64;
    }
    if (!getenv("AWS_ACCESS_KEY_ID") || !getenv("AWS_SECRET_ACCESS_KEY")) {
        fputs("event-consumer: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set\n", stderr);
        return 64;
    }
    (void) signal(SIGINT, on_signal);
    (void) signal(SIGTERM, on_signal);
    av_log_set_level(AV_LOG_ERROR);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    p.records.ctx = &p;
    int code = kinema_credentials_environment(&p.records.credentials) == 0 ? run(&p) : 1;
    kinema_credentials_free(p.records.credentials);
    curl_global_cleanup();
    return code;
}
