/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is to go wrong and when, and what was done so far. Every call to the simulated disk, to
 * LMDB's file and to the allocator passes here, is counted and noted; at a chosen one the machine
 * stops, or the call fails. Lies in memory that the processes of a round share.
 */
#ifndef TESTS_FAULT_SIM_PLAN_H
#define TESTS_FAULT_SIM_PLAN_H

#include "core/bytes.h"

enum sim_call {
    SIM_OPEN = 1 << 0,
    SIM_MKDIR = 1 << 1,
    SIM_RENAME = 1 << 2,
    SIM_UNLINK = 1 << 3,
    SIM_RMDIR = 1 << 4,
    SIM_SYNC_DIR = 1 << 5,
    SIM_WRITE = 1 << 6,
    SIM_ALLOCATE = 1 << 7,
    SIM_TRUNCATE = 1 << 8,
    SIM_SYNC = 1 << 9,
    SIM_SYNC_START = 1 << 10,
    SIM_READ = 1 << 11,
    SIM_LIST = 1 << 12,
    SIM_SIZE = 1 << 13,
    SIM_LMDB_WRITE = 1 << 14,
    SIM_LMDB_SYNC = 1 << 15,
    SIM_MEMORY = 1 << 16, /* an allocation, or the start of a thread */
    SIM_SYNC_VOLUME = 1 << 17,
};
enum {
    SIM_LOOKS = SIM_READ | SIM_LIST | SIM_SIZE | SIM_MEMORY, /* change nothing on a disk */
    SIM_KINDS = 18,
};
const char *sim_call_name(enum sim_call call);

enum {                    /* how a process of a round may end besides 0 */
    SIM_EXIT_CUT = 77,    /* the power was cut, or the process killed, at the chosen call */
    SIM_EXIT_HANG = 78,   /* every thread waits and nothing can wake one */
    SIM_EXIT_BROKEN = 79, /* the workload saw a promise broken; notes say which */
    SIM_EXIT_CLOSED = 80, /* opening failed, as it may under faults */
};

enum sim_fate { /* of what was not flushed at a power cut */
    SIM_FATE_KEEP,
    SIM_FATE_LOSE,
    SIM_FATE_SCRAMBLE,
    SIM_FATE_RANDOM, /* each for itself */
};

struct sim_trace_entry {
    uint32_t call;
    uint32_t hash; /* of its arguments and bytes */
};

enum {
    SIM_TRACE_MAX = 1 << 16
};

struct sim_plan {
    int64_t changes; /* calls so far that change something */
    int64_t cut_at;  /* the machine stops before this one; -1: never */
    int64_t counted; /* calls so far of the kinds that are to fail */
    int64_t fail_at; /* this one fails; -1: none */
    unsigned fail_kinds;
    int fail_error;
    bool for_good; /* and all later ones */
    bool struck;
    int64_t cut_after; /* so many changes after the failure struck the machine stops; -1: not */
    enum sim_call struck_call;
    uint32_t seen; /* kinds of calls that came */
    uint64_t trace_count, trace_hash;
    struct sim_trace_entry trace[SIM_TRACE_MAX];
};

void sim_plan_clear(struct sim_plan *plan); /* nothing goes wrong; counting starts again */
void sim_plan_cut(struct sim_plan *plan, int64_t at);
void sim_plan_fail(struct sim_plan *plan, int64_t at, unsigned kinds, int error, bool for_good);
void sim_plan_cut_after_failure(struct sim_plan *plan, int64_t changes);
/* Counts and notes a call. 0, or the error it must return; the process may end here. */
int sim_plan_step(struct sim_plan *plan, enum sim_call call, uint32_t hash);
uint32_t sim_hash(uint32_t hash, const void *bytes, size_t len);
uint32_t sim_hash_text(const char *text);

#endif
