/* SPDX-License-Identifier: Apache-2.0 */
/* Walking the chunks of a log while its lock is held, opening sealed ones on the way. */
#ifndef STORAGE_SRC_CURSOR_H
#define STORAGE_SRC_CURSOR_H

#include "log.h"

/* How far back a question looks: chunks named before `seq`, and fragments before `from_ms`, do not
 * matter to it. Either is enough. */
struct storage_reach {
    uint64_t seq;
    int64_t from_ms;
};

struct storage_cursor {
    struct storage_log *log;
    bool nowait;
    struct storage_chunk *pin; /* a reference: the chunk last acquired */
    /* What retention hides before it is removed: fragments begun before floor_ts_ms, but for those
     * in rows that a hold keeps. exempt: there may be such rows. */
    int64_t floor_ts_ms;
    bool exempt;
};

/* Finds the log, loads what reach asks for (NULL: all) if need be, and takes its lock. -ENOENT: no
 * such stream, or it is being deleted; -EAGAIN with nowait. On success storage_cursor_close gives
 * the lock back. */
int storage_cursor_open(struct storage *storage, const struct storage_id *stream, bool nowait,
                        const struct storage_reach *reach, struct storage_cursor *ret) KN_MUSTUSE;
/* Whether the directory that is in memory reaches as far. */
bool storage_cursor_reaches(const struct storage_cursor *c, const struct storage_reach *reach);
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
