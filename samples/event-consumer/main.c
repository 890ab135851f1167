/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event-consumer: looks at one picture of every fragment that a video stream stores.
 *
 *   shards of the data stream → GetRecords → event → GetMediaForFragmentList → decoder → a line
 *
 * Follows every shard, and the children of one that ends, in one thread. What it saw is a line of
 * JSON for each event; a model would stand where picture_first is called.
 */
#include "aws.h"
#include "picture.h"

#include <getopt.h>
#include <jansson.h>
#include <libavutil/error.h>
#include <libavutil/log.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    SHARDS_MAX = 1024,
    PAUSE_MS = 250 /* between rounds that brought nothing: five calls a second is AWS's limit */
};

struct shard {
    char id[128];
    char *iterator; /* NULL: at its end */
};

struct consumer {
    struct aws aws;
    const char *endpoint, *stream, *from;
    bool once; /* ends when every shard has been read up to now */
    struct shard shards[SHARDS_MAX];
    size_t shard_count;
    unsigned long seen, failed;
};

static volatile sig_atomic_t stopping;

static void on_signal(int number)
{
    (void) number;
    stopping = 1;
}

/* --- Kinesis -------------------------------------------------------------------------------- */
/* One operation; NULL after saying why on standard error. Takes the request over. */
static json_t *kinesis(struct consumer *c, const char *operation, json_t *request)
{
    char target[128];
    struct aws_answer answer;
    json_t *ret = NULL;
    char *body = json_dumps(request, JSON_COMPACT);
    json_decref(request);
    snprintf(target, sizeof target, "Kinesis_20131202.%s", operation);
    if (body && aws_post(&c->aws, "kinesis", c->endpoint, target, "application/x-amz-json-1.1",
                         body, &answer))
        ret = json_loadb(answer.len ? answer.ptr : "{}", answer.len ? answer.len : 2, 0, NULL);
    else
        fprintf(stderr, "event-consumer: %s: %s\n", operation,
                answer.len ? answer.ptr : answer.error);
    free(answer.ptr);
    free(body);
    return ret;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* Adds a shard, read from its beginning or as --from says. A child that both parents name is there
 * once. */
static bool follow(struct consumer *c, const char *id, const char *from)
{
    for (size_t i = 0; i < c->shard_count; i++)
        if (strcmp(c->shards[i].id, id) == 0)
            return true;
    if (c->shard_count == SHARDS_MAX)
        return false;
    json_t *answer = kinesis(
        c, "GetShardIterator",
        json_pack("{ssssss}", "StreamName", c->stream, "ShardId", id, "ShardIteratorType", from));
    if (!answer)
        return false;
    struct shard *shard = &c->shards[c->shard_count++];
    snprintf(shard->id, sizeof shard->id, "%s", id);
    shard->iterator = strdup(text_of(answer, "ShardIterator"));
    json_decref(answer);
    return shard->iterator != NULL;
}

static bool list_shards(struct consumer *c)
{
    json_t *request = json_pack("{ss}", "StreamName", c->stream);
    while (request) {
        json_t *answer = kinesis(c, "ListShards", request), *shard;
        size_t i;
        if (!answer)
            return false;
        json_array_foreach(json_object_get(answer, "Shards"), i, shard)
        {
            if (!follow(c, text_of(shard, "ShardId"), c->from)) {
                json_decref(answer);
                return false;
            }
        }
        const char *next = text_of(answer, "NextToken");
        request = *next ? json_pack("{ss}", "NextToken", next) : NULL;
        json_decref(answer);
    }
    return true;
}

static int base64_digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int) (at - digits) : -1;
}

/* A record's Data; free it. */
static char *base64_decode(const char *text, size_t *ret_len)
{
    size_t len = strlen(text), n = 0;
    char *out = malloc(len / 4 * 3 + 4);
    unsigned bits = 0, have = 0;
    for (size_t i = 0; out && i < len; i++) {
        int digit = base64_digit(text[i]);
        if (digit < 0)
            break; /* '=' */
        bits = bits << 6 | (unsigned) digit;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[n++] = (char) (bits >> have & 0xff);
        }
    }
    *ret_len = n;
    return out;
}

