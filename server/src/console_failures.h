/* SPDX-License-Identifier: Apache-2.0 */
/* Wrong logins to the console, counted by the address they come from, to slow down guessing: one
 * guesser must not shut everybody else out. Not thread safe. */
#ifndef SERVER_CONSOLE_FAILURES_H
#define SERVER_CONSOLE_FAILURES_H

#include "core/bytes.h"

enum {
    CONSOLE_FAILURES_MAX = 30, /* from one address in one window */
    CONSOLE_FAILURE_WINDOW_MS = 60 * 1000,
    CONSOLE_FAILURE_PEERS = 256, /* remembered; then the one whose window is oldest is forgotten */
};

struct console_failures {
    struct {
        char address[48];
        int64_t window_start_ms;
        unsigned count; /* 0: free */
    } peers[CONSOLE_FAILURE_PEERS];
};

/* peer: "127.0.0.1:4711"; the port does not count. */
void console_failures_add(struct console_failures *failures, struct kn_str peer, int64_t now_ms);
bool console_failures_too_many(const struct console_failures *failures, struct kn_str peer,
                               int64_t now_ms);

#endif
