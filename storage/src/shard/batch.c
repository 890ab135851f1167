/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Batches: the caller writes records into them in the form in which they will lie on disk. The same
 * memory is what readers see until a checkpoint has written it to a segment, so records are copied
 * into the kernel and nowhere else.
 */
#include "shards.h"

#include <stdatomic.h>

#include "core/crypto.h"

enum {
    FIRST_BYTES = 2048,
    KEY_NONE = 0xffff,
    FLAG_SOURCE = 1,
    WASTE_PARTS = 4, /* more than a quarter unused: given back before it stays in memory */
};

static bool is_own(const struct storage_batch *batch)
{
    return batch->bytes == batch->own;
}

/* A room was paid for when it was taken. */
static size_t cost(const struct storage_batch *batch)
{
    return (batch->room ? 0 : sizeof(*batch) + batch->own_bytes) + (is_own(batch) ? 0 : batch->cap);
}

/* The budget is taken first; what passes it is given back at once. */
int storage_memory_take(struct storage_shards *shards, size_t bytes)
{
    if (atomic_fetch_add(&shards->memory_bytes, bytes) + bytes <=
        shards->conf.shard_memory_bytes_max)
        return 0;
    storage_memory_give(shards, bytes);
    return -ENOBUFS;
}

void storage_memory_give(struct storage_shards *shards, size_t bytes)
{
    atomic_fetch_sub(&shards->memory_bytes, bytes);
}

static struct storage_batch *init(struct storage_batch *batch, struct storage_shards *shards,
                                  size_t own_bytes)
{
    memset(batch, 0, offsetof(struct storage_batch, head)); /* which is written before it is read */
    batch->shards = shards;
    batch->refs = 1;
    batch->kind = STORAGE_BATCH_RECORDS;
    batch->bytes = own_bytes > 0 ? batch->own : NULL;
    batch->cap = batch->own_bytes = own_bytes;
    return batch;
}

/* One allocation with the room for its records. */
static struct storage_batch *batch_new(struct storage_shards *shards, size_t own_bytes)
{
    struct storage_batch *batch = malloc(sizeof(*batch) + own_bytes);
    return batch ? init(batch, shards, own_bytes) : NULL;
}

static int new_alone(struct storage_shards *shards, size_t own_bytes, struct storage_batch **ret)
{
    int r = storage_memory_take(shards, sizeof(struct storage_batch) + own_bytes);
    if (r < 0)
        return r;
    *ret = batch_new(shards, own_bytes);
    if (*ret)
        return 0;
    storage_memory_give(shards, sizeof(struct storage_batch) + own_bytes);
    return -ENOMEM;
}

/* A frame fits into an empty journal. */
static size_t bytes_max(const struct storage_shards *shards)
{
    return kn_min_u64(shards->conf.journal_bytes - STORAGE_JOURNAL_HEAD_BYTES -
                          STORAGE_SHARD_FRAME_BYTES,
                      MIB(64));
}

int storage_batch_new_for(struct storage *storage, struct storage_room **room, size_t count,
                          size_t key_and_data_bytes, struct storage_batch **ret)
{
    struct storage_shards *shards = storage->shards;
    size_t own_bytes = count * STORAGE_SHARD_RECORD_HEAD_BYTES + key_and_data_bytes;
    if (own_bytes > bytes_max(shards))
        return -EMSGSIZE;
    struct storage_batch *batch = storage_room_take(shards, room, sizeof(*batch) + own_bytes);
    if (!batch)
        return new_alone(shards, own_bytes, ret);
    *ret = init(batch, shards, own_bytes);
    batch->room = *room;
    return 0;
}

int storage_batch_new(struct storage *storage, struct storage_batch **ret)
{
    return new_alone(storage->shards, 0, ret);
}

void storage_batch_ref(struct storage_batch *batch)
{
    batch->refs++;
}

void storage_batch_free(struct storage_batch *batch)
{
    if (!batch || (batch->refs > 1 && --batch->refs > 0))
        return;
    size_t bytes = cost(batch);
    if (bytes > 0)
        storage_memory_give(batch->shards, bytes);
    if (!is_own(batch))
        free(batch->bytes);
    if (batch->room)
        storage_room_unref(batch->shards, batch->room);
    else
        free(batch);
}

