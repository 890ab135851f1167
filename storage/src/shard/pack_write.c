/* SPDX-License-Identifier: Apache-2.0 */
/* A slice of a checkpoint goes to one pack: its row, its file, and again its row, which says that
 * it is on disk. Rows of segments come after that. */
#include "checkpoint.h"
#include "pack.h"

#include <errno.h>
#include <stdlib.h>

static bool goes(const struct storage_outgoing *out)
{
    return out->result == 0 && out->packed && out->frame_bytes > 0;
}

static uint64_t aligned(uint64_t at)
{
    return (at + STORAGE_PACK_ALIGN - 1) / STORAGE_PACK_ALIGN * STORAGE_PACK_ALIGN;
}

/* Where each goes; the pack's length. */
static uint64_t place_all(struct storage_outgoing *outs, size_t count, uint64_t number,
                          struct storage_pack_entry *entries, size_t *ret_count)
{
    size_t segments = 0, at_entry = 0;
    for (size_t i = 0; i < count; i++)
        segments += goes(&outs[i]);
    uint64_t at = storage_pack_head_bytes(segments);
    for (size_t i = 0; i < count; i++) {
        struct storage_segment_row *row = &outs[i].row;
        if (!goes(&outs[i]))
            continue;
        row->pack = number;
        row->place = at;
        entries[at_entry++] = (struct storage_pack_entry){
            .shard = outs[i].shard->id, .first = row->first, .place = at, .bytes = row->bytes};
        at = aligned(at + row->bytes);
    }
    *ret_count = segments;
    return at;
}

static int write_head(struct storage_direct *direct, uint64_t number,
                      const struct storage_pack_entry *entries, size_t count)
{
    size_t len = storage_pack_head_bytes(count);
    uint8_t *head = malloc(len);
    if (!head)
        return -ENOMEM;
    storage_pack_head(number, entries, count, head);
    int r = storage_direct_add(direct, (struct kn_bytes){head, len});
    free(head);
    return r;
}

static int write_segments(struct storage_direct *direct, const struct storage_outgoing *outs,
                          size_t count)
{
    static const uint8_t zeros[STORAGE_PACK_ALIGN];
    int r = 0;
    for (size_t i = 0; r == 0 && i < count; i++) {
        uint64_t bytes = outs[i].row.bytes;
        if (!goes(&outs[i]))
            continue;
        r = storage_outgoing_pour(&outs[i], direct);
        if (r == 0)
            r = storage_direct_add(direct, (struct kn_bytes){zeros, aligned(bytes) - bytes});
    }
    return r;
}

static int write_file(struct storage_shards *shards, const struct storage_pack_row *row,
                      const struct storage_outgoing *outs, size_t count,
                      const struct storage_pack_entry *entries, size_t entry_count)
{
    struct kn_fs *fs = shards->storage->fs;
    char path[STORAGE_SHARD_PATH_BYTES];
    struct kn_file *file;
    int flags = KN_FS_WRITE | KN_FS_CREATE | KN_FS_EXCLUSIVE |
                (row->bytes >= shards->conf.direct_bytes_min ? KN_FS_DIRECT : 0);
    int r = storage_pack_path(shards, row->number, path);
    if (r == 0)
        r = fs->ops->open(fs, path, flags, &file);
    if (r < 0)
        return r;
    r = storage_direct_begin(&shards->direct, file, 0);
    if (r == 0)
        r = write_head(&shards->direct, row->number, entries, entry_count);
    if (r == 0)
        r = write_segments(&shards->direct, outs, count);
    if (r == 0)
        r = storage_direct_end(&shards->direct);
    if (r == 0)
        storage_flush_team_sync(&shards->team, &file, &r, 1);
    fs->ops->close(file);
    return r < 0 ? r : storage_pack_sync_folder(shards);
}

/* A checkpoint that did not end may have left it in the place of a segment that lies in a pack now.
 */
static void remove_intended(struct storage_shards *shards, const struct storage_outgoing *out)
{
    struct kn_fs *fs = shards->storage->fs;
    char path[STORAGE_SHARD_PATH_BYTES];
    if (out->version > 0 &&
        storage_segment_path(shards, &out->shard->id, out->row.first, path) == 0 &&
        fs->ops->unlink(fs, path) == 0 &&
        storage_segment_folder(shards, &out->shard->id, path) == 0)
        (void) fs->ops->sync_dir(fs, path);
}

int storage_pack_write(struct storage_shards *shards, struct storage_outgoing *outs, size_t count,
                       int *ret_file)
{
    struct storage_pack_row row = {.number = shards->pack_next};
    struct storage_pack_entry *entries = calloc(count, sizeof(*entries));
    size_t entry_count = 0;
    int r = entries ? 0 : -ENOMEM;
    *ret_file = 0;
    if (r == 0 && row.number == 0)
        r = storage_pack_next(shards->storage->meta, &row.number);
    uint64_t bytes = r == 0 ? place_all(outs, count, row.number, entries, &entry_count) : 0;
    if (r == 0 && entry_count > 0) {
        shards->pack_next = row.number + 1;
        r = storage_pack_put(shards->storage->meta, &row);
        row.bytes = bytes;
        if (r == 0)
            *ret_file = write_file(shards, &row, outs, count, entries, entry_count);
        if (r == 0 && *ret_file == 0)
            r = storage_pack_put(shards->storage->meta, &row);
        int removed = *ret_file < 0 ? storage_pack_remove(shards, row.number) : 0;
        (void) removed; /* else it is met as the oldest */
    }
    for (size_t i = 0; r == 0 && *ret_file == 0 && i < count; i++) {
        if (goes(&outs[i]))
            remove_intended(shards, &outs[i]);
    }
    free(entries);
    return r;
}
