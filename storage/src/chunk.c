/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A chunk's life on disk: created with its folders flushed, grown in preallocated steps that keep
 * the file's size (so a player never meets zeros), sealed with Cues, index footer and SeekHead.
 * Which thread may do what: chunk.h. Format: docs/format-chunk.md.
 */
#include "chunk.h"

#include "memory_file.h"

#include <stdio.h>

#include "core/mkv.h"

enum {
    ALLOCATE_STEP_BYTES = 4 << 20,
    CUE_BYTES = 26,
    CUES_HEAD_BYTES = 4 + 4,
    SEEK_HEAD_BYTES = 26,
};

int storage_chunk_new(struct storage *storage, const struct storage_chunk_head *head, bool memory,
                      struct storage_chunk **ret)
{
    struct storage_chunk *chunk = calloc(1, sizeof(*chunk));
    if (!chunk)
        return -ENOMEM;
    chunk->refs = 1;
    chunk->storage = storage;
    chunk->stream = head->stream;
    chunk->memory = memory;
    chunk->seed = storage_format_seed(head->id);
    chunk->index.head = *head;
    chunk->cue_track = 1;
    *ret = chunk;
    return 0;
}

struct storage_chunk *storage_chunk_ref(struct storage_chunk *chunk)
{
    chunk->refs++;
    return chunk;
}

void storage_chunk_unref(struct storage_chunk *chunk)
{
    if (!chunk || --chunk->refs > 0)
        return;
    if (chunk->file)
        chunk->file->fs->ops->close(chunk->file);
    storage_index_done(&chunk->index);
    free(chunk);
}

int storage_chunk_path_of(const char *dir, const struct storage_id *stream,
                          const struct storage_number *name, struct storage_chunk_path *ret)
{
    char id[STORAGE_ID_TEXT_BYTES], number[STORAGE_NUMBER_TEXT_BYTES], day[KN_TIME_TEXT_BYTES];
    storage_id_text(stream, id);
    storage_number_format(name, number);
    kn_time_amz(name->server_ts_ms, day); /* "20261122T…": its first eight are the day */
    int a = snprintf(ret->stream, sizeof(ret->stream), "%s/chunks/%s", dir, id);
    int b = snprintf(ret->day, sizeof(ret->day), "%s/chunks/%s/%.8s", dir, id, day);
    int c =
        snprintf(ret->file, sizeof(ret->file), "%s/chunks/%s/%.8s/%s.mkv", dir, id, day, number);
    if (a < 0 || b < 0 || c < 0 || (size_t) c >= sizeof(ret->file))
        return -EMSGSIZE;
    return 0;
}

static int make_dir(struct kn_fs *fs, const char *path)
{
    int r = fs->ops->mkdir(fs, path);
    return r == -EEXIST ? 0 : r;
}

static const char *day_of(const struct storage_chunk_path *path)
{
    return path->day + strlen(path->stream) + 1;
}

/* A folder that is there already may not be on disk: a run that made it may have failed before its
 * flush. */
static int make_folders(struct kn_fs *fs, const struct storage_chunk_path *path,
                        struct storage_folders *folders)
{
    int r = fs->ops->mkdir(fs, path->day);
    if (r == -ENOENT) {
        *folders = (struct storage_folders){.stream = false};
        r = make_dir(fs, path->stream);
        if (r == 0)
            r = fs->ops->mkdir(fs, path->day);
    }
    if (r == 0)
        folders->day[0] = '\0'; /* retention may have removed it since its flush */
    return r == -EEXIST ? 0 : r;
}

static int sync_all_streams(struct kn_fs *fs, const char *dir)
{
    char path[STORAGE_CHUNK_PATH_BYTES_MAX];
    int n = snprintf(path, sizeof(path), "%s/chunks", dir);
    return n < 0 || (size_t) n >= sizeof(path) ? -EMSGSIZE : fs->ops->sync_dir(fs, path);
}

