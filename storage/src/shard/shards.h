/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands behind storage/shard.h. One thread (commit.c) takes all batches that wait, gives them
 * their indexes, writes them to the active journal in one go, flushes it once and shows them to
 * readers. Another (checkpoint.c) writes the records of full journals out to the shards' segments,
 * and the journal can be used again. Byte layouts: docs/format-shard.md.
 *
 * Order of locks: round (a checkpoint, a drop, an opening), shards.lock, shard.lock; gates: leaves.
 */
#ifndef STORAGE_SRC_SHARD_SHARDS_H
#define STORAGE_SRC_SHARD_SHARDS_H

#include "direct.h"
#include "marks.h"
#include "room.h"
#include "rows.h"
#include "sick.h"

#include "../storage_internal.h"
#include "core/gate.h"
#include "storage/shard.h"

enum {
    STORAGE_SHARD_BUCKETS = 4096,
    STORAGE_JOURNALS_MAX = 64,
    STORAGE_JOURNAL_HEAD_BYTES = 4096, /* frames begin here; the header is one sector */
    /* Behind all frames, with the header once more at its beginning: in a block of its own, however
     * large the disk's are. Its last byte tells that the disk reads at all (patient.h). */
    STORAGE_JOURNAL_COPY_BYTES = 64 << 10,
    STORAGE_SHARD_PATH_BYTES = 4096,
};

struct storage_shards;
struct storage_segment;

enum storage_batch_kind {
    STORAGE_BATCH_RECORDS = 1,
    STORAGE_BATCH_CLOSE = 2, /* no records: the shard takes no more */
    STORAGE_BATCH_END = 3,   /* of no shard: the journal was left in order */
};

struct storage_batch {
    /* What a checkpoint asks, of many batches that have left the processor's cache. */
    uint64_t generation; /* of the journal that has it */
    uint8_t *bytes;      /* the records, as they lie in journal and segment */
    size_t len;
    uint64_t first_index;
    int64_t arrival_ms;
    size_t data_bytes; /* of keys and data */
    uint32_t count, crc;
    _Atomic uint32_t refs;
    enum storage_batch_kind kind;
    /* The rest. */
    struct storage_batch *next; /* of those that wait for the disk */
    struct storage_shards *shards;
    struct storage_shard *shard; /* a reference, while it is on its way */
    storage_appended_fn *done;
    void *ctx;
    size_t cap;
    size_t last_at; /* the record just added */
    bool has_sources;
    int result;
    struct storage_room *room; /* where it lies; NULL: in memory of its own */
    size_t own_bytes; /* room that was asked for when it was made: `bytes`, until it grows */
    uint8_t head[STORAGE_SHARD_FRAME_BYTES]; /* and right behind it, so that both are one write, */
    uint8_t own[];
};
static_assert(offsetof(struct storage_batch, own) ==
                  offsetof(struct storage_batch, head) + STORAGE_SHARD_FRAME_BYTES,
              "its own records lie behind its header");

struct storage_shard {
    struct storage_shard *bucket_next;
    struct storage_shards *shards;
    struct storage_id id;
    _Atomic uint32_t refs; /* what it has in memory holds one */
    _Atomic int64_t retention_ms;
    _Atomic bool is_told;        /* by its owner, not by its row */
    int64_t retention_stored_ms; /* guarded by the round: what its row says */
    bool has_row;                /* guarded by the round */
    uint64_t sources_stored;     /* guarded by the round: the version of them that its row has */
    _Atomic int64_t trim_ms;     /* what arrived before it is not read; in the catalogue: trim.c */
    _Atomic bool trim_asked;     /* it is found behind */
    bool fenced;       /* guarded by the round: its newest segment is given up after a failure */
    bool newest_known; /* guarded by the round: its newest segment lies in a pack, and is … */
    struct storage_segment_row newest;
    uint64_t retired_round; /* guarded by shards.lock: the last that looked at it */
    struct kn_gate gate;
    struct kn_lock lock;
    /* Guarded by lock. */
    uint64_t assigned;   /* the next index to give; ahead of next while a flush is under way */
    uint64_t next;       /* the next index to come, as readers see it */
    int64_t assigned_ms; /* newest arrival given */
    int64_t newest_ms;   /* newest arrival to be seen */
    uint64_t flushed;    /* all before it is in segments */
    int64_t flushed_ms;  /* newest arrival in segments */
    uint64_t told;       /* its own row, as it was loaded, knows of all before it */
    uint64_t oldest;     /* the first index in segments, if there are any */
    int64_t oldest_ms;   /* its arrival */
    uint64_t bytes_dropped, records_dropped; /* since its birth: before oldest */
    uint64_t bytes, records;                 /* since its birth: all that can be seen */
    struct storage_marks marks;              /* of its newest segment … */
    uint64_t marks_first, marks_end; /* … which begins here; for so many bytes of it; 0: none */
    bool closing, closed, dropped;
    int stuck;                   /* why its files cannot be written: the last checkpoint's error */
    struct storage_batch **tail; /* by index: from tail_at, tail_count of them */
    size_t tail_at, tail_count, tail_cap;
    uint64_t tail_bytes; /* of its frames */
    size_t pending;      /* batches that have their indexes and are not flushed yet */
    struct storage_shard_source *sources;
    size_t source_count, source_cap; /* sorted by id */
    uint64_t sources_version;        /* grows with each change of them */
    bool sources_full_said;
};

