/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encoding and decoding of the records of a chunk; docs/format-chunk.md has the byte tables.
 * All integers are little-endian. A record is one Void element with a 4-byte size field, so that
 * every Matroska reader skips it (RFC 9559, 5.1; RFC 8794, 11.3.2), and its checksum starts from
 * the chunk's random id, which never leaves the data folder: a sender cannot forge one.
 */
#include "format.h"

#include "core/crypto.h"
#include "core/mkv.h"

enum {
    VOID_HEAD_BYTES = 5,
    CRC_AT = 9, /* within the record */
    CRC_BYTES = 4,
    FOOTER_TOTAL_BYTES_MAX = 2 << 20,
};
static_assert(STORAGE_RECORD_HEAD_BYTES == VOID_HEAD_BYTES + 6 * 4, "the head's fields");

static void put_u16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t) v;
    p[1] = (uint8_t) (v >> 8);
}

static void put_u24(uint8_t *p, uint32_t v)
{
    put_u16(p, v);
    p[2] = (uint8_t) (v >> 16);
}

static uint32_t get_u16(const uint8_t *p)
{
    return (uint32_t) p[0] | (uint32_t) p[1] << 8;
}

static uint32_t get_u24(const uint8_t *p)
{
    return get_u16(p) | (uint32_t) p[2] << 16;
}

uint32_t storage_format_seed(const uint8_t id[STORAGE_CHUNK_ID_BYTES])
{
    return kn_crc32c(0, (struct kn_bytes){id, STORAGE_CHUNK_ID_BYTES});
}

/* --- records -------------------------------------------------------------------------------- */
static uint32_t record_crc(const uint8_t *ptr, size_t bytes, uint32_t seed)
{
    uint32_t crc = kn_crc32c(seed, (struct kn_bytes){ptr, CRC_AT});
    return kn_crc32c(crc, (struct kn_bytes){ptr + CRC_AT + CRC_BYTES, bytes - CRC_AT - CRC_BYTES});
}

size_t storage_record_start(struct kn_buf *out, enum storage_record_kind kind)
{
    static const uint8_t zero[STORAGE_RECORD_HEAD_BYTES];
    size_t start = out->len;
    kn_buf_append(out, zero, sizeof(zero));
    if (!out->error)
        kn_put_u32le(out->ptr + start + VOID_HEAD_BYTES, (uint32_t) kind);
    return start;
}

void storage_record_end(struct kn_buf *out, size_t start, const struct storage_record *record,
                        uint32_t seed)
{
    if (out->error)
        return;
    uint8_t *p = out->ptr + start;
    size_t bytes = out->len - start;
    kn_assert(bytes >= STORAGE_RECORD_HEAD_BYTES && bytes - VOID_HEAD_BYTES < (1u << 28) - 1);
    p[0] = KN_MKV_VOID;
    kn_put_u32be(p + 1, 1u << 28 | (uint32_t) (bytes - VOID_HEAD_BYTES));
    kn_put_u32le(p + 13, record->offset);
    kn_put_u32le(p + 17, record->previous);
    kn_put_u32le(p + 21, record->durable_upto);
    kn_put_u32le(p + 25, record->epoch);
    kn_put_u32le(p + CRC_AT, record_crc(p, bytes, seed));
}

int storage_record_peek(struct kn_bytes bytes, struct storage_record *ret)
{
    if (bytes.len < STORAGE_RECORD_HEAD_BYTES)
        return -ENODATA;
    const uint8_t *p = bytes.ptr;
    uint32_t size = (uint32_t) p[1] << 24 | (uint32_t) p[2] << 16 | (uint32_t) p[3] << 8 | p[4];
    if (p[0] != KN_MKV_VOID || size >> 28 != 1)
        return -EBADMSG;
    uint32_t kind = storage_get_u32(p + VOID_HEAD_BYTES);
    if (kind != STORAGE_RECORD_HEAD && kind != STORAGE_RECORD_HEADER &&
        kind != STORAGE_RECORD_FRAGMENT && kind != STORAGE_RECORD_FOOTER)
        return -EBADMSG;
    uint32_t total = (size & ((1u << 28) - 1)) + VOID_HEAD_BYTES;
    if (total < STORAGE_RECORD_HEAD_BYTES)
        return -EBADMSG;
    *ret = (struct storage_record){
        .kind = (enum storage_record_kind) kind,
        .offset = storage_get_u32(p + 13),
        .previous = storage_get_u32(p + 17),
        .durable_upto = storage_get_u32(p + 21),
        .epoch = storage_get_u32(p + 25),
        .bytes = total,
    };
    return 0;
}