/* --- an event ------------------------------------------------------------------------------- */
static void say(struct consumer *c, const json_t *event, const struct picture *picture,
                const char *error)
{
    json_t *line =
        json_pack("{ssssss}", "shows", "fragment", "stream", text_of(event, "streamName"),
                  "fragmentNumber", text_of(event, "fragmentNumber"));
    if (error)
        json_object_set_new(line, "error", json_string(error));
    else
        json_object_update_new(line, json_pack("{sssssisisfsf}", "codec", picture->codec, "format",
                                               picture->format, "width", picture->width, "height",
                                               picture->height, "light", picture->light, "contrast",
                                               picture->contrast));
    json_object_set(line, "producerTimestampMs", json_object_get(event, "producerTimestampMs"));
    json_object_set(line, "durationMs", json_object_get(event, "durationMs"));
    json_object_set(line, "frameCount", json_object_get(event, "frameCount"));
    json_dumpf(line, stdout, JSON_COMPACT | JSON_REAL_PRECISION(5));
    putchar('\n');
    fflush(stdout);
    json_decref(line);
    c->seen++;
    c->failed += error != NULL;
}

/* The event says how its fragment is fetched: where, and with which body. */
static void look_at(struct consumer *c, const json_t *event)
{
    const json_t *links = json_object_get(event, "links");
    const json_t *call = json_object_get(links, "getMediaForFragmentList");
    char url[1024], error[AV_ERROR_MAX_STRING_SIZE + 256];
    struct aws_answer media;
    struct picture picture;
    char *body = json_dumps(json_object_get(call, "body"), JSON_COMPACT);
    snprintf(url, sizeof url, "%s%s", text_of(links, "endpoint"), text_of(call, "path"));
    if (!body) {
        say(c, event, NULL, "the event has no link to its fragment");
        return;
    }
    if (!aws_post(&c->aws, "kinesisvideo", url, NULL, "application/json", body, &media)) {
        say(c, event, NULL, media.len ? media.ptr : media.error);
    } else {
        int code = picture_first((const uint8_t *) media.ptr, media.len, &picture);
        if (code < 0)
            av_make_error_string(error, sizeof error, code);
        say(c, event, &picture, code < 0 ? error : NULL);
    }
    free(media.ptr);
    free(body);
}

static void take_record(struct consumer *c, const json_t *record)
{
    size_t len;
    char *data = base64_decode(text_of(record, "Data"), &len);
    json_t *event = data ? json_loadb(data, len, 0, NULL) : NULL;
    if (strcmp(text_of(event, "type"), "kinema.fragment") == 0 &&
        json_integer_value(json_object_get(event, "version")) == 1)
        look_at(c, event);
    json_decref(event); /* what else is in the stream is somebody else's */
    free(data);
}

/* --- rounds --------------------------------------------------------------------------------- */
/* One call; *ret_more when there is more to read at once. */
static bool read_shard(struct consumer *c, size_t at, bool *ret_more)
{
    json_t *answer =
        kinesis(c, "GetRecords",
                json_pack("{sssi}", "ShardIterator", c->shards[at].iterator, "Limit", 100));
    json_t *record, *child;
    size_t i;
    if (!answer)
        return false;
    json_array_foreach(json_object_get(answer, "Records"), i, record)
    {
        if (!stopping)
            take_record(c, record);
    }
    *ret_more |= i > 0 || json_integer_value(json_object_get(answer, "MillisBehindLatest")) > 0;
    const char *next = json_string_value(json_object_get(answer, "NextShardIterator"));
    free(c->shards[at].iterator);
    c->shards[at].iterator = next ? strdup(next) : NULL;
    bool ok = true;
    json_array_foreach(json_object_get(answer, "ChildShards"), i, child)
    {
        ok = ok && follow(c, text_of(child, "ShardId"), "TRIM_HORIZON");
        *ret_more = true;
    }
    json_decref(answer);
    return ok;
}

