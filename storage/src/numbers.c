/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers and the trim horizon of a stream, which outlive everything (rules: a number once seen is
 * never used again, the horizon only grows): value "q/<stream id>" of the catalogue. log.slow is
 * held over each change, so they follow one another.
 */
#include "sums.h"

int storage_numbers_read(struct storage_log *log)
{
    kn_lock_assert_held(&log->slow);
    if (log->stored_read)
        return 0;
    char key[STORAGE_CHUNK_KEY_BYTES];
    struct kn_buf value;
    kn_buf_init(&value, STORAGE_META_VALUE_BYTES_MAX);
    uint64_t version;
    int r =
        storage_meta_get(log->storage->meta, storage_numbers_key(&log->id, key), &value, &version);
    struct storage_numbers n = {.reserved_seq = 1};
    if (r == 0)
        r = storage_numbers_decode(kn_buf_bytes(&value), &n);
    else if (r == -ENOENT)
        r = 0, version = 0;
    kn_buf_done(&value);
    if (r < 0)
        return r;
    log->stored = n;
    log->stored_version = version;
    log->stored_read = true;
    storage_sums_recall(log);
    return 0;
}

int storage_numbers_put(struct storage_log *log)
{
    kn_lock_assert_held(&log->slow);
    char key[STORAGE_CHUNK_KEY_BYTES];
    uint8_t value[STORAGE_NUMBERS_BYTES];
    storage_numbers_encode(&log->stored, value);
    uint64_t version;
    int r =
        storage_meta_put(log->storage->meta, storage_numbers_key(&log->id, key),
                         (struct kn_bytes){value, sizeof(value)}, log->stored_version, &version);
    if (r < 0)
        return r;
    log->stored_version = version;
    return 0;
}

int storage_numbers_reserve(struct storage_log *log)
{
    int r = storage_log_load_tail(log);
    if (r < 0)
        return r;
    KN_LOCKED(&log->slow);
    kn_lock_take(&log->lock);
    uint64_t next = log->next_seq;
    bool first = log->reserved_seq == 0;
    uint64_t ordinal = log->next_ordinal, discontinuity = log->discontinuity;
    kn_lock_give(&log->lock);

    struct storage_numbers before = log->stored;
    log->stored.reserved_seq = kn_max_u64(log->stored.reserved_seq, next) + STORAGE_NUMBER_BLOCK;
    if (first)
        log->stored.epoch++;
    /* What lives in memory only leaves no chunk behind that would tell where ordinals stand. */
    log->stored.ordinal = kn_max_u64(log->stored.ordinal, ordinal);
    log->stored.discontinuity = kn_max_u64(log->stored.discontinuity, discontinuity);
    r = storage_numbers_put(log);
    if (r < 0) {
        log->stored = before;
        return r;
    }
    kn_lock_take(&log->lock);
    if (first)
        log->next_seq = kn_max_u64(next, before.reserved_seq);
    log->reserved_seq = log->stored.reserved_seq;
    log->epoch = log->stored.epoch;
    kn_lock_give(&log->lock);
    return 0;
}