int storage_record_read(struct kn_bytes bytes, uint64_t offset, uint32_t seed,
                        struct storage_record *ret)
{
    struct storage_record record;
    int r = storage_record_peek(bytes, &record);
    if (r < 0)
        return r;
    if (record.bytes > bytes.len)
        return -ENODATA;
    if (record.offset != offset)
        return -EBADMSG;
    if (storage_get_u32(bytes.ptr + CRC_AT) != record_crc(bytes.ptr, record.bytes, seed))
        return -EBADMSG;
    record.body = (struct kn_bytes){bytes.ptr + STORAGE_RECORD_HEAD_BYTES,
                                    record.bytes - STORAGE_RECORD_HEAD_BYTES};
    *ret = record;
    return 0;
}

/* --- the chunk's head ------------------------------------------------------------------------ */
void storage_head_encode(uint8_t b[STORAGE_HEAD_BODY_BYTES], const struct storage_chunk_head *head)
{
    memset(b, 0, STORAGE_HEAD_BODY_BYTES);
    kn_put_u32le(b, STORAGE_CHUNK_VERSION);
    kn_put_u32le(b + 4, head->epoch);
    memcpy(b + 8, head->id, STORAGE_CHUNK_ID_BYTES);
    memcpy(b + 24, head->stream.bytes, sizeof(head->stream.bytes));
    kn_put_u64le(b + 40, head->name.seq);
    kn_put_u64le(b + 48, (uint64_t) head->name.server_ts_ms);
    kn_put_u64le(b + 56, head->ordinal);
    kn_put_u64le(b + 64, head->discontinuity);
    kn_put_u32le(b + 72, head->name.random);
}

void storage_head_append(struct kn_buf *out, const struct storage_chunk_head *head)
{
    uint8_t b[STORAGE_HEAD_BODY_BYTES];
    storage_head_encode(b, head);
    kn_buf_append(out, b, sizeof(b));
}

int storage_head_parse(struct kn_bytes body, struct storage_chunk_head *ret)
{
    if (body.len < STORAGE_HEAD_BODY_BYTES)
        return -EBADMSG;
    const uint8_t *b = body.ptr;
    if (storage_get_u32(b) != STORAGE_CHUNK_VERSION)
        return -EBADMSG;
    struct storage_chunk_head head = {
        .name = {storage_get_u64(b + 40), (int64_t) storage_get_u64(b + 48),
                 storage_get_u32(b + 72)},
        .ordinal = storage_get_u64(b + 56),
        .discontinuity = storage_get_u64(b + 64),
        .epoch = storage_get_u32(b + 4),
    };
    if (head.name.server_ts_ms < 0 || head.name.seq >> 60)
        return -EBADMSG;
    memcpy(head.id, b + 8, STORAGE_CHUNK_ID_BYTES);
    memcpy(head.stream.bytes, b + 24, sizeof(head.stream.bytes));
    *ret = head;
    return 0;
}

/* --- entries ---------------------------------------------------------------------------------- */
enum {
    FLAGS_STORED =
        STORAGE_FRAGMENT_DISCONTINUITY | STORAGE_FRAGMENT_END_TAG | STORAGE_FRAGMENT_RELATIVE
};

int storage_entry_encode(uint8_t dst[STORAGE_ENTRY_BYTES], const struct storage_chunk_head *head,
                         const struct storage_fragment *f, uint8_t header, uint32_t crc)
{
    uint64_t seq = f->number.seq - head->name.seq;
    int64_t time = f->number.server_ts_ms - head->name.server_ts_ms;
    uint64_t ordinal = f->ordinal - head->ordinal;
    uint64_t discontinuity = f->discontinuity - head->discontinuity;
    uint64_t trailing = f->bytes - f->cluster_offset - f->cluster_bytes;
    if (seq > UINT32_MAX || time < 0 || time > UINT32_MAX || ordinal > UINT16_MAX ||
        discontinuity > UINT16_MAX || f->offset > UINT32_MAX || f->bytes > UINT32_MAX ||
        f->cluster_offset > STORAGE_TAGS_BYTES_MAX || trailing > STORAGE_TAGS_BYTES_MAX ||
        f->frame_count >= 1u << 24 || f->record_bytes > STORAGE_RECORD_BYTES_MAX)
        return -EMSGSIZE;
    kn_put_u32le(dst, (uint32_t) seq);
    kn_put_u32le(dst + 4, (uint32_t) time);
    kn_put_u32le(dst + 8, f->number.random);
    kn_put_u64le(dst + 12, (uint64_t) f->producer_ts_ms);
    kn_put_u64le(dst + 20, f->timecode);
    put_u16(dst + 28, (uint32_t) ordinal);
    put_u16(dst + 30, (uint32_t) discontinuity);
    kn_put_u32le(dst + 32, f->duration_ms);
    put_u16(dst + 36, (uint32_t) kn_min_u64(f->full_duration_ms - f->duration_ms, UINT16_MAX));
    dst[38] = header;
    dst[39] = (uint8_t) (f->flags & FLAGS_STORED);
    kn_put_u32le(dst + 40, (uint32_t) f->offset);
    kn_put_u32le(dst + 44, (uint32_t) f->bytes);
    put_u24(dst + 48, f->cluster_offset);
    put_u24(dst + 51, (uint32_t) trailing);
    put_u24(dst + 54, f->frame_count);
    put_u24(dst + 57, f->record_bytes);
    kn_put_u32le(dst + 60, crc);
    return 0;
}

