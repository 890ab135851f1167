/* SPDX-License-Identifier: Apache-2.0 */
/*
 * v4l2-camera STREAM [DEVICE]: a camera of this machine into a stream, until it is told to end.
 *
 * Without DEVICE it is /dev/video0, or a test picture where there is none. The key comes from
 * AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, the endpoint from
 * CONTROL_PLANE_URI (or AWS's of AWS_DEFAULT_REGION).
 */
#include "picture.h"
#include "program.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char usual_device[] = "/dev/video0";

static const char *find_device(const char *wanted)
{
    if (wanted)
        return wanted;
    if (access(usual_device, R_OK | W_OK) == 0)
        return usual_device;
    (void) fprintf(stderr, "no camera at %s: a test picture\n", usual_device);
    return NULL;
}

int main(int argc, char **argv)
{
    struct kinema_credential_provider *keys = NULL;
    struct kinema_producer *producer = NULL;
    struct kinema_config config;
    struct picture *picture;
    int code;
    int usage = program_usage(argc, argv, 1, 2, "v4l2-camera STREAM [DEVICE]\n");
    if (usage >= 0)
        return usage;
    program_begin();
    if (picture_open(find_device(argv[2]), &picture) < 0)
        return EXIT_FAILURE;
    config = program_config(argv[1], picture_track(picture));
    code = kinema_credentials_environment(&keys);
    config.credentials = keys;
    if (code == 0)
        code = kinema_producer_open(&config, &producer);
    if (code == 0)
        code = program_record(producer, picture);
    return program_end("v4l2-camera", code, producer, picture, keys);
}
