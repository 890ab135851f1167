/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kn_file of memory pages, so that a stream with retention 0 runs through the same chunk code as
 * every other: written once, read by many, never flushed. Readers and the one writer share a lock;
 * the copy of a frame under it is short.
 */
#include "memory_file.h"

#include "core/err.h"
#include "core/thread.h"

enum {
    PAGE_BYTES = 64 << 10
};

struct memory_file {
    struct kn_file base;
    struct kn_lock lock;
    uint8_t **pages; /* guarded by lock, like all below; NULL: a hole of zeros */
    size_t page_count;
    uint64_t size;
};

static struct memory_file *of(struct kn_file *file)
{
    return KN_CONTAINER_OF(file, struct memory_file, base);
}

static void memory_close(struct kn_file *file)
{
    struct memory_file *m = of(file);
    for (size_t i = 0; i < m->page_count; i++)
        free(m->pages[i]);
    free(m->pages);
    kn_lock_done(&m->lock);
    free(m);
}

static void copy_out(const struct memory_file *m, uint8_t *dst, uint64_t at, size_t len)
{
    while (len > 0) {
        size_t in_page = (size_t) (at % PAGE_BYTES);
        size_t step = kn_min_u64(len, PAGE_BYTES - in_page);
        const uint8_t *page = m->pages[at / PAGE_BYTES];
        if (page)
            memcpy(dst, page + in_page, step);
        else
            memset(dst, 0, step);
        dst += step;
        at += step;
        len -= step;
    }
}

static ssize_t memory_preadv(struct kn_file *file, const struct iovec *iov, int n, uint64_t off,
                             bool nowait)
{
    (void) nowait; /* it never waits */
    struct memory_file *m = of(file);
    KN_LOCKED(&m->lock);
    ssize_t done = 0;
    for (int i = 0; i < n && off < m->size; i++) {
        size_t len = kn_min_u64(iov[i].iov_len, m->size - off);
        copy_out(m, iov[i].iov_base, off, len);
        off += len;
        done += (ssize_t) len;
    }
    return done;
}

static int grow_locked(struct memory_file *m, uint64_t end)
{
    size_t need = (size_t) ((end + PAGE_BYTES - 1) / PAGE_BYTES);
    if (need <= m->page_count)
        return 0;
    size_t count = kn_max_u64(need, m->page_count * 2);
    uint8_t **pages = realloc(m->pages, count * sizeof(*pages));
    if (!pages)
        return -ENOMEM;
    memset(pages + m->page_count, 0, (count - m->page_count) * sizeof(*pages));
    m->pages = pages;
    m->page_count = count;
    return 0;
}

static int copy_in_locked(struct memory_file *m, const uint8_t *src, uint64_t at, size_t len)
{
    while (len > 0) {
        size_t in_page = (size_t) (at % PAGE_BYTES);
        size_t step = kn_min_u64(len, PAGE_BYTES - in_page);
        uint8_t **page = &m->pages[at / PAGE_BYTES];
        if (!*page)
            *page = calloc(1, PAGE_BYTES);
        if (!*page)
            return -ENOMEM;
        memcpy(*page + in_page, src, step);
        src += step;
        at += step;
        len -= step;
    }
    return 0;
}

static ssize_t memory_pwritev(struct kn_file *file, const struct iovec *iov, int n, uint64_t off)
{
    struct memory_file *m = of(file);
    KN_LOCKED(&m->lock);
    ssize_t done = 0;
    for (int i = 0; i < n; i++) {
        int r = grow_locked(m, off + iov[i].iov_len);
        if (r == 0)
            r = copy_in_locked(m, iov[i].iov_base, off, iov[i].iov_len);
        if (r < 0)
            return r;
        off += iov[i].iov_len;
        done += (ssize_t) iov[i].iov_len;
        m->size = kn_max_u64(m->size, off);
    }
    return done;
}

static int memory_nothing(struct kn_file *file)
{
    (void) file;
    return 0;
}

static int memory_allocate(struct kn_file *file, uint64_t off, uint64_t len)
{
    (void) file;
    (void) off;
    (void) len;
    return 0;
}

static int memory_truncate(struct kn_file *file, uint64_t len)
{
    struct memory_file *m = of(file);
    KN_LOCKED(&m->lock);
    m->size = kn_min_u64(m->size, len);
    return 0;
}

static int memory_size(struct kn_file *file, uint64_t *ret)
{
    struct memory_file *m = of(file);
    KN_LOCKED(&m->lock);
    *ret = m->size;
    return 0;
}

static int memory_fd(struct kn_file *file)
{
    (void) file;
    return -1;
}

static const struct kn_fs_ops memory_ops = {
    .close = memory_close,
    .preadv = memory_preadv,
    .pwritev = memory_pwritev,
    .allocate = memory_allocate,
    .truncate = memory_truncate,
    .sync_start = memory_nothing,
    .sync = memory_nothing,
    .settle = memory_nothing,
    .size = memory_size,
    .fd = memory_fd,
};
static struct kn_fs memory_fs = {&memory_ops};

int storage_memory_file_new(struct kn_file **ret)
{
    struct memory_file *m = calloc(1, sizeof(*m));
    if (!m)
        return -ENOMEM;
    m->base.fs = &memory_fs;
    kn_lock_init(&m->lock);
    *ret = &m->base;
    return 0;
}
