/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of shards and segments in the catalogue; see rows.h. All numbers are little-endian. */
#include "rows.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/crypto.h"

enum {
    VERSION = 1,
    VERSION_IN_PACK = 2, /* of a segment's row */
    FLAG_CLOSED = 1,
    FLAG_SEALED = 1,
    SHARD_HEAD_BYTES = 2 + 6 * 8 + 4,
    SOURCE_BYTES = 24,
    TRIM_BYTES = 8,
    TRIMS_MAX = 1000,
    SOURCES_MAX = (STORAGE_META_VALUE_BYTES_MAX - SHARD_HEAD_BYTES) / SOURCE_BYTES,
};

struct kn_bytes storage_shard_key(const struct storage_id *id, char dst[STORAGE_SHARD_KEY_BYTES])
{
    char text[STORAGE_ID_TEXT_BYTES];
    storage_id_text(id, text);
    int n = snprintf(dst, STORAGE_SHARD_KEY_BYTES, "w/%s", text);
    return (struct kn_bytes){(const uint8_t *) dst, (size_t) n};
}

struct kn_bytes storage_segment_key(const struct storage_id *id, uint64_t first,
                                    char dst[STORAGE_SHARD_KEY_BYTES])
{
    uint8_t number[8];
    kn_put_u64be(number, UINT64_MAX - first);
    memcpy(dst, "x/", 2);
    storage_id_text(id, dst + 2);
    kn_hex_encode((struct kn_bytes){number, sizeof(number)}, dst + 2 + 2 * sizeof(id->bytes));
    return (struct kn_bytes){(const uint8_t *) dst, 2 + 2 * sizeof(id->bytes) + 2 * sizeof(number)};
}

static void put_u64(uint8_t **at, uint64_t v)
{
    kn_put_u64le(*at, v);
    *at += 8;
}

int storage_shard_row_encode(const struct storage_shard_row *row, struct kn_buf *dst)
{
    uint8_t head[SHARD_HEAD_BYTES], *at = head;
    *at++ = VERSION;
    *at++ = row->closed ? FLAG_CLOSED : 0;
    put_u64(&at, row->next);
    put_u64(&at, row->give);
    put_u64(&at, (uint64_t) row->newest_ms);
    put_u64(&at, row->bytes);
    put_u64(&at, row->records);
    put_u64(&at, (uint64_t) row->retention_ms);
    kn_put_u32le(at, (uint32_t) row->source_count);
    kn_buf_clear(dst);
    (void) kn_buf_append(dst, head, sizeof(head));
    for (size_t i = 0; i < row->source_count; i++) {
        uint8_t source[SOURCE_BYTES];
        memcpy(source, row->sources[i].id.bytes, 16);
        kn_put_u64le(source + 16, row->sources[i].seq);
        (void) kn_buf_append(dst, source, sizeof(source));
    }
    return dst->error;
}

void storage_shard_row_raise(struct storage_shard_row *row,
                             const struct storage_segment_row *segment)
{
    bool counts = segment->next > segment->first; /* else it is an intent */
    row->next = kn_max_u64(row->next, segment->next);
    row->newest_ms = counts ? kn_max_i64(row->newest_ms, segment->last_ms) : row->newest_ms;
    row->bytes = kn_max_u64(row->bytes, segment->bytes_before + segment->data_bytes);
    row->records = kn_max_u64(row->records, segment->records_before + segment->records);
}

static int compare_sources(const void *a, const void *b)
{
    const struct storage_shard_source *x = a, *y = b;
    return storage_id_cmp(&x->id, &y->id);
}

static int read_sources(struct kn_reader *in, struct storage_shard_row *row, uint32_t count)
{
    if (count > SOURCES_MAX || kn_reader_left(in) != (size_t) count * SOURCE_BYTES)
        return -EBADMSG;
    if (count == 0)
        return 0;
    row->sources = calloc(count, sizeof(*row->sources));
    if (!row->sources)
        return -ENOMEM;
    row->source_count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct kn_bytes id;
        if (kn_read_bytes(in, 16, &id) < 0 || kn_read_u64le(in, &row->sources[i].seq) < 0)
            return -EBADMSG; /* cannot be: the length was compared */
        memcpy(row->sources[i].id.bytes, id.ptr, 16);
    }
    qsort(row->sources, count, sizeof(*row->sources), compare_sources); /* once they were not */
    return 0;
}

