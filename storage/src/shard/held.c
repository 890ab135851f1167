/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shards whose own files cannot be written (a damaged folder, a quota on it). What they have in
 * memory goes to one file beside the journals, so that the journals can be used again by all
 * others. It has the form of a journal, is written whole, and counts once the catalogue names it in
 * the row that lets the journals go. There are two places, used in turn.
 */
#include "checkpoint.h"

#include "core/crypto.h"

enum {
    BUDGET_PARTS = 8, /* of the memory of all shards */
};

uint64_t storage_held_bytes_max(const struct storage_shards *shards)
{
    return shards->conf.shard_memory_bytes_max / BUDGET_PARTS;
}

static int write_shards(struct kn_file *file, struct storage_shard *const *stuck, size_t count,
                        uint64_t generation, uint32_t seed, uint64_t *at)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < count; i++) {
        struct storage_outgoing out;
        storage_shard_ref(stuck[i]);
        r = storage_outgoing_take(&out, stuck[i], generation);
        if (r == 0)
            r = storage_outgoing_frames(&out, file, seed, true, at);
        storage_outgoing_done(&out);
    }
    return r;
}

int storage_held_remove(struct storage_shards *shards, unsigned slot)
{
    struct kn_fs *fs = shards->storage->fs;
    char path[STORAGE_SHARD_PATH_BYTES], folder[STORAGE_SHARD_PATH_BYTES];
    int r = storage_held_path(shards, slot, path);
    if (r == 0)
        r = fs->ops->unlink(fs, path);
    if (r < 0 && r != -ENOENT)
        return r;
    int n = snprintf(folder, sizeof(folder), "%s/journal", shards->storage->dir);
    kn_assert(n > 0 && (size_t) n < sizeof(folder)); /* the longer one did fit */
    return fs->ops->sync_dir(fs, folder);
}

/* The header, twice, and a byte behind the copy's block. */
static int write_heads(struct kn_file *file, const uint8_t id[16], uint64_t generation,
                       uint64_t bytes)
{
    struct storage_journal_head head = {.generation = generation, .before_bytes = bytes};
    uint64_t copy_at = storage_held_copy_at(bytes);
    uint8_t zero = 0;
    struct iovec end = {&zero, 1};
    memcpy(head.id, id, sizeof(head.id));
    int r = storage_journal_head_write(file, copy_at, &head);
    return r < 0 ? r : kn_file_write_all(file, &end, 1, copy_at + STORAGE_JOURNAL_COPY_BYTES - 1);
}

int storage_held_write(struct storage_shards *shards, struct storage_shard *const *stuck,
                       size_t count, uint64_t generation, unsigned slot)
{
    struct kn_fs *fs = shards->storage->fs;
    char path[STORAGE_SHARD_PATH_BYTES], folder[STORAGE_SHARD_PATH_BYTES];
    uint8_t id[16];
    uint64_t at = STORAGE_JOURNAL_HEAD_BYTES;
    struct kn_file *file;
    int r = storage_held_remove(shards, slot); /* of a checkpoint that did not end */
    if (r == 0)
        r = storage_held_path(shards, slot, path);
    if (r == 0)
        r = fs->ops->open(fs, path, KN_FS_WRITE | KN_FS_CREATE | KN_FS_EXCLUSIVE, &file);
    if (r < 0)
        return r;
    kn_random(id, sizeof(id));
    r = write_shards(file, stuck, count, generation, storage_shard_frame_seed(id, generation), &at);
    if (r == 0)
        r = write_heads(file, id, generation, at);
    if (r == 0)
        r = fs->ops->sync(file);
    fs->ops->close(file);
    (void) snprintf(folder, sizeof(folder), "%s/journal", shards->storage->dir);
    return r < 0 ? r : fs->ops->sync_dir(fs, folder);
}