static int resize(struct storage_batch *batch, size_t cap)
{
    uint8_t *bytes = realloc(is_own(batch) ? NULL : batch->bytes, cap);
    if (!bytes)
        return -ENOMEM;
    if (is_own(batch))
        memcpy(bytes, batch->bytes, batch->len);
    batch->bytes = bytes;
    batch->cap = cap;
    return 0;
}

static int grow(struct storage_batch *batch, size_t cap)
{
    size_t had = is_own(batch) ? 0 : batch->cap; /* its own room stays taken */
    int r = storage_memory_take(batch->shards, cap - had);
    if (r < 0)
        return r;
    r = resize(batch, cap);
    if (r < 0)
        storage_memory_give(batch->shards, cap - had);
    return r;
}

static int reserve(struct storage_batch *batch, size_t more)
{
    size_t max = bytes_max(batch->shards);
    if (more > max || batch->len > max - more)
        return -EMSGSIZE;
    if (batch->len + more <= batch->cap)
        return 0;
    size_t cap = kn_max_u64(kn_min_u64(batch->cap * 2, max), batch->len + more);
    return grow(batch, kn_max_u64(cap, kn_min_u64(FIRST_BYTES, max)));
}

int storage_batch_add(struct storage_batch *batch, struct kn_str key, uint8_t tag,
                      const struct storage_shard_source *source, size_t data_max, uint8_t **ret_dst)
{
    if (key.len > STORAGE_SHARD_KEY_BYTES_MAX || data_max > STORAGE_SHARD_RECORD_BYTES_MAX)
        return -EMSGSIZE;
    size_t head = (size_t) STORAGE_SHARD_RECORD_HEAD_BYTES + key.len +
                  (size_t) (source ? STORAGE_SHARD_RECORD_SOURCE_BYTES : 0);
    int r = reserve(batch, head + data_max);
    if (r < 0)
        return r;
    uint8_t *at = batch->bytes + batch->len;
    kn_put_u32le(at, (uint32_t) data_max);
    size_t key_len = key.ptr ? key.len : KEY_NONE;
    at[4] = (uint8_t) key_len;
    at[5] = (uint8_t) (key_len >> 8);
    at[6] = tag;
    at[7] = source ? FLAG_SOURCE : 0;
    at += STORAGE_SHARD_RECORD_HEAD_BYTES;
    if (source) {
        memcpy(at, source->id.bytes, sizeof(source->id.bytes));
        kn_put_u64le(at + sizeof(source->id.bytes), source->seq);
        at += STORAGE_SHARD_RECORD_SOURCE_BYTES;
        batch->has_sources = true;
    }
    if (key.ptr)
        memcpy(at, key.ptr, key.len);
    batch->last_at = batch->len;
    batch->len += head + data_max;
    batch->data_bytes += key.len + data_max;
    batch->count++;
    *ret_dst = at + key.len;
    return 0;
}

static struct storage_shard_record_view last_record(const struct storage_batch *batch)
{
    kn_assert(batch->count > 0 && batch->last_at < batch->len);
    struct storage_shard_record_view view;
    struct kn_reader in =
        kn_reader_of((struct kn_bytes){batch->bytes + batch->last_at, batch->len - batch->last_at});
    int r = storage_shard_record_next(&in, &view);
    kn_assert(r == 0);
    return view;
}

void storage_batch_trim(struct storage_batch *batch, size_t data_bytes)
{
    struct storage_shard_record_view last = last_record(batch);
    kn_assert(data_bytes <= last.data.len);
    size_t less = last.data.len - data_bytes;
    kn_put_u32le(batch->bytes + batch->last_at, (uint32_t) data_bytes);
    batch->len -= less;
    batch->data_bytes -= less;
}

void storage_batch_undo(struct storage_batch *batch)
{
    struct storage_shard_record_view last = last_record(batch);
    batch->data_bytes -= last.data.len + last.key.len;
    batch->len = batch->last_at;
    batch->count--;
}

size_t storage_batch_count(const struct storage_batch *batch)
{
    return batch->count;
}

size_t storage_batch_bytes(const struct storage_batch *batch)
{
    return batch->data_bytes;
}

