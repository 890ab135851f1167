/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tags of a stream: three operations that name it as a stream, three that name it as a resource.
 * Existing keys are overwritten, unknown ones are ignored on removal, the version does not change.
 * AWS's second family knows channels only; ours takes streams too, and no channel is ever found.
 */
#include "resource.h"

struct tag_edit {
    const struct storage_id *id;
    struct kn_api_call *call;
    const struct storage_tag *put;
    size_t put_count;
    const struct kn_api_str_list *removed;
};

static struct storage_tag *find_tag(struct storage_stream_draft *draft, struct kn_str key)
{
    for (size_t i = 0; i < draft->tag_count; i++) {
        if (kn_str_eq(draft->tags[i].key, key))
            return &draft->tags[i];
    }
    return NULL;
}

static int edit_tags(void *ctx, const struct storage_stream *now,
                     struct storage_stream_draft *draft)
{
    const struct tag_edit *edit = ctx;
    if (storage_id_cmp(&now->id, edit->id) != 0)
        return -ENOENT; /* another stream of that name by now */
    draft->keep_version = true;
    for (size_t i = 0; i < edit->put_count; i++) {
        if (kn_str_eq(edit->put[i].key, KN_STR(STORAGE_EVENT_STREAM_TAG)))
            continue; /* ingest_events_by_tags has set it */
        struct storage_tag *tag = find_tag(draft, edit->put[i].key);
        if (!tag && draft->tag_count == STORAGE_STREAM_TAGS_MAX)
            return kn_api_fault(edit->call, "TagsPerResourceExceededLimitException",
                                "A stream can have at most %d tags.", STORAGE_STREAM_TAGS_MAX);
        if (!tag)
            tag = &draft->tags[draft->tag_count++];
        *tag = edit->put[i];
    }
    for (size_t i = 0; edit->removed && i < edit->removed->count; i++) {
        struct storage_tag *tag = find_tag(draft, edit->removed->items[i]);
        if (tag)
            *tag = draft->tags[--draft->tag_count];
    }
    return 0;
}

static int change_tags(struct ingest *ingest, struct kn_api_call *call, struct kn_str name,
                       struct kn_str arn, struct tag_edit *edit)
{
    KN_CLEANUP(storage_stream_unrefp) struct storage_stream *stream = NULL;
    int r = ingest_stream_find_active(ingest, call, name, arn, &stream);
    if (r < 0)
        return r;
    r = ingest_tags_check(call, edit->put, edit->put_count);
    for (size_t i = 0; r == 0 && edit->removed && i < edit->removed->count; i++)
        r = ingest_tag_key_check(call, edit->removed->items[i]);
    if (r < 0)
        return r;
    r = ingest_events_by_tags(ingest, call, stream, edit->put, edit->put_count, edit->removed);
    if (r < 0)
        return r;
    edit->id = &stream->id;
    edit->call = call;
    struct kn_str any = {NULL, 0};
    r = storage_stream_update(ingest->storage, stream->name, any, edit_tags, edit);
    return r == -ENOENT || r == -EBUSY ? ingest_stream_not_found(call) : r;
}

/* *ret_tags lies in the arena. */
static int list_tags(struct ingest *ingest, struct kn_api_call *call, struct kn_str name,
                     struct kn_str arn, struct kn_str next_token, struct kn_api_map *ret_tags)
{
    if (next_token.len > 0) /* all tags fit one page, so no token was ever given out */
        return kn_api_fault(call, "InvalidArgumentException", "NextToken is not valid.");
    KN_CLEANUP(storage_stream_unrefp) struct storage_stream *stream = NULL;
    int r = ingest_stream_find_active(ingest, call, name, arn, &stream);
    if (r < 0)
        return r;
    struct kn_api_pair *pairs =
        kn_arena_alloc(call->arena, (stream->tag_count + 1) * sizeof *pairs);
    if (!pairs)
        return -ENOMEM;
    for (size_t i = 0; i < stream->tag_count; i++) {
        pairs[i].key = kn_arena_str(call->arena, stream->tags[i].key);
        pairs[i].value = kn_arena_str(call->arena, stream->tags[i].value);
        if (!pairs[i].key.ptr || !pairs[i].value.ptr)
            return -ENOMEM;
    }
    *ret_tags = (struct kn_api_map){true, stream->tag_count, pairs};
    return 0;
}

