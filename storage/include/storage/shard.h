/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of a shard: records in order, appended in batches that are on disk before `done` says so.
 *
 * A record's index is its place in the shard: it only grows, also across restarts; a failed flush
 * may leave a gap. Its arrival (wall ms) never falls from one record to the next. What a shard, a
 * stream, a partition key's hash or a sequence number is, the module datastream/ knows; here are
 * bytes.
 *
 * Batches of all shards go to one journal (zero-written, recycled), one flush for all that waited;
 * checkpoints write them out to the shards' own segment files. An idle shard has no file open and
 * no buffer. On disk: docs/format-shard.md.
 */
#ifndef STORAGE_SHARD_H
#define STORAGE_SHARD_H

#include "core/gate.h"
#include "storage/meta.h"
#include "storage/storage.h"

enum {
    STORAGE_SHARD_RECORD_BYTES_MAX = (10 << 20) + 4096, /* key and data */
    STORAGE_SHARD_KEY_BYTES_MAX = 1024,                 /* 256 characters */
    STORAGE_SHARD_SOURCES_MAX = 20000                   /* of one shard: 24 bytes each in its row */
};

/* A source that must be recorded exactly once (fragment events): its sequence commits with the
 * record. */
struct storage_shard_source {
    struct storage_id id;
    uint64_t seq;
};

struct storage_shard_record {
    uint64_t index;
    int64_t arrival_ms;
    struct kn_str key; /* ptr NULL: none was given */
    struct kn_bytes data;
    uint8_t tag; /* the caller's own byte: how it is encrypted */
};

/* --- the logs of a data folder ---------------------------------------------------------------- */
struct storage_shard_conf {          /* every member is a row of storage_shard_conf_keys */
    uint64_t journal_bytes;          /* of one journal */
    uint64_t journal_count;          /* at most so many */
    uint64_t shard_memory_bytes_max; /* batches under way, and what the journals hold */
    uint64_t segment_bytes_max;
    uint64_t segment_ms_max;
    uint64_t pack_bytes_max;    /* who has no more goes to a file with others, if there are */
    uint64_t pack_shards_min;   /* so many of them */
    uint64_t direct_bytes_min;  /* so much at once is written past the page cache */
    uint64_t open_segments_max; /* kept open for reading */
};
extern const struct kn_conf_key storage_shard_conf_keys[];
extern const size_t storage_shard_conf_key_count;

struct storage_shards_report {
    uint64_t journals, batches, records; /* found in journals */
    uint64_t
        bad_frames;     /* damage where acknowledged records were: stretches passed over and said */
    uint64_t bad_bytes; /* in them */
};
/* Reads the journals; once a storage, before any other call here. storage_close stops it. Blocks.
 * Cost: by what the journals hold, not by the archive. */
int storage_shards_start(struct storage *storage, const struct storage_shard_conf *conf,
                         struct storage_shards_report *ret_report, struct kn_err *err) KN_MUSTUSE;

/* --- a shard ---------------------------------------------------------------------------------- */
struct storage_shard; /* reference counted */
/* Makes it if it does not exist yet (creation is durable with its first batch). It is in memory
 * while somebody holds it or records of it are in a journal. retention_ms: what is older is not
 * read, and is removed in whole segments, whether or not anybody has it open. -ENOENT: dropped.
 * Blocks. */
int storage_shard_open(struct storage *storage, const struct storage_id *id, int64_t retention_ms,
                       struct storage_shard **ret) KN_MUSTUSE;
void storage_shard_ref(struct storage_shard *shard);
void storage_shard_unref(struct storage_shard *shard);
void storage_shard_set_retention(struct storage_shard *shard, int64_t retention_ms);
/* The same for shards that may not be open, durable when it returns: what nobody opens is removed
 * by what was said last. Those that do not exist yet are passed over. Blocks. */
int storage_shards_store_retention(struct storage_meta *meta, const struct storage_id *ids,
                                   size_t count, int64_t retention_ms) KN_MUSTUSE;
/* Removes all of it, for ever: opening it is answered -ENOENT, and so are appends and reads of
 * those who hold it. Idempotent. Blocks. */
int storage_shard_drop(struct storage *storage, const struct storage_id *id) KN_MUSTUSE;

/* --- appending -------------------------------------------------------------------------------- */
/* Records of one shard on their way, laid out as they will lie in the journal: the caller decodes
 * straight into it. Under the node's budget. */
struct storage_batch;
/* -ENOBUFS: the budget is spent. */
int storage_batch_new(struct storage *storage, struct storage_batch **ret) KN_MUSTUSE;
/* The batches of one call lie side by side in rooms, the caller's alone until it leaves the last.
 * NULL: it has none yet. */
struct storage_room;
void storage_room_leave(struct storage *storage, struct storage_room *room); /* or NULL */
/* With room for so many records at once; no more than a hint. *room: the caller's, it may become
 * another. -ENOBUFS, -EMSGSIZE, -ENOMEM. */
int storage_batch_new_for(struct storage *storage, struct storage_room **room, size_t count,
                          size_t key_and_data_bytes, struct storage_batch **ret) KN_MUSTUSE;