static int run(struct consumer *c)
{
    const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
    if (!list_shards(c))
        return 1;
    while (!stopping) {
        bool more = false, open = false;
        for (size_t i = 0; i < c->shard_count && !stopping; i++) {
            if (c->shards[i].iterator && !read_shard(c, i, &more))
                return 1;
            open |= c->shards[i].iterator != NULL;
        }
        if (!open || (c->once && !more))
            break;
        if (!more)
            nanosleep(&pause, NULL);
    }
    fprintf(stderr, "event-consumer: %lu fragments, %lu of them could not be shown\n", c->seen,
            c->failed);
    return c->failed ? 2 : 0;
}

/* --- the command line ----------------------------------------------------------------------- */
static const char usage[] =
    "usage: event-consumer --stream NAME [--endpoint URL] [--region REGION] [--from TYPE] "
    "[--once]\n"
    "\n"
    "Reads the fragment events of a Kinesis data stream, fetches each fragment, decodes its first\n"
    "picture and writes a line of JSON about it.\n"
    "\n"
    "  --stream NAME    the data stream that a video stream's events go to\n"
    "  --endpoint URL   http://127.0.0.1:4566\n"
    "  --region REGION  us-east-1\n"
    "  --from TYPE      TRIM_HORIZON (from the oldest) or LATEST\n"
    "  --once           end when everything up to now was read\n"
    "  --ca-file FILE   trust this certificate\n"
    "\n"
    "The key is taken from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.\n"
    "Exit status: 1 a call failed, 2 a fragment could not be shown, 64 a wrong command line.\n";

static bool options_read(struct consumer *c, int argc, char **argv)
{
    static const struct option options[] = {
        {"stream",   required_argument, NULL, 's'},
        {"endpoint", required_argument, NULL, 'e'},
        {"region",   required_argument, NULL, 'r'},
        {"from",     required_argument, NULL, 'f'},
        {"ca-file",  required_argument, NULL, 'c'},
        {"once",     no_argument,       NULL, 'o'},
        {"help",     no_argument,       NULL, 'h'},
        {NULL,       0,                 NULL, 0  },
    };
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (option) {
        case 's':
            c->stream = optarg;
            break;
        case 'e':
            c->endpoint = optarg;
            break;
        case 'r':
            c->aws.region = optarg;
            break;
        case 'f':
            c->from = optarg;
            break;
        case 'c':
            c->aws.ca_file = optarg;
            break;
        case 'o':
            c->once = true;
            break;
        case 'h':
            fputs(usage, stdout);
            exit(0);
        default:
            return false;
        }
    }
    return c->stream && optind == argc &&
           (strcmp(c->from, "TRIM_HORIZON") == 0 || strcmp(c->from, "LATEST") == 0);
}

int main(int argc, char **argv)
{
    static struct consumer c = {.endpoint = "http://127.0.0.1:4566", .from = "TRIM_HORIZON"};
    c.aws.region = "us-east-1";
    c.aws.key_id = getenv("AWS_ACCESS_KEY_ID");
    c.aws.secret = getenv("AWS_SECRET_ACCESS_KEY");
    c.aws.token = getenv("AWS_SESSION_TOKEN");
    if (!options_read(&c, argc, argv)) {
        fputs(usage, stderr);
        return 64;
    }
    if (!c.aws.key_id || !c.aws.secret) {
        fputs("event-consumer: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set\n", stderr);
        return 64;
    }
    (void) signal(SIGINT, on_signal);
    (void) signal(SIGTERM, on_signal);
    av_log_set_level(AV_LOG_ERROR);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    c.aws.curl = curl_easy_init();
    int code = c.aws.curl ? run(&c) : 1;
    for (size_t i = 0; i < c.shard_count; i++)
        free(c.shards[i].iterator);
    curl_easy_cleanup(c.aws.curl);
    curl_global_cleanup();
    return code;
}