enum storage_journal_state {
    STORAGE_JOURNAL_ABSENT, /* to be made when it is needed */
    STORAGE_JOURNAL_FREE,
    STORAGE_JOURNAL_ACTIVE,
    STORAGE_JOURNAL_FULL, /* waits for its checkpoint */
};

struct storage_journal {
    enum storage_journal_state state; /* guarded by shards.lock */
    unsigned slot;
    struct kn_file *file;
    uint64_t capacity; /* where frames end */
    bool copied;       /* behind them is room for the header once more */
    uint64_t generation;
    uint8_t id[16];
    uint32_t seed;
    uint64_t tail; /* where the next frame goes; all before it is flushed */
    bool broken;   /* a write or flush failed: its file is made anew before it is used again */
    bool sick;     /* the disk refuses some of it: its file is set aside once all else is out */
    struct storage_patient *patient; /* while it is read at start; else NULL */
};

struct storage_pack_count {
    uint64_t number, segments; /* that are left in it */
};

struct storage_shards {
    struct storage *storage;
    struct storage_shard_conf conf;
    _Atomic uint64_t memory_bytes; /* of batches */
    struct storage_rooms rooms;

    uint64_t leap; /* indexes that shards without a row pass over when they come into memory */

    struct kn_lock round; /* one slice of a checkpoint, drop or opening of a shard at a time */
    _Atomic unsigned round_waiters; /* who is let in between two slices of a checkpoint */

    struct kn_lock lock;
    /* Guarded by lock. */
    struct kn_cond wake;  /* the committer: batches wait, or a journal is free */
    struct kn_cond check; /* the checkpointer: a journal is full or wanted */
    struct kn_cond idle;  /* a checkpoint has ended */
    struct storage_batch *first, *last;
    struct storage_shard *buckets[STORAGE_SHARD_BUCKETS];
    struct kn_cond retry; /* the checkpointer after a failure: it is to stop */
    bool stopping, check_stopping;
    uint64_t checkpoints; /* tried so far, and journals made */
    bool wanted;          /* a journal is to be made, or freed */
    bool trim_asked;      /* of some shard */
    int check_error;      /* of the last checkpoint; while it fails, full journals refuse appends */

    /* Records of shards whose own files cannot be written: in memory, and in a file beside the
     * journals so that those can be used again (held.c). */
    _Atomic uint64_t stuck_bytes;
    uint64_t checkpointed; /* guarded by lock: all up to this generation is in segments or held */
    int64_t retry_ns;      /* the checkpointer's: when what is held is tried again */
    unsigned held_slot;    /* the checkpointer's: of the file that counts; 0: none */

    struct storage_journal journals[STORAGE_JOURNALS_MAX];
    struct storage_journal *active; /* the committer's */
    _Atomic bool in_doubt;          /* the outcome of some appends is not known yet */
    uint64_t generation;            /* guarded by lock: of the newest journal */
    /* The committer's: of the journal before the active one, for that one's header. */
    uint64_t before_generation, before_bytes;

    struct kn_lock segments_lock; /* a leaf */
    /* Guarded by segments_lock: segments open for reading, by shard and first index; and by last
     * use. */
    struct storage_segment **segments;
    size_t segment_count, segment_cap;
    struct storage_segment *segment_newest, *segment_oldest;
    struct storage_sick sick; /* what the disk refuses to read of segments */

