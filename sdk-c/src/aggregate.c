/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making aggregated records. Keys are kept once each, found again by a small hash table; records
 * are encoded as they are added, so finishing copies three pieces and digests them.
 */
#include "kinema/aggregate.h"

#include "aggregate_format.h"
#include "protobuf.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>

enum {
    HASH_KEY_DIGITS_MAX = 39,
    TABLE_SLOTS_FIRST = 64
};

const uint8_t kinema_aggregate_magic[AGGREGATE_MAGIC_BYTES] = {0xf3, 0x89, 0x9a, 0xc2};

int kinema_aggregate_digest(const uint8_t *ptr, size_t len, uint8_t dst[AGGREGATE_DIGEST_BYTES])
{
    unsigned out = 0;
    return EVP_Digest(ptr, len, dst, &out, EVP_md5(), NULL) == 1 && out == AGGREGATE_DIGEST_BYTES
               ? 0
               : -1;
}

/* --- bytes that grow -------------------------------------------------------------------------- */
struct bytes {
    uint8_t *ptr;
    size_t len, cap;
};

static int reserve(struct bytes *b, size_t more)
{
    size_t cap = b->cap ? b->cap : 1024;
    uint8_t *grown;
    if (b->cap - b->len >= more)
        return 0;
    while (cap - b->len < more)
        cap *= 2; /* a record's ceiling is 10 MiB: this cannot overflow */
    grown = realloc(b->ptr, cap);
    if (!grown)
        return -ENOMEM;
    b->ptr = grown;
    b->cap = cap;
    return 0;
}

/* --- keys, each once -------------------------------------------------------------------------- */
struct table {
    struct bytes wire; /* the keys as fields of the message */
    size_t *offsets;   /* of each key's text in wire */
    size_t *lens;
    uint32_t *slots; /* index + 1; 0: empty */
    size_t count, slot_count;
};

static uint32_t hash_of(const char *key, size_t len)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (uint8_t) key[i]) * 16777619u;
    return hash;
}

/* The slot of the key, or the empty one where it belongs. */
static size_t slot_of(const struct table *t, const char *key, size_t len)
{
    size_t at = hash_of(key, len) & (t->slot_count - 1);
    while (t->slots[at]) {
        size_t i = t->slots[at] - 1;
        if (t->lens[i] == len && memcmp(t->wire.ptr + t->offsets[i], key, len) == 0)
            break;
        at = (at + 1) & (t->slot_count - 1);
    }
    return at;
}

