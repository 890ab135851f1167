/* SPDX-License-Identifier: Apache-2.0 */
#include "deleted.h"

#include "log.h"

#include <errno.h>
#include <stdio.h>

#include "core/crypto.h"

enum {
    KEY_BYTES = 3 + STORAGE_ID_TEXT_BYTES,
};

static struct kn_bytes key_of(char dst[KEY_BYTES], const struct storage_id *id)
{
    char text[STORAGE_ID_TEXT_BYTES];
    storage_id_text(id, text);
    int n = snprintf(dst, KEY_BYTES, "dx/%s", text);
    return (struct kn_bytes){(const uint8_t *) dst, (size_t) n};
}

int datastream_deleted_note(struct storage_meta *meta, const struct storage_id *id,
                            const struct datastream_shard_map *map)
{
    struct kn_buf record;
    kn_buf_init(&record, DATASTREAM_SHARD_MAP_BYTES_MAX - STORAGE_META_KEY_BYTES_MAX);
    datastream_shard_map_encode(map, &record);
    char key[KEY_BYTES];
    uint64_t version = 0;
    int r = record.error
                ? record.error
                : storage_meta_put(meta, key_of(key, id), kn_buf_bytes(&record), 0, &version);
    kn_buf_done(&record);
    return r == -EEXIST ? 0 : r; /* a removal that met an error is tried again */
}

int datastream_deleted_is(struct storage_meta *meta, const struct storage_id *id)
{
    struct kn_buf record;
    kn_buf_init(&record, DATASTREAM_SHARD_MAP_BYTES_MAX);
    char key[KEY_BYTES];
    uint64_t version;
    int r = storage_meta_get(meta, key_of(key, id), &record, &version);
    kn_buf_done(&record);
    return r == 0 ? 1 : r == -ENOENT ? 0 : r;
}

/* --- dropping --------------------------------------------------------------------------------- */
struct first { /* of those after a key */
    bool any;
    struct storage_id id;
    struct datastream_shard_map map;
};

static int take(void *ctx, struct kn_bytes key, struct kn_bytes value, uint64_t version KN_UNUSED)
{
    struct first *first = ctx;
    if (kn_hex_decode(kn_str_skip(kn_str_of(key), 3), first->id.bytes, sizeof(first->id.bytes)) < 0)
        return -EBADMSG;
    int r = datastream_shard_map_decode(value, &first->map);
    first->any = r == 0;
    return r;
}

static int drop_logs(struct storage *storage, const struct first *first, bool (*is_over)(void *ctx),
                     void *ctx)
{
    for (size_t i = 0; i < first->map.count; i++) {
        struct storage_id id = datastream_log_id_of(&first->id, first->map.rows[i].index);
        int r = is_over(ctx) ? -ESHUTDOWN : storage_shard_drop(storage, &id);
        if (r < 0)
            return r;
    }
    return 0;
}

int datastream_deleted_drop(struct storage *storage, bool (*is_over)(void *ctx), void *ctx)
{
    struct storage_meta *meta = storage_meta_of(storage);
    for (;;) {
        struct first first = {.any = false};
        int r = storage_meta_list(meta, kn_bytes_of(KN_STR("dx/")), (struct kn_bytes){NULL, 0}, 1,
                                  take, &first);
        if (r < 0 || !first.any)
            return r;
        r = drop_logs(storage, &first, is_over, ctx);
        datastream_shard_map_done(&first.map);
        char key[KEY_BYTES];
        if (r == 0)
            r = storage_meta_remove(meta, key_of(key, &first.id), 0);
        if (r < 0 && r != -ENOENT)
            return r;
    }
}
