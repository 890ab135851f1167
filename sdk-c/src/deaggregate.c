/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking aggregated records apart. The message is checked whole before the first user record is
 * given out, so that of a damaged one no half is. Cost: two walks over it, whatever it holds.
 */
#include "aggregate_format.h"
#include "protobuf.h"

#include <errno.h>
#include <stdlib.h>

#include "kinema/aggregate.h"

struct key {
    const char *ptr;
    size_t len;
};

struct message {
    struct protobuf_reader all;
    size_t partition_key_count, hash_key_count, record_count;
    struct key *keys; /* partition keys, then hash keys */
};

/* What a Record says; indexes are not looked at yet. */
struct entry {
    uint64_t partition_key, hash_key;
    bool has_partition_key, has_hash_key, has_data;
    const uint8_t *data;
    size_t len;
};

static bool read_entry(const struct protobuf_field *record, struct entry *ret)
{
    struct protobuf_reader in = {record->ptr, record->ptr + record->len};
    struct protobuf_field field;
    memset(ret, 0, sizeof(*ret));
    while (in.at < in.end) {
        if (!protobuf_read(&in, &field))
            return false;
        if (field.number == RECORD_PARTITION_KEY && field.type == PROTOBUF_VARINT) {
            ret->partition_key = field.value;
            ret->has_partition_key = true;
        } else if (field.number == RECORD_HASH_KEY && field.type == PROTOBUF_VARINT) {
            ret->hash_key = field.value;
            ret->has_hash_key = true;
        } else if (field.number == RECORD_DATA && field.type == PROTOBUF_BYTES) {
            ret->data = field.ptr;
            ret->len = field.len;
            ret->has_data = true;
        } /* tags, and what is newer than this, are passed over */
    }
    return ret->has_partition_key && ret->has_data;
}

/* Tables may come behind the records that point into them, so indexes are checked in the second
 * walk over them. */
static bool count(struct message *m)
{
    struct protobuf_reader in = m->all;
    struct protobuf_field field;
    while (in.at < in.end) {
        if (!protobuf_read(&in, &field))
            return false;
        if (field.type != PROTOBUF_BYTES)
            continue;
        m->partition_key_count += field.number == AGGREGATE_PARTITION_KEYS;
        m->hash_key_count += field.number == AGGREGATE_HASH_KEYS;
        m->record_count += field.number == AGGREGATE_RECORDS;
    }
    return m->record_count > 0;
}

static bool check(struct message *m)
{
    struct protobuf_reader in = m->all;
    struct protobuf_field field;
    size_t partition_keys = 0, hash_keys = m->partition_key_count;
    while (in.at < in.end) {
        struct entry entry;
        if (!protobuf_read(&in, &field))
            return false;
        if (field.type != PROTOBUF_BYTES)
            continue;
        if (field.number == AGGREGATE_PARTITION_KEYS)
            m->keys[partition_keys++] = (struct key){(const char *) field.ptr, field.len};
        else if (field.number == AGGREGATE_HASH_KEYS)
            m->keys[hash_keys++] = (struct key){(const char *) field.ptr, field.len};
        else if (field.number == AGGREGATE_RECORDS &&
                 (!read_entry(&field, &entry) || entry.partition_key >= m->partition_key_count ||
                  (entry.has_hash_key && entry.hash_key >= m->hash_key_count)))
            return false;
    }
    return true;
}

static int give(const struct message *m, kinema_user_record_fn *each, void *ctx)
{
    struct protobuf_reader in = m->all;
    struct protobuf_field field;
    uint64_t index = 0;
    int r = 0;
    while (r == 0 && in.at < in.end && protobuf_read(&in, &field)) {
        struct entry entry;
        struct kinema_user_record record;
        const struct key *key;
        if (field.number != AGGREGATE_RECORDS || field.type != PROTOBUF_BYTES ||
            !read_entry(&field, &entry))
            continue;
        key = &m->keys[entry.partition_key];
        memset(&record, 0, sizeof(record));
        record.partition_key = key->ptr;
        record.partition_key_len = key->len;
        if (entry.has_hash_key) {
            key = &m->keys[m->partition_key_count + entry.hash_key];
            record.explicit_hash_key = key->ptr;
            record.explicit_hash_key_len = key->len;
        }
        record.data = entry.data;
        record.len = entry.len;
        record.index = index++;
        r = each(ctx, &record);
    }
    return r;
}

/* 1: whole; 0: no aggregated record; -ENOMEM. The caller frees m->keys. */
static int open_message(const void *data, size_t len, struct message *m)
{
    uint8_t digest[AGGREGATE_DIGEST_BYTES];
    const uint8_t *ptr = data;
    size_t key_count;
    memset(m, 0, sizeof(*m));
    if (len < AGGREGATE_MAGIC_BYTES + AGGREGATE_DIGEST_BYTES ||
        memcmp(ptr, kinema_aggregate_magic, AGGREGATE_MAGIC_BYTES) != 0)
        return 0;
    m->all.at = ptr + AGGREGATE_MAGIC_BYTES;
    m->all.end = ptr + len - AGGREGATE_DIGEST_BYTES;
    if (kinema_aggregate_digest(m->all.at, (size_t) (m->all.end - m->all.at), digest) < 0)
        return -ENOMEM;
    if (memcmp(digest, m->all.end, sizeof(digest)) != 0 || !count(m))
        return 0;
    key_count = m->partition_key_count + m->hash_key_count;
    m->keys = malloc((key_count ? key_count : 1) * sizeof(*m->keys));
    if (!m->keys)
        return -ENOMEM;
    return check(m);
}

int kinema_deaggregate(const void *data, size_t len, const char *partition_key,
                       kinema_user_record_fn *each, void *ctx)
{
    struct message m;
    int r = open_message(data, len, &m);
    if (r == 1) {
        r = give(&m, each, ctx);
    } else if (r == 0) {
        struct kinema_user_record record;
        memset(&record, 0, sizeof(record));
        record.partition_key = partition_key;
        record.partition_key_len = partition_key ? strlen(partition_key) : 0;
        record.data = data;
        record.len = len;
        r = each(ctx, &record);
    }
    free(m.keys);
    return r;
}

int kinema_is_aggregated(const void *data, size_t len)
{
    struct message m;
    int r = open_message(data, len, &m);
    free(m.keys);
    return r == 1;
}
