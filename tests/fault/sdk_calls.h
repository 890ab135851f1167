/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls that the producer SDK and libcurl make, counted, and one of them or all from one on
 * failing. The linker puts these in the place of what the SDK calls; the sockets of libcurl find
 * them before libc's own. The SDK's clock runs faster than the world's, so that pauses are short.
 */
#ifndef TESTS_FAULT_SDK_CALLS_H
#define TESTS_FAULT_SDK_CALLS_H

#include <stdbool.h>
#include <stdint.h>

enum sdk_kind {
    SDK_MEMORY, /* of the SDK, of libcurl and of OpenSSL */
    SDK_CALLS,  /* sockets, files, mutexes */
    SDK_KINDS
};
enum {
    SDK_CLOCK_FACTOR = 100,
    SDK_TIMEOUT_FACTOR = 10 /* of libcurl's time-outs */
};

/* Calls of this thread count from now on; the at-th of the kind fails (from 0; < 0: none), and with
 * for_good all after it. */
void sdk_calls_arm(enum sdk_kind kind, int64_t at, bool for_good);
/* Nothing fails any more; counting ends too. */
void sdk_calls_disarm(void);
int64_t sdk_calls_counted(enum sdk_kind kind); /* since armed */
const char *sdk_calls_struck(void);            /* the name of the first that failed; NULL: none */
/* Blocks of the SDK and of libcurl that nobody has given back. */
int64_t sdk_calls_blocks(void);

#endif
