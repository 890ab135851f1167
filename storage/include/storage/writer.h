/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer of a stream: one at a time. header → (begin → part* → commit | abort)*.
 *
 * Nothing here blocks: bytes go by ownership to the I/O threads, results come back by callback, in
 * the order submitted. A commit's callback with 0 means: data, index record and directory entries
 * are on disk (retention > 0) and the fragment is visible to every reader.
 */
#ifndef STORAGE_WRITER_H
#define STORAGE_WRITER_H

#include "storage/fragment.h"

struct storage_writer;

struct storage_writer_events { /* called on storage's threads, without its locks held, but: */
    /* For each commit, once, in order. result 0; -ESTALE fenced; -ENOSPC; -EIO; -ETIMEDOUT outcome
     * unknown. duplicate: it equals one already stored, whose number `fragment` then carries. */
    void (*committed)(void *ctx, const struct storage_fragment *fragment, bool duplicate,
                      int result);
    void (*writable)(void *ctx); /* a short part, or a begin that said -EAGAIN, may be repeated */
    /* See storage_writer_ask_followed. On a reader's thread with locks held: must only post a
     * message. */
    void (*followed)(void *ctx);
};

/* Takes the stream. -EBUSY: there is another writer and !fence. With fence the other one's calls
 * and pending commits fail with -ESTALE from now on. -ENOENT no such stream, -ENOSPC. Never blocks:
 * what must be read or reserved first is done by the I/O threads before the first commit. */
int storage_writer_open(struct storage *storage, const struct storage_id *stream, bool fence,
                        const struct storage_writer_events *events, void *ctx,
                        struct storage_writer **ret) KN_MUSTUSE;
/* An open fragment is aborted; commits still run and call back; then `closed` is called (may be
 * NULL), after which ctx is not used any more. */
void storage_writer_close(struct storage_writer *w, void (*closed)(void *ctx));

/* The header the following fragments belong to: EBML, Segment, Info, Tracks, as sent. Copied. The
 * same bytes but for SegmentUID, with rising timecodes, continue the open chunk; others roll it. */
int storage_writer_header(struct storage_writer *w, struct kn_bytes bytes,
                          const struct kn_mkv_header *parsed) KN_MUSTUSE;

struct storage_begin {
    int64_t producer_ts_ms;
    uint64_t timecode;
    uint32_t flags; /* of storage_fragment_flags: DISCONTINUITY, RELATIVE */
};
/* Opens a fragment and gives it its number and server time; at most one open. -EAGAIN: numbers are
 * being reserved on disk (at a stream's first upload); `writable` will be called, then try again.
 * -ESTALE, -ENOSPC, -EIO. */
int storage_writer_begin(struct storage_writer *w, const struct storage_begin *begin,
                         struct storage_fragment *ret) KN_MUSTUSE;

/* Takes bytes of the open fragment: a count, 0 … len. Fewer than len: the stream's or the node's
 * budget is spent; `writable` will be called. < 0: -ESTALE, -ENOSPC, -EIO; abort is then due. */
ssize_t storage_writer_part(struct storage_writer *w, const void *ptr, size_t len) KN_MUSTUSE;

/* All bytes handed over so far end at a whole element: readers may see up to here. frame: the block
 * that ends here, NULL for other elements. */
int storage_writer_mark(struct storage_writer *w, const struct storage_frame *frame) KN_MUSTUSE;

/* Somebody waits for what comes next (storage_tail_gate): it should be handed over at once. */
bool storage_writer_is_followed(struct storage_writer *w);
/* The same; if nobody does, `followed` is called once somebody begins to. */
bool storage_writer_ask_followed(struct storage_writer *w);

struct storage_commit {
    uint32_t cluster_offset; /* bytes of Tags before the Cluster */
    uint64_t cluster_bytes;
    uint32_t duration_ms, full_duration_ms;
    uint32_t flags;  /* END_TAG */
    bool flush_soon; /* do not linger for company: an acknowledgement is waited for */
};
int storage_writer_commit(struct storage_writer *w, const struct storage_commit *commit) KN_MUSTUSE;
void storage_writer_abort(struct storage_writer *w); /* drops the open fragment; none: no-op */

#endif
