/* SPDX-License-Identifier: Apache-2.0 */
#include "account.h"

#include <errno.h>

enum {
    VERSION = 1,
    RECORD_BYTES = 1 + 8 + 8
};
static const struct kn_str record_key = KN_STR_INIT("da/commitment");

static int decode(struct kn_bytes record, struct datastream_commitment *ret)
{
    struct kn_reader r = kn_reader_of(record);
    uint8_t version;
    uint64_t started, end;
    if (kn_read_u8(&r, &version) < 0 || version != VERSION || kn_read_u64be(&r, &started) < 0 ||
        kn_read_u64be(&r, &end) < 0 || kn_reader_left(&r) > 0 || started > INT64_MAX ||
        end > INT64_MAX)
        return -EBADMSG;
    *ret = (struct datastream_commitment){(int64_t) started, (int64_t) end};
    return 0;
}

int datastream_account_init(struct datastream_account *account, struct storage_meta *meta,
                            struct kn_err *err)
{
    *account = (struct datastream_account){.meta = meta};
    kn_lock_init(&account->change);
    kn_lock_init(&account->lock);
    struct kn_buf record;
    kn_buf_init(&record, RECORD_BYTES);
    int r = storage_meta_get(meta, kn_bytes_of(record_key), &record, &account->version);
    if (r == 0)
        r = decode(kn_buf_bytes(&record), &account->commitment);
    kn_buf_done(&record);
    if (r == 0 || r == -ENOENT)
        return 0;
    datastream_account_done(account);
    return kn_fail(err, r, "data streams: the account's settings");
}

void datastream_account_done(struct datastream_account *account)
{
    kn_lock_done(&account->change);
    kn_lock_done(&account->lock);
}

struct datastream_commitment datastream_account_commitment(struct datastream_account *account)
{
    KN_LOCKED(&account->lock);
    return account->commitment;
}

bool datastream_commitment_holds(const struct datastream_commitment *commitment, int64_t now_ms)
{
    return commitment->started_ms && (!commitment->end_ms || now_ms < commitment->end_ms);
}

static int store(struct datastream_account *account, const struct datastream_commitment *next)
{
    struct kn_buf record;
    kn_buf_init(&record, RECORD_BYTES);
    kn_buf_append_byte(&record, VERSION);
    kn_buf_append_u64be(&record, (uint64_t) next->started_ms);
    kn_buf_append_u64be(&record, (uint64_t) next->end_ms);
    int r = record.error
                ? record.error
                : storage_meta_put(account->meta, kn_bytes_of(record_key), kn_buf_bytes(&record),
                                   account->version, &account->version);
    kn_buf_done(&record);
    return r;
}

int datastream_account_commit(struct datastream_account *account, bool enabled, int64_t now_ms,
                              struct datastream_commitment *ret)
{
    KN_LOCKED(&account->change);
    struct datastream_commitment next = account->commitment; /* only this function alters it */
    bool holds = datastream_commitment_holds(&next, now_ms);
    if (enabled && !holds)
        next = (struct datastream_commitment){.started_ms = kn_max_i64(now_ms, 1)};
    else if (enabled)
        next.end_ms = 0;
    else if (holds && !next.end_ms)
        next.end_ms = kn_max_i64(now_ms, next.started_ms + DATASTREAM_COMMITMENT_MS_MIN);
    int r = store(account, &next);
    if (r < 0)
        return r;
    kn_lock_take(&account->lock);
    account->commitment = next;
    kn_lock_give(&account->lock);
    *ret = next;
    return 0;
}