    size_t checkpoint_shards; /* the checkpointer's: in the last one */
    int64_t more_ns; /* the checkpointer's: so long it waits for more of them; 0: it does not */
    uint64_t retire_round; /* the checkpointer's, as what follows */
    bool retire_more;      /* the last round met its limit of time */
    char
        retire_after[STORAGE_SHARD_KEY_BYTES]; /* the walk over rows: the last key; empty: begins */
    size_t retire_after_bytes;
    uint64_t checkpoint_version;    /* guarded by round: of the catalogue's row */
    struct storage_flush_team team; /* the checkpointer's */
    struct storage_direct direct;   /* the checkpointer's */
    /* Guarded by round. */
    uint64_t pack_next;               /* the number of the next pack; 0: look for it */
    uint64_t pack_tidied;             /* the oldest pack, which is needed */
    struct storage_pack_count *packs; /* those of which a segment has gone in this run */
    size_t pack_count, pack_cap;

    void *round_memory;                  /* the committer's */
    bool has_team, committing, checking; /* the thread has been started */
    pthread_t commit_thread, check_thread;
};

/* --- batch.c */
/* The budget of batches. -ENOBUFS. */
int storage_memory_take(struct storage_shards *shards, size_t bytes) KN_MUSTUSE;
void storage_memory_give(struct storage_shards *shards, size_t bytes);
void storage_batch_ref(struct storage_batch *batch);
/* One that stays while others go must not keep a whole room: in its place one that lies alone. It
 * is on disk. The same when it does already, or there is no memory. */
struct storage_batch *storage_batch_alone(struct storage_batch *batch);
/* Records of a batch from its bytes; -EBADMSG. */
int storage_batch_adopt(struct storage_shards *shards, const struct storage_shard_frame *frame,
                        struct kn_bytes payload, struct storage_batch **ret) KN_MUSTUSE;

/* --- sources.c */
/* Newest sequences of its sources go to the shard. room_only: makes sure that this will not fail.
 * -ENOMEM; room_only: -EDQUOT. */
int storage_shard_learn_locked(struct storage_shard *shard, const struct storage_batch *batch,
                               bool room_only) KN_MUSTUSE;

/* The newest sequence of a source; -ENOMEM, -EDQUOT. */
int storage_shard_learn_source_locked(struct storage_shard *shard, const struct storage_id *source,
                                      uint64_t seq) KN_MUSTUSE;

/* --- journal.c */
/* Opens or finds absent each journal; frames of those that are not checkpointed go to `each`, which
 * says -EBADMSG when it cannot read what is in one. */
typedef int storage_journal_fn(struct storage_shards *shards,
                               const struct storage_shard_frame *frame, struct kn_bytes payload,
                               uint64_t generation);
int storage_journals_open(struct storage_shards *shards, uint64_t checkpointed,
                          storage_journal_fn *each, struct storage_shards_report *report)
    KN_MUSTUSE;
void storage_journals_close(struct storage_shards *shards);
void storage_journals_show_locked(struct storage_shards *shards); /* in the metrics */
int storage_journal_make(struct storage_shards *shards, struct storage_journal *journal) KN_MUSTUSE;
/* What cannot be read stays under another name, for whoever has other means. */
int storage_journal_set_aside(struct storage_shards *shards, struct storage_journal *journal)
    KN_MUSTUSE;
/* A new identity and generation; the header is written, not flushed. */
int storage_journal_begin(struct storage_shards *shards, struct storage_journal *journal,
                          uint64_t generation) KN_MUSTUSE;

/* The file of what is held, as the catalogue names it; slot 0: none. */
int storage_held_open(struct storage_shards *shards, unsigned slot, storage_journal_fn *each,
                      struct storage_shards_report *report) KN_MUSTUSE;
struct storage_journal_head {
    uint8_t id[16];
    uint64_t generation;
    uint64_t before_generation, before_bytes; /* of the one before: 0, 0 when there is none */
};
/* copy_at: where it lies once more, 0: nowhere. -ENODATA: it counts nowhere. */
int storage_journal_head_read(struct kn_file *file, uint64_t copy_at,
                              struct storage_journal_head *ret) KN_MUSTUSE;
/* The journal before it is missing: a start knows all up to `done`, and something in it counts.
 * (One whose first flush failed may be gone with its header, or not: the next one says that nothing
 * in it counts.) */
bool storage_journal_lacks(const struct storage_journal_head *head, uint64_t done);
int storage_journal_head_write(struct kn_file *file, uint64_t copy_at,
                               const struct storage_journal_head *head) KN_MUSTUSE;
