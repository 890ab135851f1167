/* SPDX-License-Identifier: Apache-2.0 */
/* The catalogue's file, before LMDB opens it for good. */
#ifndef STORAGE_SRC_META_FILE_H
#define STORAGE_SRC_META_FILE_H

#include "core/base.h"

/* Makes the folder, and in it an empty catalogue if there is none. All of it is durable when it
 * returns, or there is none: LMDB itself writes a new file in place, and a power cut in the midst
 * of that leaves one that can never be opened. ret_what: what failed, for the message. */
int storage_meta_file_make(const char *dir, const char **ret_what) KN_MUSTUSE;

#endif
