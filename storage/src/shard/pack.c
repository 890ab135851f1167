/* SPDX-License-Identifier: Apache-2.0 */
/* A pack's file and its row; see pack.h. All numbers are little-endian. */
#include "pack.h"

#include "segment.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/crypto.h"

enum {
    VERSION = 1,
    HEAD_BYTES = 64,
    ENTRY_BYTES = 40,
    ROW_BYTES = 17,
};
static const uint8_t magic[8] = {'K', 'N', 'P', 'A', 'C', 'K', '1', '\n'};

/* --- the file --------------------------------------------------------------------------------- */
int storage_pack_path(const struct storage_shards *shards, uint64_t number,
                      char dst[STORAGE_SHARD_PATH_BYTES])
{
    int n = snprintf(dst, STORAGE_SHARD_PATH_BYTES, "%s/packs/%020" PRIu64 ".pack",
                     shards->storage->dir, number);
    return n < 0 || n >= STORAGE_SHARD_PATH_BYTES ? -EMSGSIZE : 0;
}

int storage_pack_sync_folder(struct storage_shards *shards)
{
    char path[STORAGE_SHARD_PATH_BYTES];
    int n = snprintf(path, sizeof(path), "%s/packs", shards->storage->dir);
    if (n < 0 || (size_t) n >= sizeof(path))
        return -EMSGSIZE;
    return shards->storage->fs->ops->sync_dir(shards->storage->fs, path);
}

int storage_segment_file(const struct storage_shards *shards, const struct storage_id *shard,
                         const struct storage_segment_row *row, char dst[STORAGE_SHARD_PATH_BYTES])
{
    return row->pack > 0 ? storage_pack_path(shards, row->pack, dst)
                         : storage_segment_path(shards, shard, row->first, dst);
}

uint64_t storage_pack_head_bytes(size_t count)
{
    uint64_t bytes = HEAD_BYTES + (uint64_t) count * ENTRY_BYTES;
    return (bytes + STORAGE_PACK_ALIGN - 1) / STORAGE_PACK_ALIGN * STORAGE_PACK_ALIGN;
}

void storage_pack_head(uint64_t number, const struct storage_pack_entry *entries, size_t count,
                       uint8_t *dst)
{
    memset(dst, 0, storage_pack_head_bytes(count));
    uint8_t *at = dst + HEAD_BYTES;
    for (size_t i = 0; i < count; i++, at += ENTRY_BYTES) {
        memcpy(at, entries[i].shard.bytes, 16);
        kn_put_u64le(at + 16, entries[i].first);
        kn_put_u64le(at + 24, entries[i].place);
        kn_put_u64le(at + 32, entries[i].bytes);
    }
    memcpy(dst, magic, sizeof(magic));
    kn_put_u64le(dst + 8, number);
    kn_put_u32le(dst + 16, (uint32_t) count);
    kn_put_u32le(dst + 20, kn_crc32c(0, (struct kn_bytes){dst + HEAD_BYTES, count * ENTRY_BYTES}));
    kn_put_u32le(dst + 24, kn_crc32c(0, (struct kn_bytes){dst, 24}));
}

static int read_entries(struct kn_file *file, uint32_t count, uint32_t crc,
                        struct storage_pack_entry **ret)
{
    size_t len = (size_t) count * ENTRY_BYTES;
    uint8_t *bytes = malloc(len + 1);
    struct storage_pack_entry *entries = calloc(count + 1, sizeof(*entries));
    int r = bytes && entries ? kn_file_read_all(file, bytes, len, HEAD_BYTES) : -ENOMEM;
    if (r == -ENODATA || (r == 0 && kn_crc32c(0, (struct kn_bytes){bytes, len}) != crc))
        r = -EBADMSG;
    struct kn_reader in = kn_reader_of((struct kn_bytes){bytes, len});
    for (uint32_t i = 0; r == 0 && i < count; i++) {
        struct kn_bytes id;
        if (kn_read_bytes(&in, 16, &id) < 0 || kn_read_u64le(&in, &entries[i].first) < 0 ||
            kn_read_u64le(&in, &entries[i].place) < 0 || kn_read_u64le(&in, &entries[i].bytes) < 0)
            r = -EBADMSG; /* cannot be: they are so many */
        else
            memcpy(entries[i].shard.bytes, id.ptr, 16);
    }
    free(bytes);
    if (r < 0)
        free(entries);
    else
        *ret = entries;
    return r;
}

int storage_pack_head_read(struct kn_file *file, uint64_t *ret_number,
                           struct storage_pack_entry **ret, size_t *ret_count)
{
    uint8_t head[HEAD_BYTES];
    int r = kn_file_read_all(file, head, sizeof(head), 0);
    if (r < 0)
        return r;
    struct kn_reader in = kn_reader_of((struct kn_bytes){head + 8, 20});
    uint32_t count, list_crc, crc;
    r = kn_read_u64le(&in, ret_number);
    r = r < 0 ? r : kn_read_u32le(&in, &count);
    r = r < 0 ? r : kn_read_u32le(&in, &list_crc);
    r = r < 0 ? r : kn_read_u32le(&in, &crc);
    if (r < 0 || memcmp(head, magic, sizeof(magic)) != 0 ||
        crc != kn_crc32c(0, (struct kn_bytes){head, 24}) || count > STORAGE_PACK_SEGMENTS_MAX)
        return -ENODATA;
    *ret_count = count;
    return read_entries(file, count, list_crc, ret);
}

/* --- its row ---------------------------------------------------------------------------------- */
struct kn_bytes storage_pack_key(uint64_t number, char dst[STORAGE_SHARD_KEY_BYTES])
{
    int n = snprintf(dst, STORAGE_SHARD_KEY_BYTES, "xp/%016" PRIx64, number);
    return (struct kn_bytes){(const uint8_t *) dst, (size_t) n};
}

int storage_pack_row_decode(struct kn_bytes value, struct storage_pack_row *ret)
{
    struct kn_reader in = kn_reader_of(value);
    uint8_t version;
    if (kn_read_u8(&in, &version) < 0 || version != VERSION ||
        kn_read_u64le(&in, &ret->number) < 0 || kn_read_u64le(&in, &ret->bytes) < 0)
        return -EBADMSG;
    return 0;
}

static int take_row(void *ctx, struct kn_bytes key, struct kn_bytes value, uint64_t version)
{
    (void) key;
    (void) version;
    return storage_pack_row_decode(value, ctx);
}

int storage_pack_next(struct storage_meta *meta, uint64_t *ret)
{
    struct storage_pack_row last = {.number = 0};
    int r = storage_meta_list_last(meta, kn_bytes_of(KN_STR("xp/")), 1, take_row, &last);
    *ret = last.number + 1;
    return r;
}

int storage_pack_put(struct storage_meta *meta, const struct storage_pack_row *row)
{
    char text[STORAGE_SHARD_KEY_BYTES];
    uint8_t value[ROW_BYTES];
    struct kn_bytes key = storage_pack_key(row->number, text);
    struct kn_buf old;
    uint64_t version = 0;
    kn_buf_init(&old, STORAGE_SHARD_KEY_BYTES);
    int r = storage_meta_get(meta, key, &old, &version);
    kn_buf_done(&old);
    if (r < 0 && r != -ENOENT)
        return r;
    value[0] = VERSION;
    kn_put_u64le(value + 1, row->number);
    kn_put_u64le(value + 9, row->bytes);
    return storage_meta_put(meta, key, (struct kn_bytes){value, sizeof(value)},
                            r == 0 ? version : 0, &version);
}
