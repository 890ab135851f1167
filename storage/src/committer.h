/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Group flush: chunks with commits that wait for the disk are gathered, then flushed together in
 * one call: a few after two fifths of linger_ms, many after all of it, since what they share is
 * worth it; one in a hurry at once, unless others have just had a round. All flushes of a chunk
 * pass here, one at a time: a kernel reports a failed write-back once, and only one asker must get
 * to hear it.
 */
#ifndef STORAGE_SRC_COMMITTER_H
#define STORAGE_SRC_COMMITTER_H

#include "flush_team.h"
#include "flush_volume.h"

#include "core/fs.h"
#include "core/thread.h"

struct storage;
struct storage_chunk;
struct storage_commit_round;
struct storage_log;

struct storage_committer {
    struct kn_lock lock;
    struct kn_cond wake;
    struct storage_chunk *first, *last; /* guarded by lock: chunks that want a flush */
    /* Guarded by lock, of those that want one: how many, since when, whether any is in a hurry, and
     * when the round begins. */
    size_t count;
    int64_t since_ns;
    bool hurry;
    int64_t due_ns;
    /* Guarded by lock, of the round before: when it began, and whose it was alone; only compared.
     */
    int64_t round_ns;
    const struct storage_chunk *round_of;
    bool stopping; /* guarded by lock */
    bool started;
    pthread_t thread;
    struct storage *storage;
    struct storage_flush_team team;
    struct storage_flush_volume volume; /* the thread's, once it runs */
    struct storage_commit_round *round; /* the thread's, made at start */
};

int storage_committer_start(struct storage_committer *c, struct storage *storage) KN_MUSTUSE;
void storage_committer_stop(struct storage_committer *c); /* after all work has ended */
/* Asks for a flush of a chunk of the log; holds a reference until it is done. soon: linger only
 * behind others. */
void storage_committer_add(struct storage_committer *c, struct storage_log *log,
                           struct storage_chunk *chunk, bool soon);

#endif