static int sync_folders(struct kn_fs *fs, const char *dir, const struct storage_chunk_path *path,
                        struct storage_folders *folders)
{
    int r = fs->ops->sync_dir(fs, path->day);
    if (r == 0 && strcmp(folders->day, day_of(path)) != 0) {
        r = fs->ops->sync_dir(fs, path->stream);
        if (r == 0)
            snprintf(folders->day, sizeof(folders->day), "%s", day_of(path));
    }
    if (r == 0 && !folders->stream) {
        r = sync_all_streams(fs, dir);
        folders->stream = r == 0;
    }
    return r;
}

struct storage_folders storage_chunk_make_folders(struct storage *storage,
                                                  const struct storage_id *stream)
{
    struct kn_fs *fs = storage->fs;
    struct storage_folders folders = {.stream = false};
    struct storage_number now = {.server_ts_ms = kn_wall_ms(storage->clock)};
    struct storage_chunk_path *path = malloc(sizeof(*path));
    if (!path || storage_chunk_path_of(storage->dir, stream, &now, path) < 0 ||
        make_dir(fs, path->stream) < 0) {
        free(path);
        return folders;
    }
    if (make_dir(fs, path->day) == 0 && fs->ops->sync_dir(fs, path->stream) == 0)
        snprintf(folders.day, sizeof(folders.day), "%s", day_of(path));
    folders.stream = sync_all_streams(fs, storage->dir) == 0;
    free(path);
    return folders;
}

static int create_file(struct storage_chunk *chunk, struct kn_bytes image,
                       struct storage_folders *folders)
{
    struct kn_fs *fs = chunk->storage->fs;
    struct storage_chunk_path *path = malloc(sizeof(*path));
    if (!path)
        return -ENOMEM;
    int r =
        storage_chunk_path_of(chunk->storage->dir, &chunk->stream, &chunk->index.head.name, path);
    for (int attempt = 0; r == 0 && attempt < 3; attempt++) {
        bool there = attempt == 0 && folders->stream && strcmp(folders->day, day_of(path)) == 0;
        r = there ? 0 : make_folders(fs, path, folders);
        if (r == 0)
            r = fs->ops->open(fs, path->file, KN_FS_WRITE | KN_FS_CREATE | KN_FS_EXCLUSIVE,
                              &chunk->file);
        if (r != -ENOENT) /* retention has just removed the day's folder, which was empty */
            break;
        r = attempt < 2 ? 0 : r;
    }
    if (r == 0)
        r = storage_chunk_allocate(chunk, image.len);
    if (r == 0)
        r = kn_file_write_all(chunk->file,
                              &(struct iovec){(void *) (uintptr_t) image.ptr, image.len}, 1, 0);
    if (r == 0)
        r = sync_folders(fs, chunk->storage->dir, path, folders);
    free(path);
    return r;
}

/* The head is not flushed here: the flush that the first fragment waits for covers it, and until
 * then nothing in the chunk was promised to anybody. */
int storage_chunk_create(struct storage_chunk *chunk, struct kn_bytes image,
                         struct storage_folders *folders)
{
    int r;
    if (chunk->memory) {
        r = storage_memory_file_new(&chunk->file);
        if (r == 0)
            r = kn_file_write_all(chunk->file,
                                  &(struct iovec){(void *) (uintptr_t) image.ptr, image.len}, 1, 0);
    } else {
        r = create_file(chunk, image, folders);
    }
    if (r < 0)
        return r;
    chunk->tail = image.len;
    return 0;
}

/* --- going ----------------------------------------------------------------------------------- */
/* A file that is not there may have been unlinked by a run that ended before its flush. */
int storage_chunk_unlink(struct kn_fs *fs, const struct storage_chunk_path *path)
{
    int r = fs->ops->unlink(fs, path->file);
    if (r < 0 && r != -ENOENT)
        return r;
    r = fs->ops->sync_dir(fs, path->day);
    return r == -ENOENT ? 0 : r;
}

