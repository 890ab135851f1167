/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of leases; nothing is kept in memory, since workers look a few times a minute. */
#include "lease.h"

#include <errno.h>
#include <stdlib.h>

#include "core/buf.h"
#include "core/crypto.h"

enum {
    FORMAT = 1,
    PREFIX_BYTES = 3,
    ID_TEXT_BYTES = STORAGE_ID_TEXT_BYTES - 1,
    HEAD_BYTES = PREFIX_BYTES + ID_TEXT_BYTES,
    KEY_BYTES = HEAD_BYTES + DATASTREAM_LEASE_NAME_BYTES_MAX + 1 + DATASTREAM_LEASE_NAME_BYTES_MAX
};
static_assert((int) KEY_BYTES <= (int) STORAGE_META_KEY_BYTES_MAX, "keys fit");
static const struct kn_str prefix = KN_STR_INIT("dl/");

/* --- keys and records ------------------------------------------------------------------------- */
struct key {
    uint8_t bytes[KEY_BYTES];
    size_t len;
};

static struct kn_bytes bytes_of(const struct key *key)
{
    return (struct kn_bytes){key->bytes, key->len};
}

static void add(struct key *key, struct kn_str text)
{
    kn_assert(text.len <= KEY_BYTES - key->len);
    memcpy(key->bytes + key->len, text.ptr, text.len);
    key->len += text.len;
}

static struct key key_of_stream(const struct storage_id *stream)
{
    struct key key = {.len = 0};
    char id[STORAGE_ID_TEXT_BYTES];
    storage_id_text(stream, id);
    add(&key, prefix);
    add(&key, (struct kn_str){id, ID_TEXT_BYTES});
    return key;
}

/* Names hold no '/', so applications do not run into each other. */
static struct key key_of(const struct storage_id *stream, struct kn_str application,
                         struct kn_str lease)
{
    struct key key = key_of_stream(stream);
    add(&key, application);
    add(&key, KN_STR("/"));
    if (lease.len > 0)
        add(&key, lease);
    return key;
}

static void encode(const struct datastream_lease *lease, struct kn_buf *dst)
{
    kn_buf_append_byte(dst, FORMAT);
    kn_buf_append_u64be(dst, (uint64_t) lease->created_ms);
    kn_buf_append_varint(dst, lease->owner.len);
    kn_buf_append_str(dst, lease->owner);
    kn_buf_append_varint(dst, lease->checkpoint.len);
    kn_buf_append_str(dst, lease->checkpoint);
}

static int read_text(struct kn_reader *r, struct kn_str *ret)
{
    uint64_t len;
    struct kn_bytes bytes;
    if (kn_read_varint(r, &len) < 0 || len > kn_reader_left(r) ||
        kn_read_bytes(r, (size_t) len, &bytes) < 0)
        return -EBADMSG;
    *ret = kn_str_of(bytes);
    return 0;
}

static int decode(struct kn_bytes record, struct datastream_lease *ret)
{
    struct kn_reader r = kn_reader_of(record);
    uint8_t format;
    uint64_t created;
    if (kn_read_u8(&r, &format) < 0 || format != FORMAT || kn_read_u64be(&r, &created) < 0 ||
        created > INT64_MAX || read_text(&r, &ret->owner) < 0 ||
        read_text(&r, &ret->checkpoint) < 0 || kn_reader_left(&r) > 0)
        return -EBADMSG;
    ret->created_ms = (int64_t) created;
    return 0;
}

/* --- listing ---------------------------------------------------------------------------------- */
struct listing {
    datastream_lease_fn *each;
    void *ctx;
    size_t head_len;
};

static int list_row(void *ctx, struct kn_bytes key, struct kn_bytes value, uint64_t version)
{
    const struct listing *listing = ctx;
    struct datastream_lease lease = {.version = version};
    lease.key = kn_str_of(kn_bytes_skip(key, listing->head_len));
    int r = decode(value, &lease);
    return r < 0 ? r : listing->each(listing->ctx, &lease);
}

int datastream_lease_list(struct storage_meta *meta, const struct storage_id *stream,
                          struct kn_str application, struct kn_str after, size_t limit,
                          datastream_lease_fn *each, void *ctx)
{
    struct key head = key_of(stream, application, KN_STR(""));
    struct key from = key_of(stream, application, after);
    struct listing listing = {each, ctx, head.len};
    return storage_meta_list(meta, bytes_of(&head), bytes_of(&from), limit, list_row, &listing);
}

