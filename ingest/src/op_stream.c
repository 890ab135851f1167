/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CreateStream, DescribeStream, UpdateStream, DeleteStream. Streams are ACTIVE as soon as they are
 * made: producers use them at once and are known to describe them again only when they must.
 */
#include "resource.h"

static size_t tags_of(const struct kn_api_map *map, struct storage_tag *tags)
{
    kn_assert(map->count <= STORAGE_STREAM_TAGS_MAX); /* the operation file's length */
    for (size_t i = 0; i < map->count; i++)
        tags[i] = (struct storage_tag){map->items[i].key, map->items[i].value};
    return map->count;
}

static int is_taken(struct ingest *ingest, struct kn_str name, struct kn_api_call *call)
{
    KN_CLEANUP(storage_stream_unrefp)
    struct storage_stream *stream = storage_stream_find(ingest->storage, name);
    bool leaving = stream && stream->status != STORAGE_STREAM_ACTIVE;
    return kn_api_fault(call, "ResourceInUseException",
                        "The stream " KN_STR_FMT " already exists%s.", KN_STR_ARG(name),
                        leaving ? ": it is still being deleted" : "");
}

int ingest_op_CreateStream(struct ingest *ingest, const struct ingest_CreateStream_in *in,
                           struct ingest_CreateStream_out *out, struct kn_api_call *call)
{
    int64_t hours = in->DataRetentionInHours.set ? in->DataRetentionInHours.v : 0;
    if (hours > STORAGE_RETENTION_HOURS_MAX)
        return kn_api_fault(call, "InvalidArgumentException",
                            "DataRetentionInHours must not be greater than %d.",
                            STORAGE_RETENTION_HOURS_MAX);
    if (storage_stream_count(ingest->storage) >= ingest->conf.streams_max)
        return kn_api_fault(call, "AccountStreamLimitExceededException",
                            "The number of streams has reached its limit of %" PRIu64 ".",
                            ingest->conf.streams_max);

    struct storage_tag tags[STORAGE_STREAM_TAGS_MAX];
    uint8_t event_sink[STORAGE_EVENT_SINK_BYTES];
    struct storage_stream_new settings = {
        .name = in->StreamName,
        .device_name = in->DeviceName,
        .media_type = in->MediaType,
        .kms_key_id = in->KmsKeyId,
        .retention_hours = (uint32_t) hours,
        .warm = in->StreamStorageConfiguration &&
                in->StreamStorageConfiguration->DefaultStorageTier == INGEST_StorageTier_WARM,
        .tags = tags,
        .tag_count = tags_of(&in->Tags, tags),
    };
    KN_CLEANUP(storage_stream_unrefp) struct storage_stream *stream = NULL;
    int r = ingest_tags_check(call, tags, settings.tag_count);
    if (r == 0)
        r = ingest_events_of_new(ingest, call, &settings, event_sink);
    if (r < 0)
        return r;
    r = storage_stream_create(ingest->storage, &settings, &stream);
    if (r == -EEXIST)
        return is_taken(ingest, in->StreamName, call);
    if (r < 0)
        return r;
    out->StreamARN = ingest_stream_arn(call, stream);
    return out->StreamARN.ptr ? 0 : -ENOMEM;
}

int ingest_op_DescribeStream(struct ingest *ingest, const struct ingest_DescribeStream_in *in,
                             struct ingest_DescribeStream_out *out, struct kn_api_call *call)
{
    KN_CLEANUP(storage_stream_unrefp) struct storage_stream *stream = NULL;
    int r = ingest_stream_find(ingest, call, in->StreamName, in->StreamARN, &stream);
    if (r < 0)
        return r;
    struct ingest_StreamInfo *info = kn_arena_alloc(call->arena, sizeof *info);
    if (!info)
        return -ENOMEM;
    out->StreamInfo = info;
    return ingest_stream_info(call, stream, info);
}

static int edit_stream(void *ctx, const struct storage_stream *now,
                       struct storage_stream_draft *draft)
{
    (void) now;
    const struct ingest_UpdateStream_in *in = ctx;
    if (in->DeviceName.ptr)
        draft->device_name = in->DeviceName;
    if (in->MediaType.ptr)
        draft->media_type = in->MediaType;
    return 0;
}

int ingest_op_UpdateStream(struct ingest *ingest, const struct ingest_UpdateStream_in *in,
                           struct ingest_UpdateStream_out *out, struct kn_api_call *call)
{
    (void) out;
    KN_CLEANUP(storage_stream_unrefp) struct storage_stream *stream = NULL;
    int r = ingest_stream_find(ingest, call, in->StreamName, in->StreamARN, &stream);
    if (r < 0)
        return r;
    struct ingest_UpdateStream_in wanted = *in;
    r = storage_stream_update(ingest->storage, stream->name, in->CurrentVersion, edit_stream,
                              &wanted);
    return r < 0 ? ingest_stream_change_fault(call, r) : 0;
}

int ingest_op_DeleteStream(struct ingest *ingest, const struct ingest_DeleteStream_in *in,
                           struct ingest_DeleteStream_out *out, struct kn_api_call *call)
{
    (void) out;
    struct kn_str none = {NULL, 0};
    for (;;) {
        KN_CLEANUP(storage_stream_unrefp) struct storage_stream *stream = NULL;
        int r = ingest_stream_find(ingest, call, none, in->StreamARN, &stream);
        if (r < 0)
            return r;
        /* Always by version, so that what is deleted is the stream that was looked at. */
        bool any = !in->CurrentVersion.ptr;
        struct kn_str version = any ? kn_str_from(stream->version) : in->CurrentVersion;
        r = storage_stream_delete(ingest->storage, stream->name, version);
        if (r == -ESTALE && any)
            continue; /* another change came between; each round one of them succeeds */
        return r < 0 ? ingest_stream_change_fault(call, r) : 0;
    }
}
