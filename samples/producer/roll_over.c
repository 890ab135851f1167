/* SPDX-License-Identifier: Apache-2.0 */
/*
 * roll-over STREAM FILE: a camera whose key lies in a file that somebody replaces before the key
 * expires: by rename, so that it is never half written. FILE holds one line:
 *
 *   CREDENTIALS <key id> 2030-01-01T00:00:00Z <secret> <token>
 *
 * 30 s before that time the connection ends at the border of a fragment, and the next one is signed
 * with what the file holds by then. A frame is never sent twice for it, nor left out. The picture
 * is a test picture; the endpoint as of v4l2-camera.
 */
#include "picture.h"
#include "program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    struct kinema_credential_provider *keys = NULL;
    struct kinema_producer *producer = NULL;
    struct kinema_credentials key;
    struct kinema_config config;
    struct picture *picture;
    int code;
    int usage = program_usage(argc, argv, 2, 2, "roll-over STREAM FILE\n");
    if (usage >= 0)
        return usage;
    program_begin();
    if (picture_open(NULL, &picture) < 0)
        return EXIT_FAILURE;
    config = program_config(argv[1], picture_track(picture));
    code = kinema_credentials_file(argv[2], &keys);
    config.credentials = keys;
    if (code == 0)
        code = kinema_credentials_get(keys, &key); /* whether the file is well: said at once */
    memset(&key, 0, sizeof(key));
    if (code == 0)
        code = kinema_producer_open(&config, &producer);
    if (code == 0)
        code = program_record(producer, picture);
    return program_end("roll-over", code, producer, picture, keys);
}