struct folder {
    struct kn_fs *fs;
    const char *path;
};

static int remove_day(void *ctx, const char *name, bool is_dir)
{
    const struct folder *stream = ctx;
    char path[STORAGE_CHUNK_PATH_BYTES_MAX];
    int n = snprintf(path, sizeof(path), "%s/%s", stream->path, name);
    if (is_dir && n > 0 && (size_t) n < sizeof(path))
        (void) stream->fs->ops->rmdir(stream->fs, path);
    return 0;
}

int storage_chunk_remove_folders(struct storage *storage, const struct storage_id *stream)
{
    struct kn_fs *fs = storage->fs;
    struct storage_number any = {0};
    struct storage_chunk_path *path = malloc(sizeof(*path));
    if (!path)
        return -ENOMEM;
    int r = storage_chunk_path_of(storage->dir, stream, &any, path);
    if (r == 0) {
        struct folder folder = {fs, path->stream};
        (void) fs->ops->list(fs, path->stream, remove_day, &folder);
        (void) fs->ops->rmdir(fs, path->stream); /* what is not ours stays */
        r = sync_all_streams(fs, storage->dir);
    }
    free(path);
    return r;
}

int storage_chunk_allocate(struct storage_chunk *chunk, uint64_t end)
{
    uint64_t footer = storage_footer_bytes(chunk->written + 64, chunk->index.header_count + 2) +
                      (uint64_t) (chunk->written + 64) * CUE_BYTES + CUES_HEAD_BYTES;
    if (chunk->memory || end + footer <= chunk->allocated)
        return 0;
    uint64_t upto = (end + footer + ALLOCATE_STEP_BYTES - 1) / ALLOCATE_STEP_BYTES;
    upto *= ALLOCATE_STEP_BYTES;
    int r = chunk->file->fs->ops->allocate(chunk->file, chunk->allocated, upto - chunk->allocated);
    if (r < 0)
        return r;
    chunk->allocated = upto;
    return 0;
}

int storage_chunk_void(struct storage_chunk *chunk, uint64_t offset, uint64_t bytes)
{
    kn_assert(bytes >= STORAGE_VOID_BYTES_MAX);
    uint8_t head[STORAGE_VOID_BYTES_MAX] = {KN_MKV_VOID};
    kn_put_u64be(head + 1, 1ull << 56 | (bytes - STORAGE_VOID_BYTES_MAX));
    return kn_file_write_all(chunk->file, &(struct iovec){head, sizeof(head)}, 1, offset);
}

/* --- sealing ------------------------------------------------------------------------------- */
static void append_cues(const struct storage_chunk *chunk, struct kn_buf *out)
{
    uint32_t count = chunk->index.count;
    if (count == 0)
        return;
    kn_buf_append_u32be(out, KN_MKV_CUES);
    kn_buf_append_u32be(out, 1u << 28 | count * CUE_BYTES);
    for (uint32_t i = 0; i < count; i++) {
        struct storage_fragment f;
        storage_index_get(&chunk->index, i, &f, NULL);
        uint8_t cue[CUE_BYTES] = {0xBB, 0x80 | (CUE_BYTES - 2), 0xB3, 0x88};
        kn_put_u64be(cue + 4, f.timecode);
        cue[12] = 0xB7;
        cue[13] = 0x80 | 12;
        cue[14] = 0xF7;
        cue[15] = 0x84;
        kn_put_u32be(cue + 16, chunk->cue_track);
        cue[20] = 0xF1;
        cue[21] = 0x84;
        kn_put_u32be(cue + 22, (uint32_t) (f.offset + f.cluster_offset - chunk->segment));
        kn_buf_append(out, cue, sizeof(cue));
    }
}

