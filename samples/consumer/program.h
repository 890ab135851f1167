/* SPDX-License-Identifier: Apache-2.0 */
/* What the programs of this folder have in common. */
#ifndef SAMPLES_CONSUMER_PROGRAM_H
#define SAMPLES_CONSUMER_PROGRAM_H

#include <kinema/credentials.h>

/* Says how it is called; the exit code: 0 for --help. */
int program_usage(int argc, char **argv, const char *text);
/* Takes the key from the environment into *credentials and calls run(ctx), the exit code; meanwhile
 * SIGINT and SIGTERM only make program_is_told_to_end() true. */
int program_run(int (*run)(void *ctx), void *ctx, struct kinema_credential_provider **credentials);
int program_is_told_to_end(void);

#endif
