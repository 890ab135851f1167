/* SPDX-License-Identifier: Apache-2.0 */
/* Which shards of a checkpoint go to packs: those that have little. */
#include "checkpoint.h"

#include <stdlib.h>

struct keyed {       /* a shard, which need not be looked at to be sorted */
    uint64_t begins; /* so its id does */
    struct storage_shard *shard;
};

static int compare_keyed(const void *a, const void *b)
{
    const struct keyed *x = a, *y = b;
    return (x->begins > y->begins) - (x->begins < y->begins);
}

/* In the order of the catalogue's rows, or nearly: nothing but time depends on it. */
static void sort(struct storage_shard **list, size_t count)
{
    struct keyed *keyed = malloc(count * sizeof(*keyed));
    if (!keyed)
        return;
    for (size_t i = 0; i < count; i++) {
        struct kn_reader id = kn_reader_of((struct kn_bytes){list[i]->id.bytes, 16});
        keyed[i].shard = list[i];
        kn_assert(kn_read_u64be(&id, &keyed[i].begins) == 0);
    }
    qsort(keyed, count, sizeof(*keyed), compare_keyed);
    for (size_t i = 0; i < count; i++)
        list[i] = keyed[i].shard;
    free(keyed);
}

static bool has_little(struct storage_shard *shard, uint64_t generation)
{
    uint64_t bytes = 0;
    KN_LOCKED(&shard->lock);
    if (shard->tail_bytes <= shard->shards->conf.pack_bytes_max) /* without a look at each */
        return true;
    storage_shard_tail_fetch_locked(shard);
    for (size_t i = 0; i < shard->tail_count && bytes <= shard->shards->conf.pack_bytes_max; i++) {
        const struct storage_batch *batch = shard->tail[shard->tail_at + i];
        if (batch->generation > generation)
            break;
        bytes += STORAGE_SHARD_FRAME_BYTES + batch->len;
    }
    return bytes <= shard->shards->conf.pack_bytes_max;
}

size_t storage_checkpoint_little(struct storage_shards *shards, struct storage_shard **list,
                                 size_t count, uint64_t generation)
{
    size_t little = 0;
    for (size_t i = 0; i < count; i++) {
        struct storage_shard *shard = list[i];
        storage_shards_fetch(list, i, count);
        if (!has_little(shard, generation))
            continue;
        list[i] = list[little];
        list[little++] = shard;
    }
    if (little < shards->conf.pack_shards_min)
        return 0;
    sort(list, little);
    return little;
}
