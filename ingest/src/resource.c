/* SPDX-License-Identifier: Apache-2.0 */
/* Finding a stream by name and ARN, and its StreamInfo. Fault texts are those AWS was seen to send.
 */
#include "resource.h"

#include "core/arn.h"

#define NOT_FOUND "The requested stream is not found or not active."

int ingest_stream_not_found(struct kn_api_call *call)
{
    return kn_api_fault(call, "ResourceNotFoundException", NOT_FOUND);
}

int ingest_stream_find(struct ingest *ingest, struct kn_api_call *call, struct kn_str name,
                       struct kn_str arn, struct storage_stream **ret)
{
    struct kn_str wanted;
    int64_t created_ms = 0;
    int r = kn_api_resource_name(call, name, arn, &wanted, &created_ms);
    if (r < 0)
        return r;
    struct kn_api_arn parsed;
    if (arn.ptr && kn_api_arn_parse(arn, &parsed) == 0 &&
        !kn_arn_is_ours(&parsed, call->identity, "stream"))
        return kn_arn_not_found(call, &parsed, KN_STR(NOT_FOUND));

    struct storage_stream *stream = storage_stream_find(ingest->storage, wanted);
    if (!stream)
        return ingest_stream_not_found(call);
    if (arn.ptr && stream->created_ms != created_ms) {
        storage_stream_unref(stream);
        return ingest_stream_not_found(call);
    }
    *ret = stream;
    return 0;
}

int ingest_stream_find_active(struct ingest *ingest, struct kn_api_call *call, struct kn_str name,
                              struct kn_str arn, struct storage_stream **ret)
{
    struct storage_stream *stream = NULL;
    int r = ingest_stream_find(ingest, call, name, arn, &stream);
    if (r < 0)
        return r;
    if (stream->status != STORAGE_STREAM_ACTIVE) {
        storage_stream_unref(stream);
        return ingest_stream_not_found(call);
    }
    *ret = stream;
    return 0;
}

int ingest_stream_change_fault(struct kn_api_call *call, int r)
{
    switch (r) {
    case -ENOENT:
        return ingest_stream_not_found(call);
    case -EBUSY:
        return kn_api_fault(call, "ResourceInUseException", "The stream is being deleted.");
    case -ESTALE:
        return kn_api_fault(call, "VersionMismatchException",
                            "The stream version that you specified is not the latest version.");
    case -EACCES:
        return kn_api_fault(call, "ResourceInUseException",
                            "The stream has a legal hold and cannot be deleted.");
    default:
        return r;
    }
}

int ingest_tag_key_check(struct kn_api_call *call, struct kn_str key)
{
    if (!kn_str_starts_with(key, KN_STR("kinema:")) ||
        kn_str_eq(key, KN_STR(STORAGE_EVENT_STREAM_TAG)))
        return 0;
    return kn_api_fault(call, "InvalidArgumentException",
                        "Tag keys that begin with kinema: are set by the server's own operations.");
}

int ingest_tags_check(struct kn_api_call *call, const struct storage_tag *tags, size_t count)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < count; i++) {
        r = kn_api_tag_key_check(call, tags[i].key);
        if (r == 0)
            r = ingest_tag_key_check(call, tags[i].key);
    }
    return r;
}

struct kn_str ingest_stream_arn(struct kn_api_call *call, const struct storage_stream *stream)
{
    return kn_arn_format(call->arena, call->identity, "stream", stream->name, stream->created_ms);
}

static bool copy(struct kn_api_call *call, struct kn_str from, struct kn_str *ret)
{
    *ret = (struct kn_str){NULL, 0};
    if (!from.ptr)
        return true;
    *ret = kn_arena_str(call->arena, from);
    return ret->ptr != NULL;
}

int ingest_stream_info(struct kn_api_call *call, const struct storage_stream *stream,
                       struct ingest_StreamInfo *ret)
{
    struct ingest_StreamInfo info = {
        .StreamARN = ingest_stream_arn(call, stream),
        .Status = stream->status == STORAGE_STREAM_DELETING ? INGEST_ResourceStatus_DELETING
                                                            : INGEST_ResourceStatus_ACTIVE,
        .CreationTime = {true, stream->created_ms     },
        .DataRetentionInHours = {true, stream->retention_hours},
    };
    if (!info.StreamARN.ptr || !copy(call, stream->name, &info.StreamName) ||
        !copy(call, stream->device_name, &info.DeviceName) ||
        !copy(call, stream->media_type, &info.MediaType) ||
        !copy(call, stream->kms_key_id, &info.KmsKeyId) ||
        !copy(call, kn_str_from(stream->version), &info.Version))
        return -ENOMEM;
    *ret = info;
    return 0;
}
