/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of journals and segments; see frame.h and docs/format-shard.md. */
#include "frame.h"

#include <endian.h>

#include "core/crypto.h"

enum {
    KEY_NONE = 0xffff,
    FLAG_SOURCE = 1,
    AT_OWN_PLACE = 48, /* in the header */
};

uint32_t storage_shard_frame_seed(const uint8_t id[16], uint64_t generation)
{
    uint8_t bytes[24];
    memcpy(bytes, id, 16);
    kn_put_u64le(bytes + 16, generation);
    return kn_crc32c(0, (struct kn_bytes){bytes, sizeof(bytes)});
}

void storage_shard_frame_encode(const struct storage_shard_frame *frame, uint32_t seed,
                                uint8_t dst[STORAGE_SHARD_FRAME_BYTES])
{
    /* In words, as the checksum reads them: out of the processor's stores. */
    kn_put_u32le(dst + 4, frame->payload_bytes);
    kn_put_u64le(dst + 8, frame->payload_crc | (uint64_t) frame->count << 32);
    memcpy(dst + 16, frame->shard.bytes, 16);
    kn_put_u64le(dst + 32, frame->first_index);
    kn_put_u64le(dst + 40, (uint64_t) frame->arrival_ms);
    kn_put_u64le(dst + 48, frame->at);
    kn_put_u64le(dst + 56, frame->data_bytes);
    kn_put_u64le(dst + 64, frame->kind | (uint64_t) frame->flushed << 32);
    uint32_t sum = kn_crc32c(seed, (struct kn_bytes){dst + 4, 4});
    kn_put_u32le(dst, kn_crc32c(sum, (struct kn_bytes){dst + 8, STORAGE_SHARD_FRAME_BYTES - 8}));
}

int storage_shard_frame_decode(const uint8_t src[STORAGE_SHARD_FRAME_BYTES], uint32_t seed,
                               uint64_t at, struct storage_shard_frame *ret)
{
    struct kn_reader in = kn_reader_of((struct kn_bytes){src, STORAGE_SHARD_FRAME_BYTES});
    struct storage_shard_frame frame = {.at = 0};
    struct kn_bytes id, zero;
    uint32_t crc;
    uint64_t arrival;
    int r = kn_read_u32le(&in, &crc);
    r = r < 0 ? r : kn_read_u32le(&in, &frame.payload_bytes);
    r = r < 0 ? r : kn_read_u32le(&in, &frame.payload_crc);
    r = r < 0 ? r : kn_read_u32le(&in, &frame.count);
    r = r < 0 ? r : kn_read_bytes(&in, sizeof(frame.shard.bytes), &id);
    r = r < 0 ? r : kn_read_u64le(&in, &frame.first_index);
    r = r < 0 ? r : kn_read_u64le(&in, &arrival);
    r = r < 0 ? r : kn_read_u64le(&in, &frame.at);
    r = r < 0 ? r : kn_read_u64le(&in, &frame.data_bytes);
    r = r < 0 ? r : kn_read_u8(&in, &frame.kind);
    r = r < 0 ? r : kn_read_bytes(&in, 3, &zero);
    r = r < 0 ? r : kn_read_u32le(&in, &frame.flushed);
    if (r < 0)
        return r;
    uint32_t sum = kn_crc32c(seed, (struct kn_bytes){src + 4, STORAGE_SHARD_FRAME_BYTES - 4});
    if (sum != crc || frame.at != at)
        return -ENODATA;
    memcpy(frame.shard.bytes, id.ptr, sizeof(frame.shard.bytes));
    frame.arrival_ms = (int64_t) arrival;
    *ret = frame;
    return 0;
}

int storage_shard_frame_seek(struct kn_bytes src, uint32_t seed, uint64_t at,
                             struct storage_shard_frame *ret)
{
    for (size_t i = 0; src.len >= STORAGE_SHARD_FRAME_BYTES + i; i++) {
        uint64_t place; /* sorts out nearly all before a checksum is computed; at each byte, so
                         * it is one load */
        memcpy(&place, src.ptr + i + AT_OWN_PLACE, sizeof(place));
        if (le64toh(place) == at + i &&
            storage_shard_frame_decode(src.ptr + i, seed, at + i, ret) == 0)
            return 0;
    }
    return -ENODATA;
}

static int read_source(struct kn_reader *in, struct storage_shard_source *ret)
{
    struct kn_bytes id;
    int r = kn_read_bytes(in, sizeof(ret->id.bytes), &id);
    if (r == 0)
        r = kn_read_u64le(in, &ret->seq);
    if (r == 0)
        memcpy(ret->id.bytes, id.ptr, sizeof(ret->id.bytes));
    return r;
}

int storage_shard_record_next(struct kn_reader *in, struct storage_shard_record_view *ret)
{
    uint32_t data_len;
    uint16_t key_len;
    uint8_t flags;
    struct kn_bytes key = {NULL, 0};
    int r = kn_read_u32le(in, &data_len);
    r = r < 0 ? r : kn_read_u16le(in, &key_len);
    r = r < 0 ? r : kn_read_u8(in, &ret->tag);
    r = r < 0 ? r : kn_read_u8(in, &flags);
    if (r < 0 || (flags & ~FLAG_SOURCE))
        return -EBADMSG;
    ret->has_source = flags & FLAG_SOURCE;
    if (ret->has_source && read_source(in, &ret->source) < 0)
        return -EBADMSG;
    if (key_len != KEY_NONE && kn_read_bytes(in, key_len, &key) < 0)
        return -EBADMSG;
    ret->key = key_len == KEY_NONE ? (struct kn_str){NULL, 0} : kn_str_of(key);
    return kn_read_bytes(in, data_len, &ret->data) < 0 ? -EBADMSG : 0;
}
