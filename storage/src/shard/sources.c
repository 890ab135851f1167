/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sources of a shard: the newest sequence of each, sorted by identity. They commit with their
 * records and lie in the shard's row. None is ever evicted, since what its publisher sent would be
 * sent again: beyond STORAGE_SHARD_SOURCES_MAX an append with a new one is refused, until an old
 * one is said to be gone for ever.
 */
#include "shards.h"

#include "core/log.h"

/* Where it is, or would be. */
static size_t place_of(const struct storage_shard *shard, const struct storage_id *id)
{
    return KN_BISECT(i, 0, shard->source_count, storage_id_cmp(&shard->sources[i].id, id) < 0);
}

static struct storage_shard_source *find_locked(struct storage_shard *shard,
                                                const struct storage_id *id)
{
    kn_lock_assert_held(&shard->lock);
    size_t at = place_of(shard, id);
    bool there = at < shard->source_count && storage_id_cmp(&shard->sources[at].id, id) == 0;
    return there ? &shard->sources[at] : NULL;
}

static int refuse_locked(struct storage_shard *shard)
{
    char id[STORAGE_ID_TEXT_BYTES];
    if (!shard->sources_full_said) {
        storage_id_text(&shard->id, id);
        kn_log_warn("shard_sources_full",
                    "shard=%s sources=%zu said=\"records of further sources are refused\"", id,
                    shard->source_count);
    }
    shard->sources_full_said = true;
    return -EDQUOT;
}

static int insert_locked(struct storage_shard *shard, const struct storage_shard_source *source)
{
    if (shard->source_count == shard->source_cap) {
        size_t cap = shard->source_cap ? shard->source_cap * 2 : 4;
        struct storage_shard_source *sources = realloc(shard->sources, cap * sizeof(*sources));
        if (!sources)
            return -ENOMEM;
        shard->sources = sources;
        shard->source_cap = cap;
    }
    size_t at = place_of(shard, &source->id);
    memmove(&shard->sources[at + 1], &shard->sources[at],
            (shard->source_count - at) * sizeof(*source));
    shard->sources[at] = *source;
    shard->source_count++;
    shard->sources_version++;
    return 0;
}

static int learn_one_locked(struct storage_shard *shard, struct storage_shard_source source,
                            bool room_only)
{
    struct storage_shard_source *have = find_locked(shard, &source.id);
    if (have) {
        shard->sources_version += !room_only;
        have->seq = room_only ? have->seq : kn_max_u64(have->seq, source.seq);
        return 0;
    }
    if (room_only && shard->source_count >= STORAGE_SHARD_SOURCES_MAX)
        return refuse_locked(shard);
    source.seq = room_only ? 0 : source.seq;
    return insert_locked(shard, &source);
}

int storage_shard_learn_source_locked(struct storage_shard *shard, const struct storage_id *source,
                                      uint64_t seq)
{
    if (!find_locked(shard, source) && shard->source_count >= STORAGE_SHARD_SOURCES_MAX)
        return refuse_locked(shard);
    return learn_one_locked(shard, (struct storage_shard_source){*source, seq}, false);
}

int storage_shard_learn_locked(struct storage_shard *shard, const struct storage_batch *batch,
                               bool room_only)
{
    kn_lock_assert_held(&shard->lock);
    if (!batch->has_sources)
        return 0;
    struct kn_reader in = kn_reader_of((struct kn_bytes){batch->bytes, batch->len});
    struct storage_shard_record_view view;
    for (uint32_t i = 0; i < batch->count; i++) {
        int r = storage_shard_record_next(&in, &view);
        if (r == 0 && view.has_source)
            r = learn_one_locked(shard, view.source, room_only);
        if (r < 0)
            return r;
    }
    return 0;
}

uint64_t storage_shard_source_seq(struct storage_shard *shard, const struct storage_id *source)
{
    KN_LOCKED(&shard->lock);
    const struct storage_shard_source *have = find_locked(shard, source);
    return have ? have->seq : 0;
}

void storage_shard_source_gone(struct storage_shard *shard, const struct storage_id *source)
{
    KN_LOCKED(&shard->lock);
    struct storage_shard_source *have = find_locked(shard, source);
    if (!have || shard->pending > 0) /* what is on its way may count on its place */
        return;
    size_t at = (size_t) (have - shard->sources);
    memmove(have, have + 1, (shard->source_count - at - 1) * sizeof(*have));
    shard->source_count--;
    shard->sources_version++;
    shard->sources_full_said = false;
}
