/* SPDX-License-Identifier: Apache-2.0 */
/* The real file system behind core/fs.h. EINTR is retried here and nowhere else. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "core/fs.h"

enum {
    PATH_BYTES_MAX = 4096
};

struct system_file {
    struct kn_file file;
    int fd;
    bool direct, is_direct; /* asked for and possible; now */
};

static int fd_of(struct kn_file *file)
{
    return KN_CONTAINER_OF(file, struct system_file, file)->fd;
}

static int result(int r)
{
    return r < 0 ? -errno : 0;
}

/* Reading writes nothing: a time of access would be a journal entry a file, which waits where much
 * is being written (open(2): O_NOATIME is the owner's to ask for). Of a file that is written the
 * kernel takes every read for the first one since, so that is asked for too, once it is there. */
static int open_file(const char *path, int mode)
{
    int fd = -1;
    bool quiet = (mode & O_ACCMODE) == O_RDONLY;

    do {
        fd = open(path, quiet ? mode | O_NOATIME : mode, 0600);
        if (fd >= 0 || (errno != EINTR && (errno != EPERM || !quiet)))
            break;
        quiet = quiet && errno != EPERM;
    } while (true);
    if (fd >= 0 && (mode & O_ACCMODE) != O_RDONLY) /* whose it is not keeps its times */
        (void) fcntl(fd, F_SETFL, O_NOATIME | (mode & O_DIRECT));
    return fd;
}

static int sys_open(struct kn_fs *fs, const char *path, int flags, struct kn_file **ret)
{
    struct system_file *f = malloc(sizeof *f);
    int mode = (flags & KN_FS_WRITE ? O_RDWR : O_RDONLY) | O_CLOEXEC |
               (flags & KN_FS_CREATE ? O_CREAT : 0) | (flags & KN_FS_EXCLUSIVE ? O_EXCL : 0);

    if (!f)
        return -ENOMEM;
    *f = (struct system_file){.file.fs = fs, .direct = flags & KN_FS_DIRECT};
    f->is_direct = f->direct;
    f->fd = open_file(path, f->direct ? mode | O_DIRECT : mode);
    if (f->fd < 0 && errno == EINVAL && f->direct) { /* open(2): not every file system has it */
        f->direct = f->is_direct = false;
        f->fd = open_file(path, mode & ~O_EXCL); /* some make the file first */
    }
    if (f->fd < 0) {
        int r = -errno;

        free(f);
        return r;
    }
    *ret = &f->file;
    return 0;
}

static int sys_mkdir(struct kn_fs *fs KN_UNUSED, const char *path)
{
    return result(mkdir(path, 0700));
}

static int sys_rename(struct kn_fs *fs KN_UNUSED, const char *from, const char *to)
{
    return result(rename(from, to));
}

static int sys_unlink(struct kn_fs *fs KN_UNUSED, const char *path)
{
    return result(unlink(path));
}

static int sys_rmdir(struct kn_fs *fs KN_UNUSED, const char *path)
{
    return result(rmdir(path));
}

static int sys_sync_dir(struct kn_fs *fs KN_UNUSED, const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r;

    if (fd < 0)
        return -errno;
    r = result(fsync(fd));
    (void) close(fd);
    return r;
}

static int sys_list(struct kn_fs *fs KN_UNUSED, const char *path, kn_fs_entry_fn *entry, void *ctx)
{
    DIR *dir = opendir(path);
    int r = 0;

    if (!dir)
        return -errno;
    while (r >= 0) {
        struct dirent *e;
        bool is_dir;

        errno = 0;
        e = readdir(dir); /* NOLINT(concurrency-mt-unsafe): one thread a DIR is safe in glibc */
        if (!e) {
            r = errno ? -errno : 0;
            break;
        }
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        is_dir = e->d_type == DT_DIR;
        if (e->d_type == DT_UNKNOWN) {
            struct stat st;

            is_dir = fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                     S_ISDIR(st.st_mode);
        }
        r = entry(ctx, e->d_name, is_dir);
    }
    (void) closedir(dir);
    return r < 0 ? r : 0;
}

static int sys_space(struct kn_fs *fs KN_UNUSED, const char *path, struct kn_fs_space *ret)
{
    struct statvfs st;

    if (statvfs(path, &st) < 0)
        return -errno;
    *ret = (struct kn_fs_space){
        .total_bytes = (uint64_t) st.f_blocks * st.f_frsize,
        .free_bytes = (uint64_t) st.f_bavail * st.f_frsize,
        .free_inodes = (uint64_t) st.f_favail,
    };
    return 0;
}

static void sys_close(struct kn_file *file)
{
    (void) close(fd_of(file)); /* what matters was synced before */
    free(KN_CONTAINER_OF(file, struct system_file, file));
}

static bool is_of_blocks(const struct iovec *iov, int n, uint64_t off)
{
    uint64_t all = off;

    for (int i = 0; i < n; i++)
        all |= (uintptr_t) iov[i].iov_base | iov[i].iov_len;
    return all % KN_FS_BLOCK_BYTES == 0;
}

static int set_direct(struct system_file *f, bool direct)
{
    int flags = fcntl(f->fd, F_GETFL);

    if (flags < 0 || fcntl(f->fd, F_SETFL, direct ? flags | O_DIRECT : flags & ~O_DIRECT) < 0)
        return -errno;
    f->is_direct = direct;
    return 0;
}

