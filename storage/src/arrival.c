/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fragments on their way: their place in the log, and the window of bytes that are not yet in the
 * file. Readers copy from the window with the log's lock held; the writer fills only memory behind
 * the visible end, so its copy needs no lock.
 */
#include "log.h"

#include <stdatomic.h>

enum {
    SPARE_FRAMES_BYTES_MAX = 4096
};

struct storage_arrival *storage_arrival_new(struct storage_log *log, struct storage_writer *writer)
{
    struct storage_arrival *a = atomic_exchange(&log->spare, NULL);
    struct kn_buf frames;
    kn_buf_init(&frames, STORAGE_FRAME_TABLE_BYTES_MAX);
    if (a)
        frames = a->frames;
    else
        a = malloc(sizeof(*a));
    if (!a)
        return NULL;
    *a = (struct storage_arrival){
        .log = log,
        .writer = writer,
        .frames = frames,
        .void_op = {.kind = STORAGE_OP_VOID, .of_arrival = true, .arrival = a},
        .end_op = {.of_arrival = true,                       .arrival = a                       },
    };
    return a;
}

static void free_memory(struct storage_arrival *a)
{
    if (a)
        kn_buf_done(&a->frames);
    free(a);
}

void storage_arrival_free(struct storage_arrival *a)
{
    if (!a)
        return;
    if (a->first)
        storage_block_give(&a->log->storage->blocks, a->first);
    storage_chunk_unref(a->chunk);
    storage_chunk_unref(a->awaits);
    if (a->frames.cap > SPARE_FRAMES_BYTES_MAX)
        kn_buf_done(&a->frames);
    kn_buf_clear(&a->frames);
    free_memory(atomic_exchange(&a->log->spare, a));
}

void storage_arrival_spare_done(struct storage_log *log)
{
    free_memory(atomic_exchange(&log->spare, NULL));
}

void storage_arrival_forget_window_locked(struct storage_arrival *a)
{
    kn_lock_assert_held(&a->log->lock);
    for (struct storage_block *b = a->first; b; b = b->next)
        a->log->window_blocks--;
}

void storage_arrival_unlink_locked(struct storage_arrival *a)
{
    struct storage_log *log = a->log;
    kn_lock_assert_held(&log->lock);
    struct storage_arrival *before = NULL, *at = log->first;
    while (at != a) {
        kn_assert(at != NULL);
        before = at;
        at = at->next;
    }
    if (before)
        before->next = a->next;
    else
        log->first = a->next;
    if (log->last == a)
        log->last = before;
    a->next = NULL;
}

struct storage_arrival *storage_arrival_find_locked(struct storage_log *log, uint64_t seq)
{
    kn_lock_assert_held(&log->lock);
    struct storage_arrival *a = log->first;
    while (a && a->fragment.number.seq != seq)
        a = a->next;
    return a;
}

struct target { /* a place within an iovec array */
    const struct iovec *iov;
    int count;
    size_t used; /* of the first */
};

static size_t fill(struct target *to, const uint8_t *src, size_t len)
{
    size_t done = 0;
    while (done < len && to->count > 0) {
        size_t step = kn_min_u64(len - done, to->iov->iov_len - to->used);
        if (step > 0)
            memcpy((uint8_t *) to->iov->iov_base + to->used, src + done, step);
        done += step;
        to->used += step;
        if (to->used == to->iov->iov_len) {
            to->iov++;
            to->count--;
            to->used = 0;
        }
    }
    return done;
}

size_t storage_arrival_copy_locked(const struct storage_arrival *a, uint64_t off,
                                   const struct iovec *iov, int n)
{
    kn_lock_assert_held(&a->log->lock);
    struct target to = {iov, n, 0};
    uint64_t at = a->window_start;
    size_t total = 0;
    for (const struct storage_block *b = a->first; b && at < a->visible; b = b->next) {
        uint64_t end = kn_min_u64(at + b->used, a->visible);
        if (off >= at && off < end) {
            size_t want = (size_t) (end - off);
            size_t done = fill(&to, b->bytes + (off - at), want);
            off += done;
            total += done;
            if (done < want)
                break;
        }
        at += b->used;
    }
    return total;
}
