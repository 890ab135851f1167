/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Record of a stream, version 1, all numbers big-endian, text behind a LEB128 length:
 *
 *   u8 1 · u8 status · u8 flags (1: warm) · u32 retention hours · u64 created ms ·
 *   name · device name · media type · KMS key id · version · count of tags, {key, value}… · extra
 *
 * Settings that are absent have length 0 (none of them may be empty). A snapshot is one allocation:
 * the struct, the table of tags, and a copy of the record that all views point into.
 */
#include "stream_snapshot.h"

#include "text.h"

#include <stdatomic.h>

enum {
    RECORD_FORMAT = 1,
    FLAG_WARM = 1,
};

struct snapshot {
    uint64_t meta_version;
    struct storage_stream stream;
    struct storage_tag tags[];
};

uint64_t storage_stream_meta_version(const struct storage_stream *stream)
{
    return KN_CONTAINER_OF((uintptr_t) stream, const struct snapshot, stream)->meta_version;
}

void storage_stream_set_meta_version(struct storage_stream *stream, uint64_t version)
{
    KN_CONTAINER_OF(stream, struct snapshot, stream)->meta_version = version;
}

struct storage_stream *storage_stream_ref(struct storage_stream *stream)
{
    unsigned before = atomic_fetch_add_explicit(&stream->refs, 1, memory_order_relaxed);
    kn_assert(before > 0);
    return stream;
}

void storage_stream_unref(struct storage_stream *stream)
{
    if (!stream)
        return;
    unsigned before = atomic_fetch_sub_explicit(&stream->refs, 1, memory_order_acq_rel);
    kn_assert(before > 0);
    if (before == 1)
        free(KN_CONTAINER_OF(stream, struct snapshot, stream));
}

/* --- writing ---------------------------------------------------------------------------------- */
void storage_stream_settings_of(const struct storage_stream *stream,
                                struct storage_stream_settings *ret)
{
    *ret = (struct storage_stream_settings){
        .status = stream->status,
        .warm = stream->warm,
        .retention_hours = stream->retention_hours,
        .created_ms = stream->created_ms,
        .name = stream->name,
        .device_name = stream->device_name,
        .media_type = stream->media_type,
        .kms_key_id = stream->kms_key_id,
        .version = kn_str_from(stream->version),
        .tags = stream->tags,
        .tag_count = stream->tag_count,
        .extra = stream->extra,
    };
}

static int tag_cmp(const void *a, const void *b)
{
    return kn_str_cmp(((const struct storage_tag *) a)->key, ((const struct storage_tag *) b)->key);
}

static int append_tags(struct kn_buf *dst, const struct storage_tag *tags, size_t count)
{
    struct storage_tag sorted[STORAGE_STREAM_TAGS_MAX];
    if (count > STORAGE_STREAM_TAGS_MAX)
        return -EINVAL;
    if (count)
        memcpy(sorted, tags, count * sizeof *tags);
    qsort(sorted, count, sizeof *sorted, tag_cmp);

    kn_buf_append_varint(dst, count);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && kn_str_eq(sorted[i].key, sorted[i - 1].key))
            return -EINVAL;
        storage_text_append(dst, sorted[i].key);
        storage_text_append(dst, sorted[i].value);
    }
    return 0;
}

int storage_stream_encode(const struct storage_stream_settings *settings, struct kn_buf *dst)
{
    kn_buf_append_byte(dst, RECORD_FORMAT);
    kn_buf_append_byte(dst, (uint8_t) settings->status);
    kn_buf_append_byte(dst, settings->warm ? FLAG_WARM : 0);
    kn_buf_append_u32be(dst, settings->retention_hours);
    kn_buf_append_u64be(dst, (uint64_t) settings->created_ms);
    storage_text_append(dst, settings->name);
    storage_text_append(dst, settings->device_name);
    storage_text_append(dst, settings->media_type);
    storage_text_append(dst, settings->kms_key_id);
    storage_text_append(dst, settings->version);
    int r = append_tags(dst, settings->tags, settings->tag_count);
    if (r < 0)
        return r;
    storage_text_append(dst, kn_str_of(settings->extra));
    return dst->error;
}

/* --- reading ---------------------------------------------------------------------------------- */
static int read_optional(struct kn_reader *in, struct kn_str *ret)
{
    int r = storage_text_read(in, STORAGE_STREAM_RECORD_BYTES_MAX, ret);
    if (r == 0 && ret->len == 0)
        *ret = (struct kn_str){NULL, 0};
    return r;
}

