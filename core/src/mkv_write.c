/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing Matroska: elements, tags as the KVS service writes them, and what it takes to make a
 * stream from frames. Errors stick to the buffer (core/buf.h): write at will, ask once.
 */
#include "mkv_internal.h"

static int write_be(struct kn_buf *out, uint64_t v, unsigned bytes)
{
    uint8_t raw[8];
    kn_put_u64be(raw, v);
    return kn_buf_append(out, raw + 8 - bytes, bytes);
}

int kn_mkv_write_id(struct kn_buf *out, uint32_t id)
{
    return write_be(out, id, id > 0xFFFFFF ? 4 : id > 0xFFFF ? 3 : id > 0xFF ? 2 : 1);
}

static uint64_t size_max(unsigned bytes) /* all ones is taken: it says "unknown" */
{
    return ((uint64_t) 1 << (7 * bytes)) - 2;
}

int kn_mkv_write_size(struct kn_buf *out, uint64_t size, unsigned size_bytes)
{
    kn_assert(size_bytes <= 8 && size <= size_max(8));
    if (!size_bytes)
        for (size_bytes = 1; size > size_max(size_bytes);)
            size_bytes++;
    kn_assert(size <= size_max(size_bytes));
    return write_be(out, size | (uint64_t) 1 << (7 * size_bytes), size_bytes);
}

int kn_mkv_write_size_unknown(struct kn_buf *out, unsigned size_bytes)
{
    kn_assert(size_bytes >= 1 && size_bytes <= 8);
    return write_be(out, ((uint64_t) 1 << (7 * size_bytes + 1)) - 1, size_bytes);
}

int kn_mkv_write_uint(struct kn_buf *out, uint32_t id, uint64_t value)
{
    unsigned bytes = 1;
    while (bytes < 8 && value >> (8 * bytes))
        bytes++;
    kn_mkv_write_id(out, id);
    kn_mkv_write_size(out, bytes, 1);
    return write_be(out, value, bytes);
}

int kn_mkv_write_bytes(struct kn_buf *out, uint32_t id, struct kn_bytes value)
{
    kn_mkv_write_id(out, id);
    kn_mkv_write_size(out, value.len, 0);
    return kn_buf_append(out, value.ptr, value.len);
}

int kn_mkv_write_string(struct kn_buf *out, uint32_t id, struct kn_str value)
{
    return kn_mkv_write_bytes(out, id, kn_bytes_of(value));
}

int kn_mkv_write_simple_tag(struct kn_buf *out, struct kn_str name, struct kn_str value)
{
    enum {
        HEAD = 2 + 4
    }; /* id and size field of TagName and of TagString */
    kn_mkv_write_id(out, KN_MKV_SIMPLE_TAG);
    kn_mkv_write_size(out, (uint64_t) HEAD + name.len + HEAD + value.len, 4);
    kn_mkv_write_id(out, KN_MKV_TAG_NAME);
    kn_mkv_write_size(out, name.len, 4);
    kn_buf_append_str(out, name);
    kn_mkv_write_id(out, KN_MKV_TAG_STRING);
    kn_mkv_write_size(out, value.len, 4);
    return kn_buf_append_str(out, value);
}

int kn_mkv_write_void_header(struct kn_buf *out, uint64_t total_bytes)
{
    kn_assert(total_bytes >= 2);
    unsigned size_bytes = 1;
    while (total_bytes - 1 - size_bytes > size_max(size_bytes))
        size_bytes++;
    kn_mkv_write_id(out, KN_MKV_VOID);
    return kn_mkv_write_size(out, total_bytes - 1 - size_bytes, size_bytes);
}

/* A master element's size is known only once its children are written: they are written first and
 * moved up. Headers are small. */
static int write_master(struct kn_buf *out, uint32_t id, size_t children_at)
{
    enum {
        SIZE_BYTES = 4
    };
    if (out->error)
        return out->error;
    size_t len = out->len - children_at;
    size_t before = out->len;
    kn_mkv_write_id(out, id); /* at the end for now: gives room and the head's bytes */
    kn_mkv_write_size(out, len, SIZE_BYTES);
    if (out->error)
        return out->error;
    uint8_t head[MKV_HEAD_BYTES_MAX];
    size_t head_len = out->len - before;
    memcpy(head, out->ptr + before, head_len);
    memmove(out->ptr + children_at + head_len, out->ptr + children_at, len);
    memcpy(out->ptr + children_at, head, head_len);
    return 0;
}

/* RFC 9559, 5.1.4.1.3; codec ids of metadata begin with D_, as WebM's D_WEBVTT/METADATA. */
static unsigned track_type_value(const struct kn_mkv_track *t)
{
    enum {
        SUBTITLE = 17,
        METADATA = 33
    };
    unsigned other =
        kn_str_starts_with(kn_str_from(t->codec_id), KN_STR("D_")) ? METADATA : SUBTITLE;
    return t->type == KN_MKV_VIDEO ? 1 : t->type == KN_MKV_AUDIO ? 2 : other;
}

