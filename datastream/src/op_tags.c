/* SPDX-License-Identifier: Apache-2.0 */
/* Tags of streams: by the operations that name a stream, and by those that name any resource. */
#include "resource.h"
#include "state.h"

#include <errno.h>

struct edit {
    struct kn_api_call *call;
    const struct kn_api_map *add;         /* or */
    const struct kn_api_str_list *remove; /* one of both is NULL */
};

static bool is_named(const struct edit *edit, struct kn_str key)
{
    for (size_t i = 0; edit->add && i < edit->add->count; i++) {
        if (kn_str_eq(edit->add->items[i].key, key))
            return true;
    }
    for (size_t i = 0; edit->remove && i < edit->remove->count; i++) {
        if (kn_str_eq(edit->remove->items[i], key))
            return true;
    }
    return false;
}

/* What was there and is not named stays; what is added follows. */
static int change(void *ctx, struct datastream_settings *draft)
{
    struct edit *edit = ctx;
    size_t added = edit->add ? edit->add->count : 0, count = 0;
    struct datastream_tag *tags =
        kn_arena_alloc(edit->call->arena, (draft->tag_count + added + 1) * sizeof(*tags));
    if (!tags)
        return -ENOMEM;
    for (size_t i = 0; i < draft->tag_count; i++) {
        if (!is_named(edit, draft->tags[i].key))
            tags[count++] = draft->tags[i];
    }
    for (size_t i = 0; i < added; i++)
        tags[count++] = (struct datastream_tag){edit->add->items[i].key, edit->add->items[i].value};
    draft->tags = tags;
    draft->tag_count = count;
    return datastream_tags_check(edit->call, edit->add, count);
}

static int run(struct datastream *ds, struct kn_str name, struct kn_str arn, struct edit *edit)
{
    KN_CLEANUP(datastream_stream_unrefp) struct datastream_stream *stream = NULL;
    int r = datastream_find(ds, edit->call, name, arn, &stream);
    return r < 0 ? r : datastream_update_beside(ds, edit->call, stream, change, edit);
}

static int run_resource(struct datastream *ds, struct kn_str arn, struct edit *edit)
{
    struct datastream_resource resource = {0};
    int r = datastream_resource_find(ds, edit->call, arn, &resource);
    if (r == 0)
        r = datastream_resource_change(ds, edit->call, &resource, change, edit);
    datastream_resource_done(&resource);
    return r;
}

int datastream_op_AddTagsToStream(struct datastream *ds,
                                  const struct datastream_AddTagsToStream_in *in,
                                  struct datastream_AddTagsToStream_out *out KN_UNUSED,
                                  struct kn_api_call *call)
{
    struct edit edit = {.call = call, .add = &in->Tags};
    return run(ds, in->StreamName, in->StreamARN, &edit);
}

int datastream_op_RemoveTagsFromStream(struct datastream *ds,
                                       const struct datastream_RemoveTagsFromStream_in *in,
                                       struct datastream_RemoveTagsFromStream_out *out KN_UNUSED,
                                       struct kn_api_call *call)
{
    struct edit edit = {.call = call, .remove = &in->TagKeys};
    return run(ds, in->StreamName, in->StreamARN, &edit);
}

int datastream_op_TagResource(struct datastream *ds, const struct datastream_TagResource_in *in,
                              struct datastream_TagResource_out *out KN_UNUSED,
                              struct kn_api_call *call)
{
    struct edit edit = {.call = call, .add = &in->Tags};
    return run_resource(ds, in->ResourceARN, &edit);
}

int datastream_op_UntagResource(struct datastream *ds, const struct datastream_UntagResource_in *in,
                                struct datastream_UntagResource_out *out KN_UNUSED,
                                struct kn_api_call *call)
{
    struct edit edit = {.call = call, .remove = &in->TagKeys};
    return run_resource(ds, in->ResourceARN, &edit);
}

/* --- listing ---------------------------------------------------------------------------------- */
/* Up to max of them whose key is greater than after (ptr NULL: from the first on). */
static int show(struct kn_api_call *call, const struct datastream_settings *settings,
                struct kn_str after, size_t max, struct datastream_Tag_list *ret, bool *ret_more)
{
    size_t from = 0, count = 0;
    while (after.ptr && from < settings->tag_count &&
           kn_str_cmp(settings->tags[from].key, after) <= 0)
        from++;
    struct datastream_Tag *tags = kn_arena_alloc(call->arena, max * sizeof(*tags));
    for (; tags && from + count < settings->tag_count && count < max; count++) {
        const struct datastream_tag *tag = &settings->tags[from + count];
        tags[count] = (struct datastream_Tag){kn_arena_str(call->arena, tag->key),
                                              kn_arena_str(call->arena, tag->value)};
        if (!tags[count].Key.ptr || !tags[count].Value.ptr)
            return -ENOMEM;
    }
    *ret = (struct datastream_Tag_list){true, count, tags};
    *ret_more = from + count < settings->tag_count;
    return tags ? 0 : -ENOMEM;
}

int datastream_op_ListTagsForStream(struct datastream *ds,
                                    const struct datastream_ListTagsForStream_in *in,
                                    struct datastream_ListTagsForStream_out *out,
                                    struct kn_api_call *call)
{
    KN_CLEANUP(datastream_stream_unrefp) struct datastream_stream *stream = NULL;
    int r = datastream_find(ds, call, in->StreamName, in->StreamARN, &stream);
    if (r < 0)
        return r;
    KN_CLEANUP(datastream_settings_unrefp)
    struct datastream_settings *settings = datastream_stream_settings(stream);
    size_t max = (size_t) (in->Limit.set ? in->Limit.v : DATASTREAM_TAGS_MAX);
    out->HasMoreTags.set = true;
    return show(call, settings, in->ExclusiveStartTagKey, max, &out->Tags, &out->HasMoreTags.v);
}

int datastream_op_ListTagsForResource(struct datastream *ds,
                                      const struct datastream_ListTagsForResource_in *in,
                                      struct datastream_ListTagsForResource_out *out,
                                      struct kn_api_call *call)
{
    struct datastream_resource resource;
    int r = datastream_resource_find(ds, call, in->ResourceARN, &resource);
    if (r < 0)
        return r;
    KN_CLEANUP(datastream_settings_unrefp)
    struct datastream_settings *settings = datastream_resource_settings(&resource);
    datastream_resource_done(&resource);
    bool more;
    return show(call, settings, (struct kn_str){NULL, 0}, DATASTREAM_TAGS_MAX, &out->Tags, &more);
}
