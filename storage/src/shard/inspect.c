/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the files of shards without a running log; see inspect.h. */
#include "inspect.h"

#include "core/crypto.h"

enum {
    WINDOW_BYTES = 1 << 20,
};

int storage_shard_file_open(struct kn_fs *fs, const char *path, uint64_t place,
                            struct storage_shard_file *ret)
{
    struct storage_shard_file f = {.at = STORAGE_JOURNAL_HEAD_BYTES, .place = place};
    int r = fs->ops->open(fs, path, KN_FS_READ, &f.file);
    if (r < 0)
        return r;
    r = f.file->fs->ops->size(f.file, &f.end);
    f.end -= kn_min_u64(place, f.end);
    if (r == 0)
        r = place > 0 ? -ENODATA : storage_journal_head_read(f.file, 0, &f.journal);
    f.is_journal = r == 0;
    if (r == 0)
        f.seed = storage_shard_frame_seed(f.journal.id, f.journal.generation);
    if (r == -ENODATA) {
        r = storage_segment_head_read(f.file, place, &f.shard, f.id, &f.first);
        f.seed = storage_shard_frame_seed(f.id, f.first);
        f.at = STORAGE_SEGMENT_HEAD_BYTES;
    }
    if (r == -ENODATA && place == 0 && f.end > STORAGE_JOURNAL_COPY_BYTES) { /* by its copy */
        r = storage_journal_head_read(f.file, f.end - STORAGE_JOURNAL_COPY_BYTES, &f.journal);
        f.is_journal = r == 0;
        f.at = STORAGE_JOURNAL_HEAD_BYTES;
        if (r == 0)
            f.seed = storage_shard_frame_seed(f.journal.id, f.journal.generation);
    }
    if (r < 0) {
        storage_shard_file_close(&f);
        return r == -ENODATA ? -EBADMSG : r;
    }
    *ret = f;
    return 0;
}

void storage_shard_file_close(struct storage_shard_file *f)
{
    if (f->file)
        f->file->fs->ops->close(KN_MOVE(f->file));
    free(KN_MOVE(f->bytes));
}

static int room(struct storage_shard_file *f, size_t len)
{
    if (len <= f->cap)
        return 0;
    uint8_t *bytes = realloc(f->bytes, len);
    if (!bytes)
        return -ENOMEM;
    f->bytes = bytes;
    f->cap = len;
    return 0;
}

int storage_shard_file_next(struct storage_shard_file *f, struct storage_shard_frame *ret,
                            struct kn_bytes *ret_payload)
{
    uint8_t head[STORAGE_SHARD_FRAME_BYTES];
    if (f->at > f->end || f->end - f->at < sizeof(head))
        return -ENODATA;
    int r = kn_file_read_all(f->file, head, sizeof(head), f->place + f->at);
    if (r == 0)
        r = storage_shard_frame_decode(head, f->seed, f->at, ret);
    if (r < 0)
        return r;
    uint64_t from = f->at + sizeof(head);
    if (ret->payload_bytes > f->end - from)
        return -ENODATA;
    r = room(f, ret->payload_bytes);
    if (r == 0 && ret->payload_bytes > 0)
        r = kn_file_read_all(f->file, f->bytes, ret->payload_bytes, f->place + from);
    if (r < 0)
        return r;
    f->at = from + ret->payload_bytes;
    *ret_payload = (struct kn_bytes){f->bytes, ret->payload_bytes};
    return kn_crc32c(0, *ret_payload) == ret->payload_crc ? 0 : -EBADMSG;
}

int storage_shard_file_seek(struct storage_shard_file *f)
{
    struct storage_shard_frame frame;
    uint64_t at = f->at + 1;
    int r = room(f, WINDOW_BYTES);
    while (r == 0 && at < f->end && f->end - at >= STORAGE_SHARD_FRAME_BYTES) {
        size_t len = kn_min_u64(WINDOW_BYTES, f->end - at);
        r = kn_file_read_all(f->file, f->bytes, len, f->place + at);
        if (r < 0)
            return r;
        r = storage_shard_frame_seek((struct kn_bytes){f->bytes, len}, f->seed, at, &frame);
        if (r == 0)
            f->at = frame.at;
        if (r != -ENODATA)
            return r;
        r = 0;
        at += len - (STORAGE_SHARD_FRAME_BYTES - 1);
    }
    return r < 0 ? r : -ENODATA;
}

int storage_shard_payload_check(struct kn_bytes payload, uint32_t count)
{
    struct kn_reader in = kn_reader_of(payload);
    struct storage_shard_record_view view;
    for (uint32_t i = 0; i < count; i++) {
        if (storage_shard_record_next(&in, &view) < 0)
            return -EBADMSG;
    }
    return kn_reader_left(&in) == 0 ? 0 : -EBADMSG;
}
