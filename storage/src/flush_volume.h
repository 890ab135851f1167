/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flushes many files by one call for the volume they are on (syncfs), where that is the data
 * folder's own: on a shared one the call waits for what others write. See
 * docs/decisions/0006-one-flush-for-a-volume.md.
 */
#ifndef STORAGE_SRC_FLUSH_VOLUME_H
#define STORAGE_SRC_FLUSH_VOLUME_H

#include "core/fs.h"
#include "storage/storage.h"

struct storage_flush_volume {
    struct kn_file *volume; /* NULL: each file is flushed by itself */
    size_t files_min;
};

/* Decides, and says so in the log. What fails here leaves each file to be flushed by itself. */
void storage_flush_volume_open(struct storage_flush_volume *v, const char *dir, struct kn_fs *fs,
                               const struct storage_conf *conf);
void storage_flush_volume_close(struct storage_flush_volume *v);
/* Of files of the volume, and others whose flush costs nothing. */
bool storage_flush_volume_wants(const struct storage_flush_volume *v, size_t count);
/* An error is of all the files, and perhaps of others that were dirty: the kernel tells of it once.
 * So the volume must be closed then; each file's own flush tells what befell that file. */
int storage_flush_volume_sync(const struct storage_flush_volume *v, struct kn_file *const *files,
                              int *results, size_t count) KN_MUSTUSE;

#endif
