/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A journal as a start finds it, or a segment as readers and `kinema dump` do: any bytes behind a
 * header that counts. The first input byte says which, and whether (odd) the checksums of what
 * looks like frames are made right first, so that mutations reach the code behind them.
 */
#include "memory_file.h"

#include "core/crypto.h"
#include "core/log.h"
#include "shard/inspect.h"
#include "shard/page.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    INPUT_BYTES_MAX = 1 << 12,
    MEND = 1, /* of the first byte */
    SEGMENT = 2,
    NEWEST = 4,   /* a journal of which no other speaks */
    ANY_HEAD = 8, /* the header too is input */
    SEALED = 16,
    FIRST = 5,    /* index of the segment's first record */
    INDEXES = 300 /* that it is said to have */
};

static const struct storage_id shard_id = {
    {7, 7, 7}
};
static struct kn_bytes input; /* the file */

static int open_input(struct kn_fs *fs, const char *path, int flags, struct kn_file **ret)
{
    (void) fs;
    (void) path;
    (void) flags;
    int r = storage_memory_file_new(ret);
    if (r < 0)
        return r;
    struct iovec iov = {(void *) (uintptr_t) input.ptr, input.len};
    return kn_file_write_all(*ret, &iov, 1, 0);
}

static void close_input(struct kn_file *file)
{
    file->fs->ops->close(file);
}

/* Frames behind one another: each is of this shard, at its place, and as long as the file allows.
 */
static void mend(uint8_t *bytes, size_t len, size_t at, uint32_t seed)
{
    while (len - at >= STORAGE_SHARD_FRAME_BYTES) {
        uint8_t *head = bytes + at;
        size_t left = len - at - STORAGE_SHARD_FRAME_BYTES;
        struct kn_reader in = kn_reader_of((struct kn_bytes){head + 4, 4});
        uint32_t payload = 0;
        (void) (kn_read_u32le(&in, &payload) < 0);
        payload = payload > left ? (uint32_t) (payload % (left + 1)) : payload;
        kn_put_u32le(head + 4, payload);
        kn_put_u32le(head + 8,
                     kn_crc32c(0, (struct kn_bytes){head + STORAGE_SHARD_FRAME_BYTES, payload}));
        memcpy(head + 16, shard_id.bytes, sizeof(shard_id.bytes));
        kn_put_u64le(head + 48, at);
        kn_put_u32le(head,
                     kn_crc32c(seed, (struct kn_bytes){head + 4, STORAGE_SHARD_FRAME_BYTES - 4}));
        at += STORAGE_SHARD_FRAME_BYTES + payload;
    }
}

/* --- a journal -------------------------------------------------------------------------------- */
static int take_frame(struct storage_shards *shards, const struct storage_shard_frame *frame,
                      struct kn_bytes payload, uint64_t generation)
{
    struct storage_batch *batch;
    (void) generation;
    int r = storage_batch_adopt(shards, frame, payload, &batch);
    if (r < 0)
        return r;
    kn_assert(storage_batch_count(batch) == frame->count);
    storage_batch_free(batch);
    return 0;
}

static void replay(struct storage_shards *shards, uint8_t flags)
{
    struct storage_journal_head head;
    struct storage_journal journal = {.capacity = input.len};
    struct storage_shards_report report = {0};
    if (open_input(NULL, "", 0, &journal.file) < 0)
        return;
    if (storage_journal_head_read(journal.file, 0, &head) == 0) {
        journal.generation = head.generation;
        journal.seed = storage_shard_frame_seed(head.id, head.generation);
        uint64_t until = flags & NEWEST ? UINT64_MAX : input.len;
        kn_assert(storage_journal_replay(shards, &journal, until, take_frame, &report) == 0);
        kn_assert(journal.tail >= STORAGE_JOURNAL_HEAD_BYTES);
        kn_assert(journal.tail <= kn_max_u64(input.len, STORAGE_JOURNAL_HEAD_BYTES));
    }
    kn_assert(shards->memory_bytes == 0);
    journal.file->fs->ops->close(journal.file);
}

/* --- a segment -------------------------------------------------------------------------------- */
static void read_all(struct storage_shard *shard, bool nowait, size_t count_max)
{
    for (uint64_t from = FIRST; from < FIRST + INDEXES;) {
        struct storage_shard_read read = {
            .from = from, .count_max = count_max, .bytes_max = KIB(8), .nowait = nowait};
        struct storage_page page;
        kn_assert(storage_page_start(&page) == 0);
        int r = storage_segment_read(shard, &read, &page);
        kn_assert(r == 0 || (nowait && r == -EAGAIN));
        uint64_t last = from;
        for (size_t i = 0; r == 0 && i < page.count; i++) {
            const struct storage_shard_record *record = &page.records[i];
            kn_assert(record->index >= last && record->index < FIRST + INDEXES);
            last = record->index + 1;
            (void) kn_crc32c(kn_crc32c(0, record->data), kn_bytes_of(record->key));
        }
        kn_assert(r < 0 || (page.next > from && page.next >= last));
        from = r < 0 ? FIRST + INDEXES : page.next;
        storage_page_free(&page);
    }
}

