/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When packs go: how many rows of segments still name one is counted when the first of them goes,
 * and from there on in memory. What a crash has left is found once it is the oldest.
 */
#include "pack.h"

#include <errno.h>
#include <stdlib.h>

enum {
    TIDIED_A_ROUND = 16,
};

/* --- counts ----------------------------------------------------------------------------------- */
/* They are sorted: the place of this one, or where it would be. */
static size_t place_of(const struct storage_shards *shards, uint64_t number)
{
    return KN_BISECT(i, 0, shards->pack_count, shards->packs[i].number < number);
}

static struct storage_pack_count *find_count(struct storage_shards *shards, uint64_t number)
{
    size_t at = place_of(shards, number);
    return at < shards->pack_count && shards->packs[at].number == number ? &shards->packs[at]
                                                                         : NULL;
}

static void forget_count(struct storage_shards *shards, uint64_t number)
{
    struct storage_pack_count *count = find_count(shards, number);
    if (!count)
        return;
    size_t behind = (size_t) (shards->packs + --shards->pack_count - count);
    memmove(count, count + 1, behind * sizeof(*count));
}

static int add_count(struct storage_shards *shards, uint64_t number, uint64_t segments)
{
    if (shards->pack_count == shards->pack_cap) {
        size_t cap = shards->pack_cap ? shards->pack_cap * 2 : 64;
        struct storage_pack_count *packs = realloc(shards->packs, cap * sizeof(*packs));
        if (!packs)
            return -ENOMEM;
        shards->packs = packs;
        shards->pack_cap = cap;
    }
    struct storage_pack_count *at = shards->packs + place_of(shards, number);
    memmove(at + 1, at, (size_t) (shards->packs + shards->pack_count++ - at) * sizeof(*at));
    *at = (struct storage_pack_count){.number = number, .segments = segments};
    return 0;
}

static int count_named(struct storage_shards *shards, uint64_t number,
                       const struct storage_pack_entry *entries, size_t count, uint64_t *ret)
{
    *ret = 0;
    for (size_t i = 0; i < count; i++) {
        struct storage_segment_row row;
        uint64_t version;
        int r = storage_segment_row_at(shards->storage->meta, &entries[i].shard, entries[i].first,
                                       &row, &version);
        if (r < 0 && r != -ENOENT)
            return r;
        *ret += r == 0 && row.first == entries[i].first && row.pack == number;
    }
    return 0;
}

/* Rows that name it. Nobody can say of one whose list is damaged: -EBADMSG, and it stays. */
static int count_rows(struct storage_shards *shards, uint64_t number, uint64_t *ret)
{
    struct kn_fs *fs = shards->storage->fs;
    char path[STORAGE_SHARD_PATH_BYTES];
    struct storage_pack_entry *entries = NULL;
    struct kn_file *file;
    uint64_t own;
    size_t count = 0;
    *ret = 0;
    int r = storage_pack_path(shards, number, path);
    if (r == 0)
        r = fs->ops->open(fs, path, KN_FS_READ, &file);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    r = storage_pack_head_read(file, &own, &entries, &count);
    fs->ops->close(file);
    if (r == 0)
        r = count_named(shards, number, entries, count, ret);
    free(entries);
    return r == -ENODATA ? -EBADMSG : r;
}

/* --- removing --------------------------------------------------------------------------------- */
int storage_pack_remove(struct storage_shards *shards, uint64_t number)
{
    struct kn_fs *fs = shards->storage->fs;
    char path[STORAGE_SHARD_PATH_BYTES], key[STORAGE_SHARD_KEY_BYTES];
    int r = storage_pack_path(shards, number, path);
    if (r == 0)
        r = fs->ops->unlink(fs, path);
    if (r == 0)
        r = storage_pack_sync_folder(shards);
    if (r == 0 || r == -ENOENT)
        r = storage_meta_remove(shards->storage->meta, storage_pack_key(number, key), 0);
    if (r == 0 || r == -ENOENT)
        forget_count(shards, number);
    return r == -ENOENT ? 0 : r;
}

int storage_pack_lost(struct storage_shards *shards, uint64_t number)
{
    struct storage_pack_count *known = find_count(shards, number);
    uint64_t left = 0;
    if (known) {
        left = known->segments > 0 ? --known->segments : 0;
    } else {
        int r = count_rows(shards, number, &left);
        if (r == 0 && left > 0)
            r = add_count(shards, number, left);
        if (r < 0)
            return r == -EBADMSG || r == -ENOMEM ? 0 : r;
    }
    return left == 0 ? storage_pack_remove(shards, number) : 0;
}

static int take_row(void *ctx, struct kn_bytes key, struct kn_bytes value, uint64_t version)
{
    (void) key;
    (void) version;
    return storage_pack_row_decode(value, ctx);
}

int storage_packs_tidy(struct storage_shards *shards)
{
    int r = 0;
    for (unsigned i = 0; r == 0 && i < TIDIED_A_ROUND; i++) {
        struct storage_pack_row row = {.number = 0};
        uint64_t left = 0;
        r = storage_meta_list(shards->storage->meta, kn_bytes_of(KN_STR("xp/")),
                              (struct kn_bytes){NULL, 0}, 1, take_row, &row);
        if (r < 0 || row.number == 0 || row.number == shards->pack_tidied)
            return r;
        if (row.bytes > 0 && !find_count(shards, row.number))
            r = count_rows(shards, row.number, &left);
        else if (row.bytes > 0)
            left = 1;
        if (r == -EBADMSG || left > 0) { /* what follows goes when its last segment does */
            shards->pack_tidied = row.number;
            return 0;
        }
        if (r == 0)
            r = storage_pack_remove(shards, row.number);
    }
    return r;
}