void storage_entry_decode(const uint8_t src[STORAGE_ENTRY_BYTES],
                          const struct storage_chunk_head *head, struct storage_fragment *ret,
                          uint8_t *ret_header, uint32_t *ret_crc)
{
    uint64_t bytes = storage_get_u32(src + 44);
    uint64_t tags = (uint64_t) get_u24(src + 48) + get_u24(src + 51);
    *ret = (struct storage_fragment){
        .number = {storage_entry_seq(src, head), storage_entry_server_ts(src, head),
                   storage_get_u32(src + 8)},
        .producer_ts_ms = storage_entry_producer_ts(src),
        .timecode = storage_get_u64(src + 20),
        .ordinal = head->ordinal + get_u16(src + 28),
        .discontinuity = head->discontinuity + get_u16(src + 30),
        .duration_ms = storage_get_u32(src + 32),
        .full_duration_ms = storage_get_u32(src + 32) + get_u16(src + 36),
        .bytes = bytes,
        .cluster_offset = get_u24(src + 48),
        .cluster_bytes = tags <= bytes ? bytes - tags : 0,
        .frame_count = get_u24(src + 54),
        .flags = src[39] & FLAGS_STORED,
        .chunk = head->name.seq,
        .offset = storage_get_u32(src + 40),
        .record_bytes = get_u24(src + 57),
    };
    *ret_header = src[38];
    *ret_crc = storage_get_u32(src + 60);
}

uint64_t storage_entry_seq(const uint8_t *entry, const struct storage_chunk_head *head)
{
    return head->name.seq + storage_get_u32(entry);
}

int64_t storage_entry_server_ts(const uint8_t *entry, const struct storage_chunk_head *head)
{
    return head->name.server_ts_ms + storage_get_u32(entry + 4);
}

int64_t storage_entry_producer_ts(const uint8_t *entry)
{
    return (int64_t) storage_get_u64(entry + 12);
}

/* --- the index -------------------------------------------------------------------------------- */
void storage_index_done(struct storage_index *index)
{
    free(index->entries);
    index->entries = NULL;
    index->count = index->cap = 0;
}

int storage_index_reserve(struct storage_index *index, uint32_t more)
{
    if (index->cap - index->count >= more)
        return 0;
    uint32_t cap = index->cap ? index->cap : 16;
    while (cap - index->count < more)
        cap *= 2;
    uint8_t *entries = realloc(index->entries, (size_t) cap * STORAGE_ENTRY_BYTES);
    if (!entries)
        return -ENOMEM;
    index->entries = entries;
    index->cap = cap;
    return 0;
}

int storage_index_add(struct storage_index *index, const uint8_t entry[STORAGE_ENTRY_BYTES])
{
    int r = storage_index_reserve(index, 1);
    if (r < 0)
        return r;
    if (index->count == 0)
        index->producer_ascends = true;
    else if (storage_entry_producer_ts(storage_index_entry(index, index->count - 1)) >
             storage_entry_producer_ts(entry))
        index->producer_ascends = false;
    memcpy(index->entries + (size_t) index->count * STORAGE_ENTRY_BYTES, entry,
           STORAGE_ENTRY_BYTES);
    index->count++;
    return 0;
}

void storage_index_get(const struct storage_index *index, uint32_t at, struct storage_fragment *ret,
                       uint32_t *ret_crc)
{
    uint8_t header;
    uint32_t crc;
    storage_entry_decode(storage_index_entry(index, at), &index->head, ret, &header, &crc);
    ret->header = header < index->header_count ? index->headers[header].hash : 0;
    if (ret_crc)
        *ret_crc = crc;
}

