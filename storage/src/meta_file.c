/* SPDX-License-Identifier: Apache-2.0 */
/* The catalogue's file comes into being; see meta_file.h. */
#include "meta_file.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/err.h"
#include "core/fs.h"

enum {
    PATH_BYTES_MAX = 4096,
    ROOTS = 2,        /* LMDB's meta pages, written in turn */
    ROOT_BYTES = 512, /* what LMDB needs of one: a sector, which a disk writes whole */
};

/* The parent is flushed also when the folder was there: a run that made it may have ended before
 * its own flush. */
static int make_folder(const char *dir)
{
    struct kn_fs *fs = kn_fs_system();
    char parent[PATH_BYTES_MAX];
    int n = snprintf(parent, sizeof(parent), "%s/..", dir);
    if (n < 0 || (size_t) n >= sizeof(parent))
        return -EMSGSIZE;
    int r = fs->ops->mkdir(fs, dir);
    if (r == -EEXIST) /* it holds secrets, whoever made it */
        r = chmod(dir, S_IRWXU) < 0 ? -errno : 0;
    return r < 0 ? r : fs->ops->sync_dir(fs, parent);
}

/* An LMDB environment with nothing in it, flushed. */
static int write_empty(const char *path)
{
    MDB_env *env;
    int rc = mdb_env_create(&env);
    if (rc)
        return -ENOMEM;
    rc = mdb_env_open(env, path, MDB_NOSUBDIR | MDB_NOLOCK, S_IRUSR | S_IWUSR);
    if (!rc)
        rc = mdb_env_sync(env, 1);
    mdb_env_close(env);
    return rc == 0 ? 0 : rc == ENOSPC ? -ENOSPC : rc == ENOMEM ? -ENOMEM : -EIO;
}

/* Under the folder's lock, since a command may start beside the server. */
static int make_file_locked(const char *dir)
{
    struct kn_fs *fs = kn_fs_system();
    char file[PATH_BYTES_MAX], new_file[PATH_BYTES_MAX];
    int n = snprintf(file, sizeof(file), "%s/data.mdb", dir);
    int m = snprintf(new_file, sizeof(new_file), "%s/data.new", dir);
    if (n < 0 || m < 0 || (size_t) n >= sizeof(file) || (size_t) m >= sizeof(new_file))
        return -EMSGSIZE;
    if (access(file, F_OK) == 0)
        return 0;
    (void) unlink(new_file); /* of a run that ended too soon */
    int r = write_empty(new_file);
    if (r == 0)
        r = fs->ops->rename(fs, new_file, file);
    if (r < 0)
        (void) unlink(new_file);
    return r;
}

static int make_file(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = flock(fd, LOCK_EX) < 0 ? -errno : make_file_locked(dir);
    close(fd);
    return r < 0 ? r : kn_fs_system()->ops->sync_dir(kn_fs_system(), dir);
}

int storage_meta_file_make(const char *dir, const char **ret_what)
{
    *ret_what = "folder";
    int r = make_folder(dir);
    if (r < 0)
        return r;
    *ret_what = "file";
    return make_file(dir);
}

int storage_meta_file_settle(const char *dir, size_t page_bytes)
{
    char path[PATH_BYTES_MAX];
    uint8_t root[ROOT_BYTES];
    int n = snprintf(path, sizeof(path), "%s/data.mdb", dir);
    if (n < 0 || (size_t) n >= sizeof(path))
        return -EMSGSIZE;
    int fd = open(path, O_RDWR | O_DSYNC | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = 0;
    for (int i = 0; i < ROOTS && r == 0; i++) {
        off_t at = (off_t) page_bytes * i;
        errno = EIO; /* of a short one */
        if (pread(fd, root, sizeof(root), at) != (ssize_t) sizeof(root) ||
            pwrite(fd, root, sizeof(root), at) != (ssize_t) sizeof(root))
            r = -errno;
    }
    close(fd);
    return r;
}
