/* SPDX-License-Identifier: Apache-2.0 */
/* Whole transfers and small files, over any kn_fs. */
#include "core/fs.h"

#include <errno.h>
#include <limits.h>

#include "core/buf.h"

int kn_file_read_all(struct kn_file *file, void *dst, size_t len, uint64_t off)
{
    uint8_t *at = dst;

    while (len) {
        struct iovec iov = {at, len};
        ssize_t n = file->fs->ops->preadv(file, &iov, 1, off, false);

        if (n < 0)
            return (int) n;
        if (n == 0)
            return -ENODATA;
        at += n;
        len -= (size_t) n;
        off += (uint64_t) n;
    }
    return 0;
}

/* Drops done bytes from the front of iov[0 … *n). */
static struct iovec *advance(struct iovec *iov, int *n, size_t done)
{
    while (*n > 0 && done >= iov->iov_len) {
        done -= iov->iov_len;
        iov++;
        (*n)--;
    }
    if (*n > 0) {
        iov->iov_base = (uint8_t *) iov->iov_base + done;
        iov->iov_len -= done;
    }
    return iov;
}

int kn_file_write_all(struct kn_file *file, const struct iovec *iov, int n, uint64_t off)
{
    enum {
        BATCH = 1024 /* IOV_MAX */
    };

    while (n > 0) {
        struct iovec batch[BATCH];
        int count = n < BATCH ? n : BATCH;
        int left = count;
        struct iovec *at;

        memcpy(batch, iov, (size_t) count * sizeof batch[0]);
        at = advance(batch, &left, 0);
        while (left > 0) {
            ssize_t done = file->fs->ops->pwritev(file, at, left, off);

            if (done < 0)
                return (int) done;
            if (done == 0)
                return -EIO;
            off += (uint64_t) done;
            at = advance(at, &left, (size_t) done);
        }
        iov += count;
        n -= count;
    }
    return 0;
}

int kn_fs_read_file(struct kn_fs *fs, const char *path, struct kn_buf *dst)
{
    struct kn_file *file;
    uint64_t size;
    int r = fs->ops->open(fs, path, KN_FS_READ, &file);

    if (r < 0)
        return r;
    r = fs->ops->size(file, &size);
    if (r == 0)
        r = size > SIZE_MAX / 2 ? -EMSGSIZE : kn_buf_reserve(dst, (size_t) size);
    if (r == 0 && size > 0) {
        r = kn_file_read_all(file, dst->ptr + dst->len, (size_t) size, 0);
        dst->len += r == 0 ? (size_t) size : 0;
    }
    fs->ops->close(file);
    return r;
}

static int write_new(struct kn_fs *fs, const char *path, struct kn_bytes bytes)
{
    union {
        const uint8_t *from;
        void *to;
    } unconst = {.from = bytes.ptr}; /* iovec has one type for both directions */
    struct iovec iov = {unconst.to, bytes.len};
    struct kn_file *file;
    int r = fs->ops->open(fs, path, KN_FS_WRITE | KN_FS_CREATE, &file);

    if (r < 0)
        return r;
    r = fs->ops->truncate(file, 0);
    if (r == 0)
        r = kn_file_write_all(file, &iov, 1, 0);
    if (r == 0)
        r = fs->ops->sync(file);
    fs->ops->close(file);
    return r;
}

int kn_fs_write_file(struct kn_fs *fs, const char *path, struct kn_bytes bytes)
{
    char temporary[PATH_MAX], folder[PATH_MAX];
    char *slash;
    int r;

    if ((size_t) snprintf(temporary, sizeof temporary, "%s.new", path) >= sizeof temporary)
        return -EMSGSIZE;
    (void) snprintf(folder, sizeof folder, "%s", path);
    slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder ? 1 : 0] = '\0';

    r = write_new(fs, temporary, bytes);
    if (r == 0)
        r = fs->ops->rename(fs, temporary, path);
    if (r < 0) {
        (void) fs->ops->unlink(fs, temporary); /* the first failure is the one to tell */
        return r;
    }
    return fs->ops->sync_dir(fs, slash ? folder : ".");
}
