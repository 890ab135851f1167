/* SPDX-License-Identifier: Apache-2.0 */
/* See program.h. */
#include "program.h"

#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum {
    EXIT_USAGE = 64
};

static volatile sig_atomic_t stopping;

static void on_signal(int number)
{
    (void) number;
    stopping = 1;
}

int program_is_told_to_end(void)
{
    return stopping;
}

int program_usage(int argc, char **argv, const char *text)
{
    int help = argc == 2 && strcmp(argv[1], "--help") == 0;
    (void) fputs(text, help ? stdout : stderr);
    return help ? 0 : EXIT_USAGE;
}

int program_run(int (*run)(void *ctx), void *ctx, struct kinema_credential_provider **credentials)
{
    (void) signal(SIGINT, on_signal);
    (void) signal(SIGTERM, on_signal);
    (void) curl_global_init(CURL_GLOBAL_DEFAULT);
    int code = kinema_credentials_environment(credentials) < 0 ? 1 : run(ctx);
    kinema_credentials_free(*credentials);
    curl_global_cleanup();
    return code;
}
