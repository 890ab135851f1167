/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept open for readers: sealed chunks (a descriptor and an index each) in order of last
 * use, at most open_chunks_max of them, and senders' headers. Guarded by storage.lock.
 */
#include "chunk.h"

#include "core/crypto.h"

/* --- sealed chunks ---------------------------------------------------------------------------- */
static void unlink_locked(struct storage *storage, struct storage_chunk *chunk)
{
    if (chunk->newer)
        chunk->newer->older = chunk->older;
    else
        storage->sealed_newest = chunk->older;
    if (chunk->older)
        chunk->older->newer = chunk->newer;
    else
        storage->sealed_oldest = chunk->newer;
    chunk->newer = chunk->older = NULL;
    chunk->cached = false;
    storage->sealed_count--;
}

static void link_locked(struct storage *storage, struct storage_chunk *chunk)
{
    chunk->older = storage->sealed_newest;
    if (chunk->older)
        chunk->older->newer = chunk;
    else
        storage->sealed_oldest = chunk;
    storage->sealed_newest = chunk;
    chunk->cached = true;
    storage->sealed_count++;
}

/* The list is short (hundreds) and hot chunks stand at its front. */
static struct storage_chunk *find_locked(struct storage *storage, const struct storage_id *stream,
                                         uint64_t seq)
{
    struct storage_chunk *chunk = storage->sealed_newest;
    while (chunk &&
           (chunk->index.head.name.seq != seq || storage_id_cmp(&chunk->stream, stream) != 0))
        chunk = chunk->older;
    return chunk;
}

struct storage_chunk *storage_sealed_find(struct storage *storage, const struct storage_id *stream,
                                          uint64_t seq)
{
    KN_LOCKED(&storage->lock);
    struct storage_chunk *chunk = find_locked(storage, stream, seq);
    if (!chunk)
        return NULL;
    if (chunk != storage->sealed_newest) {
        unlink_locked(storage, chunk);
        link_locked(storage, chunk);
    }
    return storage_chunk_ref(chunk);
}

void storage_sealed_put(struct storage *storage, struct storage_chunk *chunk)
{
    struct storage_chunk *drop = NULL;
    kn_lock_take(&storage->lock);
    if (!chunk->cached && !find_locked(storage, &chunk->stream, chunk->index.head.name.seq)) {
        link_locked(storage, storage_chunk_ref(chunk));
        if (storage->sealed_count > storage->conf.open_chunks_max) {
            drop = storage->sealed_oldest;
            unlink_locked(storage, drop);
        }
    }
    kn_lock_give(&storage->lock);
    storage_chunk_unref(drop);
}

void storage_sealed_forget(struct storage *storage, const struct storage_id *stream, uint64_t seq)
{
    kn_lock_take(&storage->lock);
    struct storage_chunk *chunk = find_locked(storage, stream, seq);
    if (chunk)
        unlink_locked(storage, chunk);
    kn_lock_give(&storage->lock);
    storage_chunk_unref(chunk);
}

void storage_sealed_clear(struct storage *storage)
{
    for (;;) {
        kn_lock_take(&storage->lock);
        struct storage_chunk *chunk = storage->sealed_oldest;
        if (chunk)
            unlink_locked(storage, chunk);
        kn_lock_give(&storage->lock);
        if (!chunk)
            return;
        storage_chunk_unref(chunk);
    }
}

/* --- headers ---------------------------------------------------------------------------------- */
int storage_header_new(struct kn_bytes bytes, struct storage_header **ret)
{
    struct storage_header *header = malloc(sizeof(*header) + bytes.len);
    if (!header)
        return -ENOMEM;
    uint8_t *copy = (uint8_t *) (header + 1);
    if (bytes.len)
        memcpy(copy, bytes.ptr, bytes.len);
    header->refs = 1;
    header->bytes = (struct kn_bytes){copy, bytes.len};
    int r = kn_mkv_header_parse(header->bytes, &header->parsed, NULL);
    if (r < 0) {
        free(header);
        return -EBADMSG;
    }
    *ret = header;
    return 0;
}

void storage_header_unref(struct storage_header *header)
{
    if (header && --header->refs == 0)
        free(header);
}

static struct storage_cached_header *slot_locked(struct storage *storage,
                                                 const struct storage_id *stream, uint64_t hash)
{
    for (size_t i = 0; i < STORAGE_HEADERS_CACHED; i++) {
        struct storage_cached_header *slot = &storage->headers[i];
        if (slot->header && slot->hash == hash && storage_id_cmp(&slot->stream, stream) == 0)
            return slot;
    }
    return NULL;
}

struct storage_header *storage_header_find(struct storage *storage, const struct storage_id *stream,
                                           uint64_t hash)
{
    KN_LOCKED(&storage->lock);
    struct storage_cached_header *slot = slot_locked(storage, stream, hash);
    if (!slot)
        return NULL;
    slot->used = ++storage->tick;
    slot->header->refs++;
    return slot->header;
}

void storage_header_put(struct storage *storage, const struct storage_id *stream, uint64_t hash,
                        struct storage_header *header)
{
    KN_LOCKED(&storage->lock);
    if (slot_locked(storage, stream, hash))
        return;
    struct storage_cached_header *oldest = &storage->headers[0];
    for (size_t i = 0; i < STORAGE_HEADERS_CACHED; i++) {
        if (storage->headers[i].used < oldest->used)
            oldest = &storage->headers[i];
    }
    storage_header_unref(oldest->header);
    header->refs++;
    *oldest = (struct storage_cached_header){
        .stream = *stream, .hash = hash, .header = header, .used = ++storage->tick};
}

void storage_headers_clear(struct storage *storage)
{
    KN_LOCKED(&storage->lock);
    for (size_t i = 0; i < STORAGE_HEADERS_CACHED; i++) {
        storage_header_unref(storage->headers[i].header);
        storage->headers[i] = (struct storage_cached_header){0};
    }
}
