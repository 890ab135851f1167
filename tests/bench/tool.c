/* SPDX-License-Identifier: Apache-2.0 */
/* Time, ends and samples; see tool.h. */
#include "tool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/clock.h"
#include "core/err.h"

int64_t tool_now_ns(void)
{
    return kn_mono_ns(kn_clock_system());
}

int64_t tool_cpu_ns(int pid)
{
    clockid_t id;
    struct timespec t;
    errno = clock_getcpuclockid(pid, &id);
    if (errno || clock_gettime(id, &t) < 0)
        tool_die("the process to watch");
    return (int64_t) t.tv_sec * 1000000000 + t.tv_nsec;
}

uint64_t tool_number(const char *text)
{
    return strtoull(text, NULL, 10);
}

_Noreturn void tool_die(const char *what)
{
    fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what,
            errno ? strerrorname_np(errno) : "no reason");
    exit(1);
}

void tool_must(ssize_t result, const char *what)
{
    if (result >= 0)
        return;
    fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, kn_errname((int) result));
    exit(1);
}

void tool_sample(struct tool_samples *samples, double value)
{
    if (samples->count == samples->cap) {
        samples->cap = samples->cap ? 2 * samples->cap : 4096;
        samples->items = realloc(samples->items, samples->cap * sizeof *samples->items);
        if (!samples->items)
            tool_die("memory");
    }
    samples->items[samples->count++] = value;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;
    return x < y ? -1 : x > y;
}

double tool_percentile(struct tool_samples *samples, double p)
{
    if (!samples->count)
        return -1;
    qsort(samples->items, samples->count, sizeof *samples->items, by_value);
    return samples->items[(size_t) ((double) (samples->count - 1) * p)];
}