void storage_batch_free(struct storage_batch *batch);
/* Room for one more record. source: NULL, none. *ret_dst: data_max bytes to be filled before the
 * next call on the batch; valid until then. -ENOBUFS, -EMSGSIZE. */
int storage_batch_add(struct storage_batch *batch, struct kn_str key, uint8_t tag,
                      const struct storage_shard_source *source, size_t data_max, uint8_t **ret_dst)
    KN_MUSTUSE;
/* Of the record just added: it has less data after all; it is taken back. */
void storage_batch_trim(struct storage_batch *batch, size_t data_bytes);
void storage_batch_undo(struct storage_batch *batch);
size_t storage_batch_count(const struct storage_batch *batch);
size_t storage_batch_bytes(const struct storage_batch *batch); /* of keys and data */

/* Called on a storage thread, no lock held. result 0: on disk and visible to every reader; the
 * records have the indexes first_index … first_index + count - 1. -ENOSPC, -EIO, -ENOMEM: they
 * never come (of this shard, when only its own files cannot be written); -ETIMEDOUT outcome
 * unknown; -ESHUTDOWN closed; -ENOENT dropped; -EDQUOT: a source beyond
 * STORAGE_SHARD_SOURCES_MAX. */
typedef void storage_appended_fn(void *ctx, uint64_t first_index, int64_t arrival_ms, int result);
/* Takes the batch. Never blocks. The callbacks of a shard come in the order of its appends. */
void storage_shard_append(struct storage_shard *shard, struct storage_batch *batch,
                          storage_appended_fn *done, void *ctx);
/* Several, to any shards of one storage, that are in the queue at once and so share a flush. Each
 * is appended with the others first; nothing has begun until append_all, which leaves the list
 * empty. Takes the reference to the shard too. */
struct storage_appends {
    struct storage_batch *first, *last; /* NULL: none */
};
void storage_shard_append_with(struct storage_shard *shard, struct storage_batch *batch,
                               storage_appended_fn *done, void *ctx,
                               struct storage_appends *others);
void storage_shard_append_all(struct storage_appends *appends);
/* No more appends, for ever (a split or merge): durable when it returns; *ret_end: index after its
 * last record. Idempotent. Blocks. */
int storage_shard_close(struct storage_shard *shard, uint64_t *ret_end) KN_MUSTUSE;
/* The same for many, which share their flush. The first error; others are closed in spite of it. */
int storage_shard_close_all(struct storage_shard *const *shards, size_t count) KN_MUSTUSE;
/* Whether appends were answered with -ETIMEDOUT and no journal says yet what became of them: a
 * start might find them. The next append that is written, to whatever shard, ends it. */
bool storage_shards_in_doubt(struct storage *storage);
/* The newest seq of that source in the shard, 0: none. */
uint64_t storage_shard_source_seq(struct storage_shard *shard, const struct storage_id *source);
/* Nothing of it will ever be appended again (its stream has been deleted): its place is free. It
 * may be met again after a restart: call it again then. */
void storage_shard_source_gone(struct storage_shard *shard, const struct storage_id *source);

/* Before the shard's first record: what sources were recorded in `from`, a parent that is closed,
 * counts as recorded in it too. Durable when it returns. Blocks. */
int storage_shard_inherit(struct storage *storage, const struct storage_id *id,
                          struct storage_shard *from) KN_MUSTUSE;

/* --- reading ---------------------------------------------------------------------------------- */
struct storage_shard_ends {
    uint64_t oldest;               /* nothing before it is read; == next: there is none */
    uint64_t next;                 /* index of the next record to come */
    int64_t oldest_ms, newest_ms;  /* arrivals; 0: none */
    uint64_t bytes, records;       /* kept */
    uint64_t bytes_in, records_in; /* appended since it was made, kept or not */
    bool closed;
};
void storage_shard_ends(struct storage_shard *shard, struct storage_shard_ends *ret);
/* Moves when something has been appended or the shard closed. Lives as long as the shard. */
struct kn_gate *storage_shard_gate(struct storage_shard *shard);
/* The first record that arrived at ms or later; == next: none yet. nowait: -EAGAIN when the disk is
 * needed. */
int storage_shard_find(struct storage_shard *shard, int64_t ms, bool nowait, uint64_t *ret_index)
    KN_MUSTUSE;

/* Whole records in order: views into memory that the page holds. */
struct storage_page {
    size_t count;
    const struct storage_shard_record *records;
    size_t bytes;  /* of keys and data */
    uint64_t next; /* where the next read begins, also after a page without records */
    bool at_end;   /* nothing after these */
    struct storage_page_hold *hold;
};
struct storage_shard_read {
    uint64_t from; /* before the oldest: begins at the oldest */
    size_t count_max;
    size_t bytes_max; /* at least one record is returned if there is one */
    bool nowait;      /* -EAGAIN when the disk is needed: ask again on a worker */
};
int storage_shard_read(struct storage_shard *shard, const struct storage_shard_read *read,
                       struct storage_page *ret) KN_MUSTUSE;
void storage_page_free(struct storage_page *page);

#endif