static ssize_t sys_preadv(struct kn_file *file, const struct iovec *iov, int n, uint64_t off,
                          bool nowait)
{
    struct system_file *f = KN_CONTAINER_OF(file, struct system_file, file);
    ssize_t done;

    if (f->is_direct && !is_of_blocks(iov, n, off)) {
        int r = set_direct(f, false);

        if (r < 0)
            return r;
    }
    do
        done = preadv2(f->fd, iov, n, (off_t) off, nowait ? RWF_NOWAIT : 0);
    while (done < 0 && errno == EINTR);
    if (done < 0 && nowait && errno == EOPNOTSUPP)
        return -EAGAIN; /* a file system without the flag: always go through the pool */
    return done < 0 ? -errno : done;
}

/* Whose blocks are larger than ours says so only now. */
static bool leave_direct(struct system_file *f)
{
    bool leave = errno == EINVAL && f->is_direct;

    f->direct = f->direct && !leave;
    return leave && set_direct(f, false) == 0;
}

static ssize_t sys_pwritev(struct kn_file *file, const struct iovec *iov, int n, uint64_t off)
{
    struct system_file *f = KN_CONTAINER_OF(file, struct system_file, file);
    ssize_t done;

    if (f->direct && is_of_blocks(iov, n, off) != f->is_direct) {
        int r = set_direct(f, !f->is_direct);

        if (r < 0)
            return r;
    }
    do
        done = pwritev(f->fd, iov, n, (off_t) off);
    while (done < 0 && (errno == EINTR || leave_direct(f)));
    return done < 0 ? -errno : done;
}

static int sys_allocate(struct kn_file *file, uint64_t off, uint64_t len)
{
    int r;

    do
        r = fallocate(fd_of(file), FALLOC_FL_KEEP_SIZE, (off_t) off, (off_t) len);
    while (r < 0 && errno == EINTR);
    if (r < 0 && errno == EOPNOTSUPP)
        return 0; /* then the room is taken as it is written */
    return result(r);
}

static int sys_truncate(struct kn_file *file, uint64_t len)
{
    return result(ftruncate(fd_of(file), (off_t) len));
}

static int sys_sync_start(struct kn_file *file)
{
    return result(sync_file_range(fd_of(file), 0, 0, SYNC_FILE_RANGE_WRITE));
}

static int sys_sync(struct kn_file *file)
{
    return result(fdatasync(fd_of(file)));
}

static int sys_settle(struct kn_file *file)
{
    int r = result(fdatasync(fd_of(file)));
    int forgot = posix_fadvise(fd_of(file), 0, 0, POSIX_FADV_DONTNEED);
    return r < 0 ? r : -forgot;
}

static int sys_size(struct kn_file *file, uint64_t *ret)
{
    struct stat st;

    if (fstat(fd_of(file), &st) < 0)
        return -errno;
    *ret = (uint64_t) st.st_size;
    return 0;
}

/* Since 5.8 syncfs tells of writes that failed since the descriptor was opened (errseq of the super
 * block, syncfs(2)); before, it told of none. */
static bool syncfs_tells(void)
{
    struct utsname name;
    unsigned major = 0, minor = 0;

    if (uname(&name) < 0 || sscanf(name.release, "%u.%u", &major, &minor) != 2) /* NOLINT */
        return false;
    return major > 5 || (major == 5 && minor >= 8);
}

/* A line of /proc/self/mountinfo, proc_pid_mountinfo(5): id, parent, device, which folder of the
 * file system, where it is mounted, options, optional fields, "-", kind, … A folder that is bound
 * into a container is a mount too, but not its file system's root. */
static bool is_root_of(const char *line, const char *path)
{
    char root[PATH_BYTES_MAX], point[PATH_BYTES_MAX];
    const char *kind = strstr(line, " - ");

    if (!kind || sscanf(line, "%*s %*s %*s %4095s %4095s", root, point) != 2)
        return false;
    return strcmp(point, path) == 0 && strcmp(root, "/") == 0 &&
           (strncmp(kind, " - ext4 ", 8) == 0 || strncmp(kind, " - xfs ", 7) == 0);
}

static bool is_own_volume(const char *path)
{
    char *whole = realpath(path, NULL);
    FILE *mounts = whole ? fopen("/proc/self/mountinfo", "re") : NULL;
    char *line = NULL;
    size_t room = 0;
    bool own = false;

    while (mounts && !own && getline(&line, &room, mounts) > 0)
        own = is_root_of(line, whole);
    free(line);
    if (mounts)
        (void) fclose(mounts);
    free(whole);
    return own;
}

static int sys_open_volume(struct kn_fs *fs, const char *path, bool *ret_own, struct kn_file **ret)
{
    struct system_file *f;

    if (!syncfs_tells())
        return -EOPNOTSUPP;
    f = malloc(sizeof *f);
    if (!f)
        return -ENOMEM;
    *f = (struct system_file){.file.fs = fs};
    f->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (f->fd < 0) {
        int r = -errno;

        free(f);
        return r;
    }
    *ret_own = is_own_volume(path);
    *ret = &f->file;
    return 0;
}

static int sys_sync_volume(struct kn_file *volume)
{
    return result(syncfs(fd_of(volume)));
}

struct kn_fs *kn_fs_system(void)
{
    static const struct kn_fs_ops ops = {
        .open = sys_open,
        .mkdir = sys_mkdir,
        .rename = sys_rename,
        .unlink = sys_unlink,
        .rmdir = sys_rmdir,
        .sync_dir = sys_sync_dir,
        .list = sys_list,
        .space = sys_space,
        .close = sys_close,
        .preadv = sys_preadv,
        .pwritev = sys_pwritev,
        .allocate = sys_allocate,
        .truncate = sys_truncate,
        .sync_start = sys_sync_start,
        .sync = sys_sync,
        .settle = sys_settle,
        .size = sys_size,
        .fd = fd_of,
        .open_volume = sys_open_volume,
        .sync_volume = sys_sync_volume,
    };
    static struct kn_fs fs = {.ops = &ops};

    return &fs;
}