/* --- by stream -------------------------------------------------------------------------------- */
static int check_form(struct kn_api_call *call, struct kn_str arn)
{
    struct kn_api_arn parsed;
    if (!arn.ptr ||
        (kn_api_arn_parse(arn, &parsed) == 0 && kn_str_eq(parsed.service, KN_STR("kinesisvideo"))))
        return 0;
    return kn_api_fault(call, "InvalidResourceFormatException",
                        "The format of the StreamARN is not valid.");
}

int ingest_op_TagStream(struct ingest *ingest, const struct ingest_TagStream_in *in,
                        struct ingest_TagStream_out *out, struct kn_api_call *call)
{
    (void) out;
    int r = check_form(call, in->StreamARN);
    if (r < 0)
        return r;
    struct storage_tag tags[STORAGE_STREAM_TAGS_MAX];
    kn_assert(in->Tags.count <= KN_ARRAY_LEN(tags));
    for (size_t i = 0; i < in->Tags.count; i++)
        tags[i] = (struct storage_tag){in->Tags.items[i].key, in->Tags.items[i].value};
    struct tag_edit edit = {.put = tags, .put_count = in->Tags.count};
    return change_tags(ingest, call, in->StreamName, in->StreamARN, &edit);
}

int ingest_op_UntagStream(struct ingest *ingest, const struct ingest_UntagStream_in *in,
                          struct ingest_UntagStream_out *out, struct kn_api_call *call)
{
    (void) out;
    int r = check_form(call, in->StreamARN);
    if (r < 0)
        return r;
    struct tag_edit edit = {.removed = &in->TagKeyList};
    return change_tags(ingest, call, in->StreamName, in->StreamARN, &edit);
}

int ingest_op_ListTagsForStream(struct ingest *ingest, const struct ingest_ListTagsForStream_in *in,
                                struct ingest_ListTagsForStream_out *out, struct kn_api_call *call)
{
    int r = check_form(call, in->StreamARN);
    if (r < 0)
        return r;
    return list_tags(ingest, call, in->StreamName, in->StreamARN, in->NextToken, &out->Tags);
}

/* --- by resource ------------------------------------------------------------------------------ */
static const struct kn_str no_name = {NULL, 0};

int ingest_op_TagResource(struct ingest *ingest, const struct ingest_TagResource_in *in,
                          struct ingest_TagResource_out *out, struct kn_api_call *call)
{
    (void) out;
    struct storage_tag tags[STORAGE_STREAM_TAGS_MAX];
    kn_assert(in->Tags.count <= KN_ARRAY_LEN(tags));
    for (size_t i = 0; i < in->Tags.count; i++)
        tags[i] = (struct storage_tag){in->Tags.items[i].Key, in->Tags.items[i].Value};
    struct tag_edit edit = {.put = tags, .put_count = in->Tags.count};
    return change_tags(ingest, call, no_name, in->ResourceARN, &edit);
}

int ingest_op_UntagResource(struct ingest *ingest, const struct ingest_UntagResource_in *in,
                            struct ingest_UntagResource_out *out, struct kn_api_call *call)
{
    (void) out;
    struct tag_edit edit = {.removed = &in->TagKeyList};
    return change_tags(ingest, call, no_name, in->ResourceARN, &edit);
}

int ingest_op_ListTagsForResource(struct ingest *ingest,
                                  const struct ingest_ListTagsForResource_in *in,
                                  struct ingest_ListTagsForResource_out *out,
                                  struct kn_api_call *call)
{
    return list_tags(ingest, call, no_name, in->ResourceARN, in->NextToken, &out->Tags);
}
