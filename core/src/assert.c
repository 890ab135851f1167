/* SPDX-License-Identifier: Apache-2.0 */
/* A broken invariant: say where, show how we got there, stop before it spreads. */
#include <execinfo.h>
#include <unistd.h>

#include "core/base.h"

void kn_assert_failed(const char *expr, const char *file, int line, const char *func)
{
    void *frames[64];

    fprintf(stderr, "assertion failed: %s at %s:%d in %s\n", expr, file, line, func);
    fflush(stderr);
    backtrace_symbols_fd(frames, backtrace(frames, 64), STDERR_FILENO);
    abort();
}