struct counting {
    size_t count;
    struct key last;
};

static int count_row(void *ctx, struct kn_bytes key, struct kn_bytes value KN_UNUSED,
                     uint64_t version KN_UNUSED)
{
    struct counting *counting = ctx;
    if (key.len > KEY_BYTES)
        return -EBADMSG;
    counting->count++;
    memcpy(counting->last.bytes, key.ptr, key.len);
    counting->last.len = key.len;
    return 0;
}

/* Applications are told apart by the first row of each: one step an application. */
static int count_applications(struct storage_meta *meta, const struct storage_id *stream,
                              size_t *ret)
{
    struct key head = key_of_stream(stream);
    struct counting counting = {.last = head};
    *ret = 0;
    while (*ret <= DATASTREAM_LEASE_APPLICATIONS_MAX) {
        counting.count = 0;
        int r = storage_meta_list(meta, bytes_of(&head), bytes_of(&counting.last), 1, count_row,
                                  &counting);
        if (r < 0 || counting.count == 0)
            return r;
        const uint8_t *slash =
            memchr(counting.last.bytes + head.len, '/', counting.last.len - head.len);
        if (!slash)
            return -EBADMSG;
        counting.last.len = (size_t) (slash - counting.last.bytes) + 1;
        counting.last.bytes[counting.last.len - 1] = '/' + 1; /* behind all of them */
        ++*ret;
    }
    return 0;
}

/* --- changing --------------------------------------------------------------------------------- */
static int admit(struct storage_meta *meta, const struct storage_id *stream,
                 struct kn_str application, size_t more)
{
    struct key head = key_of(stream, application, KN_STR(""));
    struct counting leases = {.last = head};
    size_t applications = 0;
    int r = more ? storage_meta_list(meta, bytes_of(&head), bytes_of(&head), DATASTREAM_LEASES_MAX,
                                     count_row, &leases)
                 : 0;
    if (r == 0 && more && leases.count + more > DATASTREAM_LEASES_MAX)
        return -EDQUOT;
    if (r == 0 && more && leases.count == 0)
        r = count_applications(meta, stream, &applications);
    return r == 0 && applications >= DATASTREAM_LEASE_APPLICATIONS_MAX ? -EDQUOT : r;
}

/* What is to be written; created_ms stays as it was. -ESTALE: it is not as it was seen. */
static int prepare(struct storage_meta *meta, struct datastream_lease_change *change,
                   int64_t now_ms, const struct key *key, struct kn_buf *record)
{
    struct datastream_lease *lease = &change->lease, former;
    uint64_t version;
    if (change->remove)
        return lease->version ? 0 : -ESTALE; /* 0 would mean any */
    lease->created_ms = now_ms;
    if (lease->version) {
        int r = storage_meta_get(meta, bytes_of(key), record, &version);
        if (r == 0 && version != lease->version)
            r = -ESTALE;
        if (r == 0)
            r = decode(kn_buf_bytes(record), &former);
        if (r < 0)
            return r == -ENOENT ? -ESTALE : r;
        lease->created_ms = former.created_ms;
        kn_buf_clear(record);
    }
    encode(lease, record);
    return record->error;
}

struct work { /* of one call */
    struct key keys[DATASTREAM_LEASES_A_CALL_MAX];
    struct kn_buf records[DATASTREAM_LEASES_A_CALL_MAX];
    struct storage_meta_change rows[DATASTREAM_LEASES_A_CALL_MAX];
    size_t of[DATASTREAM_LEASES_A_CALL_MAX]; /* the change that a row is for */
    size_t count;
};

static int prepare_all(struct storage_meta *meta, const struct storage_id *stream,
                       struct kn_str application, int64_t now_ms,
                       struct datastream_lease_change *changes, size_t count, struct work *work)
{
    for (size_t i = 0; i < count; i++) {
        struct datastream_lease_change *change = &changes[i];
        struct key *key = &work->keys[i];
        *key = key_of(stream, application, change->lease.key);
        kn_buf_init(&work->records[i], DATASTREAM_LEASE_RECORD_BYTES_MAX);
        change->result = prepare(meta, change, now_ms, key, &work->records[i]);
        if (change->result < 0 && change->result != -ESTALE)
            return change->result;
        if (change->result < 0)
            continue;
        work->of[work->count] = i;
        work->rows[work->count++] = (struct storage_meta_change){
            .key = bytes_of(key),
            .value = kn_buf_bytes(&work->records[i]),
            .remove = change->remove,
            .expect = change->lease.version,
        };
    }
    return 0;
}

