/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Damage of a journal may have taken records of any shard, and with them the knowledge of which
 * indexes were given. An index given twice would be a wrong record to who has read the first, so
 * all shards leap over as many as the damaged bytes can have held.
 */
#include "shards.h"

#include "core/crypto.h"

enum {
    ROWS_A_CHANGE = 200,
};

struct leap {
    struct storage_shards *shards;
    struct storage_meta_change changes[ROWS_A_CHANGE];
    char keys[ROWS_A_CHANGE][STORAGE_SHARD_KEY_BYTES];
    struct kn_buf values[ROWS_A_CHANGE];
    size_t seen, count;
};

static uint64_t next_of(struct storage_shards *shards, const struct storage_id *id)
{
    KN_LOCKED(&shards->lock);
    struct storage_shard *shard = storage_shard_peek_locked(shards, id);
    if (!shard)
        return 0;
    kn_lock_take(&shard->lock);
    uint64_t next = shard->next;
    kn_lock_give(&shard->lock);
    return next;
}

static int take_row(void *ctx, struct kn_bytes key, struct kn_bytes value, uint64_t version)
{
    struct leap *leap = ctx;
    struct storage_shard_row row;
    struct storage_id id;
    struct kn_str text = kn_str_skip(kn_str_of(key), sizeof("w/") - 1);
    char *dst = leap->keys[leap->seen++];
    memcpy(dst, key.ptr, kn_min_u64(key.len, STORAGE_SHARD_KEY_BYTES));
    if (kn_hex_decode(text, id.bytes, sizeof(id.bytes)) < 0)
        return -EBADMSG;
    int r = storage_shard_row_decode(value, &row);
    if (r < 0)
        return r;
    if (!row.closed)
        r = storage_shard_row_raise_to_newest(leap->shards->storage->meta, &id, &row);
    if (!row.closed && r == 0) {
        uint64_t next = kn_max_u64(next_of(leap->shards, &id), kn_max_u64(row.next, row.give));
        row.give = next + leap->shards->leap;
        struct kn_buf *buf = &leap->values[leap->count];
        r = storage_shard_row_encode(&row, buf);
        leap->changes[leap->count++] = (struct storage_meta_change){
            .key = {(const uint8_t *) dst, key.len},
              .value = kn_buf_bytes(buf), .expect = version
        };
    }
    free(row.sources);
    return r;
}

static int change_all(struct leap *leap)
{
    if (leap->count > 0)
        storage_meta_change_all(leap->shards->storage->meta, leap->changes, leap->count);
    for (size_t i = 0; i < leap->count; i++) {
        if (leap->changes[i].result < 0)
            return leap->changes[i].result;
    }
    return 0;
}

static int leap_rows(struct leap *leap)
{
    char after[STORAGE_SHARD_KEY_BYTES];
    struct kn_bytes from = {NULL, 0};
    int r;
    do {
        leap->seen = leap->count = 0;
        r = storage_meta_list(leap->shards->storage->meta, kn_bytes_of(KN_STR("w/")), from,
                              ROWS_A_CHANGE, take_row, leap);
        if (r == 0)
            r = change_all(leap);
        if (leap->seen > 0) {
            struct storage_id id;
            memcpy(after, leap->keys[leap->seen - 1], sizeof(after));
            from =
                (struct kn_bytes){(const uint8_t *) after, sizeof("w/") - 1 + 2 * sizeof(id.bytes)};
        }
    } while (r == 0 && leap->seen == ROWS_A_CHANGE);
    return r;
}

/* Those that journals brought into memory. */
static void leap_memory(struct storage_shards *shards)
{
    KN_LOCKED(&shards->lock);
    for (size_t i = 0; i < STORAGE_SHARD_BUCKETS; i++) {
        for (struct storage_shard *s = shards->buckets[i]; s; s = s->bucket_next) {
            kn_lock_take(&s->lock);
            s->next += s->closed ? 0 : shards->leap;
            s->assigned = s->next;
            kn_lock_give(&s->lock);
        }
    }
}

int storage_shards_leap(struct storage_shards *shards, uint64_t indexes)
{
    struct leap *leap = calloc(1, sizeof(*leap));
    if (!leap)
        return -ENOMEM;
    shards->leap = indexes;
    leap->shards = shards;
    for (size_t i = 0; i < ROWS_A_CHANGE; i++)
        kn_buf_init(&leap->values[i], STORAGE_META_VALUE_BYTES_MAX);
    int r = leap_rows(leap);
    for (size_t i = 0; i < ROWS_A_CHANGE; i++)
        kn_buf_done(&leap->values[i]);
    free(leap);
    if (r == 0)
        leap_memory(shards);
    return r;
}
