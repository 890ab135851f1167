/* SPDX-License-Identifier: Apache-2.0 */
/* How well a stream comes in: from its fragments, in order of their numbers, and its uploads. */
#ifndef SERVER_CONSOLE_HEALTH_H
#define SERVER_CONSOLE_HEALTH_H

#include "console_call.h"

#include "storage/fragment.h"

enum {
    CONSOLE_LIVE_MS = 30 * 1000, /* a stream is live while its newest fragment is this young */
};

struct console_health { /* of some fragments that follow each other; begins zeroed */
    uint64_t fragments, bytes, media_ms;
    uint64_t gaps, gap_ms; /* the camera's time that no fragment has */
    uint32_t fragment_ms_max;
    int64_t lag_ms; /* from the camera's clock to ours, of the newest; the most is: */
    int64_t lag_ms_max;
    int64_t end_ms, newest_ms; /* of the newest: where it ends, by the camera; when it began here */
};
/* What lies between it and the one before; 0: nothing, or it is the first. */
uint32_t console_health_add(struct console_health *health, const struct storage_fragment *next);

/* Members "level" and "why". latest: of the last minute or so. */
void console_health_judge(struct console_call *call, const struct storage_stream *stream,
                          const struct console_health *latest);

#endif
