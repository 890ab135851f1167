/* SPDX-License-Identifier: Apache-2.0 */
/* Writing past the page cache; see direct.h. */
#include "direct.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

/* One huge page if there is one: then the kernel has one piece of memory to give to the disk, not
 * one for each page. */
static uint8_t *buffer_new(void)
{
    static_assert(STORAGE_DIRECT_BUFFER_BYTES % KN_FS_BLOCK_BYTES == 0, "whole blocks");
    uint8_t *buffer = aligned_alloc(STORAGE_DIRECT_BUFFER_BYTES, STORAGE_DIRECT_BUFFER_BYTES);
    if (buffer)
        (void) madvise(buffer, STORAGE_DIRECT_BUFFER_BYTES, MADV_HUGEPAGE);
    return buffer;
}

int storage_direct_begin(struct storage_direct *d, struct kn_file *file, uint64_t at)
{
    if (!d->buffer)
        d->buffer = buffer_new();
    if (!d->buffer)
        return -ENOMEM;
    d->file = file;
    d->start = d->end = at % KN_FS_BLOCK_BYTES;
    d->at = at - d->start;
    return 0;
}

static int write_to(struct storage_direct *d, size_t end)
{
    struct iovec iov = {d->buffer + d->start, end - d->start};
    int r = end > d->start ? kn_file_write_all(d->file, &iov, 1, d->at + d->start) : 0;
    d->start = end;
    return r;
}

/* A part of a block, whole blocks, a part of a block. */
static int write_out(struct storage_direct *d)
{
    int r = 0;
    if (d->start % KN_FS_BLOCK_BYTES > 0)
        r = write_to(d, kn_min_u64(KN_FS_BLOCK_BYTES, d->end)); /* of the first */
    if (r == 0)
        r = write_to(d, kn_max_u64(d->start, d->end / KN_FS_BLOCK_BYTES * KN_FS_BLOCK_BYTES));
    if (r == 0)
        r = write_to(d, d->end);
    d->at += STORAGE_DIRECT_BUFFER_BYTES;
    d->start = d->end = 0;
    return r;
}

int storage_direct_add(struct storage_direct *d, struct kn_bytes bytes)
{
    while (bytes.len > 0) {
        size_t len = kn_min_u64(bytes.len, STORAGE_DIRECT_BUFFER_BYTES - d->end);
        memcpy(d->buffer + d->end, bytes.ptr, len);
        d->end += len;
        bytes = (struct kn_bytes){bytes.ptr + len, bytes.len - len};
        int r = d->end == STORAGE_DIRECT_BUFFER_BYTES ? write_out(d) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

int storage_direct_end(struct storage_direct *d)
{
    return write_out(d);
}

void storage_direct_done(struct storage_direct *d)
{
    free(d->buffer);
    *d = (struct storage_direct){.buffer = NULL};
}
