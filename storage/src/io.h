/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads that touch the disk for streams. A log waits in the queue at most once and is run by
 * one thread at a time, so a stream's operations keep their order and queueing cannot fail.
 *
 * What most logs want is short: a write into the page cache. Waking a thread costs more than that,
 * so one that is awake takes what comes, and others are woken only when it says that it will be
 * slow, or when the queue has waited for too long. Short things come in bursts, from a loop that
 * reads many uploads: who is woken for the first of them waits a moment for the others, and does
 * not meet the loop at the lock of each log.
 */
#ifndef STORAGE_SRC_IO_H
#define STORAGE_SRC_IO_H

#include "core/thread.h"

struct storage_log;

enum {
    STORAGE_IO_THREADS_MAX = 64
};

struct storage_io {
    struct kn_lock lock;
    struct kn_cond wake;
    struct storage_log *first, *last; /* guarded by lock; by log.io_next */
    bool stopping;                    /* guarded by lock */
    /* Guarded by lock: something in the queue will not wait for others; one thread waits for them.
     */
    bool hurried, napping;
    struct kn_cond nap;
    /* Guarded by lock: threads that sleep, those called that have not woken yet, and those that
     * will soon look at the queue, the called ones among them. */
    unsigned idle, called, quick;
    unsigned count;
    pthread_t threads[STORAGE_IO_THREADS_MAX];
};

int storage_io_start(struct storage_io *io, unsigned threads) KN_MUSTUSE;
void storage_io_stop(struct storage_io *io); /* after all work has ended */
/* hurry: what the log wants first will be slow. */
void storage_io_add(struct storage_io *io, struct storage_log *log, bool hurry);
/* On an I/O thread, around what waits for the disk: others take what is queued meanwhile. */
void storage_io_slow_begin(struct storage_io *io);
void storage_io_slow_end(struct storage_io *io);

#endif
