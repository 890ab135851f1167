/* SPDX-License-Identifier: Apache-2.0 */
/* The cache: chained hash buckets and one list by last use, both intrusive, so that an object costs
 * no allocation beyond its own. An object in use outlives its eviction. */
#include "session/cache.h"

#include "core/crypto.h"

enum {
    BUCKETS = 4096
};

struct playback_cache {
    struct kn_lock lock;
    uint64_t bytes_max; /* the rest is guarded by lock */
    uint64_t bytes;
    struct playback_cached *newest, *oldest;
    struct playback_cached *buckets[BUCKETS];
};

static struct playback_cached **bucket_of(struct playback_cache *cache,
                                          const struct playback_cache_key *key)
{
    struct kn_bytes bytes = {(const uint8_t *) key, sizeof *key};
    return &cache->buckets[kn_crc32c(0, bytes) % BUCKETS];
}

static void unlink_age(struct playback_cache *cache, struct playback_cached *object)
{
    *(object->newer ? &object->newer->older : &cache->newest) = object->older;
    *(object->older ? &object->older->newer : &cache->oldest) = object->newer;
    object->newer = object->older = NULL;
}

static void link_newest(struct playback_cache *cache, struct playback_cached *object)
{
    object->older = cache->newest;
    *(cache->newest ? &cache->newest->newer : &cache->oldest) = object;
    cache->newest = object;
}

/* Takes it out; the cache's reference passes to the caller. */
static void remove_locked(struct playback_cache *cache, struct playback_cached *object)
{
    struct playback_cached **at = bucket_of(cache, &object->key);
    while (*at != object)
        at = &(*at)->chain;
    *at = object->chain;
    object->chain = NULL;
    unlink_age(cache, object);
    cache->bytes -= object->bytes;
}

static struct playback_cached *find_locked(struct playback_cache *cache,
                                           const struct playback_cache_key *key)
{
    struct playback_cached *object = *bucket_of(cache, key);
    while (object && memcmp(&object->key, key, sizeof *key) != 0)
        object = object->chain;
    return object;
}

int playback_cache_new(uint64_t bytes_max, struct playback_cache **ret)
{
    struct playback_cache *cache = calloc(1, sizeof *cache);
    if (!cache)
        return -ENOMEM;
    kn_lock_init(&cache->lock);
    cache->bytes_max = bytes_max;
    *ret = cache;
    return 0;
}

void playback_cache_free(struct playback_cache *cache)
{
    if (!cache)
        return;
    while (cache->oldest) {
        struct playback_cached *object = cache->oldest;
        remove_locked(cache, object);
        playback_cached_unref(object);
    }
    kn_lock_done(&cache->lock);
    free(cache);
}

struct playback_cached *playback_cache_get(struct playback_cache *cache,
                                           const struct playback_cache_key *key)
{
    KN_LOCKED(&cache->lock);
    struct playback_cached *object = find_locked(cache, key);
    if (!object)
        return NULL;
    object->refs++;
    if (object != cache->newest) {
        unlink_age(cache, object);
        link_newest(cache, object);
    }
    return object;
}

static struct playback_cached *evict_one(struct playback_cache *cache)
{
    KN_LOCKED(&cache->lock);
    struct playback_cached *object = cache->oldest;
    if (cache->bytes <= cache->bytes_max || !object)
        return NULL;
    remove_locked(cache, object);
    return object;
}

void playback_cache_put(struct playback_cache *cache, struct playback_cached *object)
{
    struct playback_cached *old;
    if (object->bytes > cache->bytes_max / 2)
        return;
    object->refs++;
    kn_lock_take(&cache->lock);
    old = find_locked(cache, &object->key);
    if (old)
        remove_locked(cache, old);
    struct playback_cached **bucket = bucket_of(cache, &object->key);
    object->chain = *bucket;
    *bucket = object;
    link_newest(cache, object);
    cache->bytes += object->bytes;
    kn_lock_give(&cache->lock);
    playback_cached_unref(old);
    while ((old = evict_one(cache)))
        playback_cached_unref(old);
}

void playback_cached_unref(struct playback_cached *object)
{
    if (object && --object->refs == 0)
        object->free(object);
}
