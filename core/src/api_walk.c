/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A walk over a generated struct: the one place that knows how absent, nested and repeated members
 * lie in memory. Validation and encoding are consumers of its events. The stack is as deep as the
 * tables nest, which kn_api_add has checked.
 */
#include "api_private.h"

static void push(struct kn_api_walk *walk, struct kn_api_frame frame)
{
    kn_assert(walk->depth < KN_API_NESTING_MAX);
    walk->stack[walk->depth++] = frame;
}

void kn_api_walk_init(struct kn_api_walk *walk, const struct kn_api_structure *structure,
                      const void *base)
{
    walk->depth = 0;
    push(walk, (struct kn_api_frame){
                   .structure = structure, .base = base, .count = structure->row_count});
}

static struct kn_api_list load_list(const void *ptr)
{
    struct kn_api_list list;
    memcpy(&list, ptr, sizeof list); /* typed lists share its layout, not its type */
    return list;
}

static bool is_there(const struct kn_api_shape *shape, const void *ptr)
{
    switch (shape->type) {
    case KN_API_STRING:
        return ((const struct kn_str *) ptr)->ptr != NULL;
    case KN_API_BLOB:
        return ((const struct kn_bytes *) ptr)->ptr != NULL;
    case KN_API_BLOB_VIEW:
        return ((const struct kn_api_blob *) ptr)->wire.ptr != NULL;
    case KN_API_INTEGER:
    case KN_API_LONG:
    case KN_API_TIMESTAMP:
        return ((const struct kn_api_i64 *) ptr)->set;
    case KN_API_DOUBLE:
        return ((const struct kn_api_double *) ptr)->set;
    case KN_API_BOOLEAN:
        return ((const struct kn_api_bool *) ptr)->set;
    case KN_API_ENUM:
        return *(const int *) ptr != 0;
    case KN_API_MAP:
        return ((const struct kn_api_map *) ptr)->set;
    case KN_API_LIST:
        return load_list(ptr).set;
    case KN_API_STRUCTURE:
        break;
    }
    const void *inner;
    memcpy(&inner, ptr, sizeof inner);
    return inner != NULL;
}

size_t kn_api_present(const struct kn_api_structure *structure, const void *base)
{
    size_t count = 0;
    for (size_t i = 0; i < structure->row_count; i++) {
        const struct kn_api_row *row = &structure->rows[i];
        count += !row->header && is_there(row->shape, kn_api_member_const(base, row));
    }
    return count;
}

/* Opens the container at ptr. Structures are pointed to by members and lie inline in lists. */
static enum kn_api_event_kind enter(struct kn_api_walk *walk, const struct kn_api_row *row,
                                    const struct kn_api_shape *shape, const void *ptr)
{
    if (shape->type == KN_API_LIST) {
        struct kn_api_list list = load_list(ptr);
        size_t count = shape->has_max ? (size_t) kn_min_u64(list.count, (uint64_t) shape->max)
                                      : list.count; /* decoding keeps no more than the limit */
        push(walk,
             (struct kn_api_frame){.row = row, .list = shape, .base = list.items, .count = count});
        return KN_API_LIST_BEGIN;
    }
    if (row)
        memcpy(&ptr, ptr, sizeof ptr);
    push(walk, (struct kn_api_frame){.row = row,
                                     .structure = shape->structure,
                                     .base = ptr,
                                     .count = shape->structure->row_count});
    return KN_API_STRUCTURE_BEGIN;
}

bool kn_api_walk_next(struct kn_api_walk *walk, struct kn_api_event *ret)
{
    if (!walk->depth)
        return false;
    struct kn_api_frame *top = &walk->stack[walk->depth - 1];
    if (top->at == top->count) {
        *ret = (struct kn_api_event){
            .kind = top->structure ? KN_API_STRUCTURE_END : KN_API_LIST_END, .row = top->row};
        walk->depth--;
        return true;
    }
    size_t at = top->at++;
    const struct kn_api_row *row = top->structure ? &top->structure->rows[at] : NULL;
    const struct kn_api_shape *shape = row ? row->shape : top->list->item;
    const void *ptr = row ? kn_api_member_const(top->base, row)
                          : (const char *) top->base + at * top->list->item_bytes;
    *ret = (struct kn_api_event){.row = row, .shape = shape, .ptr = ptr};
    /* 64-bit items are bare numbers, and structures lie inline: an item is always there */
    if (row && !is_there(shape, ptr))
        ret->kind = KN_API_ABSENT;
    else if (shape->type == KN_API_STRUCTURE || shape->type == KN_API_LIST)
        ret->kind = enter(walk, row, shape, ptr);
    else
        ret->kind = KN_API_VALUE;
    return true;
}
