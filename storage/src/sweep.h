/* SPDX-License-Identifier: Apache-2.0 */
/* Removing the oldest chunks of a stream, in slices; see sweep.c. */
#ifndef STORAGE_SRC_SWEEP_H
#define STORAGE_SRC_SWEEP_H

#include "log.h"
#include "storage_metrics.h"

struct storage_sweep {
    enum storage_rule rule;
    int64_t before_ms; /* chunks whose newest fragment ended before this … */
    uint64_t bytes;    /* … until so many bytes are taken: of fragments, or of files (SPACE) */
};

struct storage_swept {
    uint64_t chunks, fragments, bytes, file_bytes; /* removed */
    uint64_t taken_bytes;                          /* towards storage_sweep.bytes */
    uint64_t failed; /* could not be removed: tried again next round */
    bool more;       /* the slice was full: there may be more */
};

/* Removes at most retention_slice_chunks. Adds to *total (by rule, STORAGE_RULES of them) what it
 * removed. Blocks; one thread at a time a log. */
int storage_sweep_slice(struct storage_log *log, const struct storage_sweep *what,
                        struct storage_swept *ret, struct storage_swept *total) KN_MUSTUSE;
/* At the start of a round: what could not be removed is looked for again. true: the stream may
 * have chunks that ended before the time. */
bool storage_sweep_begin(struct storage_log *log, int64_t before_ms);
/* When the oldest chunk that may go ended; -ENOENT: there is none. */
int storage_sweep_front(struct storage_log *log, int64_t *ret_end_ms) KN_MUSTUSE;

/* Retention 0: the oldest chunks in memory go while there are more bytes, or older ones, than may
 * be. Adds to total. */
void storage_log_trim_memory(struct storage_log *log, int64_t now_ms, struct storage_swept *total);

#endif