/* A SeekHead that names the Cues, and a Void over the rest of its room. */
static int write_seek_head(struct storage_chunk *chunk)
{
    uint8_t b[STORAGE_SEEK_BYTES] = {0x11, 0x4D,      0x9B, 0x74, 0x80 | 21, 0x4D,
                                     0xBB, 0x80 | 18, 0x53, 0xAB, 0x84,      0x1C,
                                     0x53, 0xBB,      0x6B, 0x53, 0xAC,      0x88};
    kn_put_u64be(b + 18, chunk->tail - chunk->segment);
    b[SEEK_HEAD_BYTES] = KN_MKV_VOID;
    b[SEEK_HEAD_BYTES + 1] = 0x80 | (STORAGE_SEEK_BYTES - SEEK_HEAD_BYTES - 2);
    return kn_file_write_all(chunk->file, &(struct iovec){b, sizeof(b)}, 1,
                             chunk->segment + STORAGE_HEAD_BYTES);
}

/* Bytes of a fragment that never ended go. Only then is the file cut, since that also gives back
 * the room kept for the footer. */
static int cut_at_tail(struct storage_chunk *chunk, uint64_t footer_bytes)
{
    const struct kn_fs_ops *ops = chunk->file->fs->ops;
    uint64_t size;
    int r = ops->size(chunk->file, &size);
    if (r < 0 || size <= chunk->tail)
        return r;
    r = ops->truncate(chunk->file, chunk->tail);
    return r < 0 ? r : ops->allocate(chunk->file, chunk->tail, footer_bytes);
}

int storage_chunk_seal(struct storage_chunk *chunk, uint64_t *ret_footer_offset,
                       uint64_t *ret_bytes)
{
    const struct kn_fs_ops *ops = chunk->file->fs->ops;
    struct kn_buf out;
    kn_buf_init(&out, (size_t) storage_footer_bytes(STORAGE_CHUNK_FRAGMENTS_MAX,
                                                    STORAGE_CHUNK_HEADERS_MAX) +
                          (size_t) STORAGE_CHUNK_FRAGMENTS_MAX * CUE_BYTES + CUES_HEAD_BYTES);
    append_cues(chunk, &out);
    struct storage_record record = {
        .offset = (uint32_t) (chunk->tail + out.len),
        .previous = (uint32_t) chunk->previous,
        .durable_upto = (uint32_t) chunk->durable_upto,
        .epoch = chunk->index.head.epoch,
    };
    int r = storage_footer_append(&out, &chunk->index, &record);
    if (r == 0)
        r = cut_at_tail(chunk, out.len);
    if (r == 0)
        r = kn_file_write_all(chunk->file, &(struct iovec){out.ptr, out.len}, 1, chunk->tail);
    if (r == 0 && chunk->index.count > 0)
        r = write_seek_head(chunk);
    if (r == 0) /* to its own size: gives back what was preallocated behind it */
        r = ops->truncate(chunk->file, chunk->tail + out.len);
    if (r == 0) {
        *ret_footer_offset = record.offset;
        *ret_bytes = chunk->tail + out.len;
    }
    kn_buf_done(&out);
    return r;
}

/* --- a sealed chunk ------------------------------------------------------------------------- */
static int find_footer(struct kn_file *file, uint64_t size, uint64_t *ret)
{
    uint8_t trailer[STORAGE_TRAILER_BYTES];
    if (size < sizeof(trailer))
        return -EBADMSG;
    int r = kn_file_read_all(file, trailer, sizeof(trailer), size - sizeof(trailer));
    uint32_t bytes;
    if (r == 0)
        r = storage_trailer_parse(trailer, &bytes);
    if (r < 0)
        return r == -ENODATA ? -EBADMSG : r;
    if (bytes > size)
        return -EBADMSG;
    *ret = size - bytes;
    return 0;
}

/* In one piece, of what is in memory. A kernel that finds it is not begins to read it (Linux 5.12:
 * RWF_NOWAIT refuses to wait for pages, not to ask for them). */
