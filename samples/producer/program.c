/* SPDX-License-Identifier: Apache-2.0 */
/* See program.h. */
#include "program.h"

#include <curl/curl.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BUFFER_BYTES = 16 << 20,
    DRAIN_MS = 60000
};

static volatile sig_atomic_t stopping;

static void on_signal(int number)
{
    (void) number;
    stopping = 1;
}

int program_usage(int argc, char **argv, int least, int most, const char *text)
{
    int wrong = argc - 1 < least || argc - 1 > most;
    int help = argc > 1 && strcmp(argv[1], "--help") == 0;
    for (int i = 1; i < argc; i++)
        wrong |= argv[i][0] == '-';
    if (wrong)
        (void) fputs(text, help ? stdout : stderr);
    return !wrong ? -1 : help ? 0 : 2;
}

static void on_event(void *ctx, const struct kinema_event *event)
{
    static const char *const names[] = {"BUFFERING", "RECEIVED",  "PERSISTED",    "ERROR",
                                        "IDLE",      "CONNECTED", "DISCONNECTED", "FAILED",
                                        "PRESSURE",  "LOST",      "SPILL",        "SPILLED"};
    (void) ctx;
    (void) fprintf(stderr, "%s time=%lld frames=%llu %s%s\n", names[event->type],
                   (long long) event->time_ms, (unsigned long long) event->frames,
                   event->fragment_number, event->text);
}

static const char *env_or(const char *name, const char *fallback)
{
    const char *value = getenv(name);
    return value && *value ? value : fallback;
}

struct kinema_config program_config(const char *stream, const struct kinema_track *track)
{
    return (struct kinema_config){.stream = stream,
                                  .region = env_or("AWS_DEFAULT_REGION", "us-east-1"),
                                  .endpoint = env_or("CONTROL_PLANE_URI", NULL),
                                  .retention_hours = 24,
                                  .tracks = track,
                                  .track_count = 1,
                                  .mode = KINEMA_REALTIME,
                                  .buffer_bytes = BUFFER_BYTES,
                                  .on_event = on_event};
}

void program_begin(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    (void) sigaction(SIGINT, &action, NULL);
    (void) sigaction(SIGTERM, &action, NULL);
    (void) curl_global_init(CURL_GLOBAL_DEFAULT);
}

int program_is_told_to_end(void)
{
    return stopping;
}

static int finish(struct kinema_producer *producer)
{
    struct kinema_stats stats;
    (void) kinema_producer_drain(producer, DRAIN_MS);
    kinema_producer_stats(producer, &stats);
    (void) printf("frames=%llu persisted=%llu fragments=%llu connections=%llu errors=%llu\n",
                  (unsigned long long) stats.frames_put,
                  (unsigned long long) stats.frames_persisted,
                  (unsigned long long) stats.fragments_persisted,
                  (unsigned long long) stats.connections, (unsigned long long) stats.errors);
    kinema_producer_close(producer);
    return stats.frames_persisted == stats.frames_put ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* The producer sends on a thread of its own, so a slow line never keeps the camera waiting. */
int program_record(struct kinema_producer *producer, struct picture *picture)
{
    struct kinema_frame frame;
    int code = kinema_producer_start(producer);
    while (code == 0 && !program_is_told_to_end()) {
        code = picture_next(picture, &frame);
        if (code == 0)
            code = kinema_producer_put_frame(producer, &frame);
        if (code == -EAGAIN || code == -ENODATA || code == -ENOBUFS)
            code = 0; /* nothing yet, or left out until the next key frame: KINEMA_FRAGMENT_LOST */
    }
    return code;
}

int program_end(const char *name, int code, struct kinema_producer *producer,
                struct picture *picture, struct kinema_credential_provider *keys)
{
    if (code < 0)
        (void) fprintf(stderr, "%s: %s\n", name, strerror(-code));
    if (producer && finish(producer) != EXIT_SUCCESS)
        code = -EIO;
    picture_close(picture);
    kinema_credentials_free(keys);
    return code < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
