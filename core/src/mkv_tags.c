/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tags in words: Tags > Tag > SimpleTag > TagName, TagString (RFC 9559, 5.1.8). SimpleTags may hold
 * SimpleTags; they are walked with an explicit stack and counted like the others. Whether a Tag has
 * a Targets child tells metadata of a fragment (AWS's producers send none) from a description of
 * the file (ffmpeg, mkvmerge): both were seen in captures of the KVS service.
 */
#include "mkv_internal.h"

static void tag_take(struct kn_mkv_tags *tags, struct kn_mkv_tag tag)
{
    if (tags->count < tags->cap)
        tags->items[tags->count] = tag;
    tags->count++;
}

/* One level of the walk: the children still to come, and what its own name and value are. */
struct tag_level {
    struct mkv_iter iter;
    struct kn_mkv_tag tag;
};

static int simple_tag_read(const struct mkv_child *top, struct kn_mkv_tags *tags,
                           struct kn_err *err)
{
    struct tag_level stack[MKV_DEPTH_MAX];
    size_t depth = 1;
    stack[0] = (struct tag_level){.iter = mkv_iter_of(top)};
    while (depth) {
        struct tag_level *level = &stack[depth - 1];
        struct mkv_child child;
        int r = mkv_iter_next(&level->iter, &child, err);
        if (r < 0)
            return r;
        if (!r) {
            tag_take(tags, level->tag);
            depth--;
        } else if (child.id == KN_MKV_TAG_NAME) {
            level->tag.name = mkv_string_value(child.payload);
        } else if (child.id == KN_MKV_TAG_STRING) {
            level->tag.value = mkv_string_value(child.payload);
        } else if (child.id == KN_MKV_SIMPLE_TAG) {
            if (depth == MKV_DEPTH_MAX)
                return mkv_fail(err, -EBADMSG, child.id, child.offset, "nested deeper than %d",
                                (int) MKV_DEPTH_MAX);
            stack[depth++] = (struct tag_level){.iter = mkv_iter_of(&child)};
        }
    }
    return 0;
}

static int tag_read(const struct mkv_child *tag, struct kn_mkv_tags *tags, bool *ret_targets,
                    struct kn_err *err)
{
    struct mkv_iter iter = mkv_iter_of(tag);
    struct mkv_child child;
    int r;
    while ((r = mkv_iter_next(&iter, &child, err)) > 0) {
        if (child.id == KN_MKV_TARGETS)
            *ret_targets = true;
        if (child.id == KN_MKV_SIMPLE_TAG) {
            r = simple_tag_read(&child, tags, err);
            if (r < 0)
                return r;
        }
    }
    return r;
}

int kn_mkv_tags_parse(struct kn_bytes bytes, struct kn_mkv_tags *tags, struct kn_err *err)
{
    tags->count = 0;
    tags->targeted = false;
    struct mkv_iter outer = {bytes, 0};
    struct mkv_child child;
    int r = mkv_iter_next(&outer, &child, err);
    if (r < 0)
        return r;
    if (!r || child.id != KN_MKV_TAGS || outer.left.len)
        return kn_fail(err, -EBADMSG, "not one Tags element");

    struct mkv_iter iter = mkv_iter_of(&child);
    bool all = true, any = false;
    while ((r = mkv_iter_next(&iter, &child, err)) > 0) {
        if (child.id != KN_MKV_TAG)
            continue;
        bool targets = false;
        r = tag_read(&child, tags, &targets, err);
        if (r < 0)
            return r;
        any = true;
        all = all && targets;
    }
    tags->targeted = any && all;
    return r;
}
