/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Legal holds, the byte limit and what is stored: operations of our own, under /kinema/v1/. Their
 * actions begin with kinema:, so that a key with kinesisvideo:* has none of them.
 * docs/retention.md says what they mean.
 */
#include "resource.h"

#include "storage/fragment.h"

/* --- holds ------------------------------------------------------------------------------------ */
static int hold_of(struct kn_api_call *call, const struct storage_hold *hold,
                   struct ingest_Hold *ret)
{
    struct ingest_Hold out = {
        .HoldName = kn_arena_str(call->arena, hold->name),
        .StartTimestamp = {true,                     hold->from_ms   },
        .EndTimestamp = {hold->to_ms != INT64_MAX, hold->to_ms     },
        .CreationTime = {true,                     hold->created_ms},
    };
    if (!out.HoldName.ptr)
        return -ENOMEM;
    if (hold->reason.len > 0 && !(out.Reason = kn_arena_str(call->arena, hold->reason)).ptr)
        return -ENOMEM;
    if (hold->by.len > 0 && !(out.CreatedBy = kn_arena_str(call->arena, hold->by)).ptr)
        return -ENOMEM;
    *ret = out;
    return 0;
}

static int hold_fault(struct kn_api_call *call, int r, struct kn_str name)
{
    switch (r) {
    case -ENOENT:
        return ingest_stream_not_found(call);
    case -EBUSY:
        return kn_api_fault(call, "ResourceInUseException", "The stream is being deleted.");
    case -EEXIST:
        return kn_api_fault(call, "ResourceInUseException",
                            "The stream already has a hold named " KN_STR_FMT ".",
                            KN_STR_ARG(name));
    case -EDQUOT:
        return kn_api_fault(call, "ClientLimitExceededException",
                            "A stream can have at most %d holds, and all streams %d.",
                            STORAGE_STREAM_HOLDS_MAX, STORAGE_HOLDS_MAX);
    default:
        return r;
    }
}

int ingest_op_PutHold(struct ingest *ingest, const struct ingest_PutHold_in *in,
                      struct ingest_PutHold_out *out, struct kn_api_call *call)
{
    struct storage_hold hold = {
        .name = in->HoldName,
        .reason = in->Reason,
        .by = call->key ? call->key->id : KN_STR(""),
        .from_ms = in->StartTimestamp.v,
        .to_ms = in->EndTimestamp.set ? in->EndTimestamp.v : INT64_MAX,
    };
    KN_CLEANUP(storage_stream_unrefp) struct storage_stream *stream = NULL;
    int r = ingest_stream_find_active(ingest, call, in->StreamName, in->StreamARN, &stream);
    if (r < 0)
        return r;
    if (hold.to_ms < hold.from_ms)
        return kn_api_fault(call, "InvalidArgumentException",
                            "EndTimestamp must not be before StartTimestamp.");
    if (stream->retention_hours == 0)
        return kn_api_fault(call, "InvalidArgumentException",
                            "The stream's retention is 0: nothing of it is stored to be held.");
    struct ingest_Hold *shown = kn_arena_alloc(call->arena, sizeof *shown);
    if (!shown)
        return -ENOMEM;
    r = storage_hold_put(ingest->storage, &stream->id, &hold);
    if (r < 0)
        return hold_fault(call, r, in->HoldName);
    out->Hold = shown;
    return hold_of(call, &hold, shown);
}

int ingest_op_DeleteHold(struct ingest *ingest, const struct ingest_DeleteHold_in *in,
                         struct ingest_DeleteHold_out *out, struct kn_api_call *call)
{
    (void) out;
    KN_CLEANUP(storage_stream_unrefp) struct storage_stream *stream = NULL;
    int r = ingest_stream_find_active(ingest, call, in->StreamName, in->StreamARN, &stream);
    if (r < 0)
        return r;
    r = storage_hold_remove(ingest->storage, &stream->id, in->HoldName);
    if (r == -ENOENT)
        return kn_api_fault(call, "ResourceNotFoundException",
                            "The stream has no hold named " KN_STR_FMT ".",
                            KN_STR_ARG(in->HoldName));
    return r;
}

struct listing {
    struct kn_api_call *call;
    struct ingest_Hold *items;
    size_t count;
};

static int list_one(void *ctx, const struct storage_hold *hold)
{
    struct listing *list = ctx;
    if (list->count == STORAGE_STREAM_HOLDS_MAX)
        return 0;
    return hold_of(list->call, hold, &list->items[list->count++]);
}

