/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of a stream: its chunks, its numbers, the fragments on their way, and the queue of
 * operations that the I/O threads run in order.
 *
 * The writer's calls plan where every byte goes (they hold the log's lock and never wait); the
 * operations then put it there. A fragment on its way is an arrival: it is visible to readers from
 * its window while it comes in, and joins its chunk's index when the committer has flushed it.
 */
#ifndef STORAGE_SRC_LOG_H
#define STORAGE_SRC_LOG_H

#include "chunk.h"
#include "directory.h"
#include "frames.h"
#include "hold.h"

#include "core/gate.h"
#include "storage/writer.h"

enum {
    STORAGE_NUMBER_BLOCK = 1000, /* rules: numbers are reserved in blocks */
    STORAGE_NUMBER_LOW = 250,    /* with fewer left the next block is fetched */
    STORAGE_TAIL_ROWS = 160,     /* newest rows that are read first: a day of full chunks; 23 KB */
};

enum storage_op_kind {
    STORAGE_OP_RESERVE,
    STORAGE_OP_CREATE,
    STORAGE_OP_HEADER,
    STORAGE_OP_WRITE,
    STORAGE_OP_COMMIT,
    STORAGE_OP_VOID,
    STORAGE_OP_ABANDON,
    STORAGE_OP_SEAL,
    STORAGE_OP_SEALED,
    STORAGE_OP_FENCE,
    STORAGE_OP_CLOSED,
};

struct storage_op {
    struct storage_op *next;
    enum storage_op_kind kind;
    bool of_arrival;                 /* a part of it, which may go while it runs: nobody frees it */
    struct storage_chunk *chunk;     /* a reference; NULL: the arrival's */
    struct storage_arrival *arrival; /* borrowed: arrivals end with an operation of their own */
    struct storage_writer *writer;
    uint64_t upto;   /* WRITE: of the fragment's bytes; VOID: how many */
    uint64_t offset; /* HEADER, VOID: in the file */
    bool intended;   /* CREATE: its intent was written, with this result */
    int result;
    struct kn_buf bytes; /* CREATE: image; HEADER: record */
    struct storage_chunk_header header;
};

enum storage_arrival_state {
    STORAGE_ARRIVING,
    STORAGE_COMMITTING, /* complete, its last write is queued */
    STORAGE_WRITTEN,    /* in the file with its record; waits for the flush */
    STORAGE_DONE,       /* result says how; waits for its turn to be told */
};

struct storage_arrival {
    struct storage_arrival *next; /* in the log, the oldest first */
    struct storage_log *log;
    struct storage_writer *writer;
    struct storage_chunk *chunk;
    enum storage_arrival_state state;
    bool abandoned;
    bool duplicate;
    bool voided; /* a duplicate: its place in the file is no longer its bytes */
    struct storage_chunk
        *awaits; /* duplicate of what this recovered chunk holds: not flushed yet */
    struct storage_arrival *twin; /* duplicate of one before it, which is not told yet */
    bool twin_failed;
    bool flush_soon;
    int result;
    struct storage_fragment fragment;
    struct storage_fragment stored; /* duplicate: the one that is there already */
    uint8_t header;
    uint8_t entry[STORAGE_ENTRY_BYTES];
    uint32_t crc;
    uint64_t tail; /* end of its record in the file */
    struct storage_frame_coder coder;
    struct kn_buf frames;
    /* The window: bytes [window_start, taken) lie in blocks, those before in the file. */
    struct storage_block *first, *last;
    bool last_closed;          /* the last block is being written: do not add to it */
    struct storage_op void_op; /* in it, so that neither a commit nor giving up can fail */
    struct storage_op end_op;  /* the commit, or giving up */
    uint64_t window_start, taken, visible, submitted;
};

/* Sums of rows that are in the catalogue only. */
struct storage_cold {
    bool known;
    uint64_t chunks, fragments, bytes, kept_count, kept_bytes;
    int64_t oldest_ms;
};

struct storage_log {
    struct storage *storage;
    struct storage_id id;
    struct storage_log *bucket_next;
    struct kn_gate gate;
    struct kn_gate persisted;    /* moves with commits only; fragment events wait at it */
    _Atomic uint64_t events_seq; /* fragments after it wait for their events */
    _Atomic bool ask_followed;   /* the writer wants to know when somebody waits at the gate */

    struct kn_lock slow; /* held over calls into the catalogue: loading, reserving, trimming */
    struct storage_numbers stored; /* guarded by slow: what the catalogue says */
    uint64_t stored_version;       /* guarded by slow; 0: no such key yet */
    bool stored_read;              /* guarded by slow */
    /* Guarded by slow. Retention is done with chunks up to this one (they went or are kept); and
     * when the oldest after them ended, if that is known. */
    uint64_t swept_seq;
    bool front_known;
    int64_t front_end_ms, front_start_ms;
    bool age_shown;   /* guarded by slow: there is a metric of the stream's oldest fragment */
    bool sweep_again; /* guarded by slow: something could not be removed */

    /* Whoever makes the stream, before it can be found; then its operations, one after another. */
    struct storage_folders folders;

    /* The latest arrival that has ended, for the next one: made on the producer's thread and freed
     * on another, it would pass through the allocator's lock each time. */
    struct storage_arrival *_Atomic spare;

    /* Changed with slow and lock held. */
    struct storage_hold_range *holds;
    size_t hold_count;