static int read_in_memory(struct kn_file *file, void *dst, size_t len, uint64_t off)
{
    struct iovec iov = {dst, len};
    ssize_t n = file->fs->ops->preadv(file, &iov, 1, off, true);
    return n < 0 ? (int) n : (size_t) n < len ? -EAGAIN : 0;
}

static int read_footer(struct storage_chunk *chunk, uint64_t footer_offset, bool nowait)
{
    uint64_t size;
    int r = chunk->file->fs->ops->size(chunk->file, &size);
    if (r == 0 && footer_offset == 0)
        r = nowait ? -EAGAIN : find_footer(chunk->file, size, &footer_offset);
    if (r < 0)
        return r;
    if (footer_offset >= size ||
        size - footer_offset >
            storage_footer_bytes(STORAGE_CHUNK_FRAGMENTS_MAX, STORAGE_CHUNK_HEADERS_MAX))
        return -EBADMSG;
    size_t bytes = (size_t) (size - footer_offset);
    uint8_t *raw = malloc(bytes);
    if (!raw)
        return -ENOMEM;
    struct storage_record record;
    r = nowait ? read_in_memory(chunk->file, raw, bytes, footer_offset)
               : kn_file_read_all(chunk->file, raw, bytes, footer_offset);
    if (r == 0)
        r = storage_footer_parse((struct kn_bytes){raw, bytes}, footer_offset, &chunk->index,
                                 &record);
    free(raw);
    if (r == -EAGAIN)
        return r;
    chunk->footer_offset = footer_offset;
    chunk->sealed_bytes = size;
    return r == -ENODATA ? -EBADMSG : r;
}

int storage_chunk_read_footer(struct storage_chunk *chunk, uint64_t footer_offset)
{
    return read_footer(chunk, footer_offset, false);
}

int storage_chunk_open_file(struct storage *storage, const struct storage_id *stream,
                            const struct storage_number *name, struct storage_chunk **ret)
{
    struct storage_chunk_head head = {.stream = *stream, .name = *name};
    KN_CLEANUP(storage_chunk_unrefp) struct storage_chunk *chunk = NULL;
    int r = storage_chunk_new(storage, &head, false, &chunk);
    if (r < 0)
        return r;
    struct storage_chunk_path *path = malloc(sizeof(*path));
    if (!path)
        return -ENOMEM;
    r = storage_chunk_path_of(storage->dir, stream, name, path);
    if (r == 0)
        r = storage->fs->ops->open(storage->fs, path->file, KN_FS_READ, &chunk->file);
    free(path);
    if (r < 0)
        return r;
    *ret = KN_MOVE(chunk);
    return 0;
}

int storage_chunk_load_sealed(struct storage_chunk *chunk, uint64_t footer_offset, bool nowait)
{
    uint64_t seq = chunk->index.head.name.seq;
    int r = read_footer(chunk, footer_offset, nowait);
    if (r < 0)
        return r;
    if (storage_id_cmp(&chunk->index.head.stream, &chunk->stream) != 0 ||
        chunk->index.head.name.seq != seq)
        return -EBADMSG;
    chunk->seed = storage_format_seed(chunk->index.head.id);
    chunk->state = STORAGE_CHUNK_SEALED;
    return 0;
}

int storage_chunk_open_sealed(struct storage *storage, const struct storage_id *stream,
                              const struct storage_number *name, uint64_t footer_offset,
                              struct storage_chunk **ret)
{
    KN_CLEANUP(storage_chunk_unrefp) struct storage_chunk *chunk = NULL;
    int r = storage_chunk_open_file(storage, stream, name, &chunk);
    if (r == 0)
        r = storage_chunk_load_sealed(chunk, footer_offset, false);
    if (r < 0)
        return r;
    *ret = KN_MOVE(chunk);
    return 0;
}
