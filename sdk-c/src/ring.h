/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was put and is not PERSISTED yet: fragments in order, the oldest first. Their bytes lie in a
 * ring in memory; when that is full, the oldest ones move to a ring in the spill file. Bytes never
 * change once they are in, so a fragment may move while it is being sent.
 *
 * The ring in memory turns in as small a part of its room as it can: while all is acknowledged
 * soon, a large buffer costs neither memory nor a page fault every 4 KiB.
 */
#ifndef SDK_RING_H
#define SDK_RING_H

#include <stddef.h>
#include <stdint.h>

struct fragment {
    uint64_t at; /* in the memory ring, or in the file's; counts on, modulo their sizes */
    uint64_t len;
    int64_t time_ms;
    uint32_t frames;
    uint8_t tracks; /* which ones its header has to declare, bit 0 for the first */
    uint8_t seen;   /* of which ones it has frames */
    uint8_t whole;  /* nothing is added any more */
    uint8_t in_file;
    uint8_t skipped; /* given up: never sent again */
    uint8_t restart; /* time stepped back before it: it begins a connection */
};

enum {
    RING_FIRST_BYTES = 256 << 10 /* the smallest part that is used, at least */
};

struct ring {
    uint8_t *bytes;
    size_t cap;
    unsigned halvings;   /* of cap: that much is used until it is too little */
    uint64_t base;       /* what lies at bytes[0], or would */
    uint64_t head, tail; /* of memory: first byte in use, next free one */
    int fd;              /* of the spill file; -1: none */
    uint64_t file_cap, file_head, file_tail;
    struct fragment *fragments; /* KINEMA_FRAGMENTS_MAX, a ring too */
    size_t first, count;
};

/* path: NULL for no spill file. */
int ring_init(struct ring *ring, size_t bytes, const char *path, uint64_t file_bytes);
void ring_done(struct ring *ring);
struct fragment *ring_at(const struct ring *ring, size_t index); /* 0: the oldest */
static inline size_t ring_used(const struct ring *ring)
{
    return (size_t) (ring->tail - ring->head);
}
static inline size_t ring_free(const struct ring *ring)
{
    return ring->cap - ring_used(ring);
}
/* Opens a fragment. -ENOSPC: the table is full. */
int ring_open(struct ring *ring, int64_t time_ms, struct fragment **ret);
/* Adds to the newest fragment; the caller saw to the room. */
void ring_append(struct ring *ring, const void *ptr, size_t len);
/* Up to len bytes of a fragment; how many, or -EIO of the file. */
int64_t ring_read(const struct ring *ring, const struct fragment *fragment, uint64_t offset,
                  void *dst, size_t len);
/* Forgets the oldest fragment. */
void ring_pop(struct ring *ring);
/* Forgets the newest fragment, which is in memory. */
void ring_drop_newest(struct ring *ring);
/* Moves the oldest fragment in memory to the file: 1. 0: there is no whole one, no file, or no room
 * in it; negative: the file's error. */
int ring_spill(struct ring *ring);

#endif