int ingest_op_ListHolds(struct ingest *ingest, const struct ingest_ListHolds_in *in,
                        struct ingest_ListHolds_out *out, struct kn_api_call *call)
{
    KN_CLEANUP(storage_stream_unrefp) struct storage_stream *stream = NULL;
    int r = ingest_stream_find_active(ingest, call, in->StreamName, in->StreamARN, &stream);
    if (r < 0)
        return r;
    struct listing list = {call, NULL, 0};
    list.items = kn_arena_alloc(call->arena, STORAGE_STREAM_HOLDS_MAX * sizeof *list.items);
    if (!list.items)
        return -ENOMEM;
    r = storage_hold_list(ingest->storage, &stream->id, KN_STR(""), list_one, &list);
    out->Holds = (struct ingest_Hold_list){true, list.count, list.items};
    return r;
}

/* --- the byte limit --------------------------------------------------------------------------- */
int ingest_retention_bytes_set(struct storage_stream_draft *draft, struct kn_str digits)
{
    size_t at = 0;
    while (at < draft->tag_count &&
           !kn_str_eq(draft->tags[at].key, KN_STR(STORAGE_RETENTION_BYTES_TAG)))
        at++;
    bool there = at < draft->tag_count;
    if (digits.len == 0) {
        if (there)
            draft->tags[at] = draft->tags[--draft->tag_count];
        return 0;
    }
    if (!there && draft->tag_count == STORAGE_STREAM_TAGS_MAX)
        return -EDQUOT;
    draft->tags[at] = (struct storage_tag){KN_STR(STORAGE_RETENTION_BYTES_TAG), digits};
    draft->tag_count += there ? 0 : 1;
    return 0;
}

static int edit_limit(void *ctx, const struct storage_stream *now,
                      struct storage_stream_draft *draft)
{
    const struct kn_str *digits = ctx;
    (void) now;
    draft->keep_version = true; /* as tags do */
    return ingest_retention_bytes_set(draft, *digits);
}

int ingest_op_UpdateRetentionLimit(struct ingest *ingest,
                                   const struct ingest_UpdateRetentionLimit_in *in,
                                   struct ingest_UpdateRetentionLimit_out *out,
                                   struct kn_api_call *call)
{
    (void) out;
    KN_CLEANUP(storage_stream_unrefp) struct storage_stream *stream = NULL;
    int r = ingest_stream_find_active(ingest, call, in->StreamName, in->StreamARN, &stream);
    if (r < 0)
        return r;
    char text[32] = "";
    if (in->MaxBytes.v > 0)
        snprintf(text, sizeof text, "%" PRId64, in->MaxBytes.v);
    struct kn_str digits = kn_str_from(text), any = {NULL, 0};
    r = storage_stream_update(ingest->storage, stream->name, any, edit_limit, &digits);
    if (r == -EDQUOT)
        return kn_api_fault(call, "InvalidArgumentException",
                            "The limit takes one of the stream's %d tags, and none is free.",
                            STORAGE_STREAM_TAGS_MAX);
    if (r == -EBUSY)
        return kn_api_fault(call, "ResourceInUseException", "The stream is being deleted.");
    return r == -ENOENT ? ingest_stream_not_found(call) : r;
}

/* --- what is stored --------------------------------------------------------------------------- */
static struct kn_api_i64 number_of(uint64_t value)
{
    return (struct kn_api_i64){true, (int64_t) value};
}

int ingest_op_DescribeRetention(struct ingest *ingest, const struct ingest_DescribeRetention_in *in,
                                struct ingest_DescribeRetention_out *out, struct kn_api_call *call)
{
    KN_CLEANUP(storage_stream_unrefp) struct storage_stream *stream = NULL;
    int r = ingest_stream_find_active(ingest, call, in->StreamName, in->StreamARN, &stream);
    if (r < 0)
        return r;
    struct storage_stream_stats stats;
    r = storage_stream_stats(ingest->storage, &stream->id, &stats, false);
    if (r < 0)
        return r == -ENOENT ? ingest_stream_not_found(call) : r;
    out->DataRetentionInHours = number_of(stream->retention_hours);
    out->MaxBytes = number_of(stream->retention_bytes);
    out->StoredBytes = number_of(stats.bytes);
    out->KeptBytes = number_of(stats.kept_bytes);
    out->FragmentCount = number_of(stats.fragments);
    out->ChunkCount = number_of(stats.chunks);
    out->HoldCount = number_of(storage_hold_count(ingest->storage, &stream->id));
    if (stats.oldest_server_ts_ms > 0)
        out->OldestFragmentTimestamp = (struct kn_api_i64){true, stats.oldest_server_ts_ms};
    if (stats.newest_server_ts_ms > 0)
        out->NewestFragmentTimestamp = (struct kn_api_i64){true, stats.newest_server_ts_ms};
    return 0;
}
