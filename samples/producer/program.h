/* SPDX-License-Identifier: Apache-2.0 */
/* What the programs of this folder have in common. */
#ifndef SAMPLES_PRODUCER_PROGRAM_H
#define SAMPLES_PRODUCER_PROGRAM_H

#include "picture.h"

/* -1 when as many words follow the name as can; else says text, and gives the exit code: 0 for
 * --help. A word that begins with - is none: it would name a stream. */
int program_usage(int argc, char **argv, int least, int most, const char *text);
/* CONTROL_PLANE_URI, or AWS's endpoint of AWS_DEFAULT_REGION; events are said on stderr; what the
 * buffer of 16 MiB cannot hold is dropped, as a camera must. */
struct kinema_config program_config(const char *stream, const struct kinema_track *track);
/* From now on SIGINT and SIGTERM only make program_is_told_to_end() true. */
void program_begin(void);
int program_is_told_to_end(void);
/* Sends pictures until it is told to end. */
int program_record(struct kinema_producer *producer, struct picture *picture);
/* Says the error, if code is one; sends what is left, says the counters, closes all, of which each
 * may be NULL. The exit code: 0 when there was none and every frame is PERSISTED. */
int program_end(const char *name, int code, struct kinema_producer *producer,
                struct picture *picture, struct kinema_credential_provider *keys);

#endif
