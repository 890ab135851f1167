/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intents of chunks ("o/" keys), which are stored before their files are made. When many uploads
 * begin at once, theirs go into the catalogue together, with one flush: who comes soon after
 * another stream waits linger_ms for more; one by itself does not wait.
 */
#ifndef STORAGE_SRC_INTENTS_H
#define STORAGE_SRC_INTENTS_H

#include "core/thread.h"

struct storage;
struct storage_chunk;
struct storage_log;
struct storage_intents_round;

struct storage_intents {
    struct kn_lock lock;
    struct kn_cond wake;
    /* Guarded by lock: logs whose next operation makes a chunk, and when the round begins. */
    struct storage_log *first, *last;
    int64_t due_ns;
    /* Guarded by lock: who came last, and when; only compared. */
    const struct storage_log *newest;
    int64_t newest_ns;
    bool stopping; /* guarded by lock */
    bool started;
    pthread_t thread;
    struct storage *storage;
    struct storage_intents_round *round; /* the thread's, made at start */
};

int storage_intents_start(struct storage_intents *in, struct storage *storage) KN_MUSTUSE;
void storage_intents_stop(struct storage_intents *in); /* after all work has ended */
/* Stores what the log's first operation, which makes a chunk, intends; then queues the log for an
 * I/O thread again. The operation has the result. */
void storage_intents_add(struct storage_intents *in, struct storage_log *log);
/* What recovery may believe of a chunk that is given up. -ENOENT: it has no intent. Blocks. */
int storage_intent_fence(const struct storage_chunk *chunk, uint64_t trusted_upto) KN_MUSTUSE;

#endif