static int write_all(struct storage_meta *meta, struct datastream_lease_change *changes,
                     struct work *work)
{
    int r = 0;
    storage_meta_change_all(meta, work->rows, work->count);
    for (size_t i = 0; i < work->count; i++) {
        struct datastream_lease_change *change = &changes[work->of[i]];
        int result = work->rows[i].result;
        change->result = result == -EEXIST || result == -ENOENT ? -ESTALE : result;
        change->lease.version = work->rows[i].version;
        if (change->result < 0 && change->result != -ESTALE)
            r = change->result;
    }
    return r;
}

int datastream_lease_change_all(struct storage_meta *meta, const struct storage_id *stream,
                                struct kn_str application, int64_t now_ms,
                                struct datastream_lease_change *changes, size_t count)
{
    size_t more = 0;
    kn_assert(count <= DATASTREAM_LEASES_A_CALL_MAX);
    for (size_t i = 0; i < count; i++)
        more += changes[i].lease.version == 0;
    int r = admit(meta, stream, application, more);
    struct work *work = r == 0 ? calloc(1, sizeof(*work)) : NULL;
    if (!work)
        return r < 0 ? r : -ENOMEM;
    r = prepare_all(meta, stream, application, now_ms, changes, count, work);
    if (r == 0 && work->count > 0)
        r = write_all(meta, changes, work);
    for (size_t i = 0; i < count; i++)
        kn_buf_done(&work->records[i]);
    free(work);
    return r;
}

/* --- streams that go -------------------------------------------------------------------------- */
static int remove_some(struct storage_meta *meta, const struct key *head, size_t *ret_count)
{
    struct work *work = calloc(1, sizeof(*work));
    struct counting one = {.last = *head};
    int r = work ? 0 : -ENOMEM;
    while (r == 0 && work->count < DATASTREAM_LEASES_A_CALL_MAX) {
        one.count = 0;
        r = storage_meta_list(meta, bytes_of(head), bytes_of(&one.last), 1, count_row, &one);
        if (r < 0 || one.count == 0)
            break;
        work->keys[work->count] = one.last;
        work->rows[work->count] =
            (struct storage_meta_change){.key = bytes_of(&work->keys[work->count]), .remove = true};
        work->count++;
    }
    *ret_count = r == 0 ? work->count : 0;
    if (*ret_count > 0)
        storage_meta_change_all(meta, work->rows, work->count);
    for (size_t i = 0; i < *ret_count && r == 0; i++)
        r = work->rows[i].result == -ENOENT ? 0 : work->rows[i].result;
    free(work);
    return r;
}

int datastream_lease_remove_all(struct storage_meta *meta, const struct storage_id *stream)
{
    struct key head = key_of_stream(stream);
    size_t count;
    int r;
    do
        r = remove_some(meta, &head, &count);
    while (r == 0 && count > 0);
    return r;
}

struct looking {
    const struct storage_id *stream;
    bool found;
};

static int compare(void *ctx, struct datastream_stream *stream)
{
    struct looking *looking = ctx;
    looking->found |= storage_id_cmp(&stream->id, looking->stream) == 0;
    return 0;
}

int datastream_lease_tidy(struct storage_meta *meta, struct datastream_streams *streams)
{
    struct counting one = {.count = 0};
    add(&one.last, prefix);
    for (;;) {
        struct storage_id stream;
        struct looking looking = {.stream = &stream};
        one.count = 0;
        int r =
            storage_meta_list(meta, kn_bytes_of(prefix), bytes_of(&one.last), 1, count_row, &one);
        if (r < 0 || one.count == 0)
            return r;
        if (one.last.len <= HEAD_BYTES ||
            kn_hex_decode(
                (struct kn_str){(const char *) one.last.bytes + PREFIX_BYTES, ID_TEXT_BYTES},
                stream.bytes, sizeof(stream.bytes)) < 0)
            return -EBADMSG;
        r = datastream_stream_each(streams, compare, &looking);
        if (r == 0 && !looking.found)
            r = datastream_lease_remove_all(meta, &stream);
        if (r < 0)
            return r;
        one.last.len = HEAD_BYTES + 1; /* behind all of this stream */
        one.last.bytes[HEAD_BYTES] = 0xff;
    }
}
