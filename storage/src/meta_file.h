/* SPDX-License-Identifier: Apache-2.0 */
/* The catalogue's file, before LMDB opens it for good. */
#ifndef STORAGE_SRC_META_FILE_H
#define STORAGE_SRC_META_FILE_H

#include "core/base.h"

/* Makes the folder, and in it an empty catalogue if there is none. All of it is durable when it
 * returns, or there is none: LMDB itself writes a new file in place, and a power cut in the midst
 * of that leaves one that can never be opened. ret_what: what failed, for the message. */
int storage_meta_file_make(const char *dir, const char **ret_what) KN_MUSTUSE;

/* Writes the two roots, as they are read, to the disk again. After a failed write of one, the
 * kernel may show another than the disk holds; whoever went on from it could overwrite pages that
 * the disk's root still names. Only while nobody else writes: in a transaction. */
int storage_meta_file_settle(const char *dir, size_t page_bytes) KN_MUSTUSE;

#endif