static void read_segment(struct storage_shards *shards, uint8_t flags, const uint8_t id[16])
{
    struct storage_shard shard = {.shards = shards,
                                  .id = shard_id,
                                  .refs = 1,
                                  .oldest = FIRST,
                                  .next = FIRST + INDEXES,
                                  .flushed = FIRST + INDEXES,
                                  .retention_ms = INT64_MAX,
                                  .trim_ms = INT64_MIN};
    struct storage_segment_row row = {.first = FIRST,
                                      .next = FIRST + INDEXES,
                                      .last_ms = INT64_MAX,
                                      .bytes = input.len,
                                      .sealed = flags & SEALED};
    struct storage_segment *segment;
    memcpy(row.id, id, sizeof(row.id));
    kn_lock_init(&shard.lock);
    if (input.len >= STORAGE_SEGMENT_HEAD_BYTES &&
        storage_segment_open(&shard, &row, &segment) == 0) {
        uint64_t index;
        storage_segments_put(shards, segment);
        storage_segment_unref(segment);
        read_all(&shard, false, 9);
        read_all(&shard, true, 1000);
        for (int64_t ms = 0; ms < 3; ms++)
            (void) (storage_segment_find(&shard, ms, true, &index) < 0);
        storage_segments_forget(shards, NULL);
    }
    storage_marks_done(&shard.marks);
    kn_lock_done(&shard.lock);
}

static void no_say(void *ctx, const char *line)
{
    (void) ctx;
    (void) line;
}

/* A header that counts, and its identity: all zeros. */
static size_t put_head(uint8_t *bytes, size_t len, bool segment)
{
    static const uint8_t id[16];
    if (segment && len >= STORAGE_SEGMENT_HEAD_BYTES) {
        struct storage_segment_row row = {.first = FIRST};
        storage_segment_head(&shard_id, &row, bytes);
    } else if (!segment && len >= STORAGE_JOURNAL_HEAD_BYTES) {
        struct kn_file *file;
        kn_assert(storage_memory_file_new(&file) == 0);
        struct storage_journal_head first = {.generation = 1};
        memcpy(first.id, id, sizeof(first.id));
        kn_assert(storage_journal_head_write(file, 0, &first) == 0);
        uint64_t head = 0;
        kn_assert(file->fs->ops->size(file, &head) == 0 && head <= STORAGE_JOURNAL_HEAD_BYTES);
        kn_assert(kn_file_read_all(file, bytes, head, 0) == 0);
        file->fs->ops->close(file);
    }
    return segment ? STORAGE_SEGMENT_HEAD_BYTES : STORAGE_JOURNAL_HEAD_BYTES;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct kn_fs_ops ops = {.open = open_input, .close = close_input};
    static const uint8_t id[16];
    struct kn_fs fs = {&ops};
    struct storage nowhere = {.fs = &fs, .dir = (char[]){""}};
    if (size < 1 || size > INPUT_BYTES_MAX)
        return 0;
    bool segment = data[0] & SEGMENT;
    /* The journal's first page is mostly zeros: not of the input, unless that is asked for. */
    size_t zeros = segment || (data[0] & ANY_HEAD) ? 0 : STORAGE_JOURNAL_HEAD_BYTES;
    size_t len = zeros + size - 1;
    uint8_t *bytes = calloc(1, len + 1);
    struct storage_shards *shards = calloc(1, sizeof(*shards));
    kn_assert(bytes && shards);
    memcpy(bytes + zeros, data + 1, size - 1);
    size_t at = data[0] & ANY_HEAD ? len : put_head(bytes, len, segment);
    if ((data[0] & MEND) && at < len)
        mend(bytes, len, at, storage_shard_frame_seed(id, segment ? FIRST : 1));
    kn_log_setup(-1, KN_LOG_ERROR, KN_LOG_TEXT); /* each damage says so */
    shards->storage = &nowhere;
    shards->conf.open_segments_max = 4;
    shards->conf.shard_memory_bytes_max = GIB(1);
    kn_lock_init(&shards->segments_lock);
    input = (struct kn_bytes){bytes, len};
    if (segment)
        read_segment(shards, data[0], id);
    else
        replay(shards, data[0]);
    (void) (storage_shard_dump("input", &fs, true, no_say, NULL) < 0);
    kn_lock_done(&shards->segments_lock);
    free(shards);
    free(bytes);
    return 0;
}
