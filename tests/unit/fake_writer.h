/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A storage writer that keeps everything in memory and fails on demand. Linked instead of storage's
 * own: it defines storage_writer_*. Tests drive it through the one global below; commits call back
 * only when fake_writer_complete says so.
 */
#ifndef TESTS_UNIT_FAKE_WRITER_H
#define TESTS_UNIT_FAKE_WRITER_H

#include "storage/writer.h"

enum {
    FAKE_FRAGMENTS_MAX = 4096
};

enum fake_state {
    FAKE_OPEN,
    FAKE_COMMITTED,
    FAKE_ABORTED
};

struct fake_fragment {
    enum fake_state state;
    struct storage_begin begin;
    struct storage_fragment info;
    struct storage_commit commit;
    struct kn_buf bytes;
    struct storage_frame *frames;
    size_t frame_count, marks;
    uint64_t visible; /* bytes at the last mark */
};

struct fake_writer {
    struct kn_buf header; /* the last one given */
    unsigned headers;
    struct fake_fragment fragments[FAKE_FRAGMENTS_MAX];
    size_t count;     /* begun */
    size_t completed; /* commits called back */
    uint64_t room;    /* bytes storage_writer_part still takes; UINT64_MAX: any */
    uint64_t taken;   /* bytes it took in all */
    unsigned shorts;
    int fail_header, fail_begin, fail_part, fail_commit, fail_mark; /* returned instead */
    bool followed;                                                  /* a reader waits for more */
    bool asked;                                                     /* to be told when one does */
    bool memory;                                                    /* retention 0 */
};
extern struct fake_writer fake;

void fake_writer_start(void);
void fake_writer_stop(void);
struct storage_writer *fake_writer_get(void);
/* The next commit that has not called back yet: fills what the callback would give. */
bool fake_writer_complete(struct storage_fragment *ret);
size_t fake_writer_count(enum fake_state state);

#endif
