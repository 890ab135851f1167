/* SPDX-License-Identifier: Apache-2.0 */
/* A bounded cache of counted objects, least recently used out first: rendered segment heads, init
 * segments, long lists, the pace of replays. Any thread; one short lock. */
#ifndef PLAYBACK_SESSION_CACHE_H
#define PLAYBACK_SESSION_CACHE_H

#include "core/thread.h"
#include "storage/storage.h"

enum playback_cached_kind {
    PLAYBACK_CACHED_SEGMENT,
    PLAYBACK_CACHED_INIT,
    PLAYBACK_CACHED_LIST,
    PLAYBACK_CACHED_PACE,
};

struct playback_cache_key { /* compared as bytes: zero it first */
    uint8_t stream[16];
    uint64_t words[4];
    uint32_t kind, track;
};

/* First member of what is cached. */
struct playback_cached {
    _Atomic unsigned refs;
    void (*free)(struct playback_cached *object);
    size_t bytes;
    struct playback_cache_key key;
    struct playback_cached *chain, *newer, *older; /* the cache's */
};

struct playback_cache;
int playback_cache_new(uint64_t bytes_max, struct playback_cache **ret) KN_MUSTUSE;
void playback_cache_free(struct playback_cache *cache);

/* A reference, or NULL. */
struct playback_cached *playback_cache_get(struct playback_cache *cache,
                                           const struct playback_cache_key *key);
/* Takes a reference of its own; replaces what had the key. Too large an object is not kept. */
void playback_cache_put(struct playback_cache *cache, struct playback_cached *object);
void playback_cached_unref(struct playback_cached *object);
KN_DEFINE_CLEANUP(struct playback_cached *, playback_cached_unref)

#endif
