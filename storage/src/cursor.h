/* SPDX-License-Identifier: Apache-2.0 */
/* Walking the chunks of a log while its lock is held, opening sealed ones on the way. */
#ifndef STORAGE_SRC_CURSOR_H
#define STORAGE_SRC_CURSOR_H

#include "log.h"

struct storage_cursor {
    struct storage_log *log;
    bool nowait;
    struct storage_chunk *pin; /* a reference: the chunk last acquired */
    /* What retention hides before it is removed: fragments begun before floor_ts_ms, but for those
     * in rows that a hold keeps. exempt: there may be such rows. */
    int64_t floor_ts_ms;
    bool exempt;
};

/* Finds the log, loads it if need be, and takes its lock. -ENOENT: no such stream, or it is being
 * deleted; -EAGAIN with nowait. On success storage_cursor_close gives the lock back. */
int storage_cursor_open(struct storage *storage, const struct storage_id *stream, bool nowait,
                        struct storage_cursor *ret) KN_MUSTUSE;
void storage_cursor_close(struct storage_cursor *c);

/* The age floor for this row's fragments. */
int64_t storage_cursor_floor(const struct storage_cursor *c, const struct storage_chunk_row *row);

/* The chunk of a row, borrowed until the next call. 0; 1: the lock was released meanwhile and the
 * row may be gone: look again, the next call will not wait; -EAGAIN; -ENOENT and -EBADMSG: its file
 * is missing or damaged, pass over it; -EIO; -ENOMEM. */
int storage_cursor_chunk(struct storage_cursor *c, const struct storage_chunk_row *row,
                         struct storage_chunk **ret) KN_MUSTUSE;

/* Index of the first entry with seq greater than, or server time at or after; count when none. */
uint32_t storage_index_after_seq(const struct storage_index *index, uint64_t seq);
uint32_t storage_index_at_server(const struct storage_index *index, int64_t ts_ms);
/* First entry whose producer time is at least ts; only when producer_ascends. */
uint32_t storage_index_at_producer(const struct storage_index *index, int64_t ts_ms);
void storage_cursor_fragment(const struct storage_chunk *chunk, uint32_t at,
                             struct storage_fragment *ret);

#endif
