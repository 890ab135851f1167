/* SPDX-License-Identifier: Apache-2.0 */
/* Tags of a stream. */
#include "datastream_internal.h"

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
    if (draft->deleting)
        return -EBUSY;
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
    return datastream_tags_check(edit->call, count);
}

static int run(struct datastream *ds, struct kn_str name, struct kn_str arn, struct edit *edit)
{
    KN_CLEANUP(datastream_stream_unrefp) struct datastream_stream *stream = NULL;
    int r = datastream_find(ds, edit->call, name, arn, &stream);
    return r < 0 ? r
                 : datastream_changed(edit->call, stream,
                                      datastream_stream_change(ds->streams, stream, change, edit));
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
    size_t max = (size_t) (in->Limit.set ? in->Limit.v : DATASTREAM_TAGS_MAX), from = 0, count = 0;
    while (in->ExclusiveStartTagKey.ptr && from < settings->tag_count &&
           kn_str_cmp(settings->tags[from].key, in->ExclusiveStartTagKey) <= 0)
        from++;
    struct datastream_Tag *tags = kn_arena_alloc(call->arena, max * sizeof(*tags));
    for (; tags && from + count < settings->tag_count && count < max; count++) {
        const struct datastream_tag *tag = &settings->tags[from + count];
        tags[count] = (struct datastream_Tag){kn_arena_str(call->arena, tag->key),
                                              kn_arena_str(call->arena, tag->value)};
        if (!tags[count].Key.ptr || !tags[count].Value.ptr)
            return -ENOMEM;
    }
    if (!tags)
        return -ENOMEM;
    out->Tags = (struct datastream_Tag_list){true, count, tags};
    out->HasMoreTags = (struct kn_api_bool){true, from + count < settings->tag_count};
    return 0;
}
