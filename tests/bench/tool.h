/* SPDX-License-Identifier: Apache-2.0 */
/* What the programs of the benchmark share. */
#ifndef BENCH_TOOL_H
#define BENCH_TOOL_H

#include <sys/types.h>

#include "core/bytes.h"

int64_t tool_now_ns(void);
/* CPU time of all threads of a process, by the scheduler's own count; 0: this one. */
int64_t tool_cpu_ns(int pid);
uint64_t tool_number(const char *text);

/* Both say on standard error what failed, and end the program. */
_Noreturn void tool_die(const char *what);        /* why: errno */
void tool_must(ssize_t result, const char *what); /* of core/err.h; 0 and more pass */

struct tool_samples {
    double *items;
    size_t count, cap;
};
void tool_sample(struct tool_samples *samples, double value);
double tool_percentile(struct tool_samples *samples, double p); /* sorts; -1 of none */

#endif
