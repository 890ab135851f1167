/* SPDX-License-Identifier: Apache-2.0 */
/* See ring.h. */
#include "ring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kinema/producer.h"

int ring_init(struct ring *ring, size_t bytes, const char *path, uint64_t file_bytes)
{
    int code;
    *ring = (struct ring){.cap = bytes, .fd = -1, .file_cap = path ? file_bytes : 0};
    while (bytes >> (ring->halvings + 1) >= RING_FIRST_BYTES)
        ring->halvings++;
    ring->bytes = malloc(bytes);
    ring->fragments = calloc(KINEMA_FRAGMENTS_MAX, sizeof(*ring->fragments));
    if (!ring->bytes || !ring->fragments) {
        ring_done(ring);
        return -ENOMEM;
    }
    if (path && file_bytes > 0) {
        ring->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (ring->fd < 0) {
            code = -errno;
            ring_done(ring);
            return code;
        }
    }
    return 0;
}

void ring_done(struct ring *ring)
{
    free(ring->bytes);
    free(ring->fragments);
    if (ring->fd >= 0)
        (void) close(ring->fd);
    *ring = (struct ring){.fd = -1};
}

struct fragment *ring_at(const struct ring *ring, size_t index)
{
    return &ring->fragments[(ring->first + index) % KINEMA_FRAGMENTS_MAX];
}

int ring_open(struct ring *ring, int64_t time_ms, struct fragment **ret)
{
    struct fragment *fragment;
    if (ring->count == KINEMA_FRAGMENTS_MAX)
        return -ENOSPC;
    fragment = ring_at(ring, ring->count++);
    *fragment = (struct fragment){.at = ring->tail, .time_ms = time_ms};
    *ret = fragment;
    return 0;
}

/* The part of memory that is used. */
static size_t turn_of(const struct ring *ring)
{
    return ring->cap >> ring->halvings;
}

static size_t place_of(const struct ring *ring, uint64_t at)
{
    return (size_t) ((at - ring->base) % turn_of(ring));
}

/* How much of len lies in one piece from there on. */
static size_t piece(uint64_t at, uint64_t cap, size_t len)
{
    return len < cap - at ? len : (size_t) (cap - at);
}

/* At least twice as large, so what had begun again at the start has room behind the rest. */
static void widen(struct ring *ring)
{
    size_t turn = turn_of(ring), head = place_of(ring, ring->head);
    size_t end = head + ring_used(ring);
    if (end > turn)
        memcpy(ring->bytes + turn, ring->bytes, end - turn);
    ring->base = ring->head - head;
    ring->halvings--;
}

void ring_append(struct ring *ring, const void *ptr, size_t len)
{
    size_t at, first;
    while (ring->halvings > 0 && ring_used(ring) + len > turn_of(ring))
        widen(ring);
    at = place_of(ring, ring->tail);
    first = piece(at, turn_of(ring), len);
    if (first > 0)
        memcpy(ring->bytes + at, ptr, first);
    if (len > first)
        memcpy(ring->bytes, (const uint8_t *) ptr + first, len - first);
    ring->tail += len;
    ring_at(ring, ring->count - 1)->len += len;
}

static int64_t read_file(const struct ring *ring, uint64_t from, void *dst, size_t len)
{
    uint64_t at = from % ring->file_cap;
    ssize_t got;
    do
        got = pread(ring->fd, dst, piece(at, ring->file_cap, len), (off_t) at);
    while (got < 0 && errno == EINTR);
    return got > 0 ? got : -EIO;
}

int64_t ring_read(const struct ring *ring, const struct fragment *fragment, uint64_t offset,
                  void *dst, size_t len)
{
    uint64_t left = fragment->len - offset;
    size_t at, first;
    if (len > left)
        len = (size_t) left;
    if (len == 0)
        return 0;
    if (fragment->in_file)
        return read_file(ring, fragment->at + offset, dst, len);
    at = place_of(ring, fragment->at + offset);
    first = piece(at, turn_of(ring), len);
    memcpy(dst, ring->bytes + at, first);
    memcpy((uint8_t *) dst + first, ring->bytes, len - first);
    return (int64_t) len;
}

void ring_pop(struct ring *ring)
{
    struct fragment *fragment = ring_at(ring, 0);
    if (fragment->in_file)
        ring->file_head += fragment->len;
    else
        ring->head += fragment->len;
    ring->first = (ring->first + 1) % KINEMA_FRAGMENTS_MAX;
    ring->count--;
}

void ring_drop_newest(struct ring *ring)
{
    ring->tail -= ring_at(ring, ring->count - 1)->len;
    ring->count--;
}

static int write_all(int fd, const uint8_t *ptr, size_t len, uint64_t at)
{
    while (len > 0) {
        ssize_t put = pwrite(fd, ptr, len, (off_t) at);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return put < 0 ? -errno : -EIO;
        ptr += put;
        len -= (size_t) put;
        at += (uint64_t) put;
    }
    return 0;
}

int ring_spill(struct ring *ring)
{
    size_t index = 0;
    uint64_t done = 0;
    struct fragment *fragment;
    while (index < ring->count && ring_at(ring, index)->in_file)
        index++;
    fragment = ring_at(ring, index);
    if (ring->fd < 0 || index == ring->count || !fragment->whole ||
        fragment->len > ring->file_cap - (ring->file_tail - ring->file_head))
        return 0;
    while (done < fragment->len) { /* in pieces that wrap in neither ring */
        uint64_t from = place_of(ring, fragment->at + done);
        uint64_t to = (ring->file_tail + done) % ring->file_cap;
        uint64_t len = fragment->len - done;
        int code;
        len = len < turn_of(ring) - from ? len : turn_of(ring) - from;
        len = len < ring->file_cap - to ? len : ring->file_cap - to;
        code = write_all(ring->fd, ring->bytes + from, (size_t) len, to);
        if (code < 0)
            return code;
        done += len;
    }
    fragment->at = ring->file_tail;
    fragment->in_file = 1;
    ring->file_tail += fragment->len;
    ring->head += fragment->len;
    return 1;
}
