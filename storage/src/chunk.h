/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One chunk: its file, its index, and, while it is open, where the next bytes go. A sealed chunk in
 * the cache is the same struct with nothing left to plan.
 */
#ifndef STORAGE_SRC_CHUNK_H
#define STORAGE_SRC_CHUNK_H

#include "format.h"
#include "storage_internal.h"

#include "core/fs.h"

enum {
    STORAGE_CHUNK_PATH_BYTES_MAX = 4096
};

enum storage_chunk_state {
    STORAGE_CHUNK_OPEN,
    STORAGE_CHUNK_CLOSING, /* its seal is under way, or due after a restart */
    STORAGE_CHUNK_SEALED,
    STORAGE_CHUNK_FENCED, /* a write or flush failed: kept as it is until the next start */
};

struct storage_chunk {
    _Atomic unsigned refs;
    struct storage *storage;
    struct storage_id stream;
    bool memory;
    uint32_t seed;
    uint32_t cue_track; /* the track that the Cues name */
    uint32_t segment;   /* offset of the Segment's first child, which is the head record */

    /* Guarded by the log's lock. */
    enum storage_chunk_state state;
    uint32_t arrivals; /* fragments on their way into it */
    bool seal_queued;
    bool
        unflushed; /* recovered: what it holds may lie in the page cache only, until it is sealed */
    struct storage_index index; /* visible fragments; immutable once sealed */
    uint64_t durable_upto;
    uint64_t plan_end; /* where the next bytes go */
    uint32_t plan_count;
    uint32_t plan_headers;
    uint64_t plan_hashes[STORAGE_CHUNK_HEADERS_MAX];
    uint64_t tracks_hash;
    uint64_t last_timecode;
    int64_t first_server_ts_ms, last_server_ts_ms;
    uint64_t fragment_bytes_max; /* largest so far */

    /* The first failure; sticks. Set with the log's lock held, read anywhere. */
    _Atomic int error;

    /* The stream's I/O job, then immutable. */
    struct kn_file *file; /* NULL until created */
    uint64_t tail;        /* end of the last good record or header */
    uint64_t previous;    /* offset of the last record */
    uint64_t allocated;
    uint32_t written; /* records; the I/O thread's own count, the index's is under the lock */
    /* With the lock held, by the I/O job: */
    uint64_t sealed_bytes; /* size of the file, once the footer is written */
    uint64_t footer_offset;

    /* The committer's list, guarded by its lock. */
    struct storage_chunk *flush_next;
    struct storage_log *flush_log; /* whose it is */
    bool flush_queued;

    /* The cache of sealed chunks, guarded by storage.lock. */
    struct storage_chunk *newer, *older;
    bool cached;
};

int storage_chunk_new(struct storage *storage, const struct storage_chunk_head *head, bool memory,
                      struct storage_chunk **ret) KN_MUSTUSE;
struct storage_chunk *storage_chunk_ref(struct storage_chunk *chunk);
void storage_chunk_unref(struct storage_chunk *chunk);
KN_DEFINE_CLEANUP(struct storage_chunk *, storage_chunk_unref)

/* DIR/chunks/<stream>, …/<yyyymmdd>, …/<number>.mkv */
struct storage_chunk_path {
    char stream[STORAGE_CHUNK_PATH_BYTES_MAX];
    char day[STORAGE_CHUNK_PATH_BYTES_MAX];
    char file[STORAGE_CHUNK_PATH_BYTES_MAX];
};
int storage_chunk_path_of(const char *dir, const struct storage_id *stream,
                          const struct storage_number *name, struct storage_chunk_path *ret)
    KN_MUSTUSE;

/* Removes the file, durably: only then may its key go. 0 also when it is not there. */
int storage_chunk_unlink(struct kn_fs *fs, const struct storage_chunk_path *path) KN_MUSTUSE;
/* Removes the folders of a stream without chunks, durably; those with files of others stay. */
int storage_chunk_remove_folders(struct storage *storage, const struct storage_id *stream)
    KN_MUSTUSE;

/* What a chunk begins with: EBML, Segment, head record, room for a SeekHead, header record, and the
 * sender's elements with SeekHead, Cues, CRC and Void-able rest voided. */
int storage_chunk_image(struct storage_chunk *chunk, struct kn_bytes header, struct kn_buf *out,
                        struct storage_chunk_header *ret) KN_MUSTUSE;
/* A further sender's header, as a record that will lie at offset. */
int storage_chunk_header_record(const struct storage_chunk *chunk, struct kn_bytes header,
                                uint64_t offset, struct kn_buf *out,
                                struct storage_chunk_header *ret) KN_MUSTUSE;
uint64_t storage_chunk_header_record_bytes(struct kn_bytes header);
/* Names what must be equal for a session to continue a chunk: TimestampScale and Tracks. */
uint64_t storage_chunk_tracks_hash(struct kn_bytes header);

/* What this run knows to be on disk of a stream's folders, and need not flush again. */
struct storage_folders {
    bool stream; /* its name in chunks/ */
    char day[9]; /* this day's name in the stream's folder; "" */
};
/* Makes and flushes the folders of a stream that is just being made, so that its first upload need
 * not: the stream's, and this day's, since a stream is made to be uploaded to. Returns what of them
 * is on disk. */
struct storage_folders storage_chunk_make_folders(struct storage *storage,
                                                  const struct storage_id *stream);
/* Creates the file with image, and flushes its folders. The caller has stored the intent. */
int storage_chunk_create(struct storage_chunk *chunk, struct kn_bytes image,
                         struct storage_folders *folders) KN_MUSTUSE;
/* Room for bytes up to end, in steps, and for the footer. */
int storage_chunk_allocate(struct storage_chunk *chunk, uint64_t end) KN_MUSTUSE;
/* Overwrites the start of [offset, offset + bytes) with a Void head that spans it. */
int storage_chunk_void(struct storage_chunk *chunk, uint64_t offset, uint64_t bytes) KN_MUSTUSE;
/* Cuts at the tail, writes Cues and footer and the SeekHead; not flushed. The index is complete. */
int storage_chunk_seal(struct storage_chunk *chunk, uint64_t *ret_footer_offset,
                       uint64_t *ret_bytes) KN_MUSTUSE;

/* Fills the index of an open file from its footer; 0: find it by the trailer. -EBADMSG. */
int storage_chunk_read_footer(struct storage_chunk *chunk, uint64_t footer_offset) KN_MUSTUSE;
/* Opens a sealed chunk and reads its footer. footer_offset 0: find it by the trailer. */
int storage_chunk_open_sealed(struct storage *storage, const struct storage_id *stream,
                              const struct storage_number *name, uint64_t footer_offset,
                              struct storage_chunk **ret) KN_MUSTUSE;
/* The same in two steps: only the file; then its footer. -EAGAIN with nowait: it is not in memory,
 * and the disk has been asked for it. */
int storage_chunk_open_file(struct storage *storage, const struct storage_id *stream,
                            const struct storage_number *name, struct storage_chunk **ret)
    KN_MUSTUSE;
int storage_chunk_load_sealed(struct storage_chunk *chunk, uint64_t footer_offset, bool nowait)
    KN_MUSTUSE;

#endif
