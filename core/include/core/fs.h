/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All file I/O of the data folder passes this table, so that a test can be the disk.
 * (LMDB does its own; see docs/decisions.) Every function is safe on any thread; all may block
 * except where NOWAIT is said. Results: 0 or more, or a negative errno of core/err.h.
 */
#ifndef CORE_FS_H
#define CORE_FS_H

#include <sys/types.h>
#include <sys/uio.h>

#include "core/bytes.h"

struct kn_file;
struct kn_fs;

enum {
    KN_FS_BLOCK_BYTES = 4096,
};

enum kn_fs_open_flags {
    KN_FS_READ = 0,      /* read only */
    KN_FS_WRITE = 1,     /* read and write */
    KN_FS_CREATE = 2,    /* with WRITE: create if absent, mode 0600 */
    KN_FS_EXCLUSIVE = 4, /* with CREATE: -EEXIST if present */
    /* With WRITE, for one thread at a time: writes and reads whose buffers, lengths and places are
     * multiples of KN_FS_BLOCK_BYTES go past the cache where the file system can. */
    KN_FS_DIRECT = 8,
};

struct kn_fs_space {
    uint64_t total_bytes;
    uint64_t free_bytes; /* for us, reserved blocks excluded */
    uint64_t free_inodes;
};

/* name is valid for the call; a negative result stops the walk and is returned */
typedef int kn_fs_entry_fn(void *ctx, const char *name, bool is_dir);

struct kn_fs_ops {
    int (*open)(struct kn_fs *fs, const char *path, int flags, struct kn_file **ret);
    int (*mkdir)(struct kn_fs *fs, const char *path); /* 0700; -EEXIST */
    int (*rename)(struct kn_fs *fs, const char *from, const char *to);
    int (*unlink)(struct kn_fs *fs, const char *path);
    int (*rmdir)(struct kn_fs *fs, const char *path);
    int (*sync_dir)(struct kn_fs *fs, const char *path);
    int (*list)(struct kn_fs *fs, const char *path, kn_fs_entry_fn *entry, void *ctx);
    int (*space)(struct kn_fs *fs, const char *path, struct kn_fs_space *ret);

    void (*close)(struct kn_file *file);
    ssize_t (*preadv)(struct kn_file *file, const struct iovec *iov, int n, uint64_t off,
                      bool nowait); /* nowait: -EAGAIN when it is not in memory */
    ssize_t (*pwritev)(struct kn_file *file, const struct iovec *iov, int n, uint64_t off);
    int (*allocate)(struct kn_file *file, uint64_t off, uint64_t len); /* keeps the size */
    int (*truncate)(struct kn_file *file, uint64_t len);
    int (*sync_start)(struct kn_file *file); /* begin write-back, do not wait */
    int (*sync)(struct kn_file *file);       /* fdatasync */
    /* sync, then forget what is cached: what is read next is what the disk holds. After a flush
     * that failed in an earlier life the cache shows bytes that are not there. */
    int (*settle)(struct kn_file *file);
    int (*size)(struct kn_file *file, uint64_t *ret);
    int (*fd)(struct kn_file *file); /* for sendfile; -1 when there is none */

    /* The volume that a folder is on, as a file that is good for sync_volume and close alone;
     * own: nobody else is likely to use it. -EOPNOTSUPP: the kernel does not tell sync_volume of
     * failed writes. */
    int (*open_volume)(struct kn_fs *fs, const char *path, bool *ret_own, struct kn_file **ret);
    /* Writes what is dirty of every file and folder of it. An error that befell any of them since
     * the volume was opened, or since the last call, is told, once. What the disk itself caches
     * stays there until the sync of a file. */
    int (*sync_volume)(struct kn_file *volume);
};

struct kn_fs {
    const struct kn_fs_ops *ops;
};

struct kn_file {
    struct kn_fs *fs;
};

struct kn_fs *kn_fs_system(void); /* the real one; static */

/* Whole transfers over the table: loop on short counts. read: -ENODATA at end of file. */
int kn_file_read_all(struct kn_file *file, void *dst, size_t len, uint64_t off) KN_MUSTUSE;
int kn_file_write_all(struct kn_file *file, const struct iovec *iov, int n, uint64_t off)
    KN_MUSTUSE;

/* A small whole file. write: temporary file, sync, rename, sync of the folder; mode 0600. */
struct kn_buf;
int kn_fs_read_file(struct kn_fs *fs, const char *path, struct kn_buf *dst) KN_MUSTUSE;
int kn_fs_write_file(struct kn_fs *fs, const char *path, struct kn_bytes bytes) KN_MUSTUSE;

#endif