static struct storage_batch *shrink_own(struct storage_batch *batch)
{
    struct storage_batch *less = realloc(batch, sizeof(*batch) + batch->len);
    if (!less)
        return batch;
    less->bytes = less->own;
    less->cap = less->own_bytes = less->len;
    return less;
}

/* What it takes in memory until a checkpoint has written it is what it holds. */
static struct storage_batch *shrink(struct storage_batch *batch)
{
    size_t had = cost(batch);
    if (batch->cap - batch->len <= batch->cap / WASTE_PARTS || (batch->room && is_own(batch)))
        return batch;
    if (is_own(batch))
        batch = shrink_own(batch);
    else
        (void) resize(batch, batch->len); /* or it stays as it is */
    storage_memory_give(batch->shards, had - cost(batch));
    return batch;
}

void storage_shard_append_with(struct storage_shard *shard, struct storage_batch *batch,
                               storage_appended_fn *done, void *ctx, struct storage_appends *others)
{
    kn_assert(batch->count > 0 && !batch->shard);
    batch = shrink(batch);
    batch->crc = kn_crc32c(0, (struct kn_bytes){batch->bytes, batch->len});
    batch->done = done;
    batch->ctx = ctx;
    batch->shard = shard;
    batch->next = NULL;
    if (others->last)
        others->last->next = batch;
    else
        others->first = batch;
    others->last = batch;
}

void storage_shard_append_all(struct storage_appends *appends)
{
    if (!appends->first)
        return;
    storage_commit_add(appends->first->shards, appends);
    *appends = (struct storage_appends){.first = NULL};
}

void storage_shard_append(struct storage_shard *shard, struct storage_batch *batch,
                          storage_appended_fn *done, void *ctx)
{
    struct storage_appends one = {.first = NULL};
    storage_shard_ref(shard);
    storage_shard_append_with(shard, batch, done, ctx, &one);
    storage_shard_append_all(&one);
}

struct storage_batch *storage_batch_alone(struct storage_batch *batch)
{
    struct storage_batch *alone = batch->room ? batch_new(batch->shards, batch->len) : NULL;
    if (!alone)
        return batch;
    atomic_fetch_add(&batch->shards->memory_bytes, cost(alone)); /* it is within the budget */
    if (batch->len > 0)
        memcpy(alone->bytes, batch->bytes, batch->len);
    alone->generation = batch->generation;
    alone->len = batch->len;
    alone->first_index = batch->first_index;
    alone->arrival_ms = batch->arrival_ms;
    alone->data_bytes = batch->data_bytes;
    alone->count = batch->count;
    alone->crc = batch->crc;
    alone->kind = batch->kind;
    alone->has_sources = batch->has_sources;
    storage_batch_free(batch);
    return alone;
}

static int check_records(struct storage_batch *batch)
{
    struct kn_reader in = kn_reader_of((struct kn_bytes){batch->bytes, batch->len});
    struct storage_shard_record_view view;
    for (uint32_t i = 0; i < batch->count; i++) {
        int r = storage_shard_record_next(&in, &view);
        if (r < 0)
            return r;
        batch->has_sources |= view.has_source;
        batch->data_bytes += view.key.len + view.data.len;
    }
    return kn_reader_left(&in) == 0 ? 0 : -EBADMSG;
}

int storage_batch_adopt(struct storage_shards *shards, const struct storage_shard_frame *frame,
                        struct kn_bytes payload, struct storage_batch **ret)
{
    struct storage_batch *batch = batch_new(shards, payload.len);
    if (!batch)
        return -ENOMEM;
    atomic_fetch_add(&shards->memory_bytes, cost(batch)); /* it was within the budget once */
    if (payload.len > 0)
        memcpy(batch->bytes, payload.ptr, payload.len);
    batch->len = payload.len;
    batch->count = frame->count;
    batch->crc = frame->payload_crc;
    batch->kind = frame->kind;
    batch->first_index = frame->first_index;
    batch->arrival_ms = frame->arrival_ms;
    int r = check_records(batch);
    if (r < 0) {
        storage_batch_free(batch);
        return r;
    }
    *ret = batch;
    return 0;
}