uint64_t storage_footer_bytes(uint32_t fragments, uint32_t headers)
{
    return STORAGE_RECORD_HEAD_BYTES + STORAGE_FOOTER_BODY_BYTES +
           (uint64_t) headers * STORAGE_FOOTER_HEADER_BYTES +
           (uint64_t) fragments * STORAGE_ENTRY_BYTES + STORAGE_TRAILER_BYTES;
}

int storage_footer_append(struct kn_buf *out, const struct storage_index *index,
                          const struct storage_record *record)
{
    size_t start = storage_record_start(out, STORAGE_RECORD_FOOTER);
    uint8_t fixed[16];
    kn_put_u32le(fixed, index->count);
    kn_put_u32le(fixed + 4, index->header_count);
    kn_put_u32le(fixed + 8, index->producer_ascends);
    kn_put_u32le(fixed + 12, 0);
    kn_buf_append(out, fixed, sizeof(fixed));
    storage_head_append(out, &index->head);
    for (uint32_t i = 0; i < index->header_count; i++) {
        const struct storage_chunk_header *h = &index->headers[i];
        uint8_t row[STORAGE_FOOTER_HEADER_BYTES];
        kn_put_u32le(row, h->offset);
        kn_put_u32le(row + 4, h->bytes);
        kn_put_u64le(row + 8, h->hash);
        kn_buf_append(out, row, sizeof(row));
    }
    kn_buf_append(out, index->entries, (size_t) index->count * STORAGE_ENTRY_BYTES);
    uint8_t trailer[STORAGE_TRAILER_BYTES];
    kn_put_u32le(trailer, (uint32_t) (out->len - start + sizeof(trailer)));
    kn_put_u32le(trailer + 4, STORAGE_TRAILER_MAGIC);
    kn_buf_append(out, trailer, sizeof(trailer));
    storage_record_end(out, start, record, storage_format_seed(index->head.id));
    return out->error;
}

int storage_trailer_parse(const uint8_t trailer[STORAGE_TRAILER_BYTES], uint32_t *ret_bytes)
{
    uint32_t bytes = storage_get_u32(trailer);
    if (storage_get_u32(trailer + 4) != STORAGE_TRAILER_MAGIC || bytes > FOOTER_TOTAL_BYTES_MAX ||
        bytes < storage_footer_bytes(0, 0))
        return -EBADMSG;
    *ret_bytes = bytes;
    return 0;
}

int storage_footer_parse(struct kn_bytes bytes, uint64_t offset, struct storage_index *ret,
                         struct storage_record *ret_record)
{
    struct storage_chunk_head head;
    if (bytes.len < storage_footer_bytes(0, 0))
        return -EBADMSG;
    const uint8_t *body = bytes.ptr + STORAGE_RECORD_HEAD_BYTES;
    int r = storage_head_parse((struct kn_bytes){body + 16, STORAGE_HEAD_BODY_BYTES}, &head);
    if (r < 0)
        return r;
    struct storage_record record;
    r = storage_record_read(bytes, offset, storage_format_seed(head.id), &record);
    if (r < 0)
        return -EBADMSG;
    uint32_t count = storage_get_u32(body), headers = storage_get_u32(body + 4);
    if (record.kind != STORAGE_RECORD_FOOTER || count > STORAGE_CHUNK_FRAGMENTS_MAX ||
        headers > STORAGE_CHUNK_HEADERS_MAX || record.bytes != storage_footer_bytes(count, headers))
        return -EBADMSG;
    uint8_t *entries = NULL;
    if (count > 0) {
        entries = malloc((size_t) count * STORAGE_ENTRY_BYTES);
        if (!entries)
            return -ENOMEM;
    }
    storage_index_done(ret);
    ret->head = head;
    ret->header_count = headers;
    ret->count = ret->cap = count;
    ret->producer_ascends = storage_get_u32(body + 8) & 1;
    const uint8_t *at = body + STORAGE_FOOTER_BODY_BYTES;
    for (uint32_t i = 0; i < headers; i++, at += STORAGE_FOOTER_HEADER_BYTES)
        ret->headers[i] = (struct storage_chunk_header){
            storage_get_u32(at), storage_get_u32(at + 4), storage_get_u64(at + 8)};
    if (count > 0)
        memcpy(entries, at, (size_t) count * STORAGE_ENTRY_BYTES);
    ret->entries = entries;
    *ret_record = record;
    return 0;
}