static int read_fixed(struct kn_reader *in, struct storage_stream *stream)
{
    uint8_t format, status, flags;
    uint64_t created;
    if (kn_read_u8(in, &format) < 0 || format != RECORD_FORMAT || kn_read_u8(in, &status) < 0 ||
        status > STORAGE_STREAM_DELETING || kn_read_u8(in, &flags) < 0 ||
        kn_read_u32be(in, &stream->retention_hours) < 0 || kn_read_u64be(in, &created) < 0)
        return -EBADMSG;
    stream->status = (enum storage_stream_status) status;
    stream->warm = flags & FLAG_WARM;
    stream->created_ms = (int64_t) created;
    return 0;
}

static int read_texts(struct kn_reader *in, struct storage_stream *stream)
{
    struct kn_str version;
    if (storage_text_read(in, STORAGE_STREAM_NAME_BYTES_MAX, &stream->name) < 0 ||
        stream->name.len == 0 || read_optional(in, &stream->device_name) < 0 ||
        read_optional(in, &stream->media_type) < 0 || read_optional(in, &stream->kms_key_id) < 0 ||
        storage_text_read(in, sizeof stream->version - 1, &version) < 0)
        return -EBADMSG;
    return kn_str_copy(stream->version, sizeof stream->version, version);
}

static int read_tags(struct kn_reader *in, struct storage_stream *stream, struct storage_tag *tags)
{
    uint64_t count;
    if (kn_read_varint(in, &count) < 0 || count > STORAGE_STREAM_TAGS_MAX)
        return -EBADMSG;
    for (size_t i = 0; i < count; i++) {
        if (storage_text_read(in, STORAGE_STREAM_RECORD_BYTES_MAX, &tags[i].key) < 0 ||
            storage_text_read(in, STORAGE_STREAM_RECORD_BYTES_MAX, &tags[i].value) < 0)
            return -EBADMSG;
    }
    stream->tags = tags;
    stream->tag_count = count;
    return 0;
}

int storage_retention_bytes_parse(struct kn_str value, uint64_t *ret)
{
    uint64_t bytes = 0;
    if (value.len == 0 || value.len > 19)
        return -EINVAL;
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] < '0' || value.ptr[i] > '9')
            return -EINVAL;
        bytes = bytes * 10 + (uint64_t) (value.ptr[i] - '0');
    }
    if (bytes == 0 || bytes > UINT64_C(1) << 62)
        return -EINVAL;
    *ret = bytes;
    return 0;
}

/* A value that is no number was tagged before it meant anything: no limit. */
static void find_limits(struct storage_stream *stream)
{
    for (size_t i = 0; i < stream->tag_count; i++) {
        if (kn_str_eq(stream->tags[i].key, KN_STR(STORAGE_RETENTION_BYTES_TAG)) &&
            storage_retention_bytes_parse(stream->tags[i].value, &stream->retention_bytes) < 0)
            stream->retention_bytes = 0;
    }
}

static int read_record(struct kn_reader *in, struct snapshot *snapshot)
{
    int r = read_fixed(in, &snapshot->stream);
    if (r == 0)
        r = read_texts(in, &snapshot->stream);
    if (r == 0)
        r = read_tags(in, &snapshot->stream, snapshot->tags);
    struct kn_str extra = {NULL, 0};
    if (r == 0)
        r = read_optional(in, &extra);
    snapshot->stream.extra = kn_bytes_of(extra);
    find_limits(&snapshot->stream);
    return r == 0 && kn_reader_left(in) > 0 ? -EBADMSG : r;
}

int storage_stream_decode(const struct storage_id *id, struct kn_bytes record,
                          uint64_t meta_version, struct storage_stream **ret)
{
    /* The table is made for the most tags there can be before their count is known: 1.6 KB. */
    size_t tags_bytes = STORAGE_STREAM_TAGS_MAX * sizeof(struct storage_tag);
    struct snapshot *snapshot = malloc(sizeof *snapshot + tags_bytes + record.len);
    if (!snapshot)
        return -ENOMEM;
    memset(snapshot, 0, sizeof *snapshot);
    uint8_t *copy = (uint8_t *) snapshot->tags + tags_bytes;
    memcpy(copy, record.ptr, record.len);

    struct kn_reader in = kn_reader_of((struct kn_bytes){copy, record.len});
    int r = read_record(&in, snapshot);
    if (r < 0) {
        free(snapshot);
        return r;
    }
    snapshot->meta_version = meta_version;
    snapshot->stream.id = *id;
    atomic_init(&snapshot->stream.refs, 1);
    *ret = &snapshot->stream;
    return 0;
}
