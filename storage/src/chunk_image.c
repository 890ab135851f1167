/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a chunk begins with, made from a sender's header: a Matroska file of unknown length whose
 * first child is our head record. Elements that speak of positions or checksums of the sender's own
 * file (SeekHead, Cues, CRC-32 of the Segment) become Void of the same size (RFC 9559, 5.1.1 and
 * 5.1.5), the rest is copied. The header as sent is kept beside it in a header record.
 */
#include "chunk.h"

#include "core/crypto.h"
#include "core/mkv.h"

enum {
    SEGMENT_HEAD_BYTES = 12,
    VOID_BYTES_MIN = 2
};

static uint64_t hash_of(struct kn_bytes bytes)
{
    uint8_t digest[KN_SHA256_BYTES];
    kn_sha256(bytes, digest);
    return storage_get_u64(digest);
}

uint64_t storage_header_hash(struct kn_bytes bytes)
{
    return hash_of(bytes);
}

/* One child of a header: -ENODATA at the end, -EBADMSG when it does not fit. */
static int next_element(struct kn_bytes *rest, struct kn_mkv_element *ret, struct kn_bytes *ret_all)
{
    if (rest->len == 0)
        return -ENODATA;
    if (kn_mkv_element_read(*rest, ret) < 0)
        return -EBADMSG;
    uint64_t total = ret->head_bytes;
    if (ret->id != KN_MKV_SEGMENT) {
        if (ret->size > rest->len - ret->head_bytes)
            return -EBADMSG;
        total += ret->size;
    }
    *ret_all = (struct kn_bytes){rest->ptr, (size_t) total};
    rest->ptr += total;
    rest->len -= (size_t) total;
    return 0;
}

uint64_t storage_chunk_tracks_hash(struct kn_bytes header)
{
    struct kn_bytes rest = header, all, tracks = {NULL, 0};
    struct kn_mkv_element element;
    uint64_t scale = 0;
    while (next_element(&rest, &element, &all) == 0) {
        if (element.id == KN_MKV_TRACKS)
            tracks = all;
        if (element.id != KN_MKV_INFO)
            continue;
        struct kn_bytes info = {all.ptr + element.head_bytes, all.len - element.head_bytes};
        while (next_element(&info, &element, &all) == 0) {
            if (element.id == KN_MKV_TIMESTAMP_SCALE)
                scale = hash_of(
                    (struct kn_bytes){all.ptr + element.head_bytes, all.len - element.head_bytes});
        }
    }
    return hash_of(tracks) ^ (scale << 1 | scale >> 63);
}

static void append_void(struct kn_buf *out, uint64_t bytes)
{
    size_t end = out->len + (size_t) bytes;
    if (kn_buf_reserve(out, (size_t) bytes) < 0)
        return;
    kn_mkv_write_void_header(out, bytes);
    if (out->error || out->len > end)
        return;
    memset(out->ptr + out->len, 0, end - out->len);
    out->len = end;
}

static void append_header_record(const struct storage_chunk *chunk, struct kn_bytes header,
                                 uint64_t offset, struct kn_buf *out,
                                 struct storage_chunk_header *ret)
{
    size_t start = storage_record_start(out, STORAGE_RECORD_HEADER);
    uint8_t body[STORAGE_HEADER_BODY_BYTES] = {0};
    uint64_t hash = hash_of(header);
    kn_put_u64le(body, hash);
    kn_put_u32le(body + 8, (uint32_t) header.len);
    kn_buf_append(out, body, sizeof(body));
    kn_buf_append(out, header.ptr, header.len);
    struct storage_record record = {
        .offset = (uint32_t) offset,
        .previous = (uint32_t) chunk->previous,
        .durable_upto = (uint32_t) chunk->durable_upto,
        .epoch = chunk->index.head.epoch,
    };
    storage_record_end(out, start, &record, chunk->seed);
    *ret = (struct storage_chunk_header){
        .offset = (uint32_t) offset + STORAGE_RECORD_HEAD_BYTES + STORAGE_HEADER_BODY_BYTES,
        .bytes = (uint32_t) header.len,
        .hash = hash,
    };
}

int storage_chunk_header_record(const struct storage_chunk *chunk, struct kn_bytes header,
                                uint64_t offset, struct kn_buf *out,
                                struct storage_chunk_header *ret)
{
    append_header_record(chunk, header, offset, out, ret);
    return out->error;
}

uint64_t storage_chunk_header_record_bytes(struct kn_bytes header)
{
    return STORAGE_RECORD_HEAD_BYTES + STORAGE_HEADER_BODY_BYTES + header.len;
}

/* Segment's head, our records, and the room for a SeekHead. */
static void append_own(struct storage_chunk *chunk, struct kn_bytes header, struct kn_buf *out,
                       struct storage_chunk_header *ret)
{
    static const uint8_t segment[SEGMENT_HEAD_BYTES] = {0x18, 0x53, 0x80, 0x67, 0x01, 0xFF,
                                                        0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
    kn_buf_append(out, segment, sizeof(segment));
    chunk->segment = (uint32_t) out->len;
    size_t start = storage_record_start(out, STORAGE_RECORD_HEAD);
    storage_head_append(out, &chunk->index.head);
    struct storage_record record = {.offset = chunk->segment, .epoch = chunk->index.head.epoch};
    storage_record_end(out, start, &record, chunk->seed);
    chunk->previous = chunk->segment;
    append_void(out, STORAGE_SEEK_BYTES);
    size_t at = out->len;
    append_header_record(chunk, header, at, out, ret);
    chunk->previous = at;
}

int storage_chunk_image(struct storage_chunk *chunk, struct kn_bytes header, struct kn_buf *out,
                        struct storage_chunk_header *ret)
{
    struct kn_bytes rest = header, all;
    struct kn_mkv_element element;
    bool in_segment = false;
    int r;
    while ((r = next_element(&rest, &element, &all)) == 0) {
        switch (element.id) {
        case KN_MKV_SEGMENT:
            if (in_segment)
                return -EBADMSG;
            in_segment = true;
            append_own(chunk, header, out, ret);
            break;
        case KN_MKV_SEEK_HEAD:
        case KN_MKV_CUES:
        case KN_MKV_CRC32:
            if (all.len < VOID_BYTES_MIN)
                return -EBADMSG;
            append_void(out, all.len);
            break;
        default:
            kn_buf_append(out, all.ptr, all.len);
            break;
        }
    }
    if (r != -ENODATA || !in_segment)
        return -EBADMSG;
    return out->error;
}
