/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that are played as cameras are: below one folder, by the kernel's own word for it, so that
 * neither a path nor a link leads out; and of three kinds, told by their first bytes.
 */
#ifndef INGEST_CAMERA_MEDIA_FILE_H
#define INGEST_CAMERA_MEDIA_FILE_H

#include <limits.h>

#include "core/bytes.h"

enum {
    CAMERA_FOLDER_NAMES_MAX = 20000, /* but for those that begin with a dot */
};

struct camera_media_file {
    int fd;                  /* to be closed */
    const char *demuxer;     /* GStreamer's name of what takes it apart */
    char name[NAME_MAX + 1]; /* within its folder; empty: the path is of a file */
};

/* Opens the file of a whole path that lies below root, or the first of a folder, by name, that
 * comes after `after` (empty: the first of all) and is of one of these kinds; names that begin with
 * a dot are passed over, and so is what cannot be opened.
 * -EXDEV: it is not below root, or a link leads out; -ENOENT; -EACCES; -EINVAL: neither file nor
 * folder; -ENODATA: of none of these kinds, or the folder has none, or no more; -E2BIG: the folder
 * has more names than CAMERA_FOLDER_NAMES_MAX; -ENOMEM; -EIO. Blocks on the disk. */
int camera_media_file_open(const char *root, const char *path, const char *after,
                           struct camera_media_file *ret) KN_MUSTUSE;

#endif