/* Of a file of what is held with so many bytes of header and frames. */
uint64_t storage_held_copy_at(uint64_t bytes);
int storage_held_path(const struct storage_shards *shards, unsigned slot,
                      char dst[STORAGE_SHARD_PATH_BYTES]) KN_MUSTUSE;

/* --- held.c */
/* Writes what these shards have in memory up to a generation to a file that is on disk when this
 * returns. */
int storage_held_write(struct storage_shards *shards, struct storage_shard *const *stuck,
                       size_t count, uint64_t generation, unsigned slot) KN_MUSTUSE;
int storage_held_remove(struct storage_shards *shards, unsigned slot) KN_MUSTUSE;
/* Most that shards which are stuck may have waiting; then they take no more. */
uint64_t storage_held_bytes_max(const struct storage_shards *shards);

/* --- journal_read.c */
/* until: what the next header says of this journal's length; UINT64_MAX: it is the newest. */
int storage_journal_replay(struct storage_shards *shards, struct storage_journal *journal,
                           uint64_t until, storage_journal_fn *each,
                           struct storage_shards_report *report) KN_MUSTUSE;

/* --- leap.c */
/* Journals were damaged, and may have held so many records of any shard: so many indexes are not
 * given any more. At start. */
int storage_shards_leap(struct storage_shards *shards, uint64_t indexes) KN_MUSTUSE;

/* --- commit.c */
void *storage_commit_main(void *shards);
void *storage_commit_memory(void); /* what it works in; NULL: no memory */
/* Puts them in the queue, at least one; takes them. */
void storage_commit_add(struct storage_shards *shards, struct storage_appends *appends);

/* --- checkpoint.c */
void *storage_checkpoint_main(void *shards);
/* Newest generation whose records are all in segments or held. */
int storage_checkpoint_generation(struct storage_shards *shards, uint64_t *ret) KN_MUSTUSE;

/* --- trim.c */
/* The trim points of shards in memory that are behind, or of those for which it was asked. */
int storage_shards_trim(struct storage_shards *shards, bool asked_only) KN_MUSTUSE;
/* Of one that may not be open; the round's lock is held. */
int storage_shard_trim_in_round(struct storage_shard *shard) KN_MUSTUSE;
/* Somebody who may block looks at it soon, if there is something to trim. No lock is held. */
void storage_shard_trim_ask(struct storage_shard *shard);

/* --- retire.c */
/* A round of retention, or the next part of it: a bounded slice of each shard in memory, then of
 * those that nobody has opened, by their rows. */
int storage_shards_retire(struct storage_shards *shards) KN_MUSTUSE;
/* One slice; the round's lock is held. */
int storage_shard_retire_in_round(struct storage_shard *shard, bool *ret_more) KN_MUSTUSE;
int storage_shard_is_dropped(struct storage_shards *shards, const struct storage_id *id)
    KN_MUSTUSE; /* 1, 0 or an error */
void storage_shards_forget_dropped(struct storage_shards *shards, uint64_t generation);

/* --- idle.c */
/* Rows of shards whose owner has said another retention, a page of them. */
int storage_retention_store(struct storage_shards *shards) KN_MUSTUSE;
/* The next page of rows: shards that nobody has told their retention in this run. */
int storage_retire_page(struct storage_shards *shards, bool *ret_end) KN_MUSTUSE;

/* --- shard.c */
struct storage_shard *storage_shard_peek_locked(struct storage_shards *shards,
                                                const struct storage_id *id);
int storage_shard_load_in_round(struct storage_shards *shards, const struct storage_id *id,
                                struct storage_shard **ret) KN_MUSTUSE; /* the round's lock held */
int storage_shard_load(struct storage_shards *shards, const struct storage_id *id,
                       struct storage_shard **ret) KN_MUSTUSE; /* a reference; -ENOENT dropped */
/* Room for so many more. */
int storage_shard_tail_reserve_locked(struct storage_shard *shard, size_t more) KN_MUSTUSE;
/* Its batches come into the processor's cache side by side, not one after the other. */
void storage_shard_tail_fetch_locked(const struct storage_shard *shard);
/* Room was reserved. Takes the reference to the batch. */
void storage_shard_tail_push_locked(struct storage_shard *shard, struct storage_batch *batch);
void storage_shards_stop(struct storage_shards *shards);

#endif