static int grow(struct table *t)
{
    size_t slot_count = t->slot_count ? t->slot_count * 2 : TABLE_SLOTS_FIRST;
    size_t *offsets = realloc(t->offsets, slot_count / 2 * sizeof(*offsets));
    size_t *lens;
    uint32_t *slots;
    if (!offsets)
        return -ENOMEM;
    t->offsets = offsets;
    lens = realloc(t->lens, slot_count / 2 * sizeof(*lens));
    if (!lens)
        return -ENOMEM;
    t->lens = lens;
    slots = calloc(slot_count, sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    free(t->slots);
    t->slots = slots;
    t->slot_count = slot_count;
    for (size_t i = 0; i < t->count; i++)
        slots[slot_of(t, (const char *) t->wire.ptr + t->offsets[i], t->lens[i])] =
            (uint32_t) i + 1;
    return 0;
}

/* What adding the key would cost; *ret_index: its place in the table. */
static int prepare(struct table *t, const char *key, size_t len, size_t *ret_index,
                   size_t *ret_bytes)
{
    size_t slot;
    int r = t->count < t->slot_count / 2 ? 0 : grow(t);
    if (r < 0)
        return r;
    r = reserve(&t->wire, protobuf_bytes_len(len) + 1);
    if (r < 0)
        return r;
    slot = slot_of(t, key, len);
    *ret_index = t->slots[slot] ? t->slots[slot] - 1 : t->count;
    *ret_bytes = t->slots[slot] ? 0 : protobuf_bytes_len(len);
    return 0;
}

static void insert(struct table *t, unsigned field, const char *key, size_t len)
{
    size_t slot = slot_of(t, key, len);
    if (t->slots[slot])
        return;
    (void) protobuf_put_bytes(t->wire.ptr + t->wire.len, field, key, len);
    t->wire.len += protobuf_bytes_len(len);
    t->offsets[t->count] = t->wire.len - len;
    t->lens[t->count] = len;
    t->slots[slot] = (uint32_t) ++t->count;
}

static void table_clear(struct table *t)
{
    t->count = 0;
    t->wire.len = 0;
    if (t->slots)
        memset(t->slots, 0, t->slot_count * sizeof(*t->slots));
}

static void table_free(struct table *t)
{
    free(t->wire.ptr);
    free(t->offsets);
    free(t->lens);
    free(t->slots);
}

/* --- the builder ------------------------------------------------------------------------------ */
struct kinema_aggregate {
    size_t bytes_max, count;
    struct table partition_keys, hash_keys;
    struct bytes records; /* as fields of the message */
    struct bytes whole;   /* what finish gives */
    char first_key[KINEMA_AGGREGATE_KEY_BYTES_MAX + 1];
    char first_hash_key[HASH_KEY_DIGITS_MAX + 1]; /* empty: none */
};

int kinema_aggregate_new(size_t bytes_max, struct kinema_aggregate **ret)
{
    struct kinema_aggregate *a;
    if (bytes_max == 0)
        bytes_max = KINEMA_AGGREGATE_BYTES_DEFAULT;
    if (bytes_max < 1024 || bytes_max > KINEMA_AGGREGATE_BYTES_MAX)
        return -EINVAL;
    a = calloc(1, sizeof(*a));
    if (!a)
        return -ENOMEM;
    a->bytes_max = bytes_max;
    *ret = a;
    return 0;
}

void kinema_aggregate_free(struct kinema_aggregate *a)
{
    if (!a)
        return;
    table_free(&a->partition_keys);
    table_free(&a->hash_keys);
    free(a->records.ptr);
    free(a->whole.ptr);
    free(a);
}

void kinema_aggregate_clear(struct kinema_aggregate *a)
{
    a->count = 0;
    a->records.len = 0;
    a->first_key[0] = a->first_hash_key[0] = '\0';
    table_clear(&a->partition_keys);
    table_clear(&a->hash_keys);
}

size_t kinema_aggregate_count(const struct kinema_aggregate *a)
{
    return a->count;
}

static size_t bytes_of_data(const struct kinema_aggregate *a)
{
    return AGGREGATE_MAGIC_BYTES + a->partition_keys.wire.len + a->hash_keys.wire.len +
           a->records.len + AGGREGATE_DIGEST_BYTES;
}

size_t kinema_aggregate_bytes(const struct kinema_aggregate *a)
{
    return a->count == 0 ? 0 : bytes_of_data(a) + strlen(a->first_key);
}

/* Decimal digits of a number below 2^128. */
static int is_hash_key(const char *text)
{
    static const char most[] = "340282366920938463463374607431768211455";
    size_t len = strspn(text, "0123456789");
    if (len == 0 || text[len])
        return 0;
    while (len > 1 && *text == '0') { /* AWS writes none, and takes them */
        text++;
        len--;
    }
    return len < HASH_KEY_DIGITS_MAX || (len == HASH_KEY_DIGITS_MAX && strcmp(text, most) <= 0);
}

/* A user record on its way in. */
struct addition {
    const char *key, *hash_key; /* hash_key: NULL, none */
    size_t key_len, hash_key_len;
    const void *data;
    size_t len;
    size_t key_index, hash_key_index, key_bytes, hash_key_bytes;
};

static size_t message_len(const struct addition *add)
{
    return 1 + protobuf_varint_len(add->key_index) +
           (add->hash_key ? 1 + protobuf_varint_len(add->hash_key_index) : 0) +
           protobuf_bytes_len(add->len);
}

static void put_message(struct bytes *records, const struct addition *add)
{
    size_t len = message_len(add);
    uint8_t *at = records->ptr + records->len;
    *at++ = AGGREGATE_RECORDS << 3 | PROTOBUF_BYTES;
    at = protobuf_put_varint(at, len);
    *at++ = RECORD_PARTITION_KEY << 3 | PROTOBUF_VARINT;
    at = protobuf_put_varint(at, add->key_index);
    if (add->hash_key) {
        *at++ = RECORD_HASH_KEY << 3 | PROTOBUF_VARINT;
        at = protobuf_put_varint(at, add->hash_key_index);
    }
    (void) protobuf_put_bytes(at, RECORD_DATA, add->data, add->len);
    records->len += protobuf_bytes_len(len);
}

/* Of the record that holds nothing else. */
static size_t bytes_alone(const struct addition *add)
{
    struct addition alone = *add;
    alone.key_index = alone.hash_key_index = 0;
    return AGGREGATE_MAGIC_BYTES + AGGREGATE_DIGEST_BYTES + add->key_len +
           protobuf_bytes_len(add->key_len) +
           (add->hash_key ? protobuf_bytes_len(add->hash_key_len) : 0) +
           protobuf_bytes_len(message_len(&alone));
}

/* Finds the places of its keys; -ENOSPC when it does not fit any more. */
static int measure(struct kinema_aggregate *a, struct addition *add)
{
    size_t outer;
    int r = prepare(&a->partition_keys, add->key, add->key_len, &add->key_index, &add->key_bytes);
    if (r == 0 && add->hash_key)
        r = prepare(&a->hash_keys, add->hash_key, add->hash_key_len, &add->hash_key_index,
                    &add->hash_key_bytes);
    if (r < 0)
        return r;
    outer = a->count > 0 ? strlen(a->first_key) : add->key_len;
    if (bytes_of_data(a) + outer + add->key_bytes + add->hash_key_bytes +
            protobuf_bytes_len(message_len(add)) >
        a->bytes_max)
        return a->count > 0 ? -ENOSPC : -EMSGSIZE;
    return reserve(&a->records, protobuf_bytes_len(message_len(add)));
}

int kinema_aggregate_add(struct kinema_aggregate *a, const char *partition_key,
                         const char *explicit_hash_key, const void *data, size_t len)
{
    struct addition add = {.key = partition_key, .hash_key = explicit_hash_key, .data = data};
    int r;
    add.len = len;
    add.key_len = strlen(partition_key);
    if (add.key_len == 0 || add.key_len > KINEMA_AGGREGATE_KEY_BYTES_MAX ||
        (explicit_hash_key && !is_hash_key(explicit_hash_key)))
        return -EINVAL;
    if (len > a->bytes_max)
        return -EMSGSIZE;
    if (explicit_hash_key) {
        while (add.hash_key[0] == '0' && add.hash_key[1])
            add.hash_key++;
        add.hash_key_len = strlen(add.hash_key);
    }
    r = measure(a, &add);
    if (r == -ENOSPC && bytes_alone(&add) > a->bytes_max)
        r = -EMSGSIZE;
    if (r < 0)
        return r;
    insert(&a->partition_keys, AGGREGATE_PARTITION_KEYS, add.key, add.key_len);
    if (add.hash_key)
        insert(&a->hash_keys, AGGREGATE_HASH_KEYS, add.hash_key, add.hash_key_len);
    put_message(&a->records, &add);
    if (a->count++ == 0) {
        memcpy(a->first_key, add.key, add.key_len + 1);
        if (add.hash_key)
            memcpy(a->first_hash_key, add.hash_key, add.hash_key_len + 1);
    }
    return 0;
}

static void append(struct bytes *dst, const void *ptr, size_t len)
{
    if (len > 0)
        memcpy(dst->ptr + dst->len, ptr, len);
    dst->len += len;
}

int kinema_aggregate_finish(struct kinema_aggregate *a, struct kinema_aggregate_record *ret)
{
    struct bytes *whole = &a->whole;
    int r;
    if (a->count == 0)
        return -ENODATA;
    whole->len = 0;
    r = reserve(whole, bytes_of_data(a));
    if (r < 0)
        return r;
    append(whole, kinema_aggregate_magic, AGGREGATE_MAGIC_BYTES);
    append(whole, a->partition_keys.wire.ptr, a->partition_keys.wire.len);
    append(whole, a->hash_keys.wire.ptr, a->hash_keys.wire.len);
    append(whole, a->records.ptr, a->records.len);
    if (kinema_aggregate_digest(whole->ptr + AGGREGATE_MAGIC_BYTES,
                                whole->len - AGGREGATE_MAGIC_BYTES, whole->ptr + whole->len) < 0)
        return -ENOMEM;
    whole->len += AGGREGATE_DIGEST_BYTES;
    ret->data = whole->ptr;
    ret->len = whole->len;
    ret->partition_key = a->first_key;
    ret->explicit_hash_key = a->first_hash_key[0] ? a->first_hash_key : NULL;
    return 0;
}
