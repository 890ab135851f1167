/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sums of a long stream's sealed chunks over a restart, so that its rows need not all be read
 * to know them: value "cs/<stream id>" of the catalogue, written at an orderly end.
 *
 * Each carries the identity of the end that wrote it, and so does the mark of a clean end. A start
 * takes that mark away before any row may change. So such sums are believed by the one start that
 * follows that end, and by no other: after a crash, or when another version of the server has been
 * at the folder, rows are counted anew. A wrong sum is worse than a slow one.
 */
#ifndef STORAGE_SRC_SUMS_H
#define STORAGE_SRC_SUMS_H

#include "log.h"

/* The mark. Takes it away; 0 and storage.last_end tells whose it was (zeros: nobody's sums), or
 * -ENOENT: the last run did not end in order. */
int storage_clean_mark_take(struct storage *storage) KN_MUSTUSE;
/* Before rows of sealed chunks change: it may have been impossible at the start. */
int storage_clean_mark_ensure_gone(struct storage *storage) KN_MUSTUSE;

/* Before anything else is known of the log's chunks; slow is held. What cannot be believed, or not
 * be read, is as if it were not there. */
void storage_sums_recall(struct storage_log *log);
/* The orderly end: sums of all streams that have many chunks and are known, then the mark. When
 * nothing can change any more. */
void storage_clean_end(struct storage *storage);

struct kn_bytes storage_sums_key(const struct storage_id *stream,
                                 char dst[STORAGE_CHUNK_KEY_BYTES]);

#endif