static int read_head(struct kn_reader *in, struct storage_shard_row *row, uint32_t *ret_sources)
{
    uint8_t version, flags;
    uint64_t newest, retention;
    if (kn_read_u8(in, &version) < 0 || version != VERSION || kn_read_u8(in, &flags) < 0 ||
        kn_read_u64le(in, &row->next) < 0 || kn_read_u64le(in, &row->give) < 0 ||
        kn_read_u64le(in, &newest) < 0 || kn_read_u64le(in, &row->bytes) < 0 ||
        kn_read_u64le(in, &row->records) < 0 || kn_read_u64le(in, &retention) < 0 ||
        kn_read_u32le(in, ret_sources) < 0 || retention > INT64_MAX)
        return -EBADMSG;
    row->closed = flags & FLAG_CLOSED;
    row->newest_ms = (int64_t) newest;
    row->retention_ms = retention > 0 ? (int64_t) retention : INT64_MAX;
    return 0;
}

int storage_shard_row_head(struct kn_bytes src, struct storage_shard_row *ret)
{
    struct kn_reader in = kn_reader_of(src);
    uint32_t count;
    *ret = (struct storage_shard_row){.next = 0};
    return read_head(&in, ret, &count);
}

int storage_shard_row_decode(struct kn_bytes src, struct storage_shard_row *ret)
{
    struct kn_reader in = kn_reader_of(src);
    struct storage_shard_row row = {.next = 0};
    uint32_t count;
    int r = read_head(&in, &row, &count);
    if (r == 0)
        r = read_sources(&in, &row, count);
    if (r < 0)
        free(row.sources);
    else
        *ret = row;
    return r;
}

int storage_shard_row_get(struct storage_meta *meta, const struct storage_id *id,
                          struct storage_shard_row *ret, uint64_t *ret_version)
{
    char key[STORAGE_SHARD_KEY_BYTES];
    struct kn_buf value;
    kn_buf_init(&value, STORAGE_META_VALUE_BYTES_MAX);
    int r = storage_meta_get(meta, storage_shard_key(id, key), &value, ret_version);
    if (r == 0)
        r = storage_shard_row_decode(kn_buf_bytes(&value), ret);
    kn_buf_done(&value);
    return r;
}

size_t storage_segment_row_encode(const struct storage_segment_row *row,
                                  uint8_t dst[STORAGE_SEGMENT_ROW_BYTES])
{
    uint8_t *at = dst;
    *at++ = row->pack > 0 ? VERSION_IN_PACK : VERSION;
    *at++ = row->sealed ? FLAG_SEALED : 0;
    put_u64(&at, row->first);
    put_u64(&at, row->next);
    put_u64(&at, (uint64_t) row->first_ms);
    put_u64(&at, (uint64_t) row->last_ms);
    put_u64(&at, row->bytes);
    put_u64(&at, row->bytes_before);
    put_u64(&at, row->records_before);
    put_u64(&at, row->data_bytes);
    put_u64(&at, row->records);
    put_u64(&at, row->pack);
    memcpy(at, row->id, sizeof(row->id));
    at += sizeof(row->id);
    if (row->pack > 0)
        put_u64(&at, row->place);
    return (size_t) (at - dst);
}

int storage_segment_row_decode(struct kn_bytes src, struct storage_segment_row *ret)
{
    struct kn_reader in = kn_reader_of(src);
    struct storage_segment_row row = {.first = 0};
    uint8_t version, flags;
    uint64_t first_ms, last_ms;
    struct kn_bytes id;
    if (kn_read_u8(&in, &version) < 0 || version == 0 || version > VERSION_IN_PACK ||
        kn_read_u8(&in, &flags) < 0 || kn_read_u64le(&in, &row.first) < 0 ||
        kn_read_u64le(&in, &row.next) < 0 || kn_read_u64le(&in, &first_ms) < 0 ||
        kn_read_u64le(&in, &last_ms) < 0 || kn_read_u64le(&in, &row.bytes) < 0 ||
        kn_read_u64le(&in, &row.bytes_before) < 0 || kn_read_u64le(&in, &row.records_before) < 0 ||
        kn_read_u64le(&in, &row.data_bytes) < 0 || kn_read_u64le(&in, &row.records) < 0 ||
        kn_read_u64le(&in, &row.pack) < 0 || kn_read_bytes(&in, 16, &id) < 0 ||
        row.next < row.first)
        return -EBADMSG;
    if (version == VERSION)
        row.pack = 0;
    else if (row.pack == 0 || kn_read_u64le(&in, &row.place) < 0)
        return -EBADMSG;
    row.sealed = flags & FLAG_SEALED;
    row.first_ms = (int64_t) first_ms;
    row.last_ms = (int64_t) last_ms;
    memcpy(row.id, id.ptr, sizeof(row.id));
    *ret = row;
    return 0;
}

struct found {
    struct storage_segment_row row;
    uint64_t version;
    bool any;
};

static int take_row(void *ctx, struct kn_bytes key, struct kn_bytes value, uint64_t version)
{
    (void) key;
    struct found *found = ctx;
    found->any = true;
    found->version = version;
    return storage_segment_row_decode(value, &found->row);
}