    struct kn_lock lock; /* all below */
    bool numbered;       /* numbers are known, and the newest rows are in the directory */
    bool loaded;        /* the directory is whole; otherwise older rows are in the catalogue only */
    uint64_t tail_seq;  /* while it is not: all chunks from this name on are in the directory … */
    int64_t tail_ts_ms; /* … and all fragments from this server time on */
    unsigned cursors;   /* readers that walk it: it is not shortened meanwhile */
    uint64_t used;      /* storage.uses when it was last walked */
    struct storage_cold cold;
    bool dropped; /* the stream is being deleted */
    int load_error;
    struct storage_chunk *fence_due; /* a reference: its fence could not be stored yet */
    struct storage_directory directory;
    uint64_t next_seq, reserved_seq;
    bool reserving;
    uint32_t epoch;
    int64_t last_server_ts_ms;
    uint64_t next_ordinal, discontinuity;
    struct storage_writer *writer;
    struct storage_chunk *open; /* a reference; NULL: the next fragment makes one */
    struct storage_arrival *first, *last;
    bool delivering;
    size_t window_blocks;
    struct storage_op *op_first, *op_last;
    bool scheduled;

    struct storage_log *io_next;     /* the queue of storage_io or that of storage_intents, guarded
                                        by its lock */
    int64_t io_since_ns;             /* likewise: when it joined the queue */
    struct storage_log *hungry_next; /* guarded by storage.lock */
    bool hungry;                     /* guarded by storage.lock */
};

/* Makes ready for reading all of it: the numbers and every row (load.c). Idempotent. Blocks. */
int storage_log_load(struct storage_log *log) KN_MUSTUSE;
/* Makes ready for writing and for reading what is new: the numbers and the newest rows. */
int storage_log_load_tail(struct storage_log *log) KN_MUSTUSE;

/* Legal holds (hold.c): a buffer to read them into, and reading them; whether one covers a row. */
struct storage_hold_range *storage_log_holds_room(void) KN_MUSTUSE;
void storage_log_install_holds(struct storage_log *log, struct storage_hold_range *room);
bool storage_log_holds(const struct storage_log *log, const struct storage_chunk_row *row);

/* Queues an operation; op NULL (no memory) is the caller's to handle before planning anything. */
struct storage_op *storage_op_new(enum storage_op_kind kind, struct storage_chunk *chunk);
void storage_op_free(struct storage_op *op);
void storage_log_push_locked(struct storage_log *log, struct storage_op *op);
void storage_log_run(struct storage_log *log); /* by an I/O thread */

/* Tells results that are known, in order; wakes readers. No lock held. */
void storage_log_deliver(struct storage_log *log);
/* The committer's report: everything of the chunk up to tail is durable, or the flush failed. */
void storage_log_flushed(struct storage_log *log, struct storage_chunk *chunk, uint64_t tail,
                         bool footer, int result);
/* A write failed, for that reason: the chunk takes no more. */
void storage_chunk_fail_locked(struct storage_log *log, struct storage_chunk *chunk, int why);
/* A flush or the seal failed: what is behind durable_upto is not to be trusted. */
void storage_chunk_fence_locked(struct storage_log *log, struct storage_chunk *chunk, int why);
int storage_disk_error(int r);
/* No more fragments for the chunk; it is sealed once those on their way have ended. */
void storage_chunk_close_locked(struct storage_log *log, struct storage_chunk *chunk);

/* NULL: no memory. */
struct storage_arrival *storage_arrival_new(struct storage_log *log, struct storage_writer *writer);
void storage_arrival_free(struct storage_arrival *arrival);
void storage_arrival_spare_done(struct storage_log *log);
/* Its blocks no longer count against the stream's window; they are freed with it. */
void storage_arrival_forget_window_locked(struct storage_arrival *arrival);
/* Takes an arrival out of the list of those readers see. */
void storage_arrival_unlink_locked(struct storage_arrival *arrival);
/* The arrival with that number; NULL. */
struct storage_arrival *storage_arrival_find_locked(struct storage_log *log, uint64_t seq);
/* Bytes [off, …) of an arrival's window into iov; 0 when off lies in the file or past the end. */
size_t storage_arrival_copy_locked(const struct storage_arrival *a, uint64_t off,
                                   const struct iovec *iov, int n);

/* Fills log.stored once, and stores it again; slow is held. */
int storage_numbers_read(struct storage_log *log) KN_MUSTUSE;
int storage_numbers_put(struct storage_log *log) KN_MUSTUSE;
/* Reserves numbers up to at least next_seq + a block; slow is not held. Blocks. */
int storage_numbers_reserve(struct storage_log *log) KN_MUSTUSE;

/* Writers (writer.c), told by the log. */
void storage_writer_unpin(struct storage_log *log, struct storage_writer *w);
void storage_writer_finish(struct storage_writer *w); /* OP_CLOSED */
void storage_writers_wake(struct storage_log *log);   /* budget was given back */
void storage_writer_tell(struct storage_arrival *arrival);
void storage_log_followed(struct kn_gate *gate); /* somebody waits at the log's */

/* An equal fragment that is persisted already (same producer time, length, checksum), or will be
 * once ret_awaits, a reference or NULL, has been flushed. Blocks. */
bool storage_log_find_equal(struct storage_log *log, const struct storage_arrival *arrival,
                            struct storage_fragment *ret, struct storage_chunk **ret_awaits);

#endif