static int write_track(struct kn_buf *out, const struct kn_mkv_track *t)
{
    size_t at = out->len;
    kn_mkv_write_uint(out, MKV_TRACK_NUMBER, t->number);
    kn_mkv_write_uint(out, MKV_TRACK_UID, t->number);
    kn_mkv_write_uint(out, MKV_TRACK_TYPE, track_type_value(t));
    kn_mkv_write_string(out, MKV_CODEC_ID, kn_str_from(t->codec_id));
    if (t->default_duration_ns)
        kn_mkv_write_uint(out, MKV_DEFAULT_DURATION, t->default_duration_ns);
    size_t inner = out->len;
    if (t->type == KN_MKV_VIDEO) {
        kn_mkv_write_uint(out, MKV_PIXEL_WIDTH, t->pixel_width);
        kn_mkv_write_uint(out, MKV_PIXEL_HEIGHT, t->pixel_height);
        write_master(out, MKV_VIDEO, inner);
    } else if (t->type == KN_MKV_AUDIO) {
        uint64_t bits = 0;
        memcpy(&bits, &t->sampling_hz, sizeof bits);
        kn_mkv_write_id(out, MKV_SAMPLING_FREQUENCY);
        kn_mkv_write_size(out, 8, 1);
        kn_buf_append_u64be(out, bits);
        kn_mkv_write_uint(out, MKV_CHANNELS, t->channels);
        write_master(out, MKV_AUDIO, inner);
    }
    if (t->codec_private.len)
        kn_mkv_write_bytes(out, MKV_CODEC_PRIVATE, t->codec_private);
    return write_master(out, KN_MKV_TRACK_ENTRY, at);
}

int kn_mkv_write_header(struct kn_buf *out, const struct kn_mkv_header *header, struct kn_str app)
{
    enum {
        EBML_VERSION = 0x4286,
        DOC_TYPE_VERSION = 0x4287,
        DOC_TYPE_READ_VERSION = 0x4285
    };
    size_t at = out->len;
    kn_mkv_write_uint(out, EBML_VERSION, 1);
    kn_mkv_write_uint(out, MKV_EBML_READ_VERSION, 1);
    kn_mkv_write_uint(out, MKV_EBML_MAX_ID_LENGTH, 4);
    kn_mkv_write_uint(out, MKV_EBML_MAX_SIZE_LENGTH, 8);
    kn_mkv_write_string(out, MKV_DOC_TYPE, KN_STR("matroska"));
    kn_mkv_write_uint(out, DOC_TYPE_VERSION, 4);
    kn_mkv_write_uint(out, DOC_TYPE_READ_VERSION, 2);
    write_master(out, KN_MKV_EBML, at);

    kn_mkv_write_id(out, KN_MKV_SEGMENT);
    kn_mkv_write_size_unknown(out, KN_MKV_SIZE_UNKNOWN_BYTES);
    at = out->len;
    kn_mkv_write_uint(out, KN_MKV_TIMESTAMP_SCALE, header->timestamp_scale_ns);
    kn_mkv_write_string(out, MKV_MUXING_APP, app);
    kn_mkv_write_string(out, MKV_WRITING_APP, app);
    write_master(out, KN_MKV_INFO, at);

    at = out->len;
    for (unsigned i = 0; i < header->track_count; i++)
        write_track(out, &header->tracks[i]);
    return write_master(out, KN_MKV_TRACKS, at);
}

int kn_mkv_write_cluster(struct kn_buf *out, uint64_t timecode)
{
    kn_mkv_write_id(out, KN_MKV_CLUSTER);
    kn_mkv_write_size_unknown(out, KN_MKV_SIZE_UNKNOWN_BYTES);
    return kn_mkv_write_uint(out, KN_MKV_TIMESTAMP, timecode);
}

int kn_mkv_write_block_head(struct kn_buf *out, unsigned track, int16_t time, bool key,
                            size_t frame_bytes)
{
    enum {
        KEY = 0x80,
        TRACK_BYTES_1 = 0x80
    };
    kn_assert(track >= 1 && track <= 126);
    kn_mkv_write_id(out, KN_MKV_SIMPLE_BLOCK);
    kn_mkv_write_size(out, (uint64_t) frame_bytes + 4, 0);
    uint16_t bits = (uint16_t) time;
    uint8_t head[4] = {(uint8_t) (TRACK_BYTES_1 | track), (uint8_t) (bits >> 8), (uint8_t) bits,
                       key ? KEY : 0};
    return kn_buf_append(out, head, sizeof head);
}
