/* SPDX-License-Identifier: Apache-2.0 */
/* The storage tier: kept and reported. All our storage is hot, so it changes nothing else. */
#include "resource.h"

int ingest_op_DescribeStreamStorageConfiguration(
    struct ingest *ingest, const struct ingest_DescribeStreamStorageConfiguration_in *in,
    struct ingest_DescribeStreamStorageConfiguration_out *out, struct kn_api_call *call)
{
    KN_CLEANUP(storage_stream_unrefp) struct storage_stream *stream = NULL;
    int r = ingest_stream_find(ingest, call, in->StreamName, in->StreamARN, &stream);
    if (r < 0)
        return r;
    struct ingest_StreamStorageConfiguration *tier = kn_arena_alloc(call->arena, sizeof *tier);
    if (!tier)
        return -ENOMEM;
    tier->DefaultStorageTier = stream->warm ? INGEST_StorageTier_WARM : INGEST_StorageTier_HOT;
    out->StreamStorageConfiguration = tier;
    out->StreamName = kn_arena_str(call->arena, stream->name);
    out->StreamARN = ingest_stream_arn(call, stream);
    return out->StreamName.ptr && out->StreamARN.ptr ? 0 : -ENOMEM;
}

static int edit_tier(void *ctx, const struct storage_stream *now,
                     struct storage_stream_draft *draft)
{
    (void) now;
    draft->warm = *(const bool *) ctx;
    return 0;
}

int ingest_op_UpdateStreamStorageConfiguration(
    struct ingest *ingest, const struct ingest_UpdateStreamStorageConfiguration_in *in,
    struct ingest_UpdateStreamStorageConfiguration_out *out, struct kn_api_call *call)
{
    (void) out;
    KN_CLEANUP(storage_stream_unrefp) struct storage_stream *stream = NULL;
    int r = ingest_stream_find(ingest, call, in->StreamName, in->StreamARN, &stream);
    if (r < 0)
        return r;
    bool warm = in->StreamStorageConfiguration->DefaultStorageTier == INGEST_StorageTier_WARM;
    r = storage_stream_update(ingest->storage, stream->name, in->CurrentVersion, edit_tier, &warm);
    return r < 0 ? ingest_stream_change_fault(call, r) : 0;
}