struct kn_bytes storage_segment_prefix(const struct storage_id *id,
                                       char dst[STORAGE_SHARD_KEY_BYTES])
{
    struct kn_bytes key = storage_segment_key(id, 0, dst);
    key.len -= 16;
    return key;
}

int storage_segment_row_at(struct storage_meta *meta, const struct storage_id *id, uint64_t index,
                           struct storage_segment_row *ret, uint64_t *ret_version)
{
    char prefix[STORAGE_SHARD_KEY_BYTES], after[STORAGE_SHARD_KEY_BYTES];
    struct found found = {.any = false};
    struct kn_bytes from = {NULL, 0};
    if (index < UINT64_MAX)
        from = storage_segment_key(id, index + 1, after);
    int r = storage_meta_list(meta, storage_segment_prefix(id, prefix), from, 1, take_row, &found);
    if (r == 0 && !found.any)
        r = -ENOENT;
    if (r == 0) {
        *ret = found.row;
        *ret_version = found.version;
    }
    return r;
}

int storage_shard_row_raise_to_newest(struct storage_meta *meta, const struct storage_id *shard,
                                      struct storage_shard_row *row)
{
    struct storage_segment_row newest;
    uint64_t version;
    int r = storage_segment_row_at(meta, shard, UINT64_MAX, &newest, &version);
    if (r == 0)
        storage_shard_row_raise(row, &newest);
    return r == -ENOENT ? 0 : r;
}

int storage_segment_row_oldest(struct storage_meta *meta, const struct storage_id *id,
                               struct storage_segment_row *ret)
{
    char prefix[STORAGE_SHARD_KEY_BYTES];
    struct found found = {.any = false};
    int r = storage_meta_list_last(meta, storage_segment_prefix(id, prefix), 1, take_row, &found);
    if (r == 0 && !found.any)
        r = -ENOENT;
    if (r == 0)
        *ret = found.row;
    return r;
}

/* --- trim points ------------------------------------------------------------------------------ */
static struct kn_bytes trim_key(const struct storage_id *id, char dst[STORAGE_SHARD_KEY_BYTES])
{
    char text[STORAGE_ID_TEXT_BYTES];
    storage_id_text(id, text);
    int n = snprintf(dst, STORAGE_SHARD_KEY_BYTES, "wt/%s", text);
    return (struct kn_bytes){(const uint8_t *) dst, (size_t) n};
}

/* version 0: there is none */
static int trim_get(struct storage_meta *meta, const struct storage_id *id, int64_t *ret,
                    uint64_t *ret_version)
{
    char key[STORAGE_SHARD_KEY_BYTES];
    struct kn_buf value;
    uint64_t ms = 0;
    kn_buf_init(&value, TRIM_BYTES);
    int r = storage_meta_get(meta, trim_key(id, key), &value, ret_version);
    struct kn_reader in = kn_reader_of(kn_buf_bytes(&value));
    if (r == 0 && kn_read_u64le(&in, &ms) < 0)
        r = -EBADMSG;
    kn_buf_done(&value);
    *ret = (int64_t) ms;
    if (r != -ENOENT)
        return r;
    *ret = INT64_MIN;
    *ret_version = 0;
    return 0;
}

int storage_trim_get(struct storage_meta *meta, const struct storage_id *id, int64_t *ret)
{
    uint64_t version;
    return trim_get(meta, id, ret, &version);
}

struct trim_change {
    char key[STORAGE_SHARD_KEY_BYTES];
    uint8_t value[TRIM_BYTES];
};

int storage_trims_put(struct storage_meta *meta, struct storage_trim *trims, size_t count)
{
    kn_assert(count <= TRIMS_MAX);
    struct storage_meta_change *changes = calloc(count, sizeof(*changes));
    struct trim_change *bytes = calloc(count, sizeof(*bytes));
    int r = changes && bytes ? 0 : -ENOMEM;
    for (size_t i = 0; r == 0 && i < count; i++) {
        int64_t had;
        r = trim_get(meta, &trims[i].id, &had, &changes[i].expect);
        kn_put_u64le(bytes[i].value, (uint64_t) kn_max_i64(had, trims[i].ms));
        changes[i].key = trim_key(&trims[i].id, bytes[i].key);
        changes[i].value = (struct kn_bytes){bytes[i].value, TRIM_BYTES};
    }
    if (r == 0)
        storage_meta_change_all(meta, changes, count);
    int first = r;
    for (size_t i = 0; i < count; i++) {
        trims[i].result = r < 0 ? r : changes[i].result;
        first = first < 0 ? first : trims[i].result;
    }
    free(bytes);
    free(changes);
    return first;
}

int storage_trim_remove(struct storage_meta *meta, const struct storage_id *id)
{
    char key[STORAGE_SHARD_KEY_BYTES];
    int r = storage_meta_remove(meta, trim_key(id, key), 0);
    return r == -ENOENT ? 0 : r;
}
