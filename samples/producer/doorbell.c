/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doorbell STREAM: a camera that sends only while something happens, and says what. On standard
 * input, a line each:
 *
 *   begin        from the next key frame on, frames are sent
 *   NAME=VALUE   metadata of the open fragment
 *   end          the open fragment is whole: it is PERSISTED now, not when the next one begins
 *
 * The end of the input ends it. Key and endpoint as v4l2-camera; the picture is a test picture.
 */
#include "picture.h"
#include "program.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LINE_BYTES = KINEMA_TAG_NAME_BYTES_MAX + KINEMA_TAG_VALUE_BYTES_MAX + 3
};

struct doorbell {
    struct kinema_producer *producer;
    struct picture *picture;
    int sends, waits_for_key, ended;
};

/* --- what is asked ---------------------------------------------------------------------------- */
static int take_line(struct doorbell *d, char *line)
{
    char *equals;
    line[strcspn(line, "\r\n")] = '\0';
    equals = strchr(line, '=');
    if (strcmp(line, "begin") == 0 && !d->sends) {
        d->sends = d->waits_for_key = 1;
        picture_want_key(d->picture);
    } else if (strcmp(line, "end") == 0 && d->sends) {
        d->sends = 0;
        return d->waits_for_key ? 0 : kinema_producer_end_fragment(d->producer);
    } else if (equals && equals > line) {
        *equals = '\0';
        return kinema_producer_put_tag(d->producer, line, equals + 1);
    } else {
        (void) fprintf(stderr, "not understood: %s\n", line);
    }
    return 0;
}

static int take_lines(struct doorbell *d)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    char line[LINE_BYTES];
    int code = 0;
    while (code == 0 && !d->ended && poll(&in, 1, 0) > 0) {
        if (fgets(line, sizeof(line), stdin))
            code = take_line(d, line);
        else
            d->ended = 1;
    }
    return code;
}

/* --- frames ----------------------------------------------------------------------------------- */
static int take_frame(struct doorbell *d)
{
    struct kinema_frame frame;
    int code = picture_next(d->picture, &frame);
    if (code < 0 || !d->sends || (d->waits_for_key && !frame.key))
        return code == -EAGAIN ? 0 : code;
    if (d->waits_for_key)
        (void) fprintf(stderr, "BEGUN time=%lld\n", (long long) frame.time_ms);
    d->waits_for_key = 0;
    code = kinema_producer_put_frame(d->producer, &frame);
    return code == -ENODATA || code == -ENOBUFS ? 0 : code; /* KINEMA_FRAGMENT_LOST told it */
}

static int run(struct doorbell *d)
{
    int code = kinema_producer_start(d->producer);
    while (code == 0 && !d->ended && !program_is_told_to_end()) {
        code = take_lines(d);
        if (code == 0)
            code = take_frame(d);
    }
    return code;
}

int main(int argc, char **argv)
{
    struct doorbell d = {.sends = 0};
    struct kinema_credential_provider *keys = NULL;
    struct kinema_config config;
    int code;
    int usage = program_usage(argc, argv, 1, 1, "doorbell STREAM\n");
    if (usage >= 0)
        return usage;
    program_begin();
    (void) setvbuf(stdin, NULL, _IONBF, 0); /* what poll() says is all there is */
    if (picture_open(NULL, &d.picture) < 0)
        return EXIT_FAILURE;
    config = program_config(argv[1], picture_track(d.picture));
    code = kinema_credentials_environment(&keys);
    config.credentials = keys;
    if (code == 0)
        code = kinema_producer_open(&config, &d.producer);
    if (code == 0)
        code = run(&d);
    return program_end("doorbell", code, d.producer, d.picture, keys);
}
