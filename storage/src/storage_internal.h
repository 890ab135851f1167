/* SPDX-License-Identifier: Apache-2.0 */
/* What stands behind struct storage, for the files of this folder. */
#ifndef STORAGE_SRC_STORAGE_INTERNAL_H
#define STORAGE_SRC_STORAGE_INTERNAL_H

#include "block.h"
#include "catalogue.h"
#include "committer.h"
#include "intents.h"
#include "io.h"

#include "core/gate.h"
#include "core/thread.h"
#include "storage/fragment.h"

struct storage_log;
struct storage_chunk;
struct storage_shards;

enum {
    STORAGE_LOG_BUCKETS = 1024,
    STORAGE_HEADERS_CACHED = 256,
    STORAGE_END_BYTES = 16, /* identity of a clean end */
};

struct storage_cached_header { /* guarded by storage.lock */
    struct storage_id stream;
    uint64_t hash;
    struct storage_header *header;
    uint64_t used; /* tick of the last use; the smallest goes first */
};

struct storage {
    char *dir;
    struct storage_conf conf;
    struct kn_fs *fs;
    struct kn_clock *clock;
    struct storage_catalogue *catalogue;
    struct storage_meta *meta; /* the catalogue's */
    int lock_fd;
    struct storage_io io;
    struct storage_intents intents;
    struct storage_block_pool blocks;
    struct storage_committer committer;
    struct storage_shards *_Atomic shards; /* NULL: not started */
    struct kn_gate streams_gate;           /* a stream was made or changed */

    /* Order of locks: log.slow, log.lock, then storage.lock; block pool, gates, committer: leaves.
     */
    struct kn_lock lock;
    /* Guarded by lock. Logs are made on demand and live as long as the storage. */
    struct storage_log *logs[STORAGE_LOG_BUCKETS];
    struct storage_chunk *sealed_newest, *sealed_oldest; /* cache of sealed chunks, by last use */
    size_t sealed_count;
    struct storage_cached_header headers[STORAGE_HEADERS_CACHED];
    uint64_t tick;
    _Atomic uint64_t uses;      /* walks of directories so far */
    struct kn_cond idle;        /* work has become 0 */
    struct storage_log *hungry; /* logs whose writer waits for the node's budget */

    _Atomic uint64_t work; /* operations and flushes not yet done */

    _Atomic bool no_space; /* the volume is below its floor: begin refuses */
    _Atomic bool refused;  /* the volume refused a write: no new chunks */
    _Atomic bool stopping;

    bool keeper_started;
    pthread_t keeper; /* retention.c */
    struct kn_lock keeper_lock;
    struct kn_cond keeper_wake;
    bool keeper_due; /* guarded by keeper_lock: a round before its time */
    bool keeper_stopping;
    int64_t refused_since_ns; /* the start's: since when the disk refuses to read; 0: it does not */
    bool failed;              /* opening did not succeed: no mark of a clean end */
    uint8_t last_end[STORAGE_END_BYTES]; /* the clean end before this start; zeros: none (sums.h) */
    _Atomic bool mark_left;              /* its mark is still there */
    bool ballast;                        /* the keeper's: the file is there */
    bool watches;                        /* there is a rule of space */
    _Atomic bool exhausted;              /* set by the keeper: short of space, and nothing may go */
    _Atomic bool full_said;              /* likewise: the log says that the volume is full */
};

/* The log of a stream; made when absent. NULL: no memory. */
struct storage_log *storage_log_of(struct storage *storage, const struct storage_id *id);
/* NULL: there is none yet. */
struct storage_log *storage_log_peek(struct storage *storage, const struct storage_id *id);

/* Counting of what must end before the storage can close. */
void storage_work_begin(struct storage *storage);
void storage_work_end(struct storage *storage);
void storage_work_wait(struct storage *storage);

/* The cache of sealed chunks. find gives a reference or NULL; put takes none of its own away. */
struct storage_chunk *storage_sealed_find(struct storage *storage, const struct storage_id *stream,
                                          uint64_t seq);
void storage_sealed_put(struct storage *storage, struct storage_chunk *chunk);
void storage_sealed_forget(struct storage *storage, const struct storage_id *stream, uint64_t seq);
void storage_sealed_clear(struct storage *storage);

/* Headers by (stream, hash); find gives a reference or NULL. */
struct storage_header *storage_header_find(struct storage *storage, const struct storage_id *stream,
                                           uint64_t hash);
void storage_header_put(struct storage *storage, const struct storage_id *stream, uint64_t hash,
                        struct storage_header *header);
void storage_headers_clear(struct storage *storage);
/* A copy of the bytes with its parsed view. */
int storage_header_new(struct kn_bytes bytes, struct storage_header **ret) KN_MUSTUSE;
uint64_t storage_header_hash(struct kn_bytes bytes);

/* Removes all of a stream's chunks, and its "c/", "o/" and "q/" keys; idempotent. Blocks. */
int storage_log_drop(struct storage *storage, const struct storage_id *id) KN_MUSTUSE;

/* The thread that applies retention, seals aged chunks and watches the volume's space. */
int storage_keeper_start(struct storage *storage) KN_MUSTUSE;
void storage_keeper_stop(struct storage *storage);
void storage_keeper_wake(struct storage *storage);
/* One round, as the thread does it; for tests and for start. */
void storage_keeper_round(struct storage *storage);

/* The volume (volume.c). look: false when it cannot say, which leaves it to be judged by its
 * writes. refused: a write met ENOSPC. */
void storage_space_start(struct storage *storage);
bool storage_space_look(struct storage *storage, uint64_t *ret_free_bytes);
void storage_space_check(struct storage *storage);
void storage_space_refused(struct storage *storage);

/* Segments of shards, for the rule of space (shard/space.c). The oldest that may go of each shard:
 * when its newest record arrived. */
typedef void storage_shard_front_fn(void *ctx, const struct storage_id *shard, int64_t end_ms);
int storage_shard_fronts(struct storage *storage, storage_shard_front_fn *each, void *ctx)
    KN_MUSTUSE;
int storage_shard_front(struct storage *storage, const struct storage_id *shard,
                        int64_t *ret_end_ms) KN_MUSTUSE; /* -ENOENT: there is none */
/* Removes the oldest that ended before the time, until so many bytes of files have gone; a slice.
 */
int storage_shard_relieve(struct storage *storage, const struct storage_id *shard,
                          int64_t before_ms, uint64_t bytes, uint64_t *ret_segments,
                          uint64_t *ret_bytes) KN_MUSTUSE;

/* Chunks that were open when the last run ended. Blocks; before any other use. */
int storage_recover(struct storage *storage, struct storage_report *report, struct kn_err *err)
    KN_MUSTUSE;

/* The folder's lock, until the descriptor is closed: a server's alone, or shared by those who only
 * read (-1 where no server has ever been). -EBUSY: err says who has it. */
int storage_folder_take(const char *dir, bool shared, int *ret_fd, struct kn_err *err) KN_MUSTUSE;

#endif
