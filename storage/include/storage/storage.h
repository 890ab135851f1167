/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One data folder: opening it, recovering it, and what it needs from outside.
 *
 *   DIR/kinema.lock          held by the server
 *   DIR/catalogue/           LMDB: streams, keys, one entry a chunk (storage/meta.h)
 *   DIR/chunks/<stream id>/<yyyymmdd>/<first number>.mkv
 *   DIR/ballast              released when the disk is full, so that deletion can commit
 */
#ifndef STORAGE_STORAGE_H
#define STORAGE_STORAGE_H

#include <string.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"
#include "core/fs.h"

struct storage;

enum storage_flush_volume_choice { /* are groups of many chunks flushed by one call for the volume?
                                    */
    STORAGE_FLUSH_VOLUME_AUTO,     /* when the data folder is a volume of its own */
    STORAGE_FLUSH_VOLUME_YES,
    STORAGE_FLUSH_VOLUME_NO,
};

struct storage_conf { /* every member is a row of storage_conf_keys */
    uint64_t io_threads;
    uint64_t flush_threads; /* flush chunks side by side */
    int flush_volume;       /* enum storage_flush_volume_choice */
    uint64_t flush_volume_files_min;
    uint64_t chunk_bytes_max;
    uint64_t chunk_ms_max;
    uint64_t part_bytes;       /* gathered before a write: 256 KiB */
    uint64_t window_bytes_max; /* unwritten and in flight, one stream */
    uint64_t window_total_bytes_max;
    uint64_t linger_ms;             /* most a commit waits for company */
    uint64_t volume_free_bytes_min; /* the floor below which ingest stops */
    uint64_t volume_margin_bytes;   /* above it: the oldest chunks go when less than both is free */
    uint64_t stream_bytes_max;      /* of a stream that has no limit of its own; 0: none */
    uint64_t ballast_bytes;
    uint64_t catalogue_bytes_max;    /* LMDB map size */
    uint64_t open_chunks_max;        /* cached for reading */
    uint64_t directory_bytes_max;    /* memory of rows of old chunks, all streams */
    uint64_t retention_slice_chunks; /* unlinked in one go */
    uint64_t retention_interval_ms;
    uint64_t memory_stream_bytes_max; /* retention 0: 200 MB */
    uint64_t memory_stream_ms_max;    /* retention 0: 5 minutes */
};
extern const struct kn_conf_key storage_conf_keys[];
extern const size_t storage_conf_key_count;

/* What opening found and did; said in the log and in metrics. */
struct storage_report {
    bool clean; /* the last run ended in order */
    uint64_t streams;
    uint64_t chunks;
    uint64_t chunks_recovered;    /* were open when the last run ended */
    uint64_t fragments_recovered; /* found in those */
    uint64_t tail_bytes_cut;      /* unfinished bytes after the last whole fragment */
    uint64_t bad_records;         /* damage in the middle: kept, reported */
    uint64_t unknown_files;       /* reported, never deleted */
    int64_t took_ms;
};

/* Blocks. -EBUSY: another server has the folder. fs and clock outlive the storage. */
int storage_open(const char *dir, const struct storage_conf *conf, struct kn_fs *fs,
                 struct kn_clock *clock, struct storage **ret, struct storage_report *ret_report,
                 struct kn_err *err) KN_MUSTUSE;
/* Commits or aborts what is in flight, seals open chunks, stops the threads. All writers must have
 * been closed. Blocks. */
void storage_close(struct storage *storage);

const char *storage_dir(struct storage *storage);
struct kn_clock *storage_clock(struct storage *storage);

/* What is wrong now, as bits; what is stored is served all the same. Any thread, from memory. */
enum storage_ailment {
    STORAGE_VOLUME_FULL = 1 << 0,         /* uploads and records are refused */
    STORAGE_CATALOGUE_FAILED = 1 << 1,    /* the last change could not be written */
    STORAGE_RETENTION_EXHAUSTED = 1 << 2, /* short of space, and nothing may be removed */
};
unsigned storage_ailments(struct storage *storage);

/* A random identity, also the folder's name; never derived from a stream's name. */
struct storage_id {
    uint8_t bytes[16];
};
enum {
    STORAGE_ID_TEXT_BYTES = 33
};
static inline int storage_id_cmp(const struct storage_id *a, const struct storage_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}
void storage_id_text(const struct storage_id *id, char dst[STORAGE_ID_TEXT_BYTES]);

/* --- verifying and showing: `kinema check` and `kinema dump` -------------------------------- */
typedef void storage_say_fn(void *ctx, const char *line);
struct storage_check_result {
    uint64_t streams, chunks, fragments, bytes, problems;
    uint64_t shards, segments, records; /* of data streams */
};
struct storage_look {
    struct kn_fs *fs;
    struct kn_clock *clock; /* how long to try what the disk refuses to read: 10 s in all */
    storage_say_fn *say;
    void *ctx;
};
/* Reads every chunk, segment and needed journal whole and compares records, checksums and
 * catalogue. -EBUSY: a server holds it. Changes nothing. Says one line a problem, and progress: a
 * sector that cannot be read is one, and the rest is read. */
int storage_check(const char *dir, const struct storage_look *look,
                  struct storage_check_result *ret, struct kn_err *err) KN_MUSTUSE;
/* A chunk file in words: header, fragments, records, frames; or a journal or segment of shards: its
 * frames, and with `frames` their records. -EIO: some of it cannot be read, and the rest is said.
 */
int storage_dump(const char *path, const struct storage_look *look, bool frames, struct kn_err *err)
    KN_MUSTUSE;

#endif
