/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest-json: one JSON object in, one out. Decoding checks form and types only; what a value may be
 * is api_validate.c's. Repeated members are refused, so that nothing can be read two ways; unknown
 * ones are ignored, null is absent. Lists longer than their limit are counted but not kept.
 * Source: Smithy, AWS restJson1 protocol.
 */
#include "api_private.h"

#include "core/crypto.h"
#include "core/json.h"

struct frame {
    const struct kn_api_structure *structure; /* or */
    const struct kn_api_shape *shape;         /* a list or map */
    void *dst;
    uint64_t seen; /* rows of structure */
    char *items;
    size_t count, cap;
};

struct decoder {
    struct kn_api_decode *ctx;
    struct kn_json_reader in;
    struct frame stack[KN_API_NESTING_MAX];
    unsigned depth;
};

static void push(struct decoder *d, struct frame frame)
{
    kn_assert(d->depth < KN_API_NESTING_MAX);
    d->stack[d->depth++] = frame;
}

/* --- scalars -----------------------------------------------------------------------------------
 */
static int decode_string(struct decoder *d, const struct kn_api_shape *shape, void *dst)
{
    struct kn_str text;
    int error = kn_json_unescape(&d->in, d->ctx->arena, &text);
    if (error)
        return error;
    if (shape->type == KN_API_ENUM)
        return kn_api_decode_enum(d->ctx, shape, text, dst);
    if (shape->type == KN_API_STRING) {
        *(struct kn_str *) dst = text;
        return 0;
    }
    return kn_api_decode_text(d->ctx, shape, text, dst); /* a blob */
}

static int decode_number(struct decoder *d, const struct kn_api_shape *shape, void *dst,
                         bool is_item)
{
    int64_t v;
    if (shape->type == KN_API_DOUBLE) {
        struct kn_api_double *number = dst;
        number->set = true;
        return kn_json_number_double(&d->in, &number->v) < 0 ? -EBADMSG : 0;
    }
    int error = shape->type == KN_API_TIMESTAMP ? kn_json_number_epoch_ms(&d->in, &v)
                                                : kn_json_number_i64(&d->in, &v);
    if (error || (shape->type == KN_API_INTEGER && (v < INT32_MIN || v > INT32_MAX)))
        return -EBADMSG;
    if (is_item)
        *(int64_t *) dst = v;
    else
        *(struct kn_api_i64 *) dst = (struct kn_api_i64){true, v};
    return 0;
}

/* --- containers ---------------------------------------------------------------------------------
 */
static int open_structure(struct decoder *d, const struct kn_api_shape *shape, void *dst,
                          bool is_item)
{
    if (!is_item) {
        void *inner = kn_arena_alloc(d->ctx->arena, shape->structure->bytes);
        if (!inner)
            return -ENOMEM;
        memcpy(dst, &inner, sizeof inner);
        dst = inner;
    }
    push(d, (struct frame){.structure = shape->structure, .dst = dst});
    return 0;
}

static int decode_value(struct decoder *d, const struct kn_api_shape *shape, void *dst,
                        enum kn_json_token token, bool is_item)
{
    switch (shape->type) {
    case KN_API_STRING:
    case KN_API_BLOB:
    case KN_API_ENUM:
        return token == KN_JSON_STRING ? decode_string(d, shape, dst) : -EBADMSG;
    case KN_API_INTEGER:
    case KN_API_LONG:
    case KN_API_TIMESTAMP:
    case KN_API_DOUBLE:
        return token == KN_JSON_NUMBER ? decode_number(d, shape, dst, is_item) : -EBADMSG;
    case KN_API_BOOLEAN:
        if (token != KN_JSON_TRUE && token != KN_JSON_FALSE)
            return -EBADMSG;
        *(struct kn_api_bool *) dst = (struct kn_api_bool){true, token == KN_JSON_TRUE};
        return 0;
    case KN_API_STRUCTURE:
        return token == KN_JSON_OBJECT ? open_structure(d, shape, dst, is_item) : -EBADMSG;
    case KN_API_LIST:
    case KN_API_MAP:
        if (token != (shape->type == KN_API_LIST ? KN_JSON_ARRAY : KN_JSON_OBJECT))
            return -EBADMSG;
        push(d, (struct frame){.shape = shape, .dst = dst});
        return 0;
    }
    return -EBADMSG;
}

static int member_of(struct frame *f, struct kn_str name, const struct kn_api_row **ret)
{
    *ret = NULL;
    for (size_t i = 0; i < f->structure->row_count; i++) {
        const struct kn_api_row *row = &f->structure->rows[i];
        if (row->header || !kn_str_eq(row->name, name))
            continue;
        if (f->seen & UINT64_C(1) << i)
            return -EBADMSG;
        f->seen |= UINT64_C(1) << i;
        *ret = row;
    }
    return 0;
}

static int step_structure(struct decoder *d, struct frame *f, enum kn_json_token token)
{
    const struct kn_api_row *row;
    struct kn_str name;
    if (token == KN_JSON_OBJECT_END) {
        d->depth--;
        return 0;
    }
    int error = kn_json_unescape(&d->in, d->ctx->arena, &name);
    if (!error)
        error = member_of(f, name, &row);
    if (!error)
        error = kn_json_next(&d->in, &token);
    if (error)
        return error;
    if (!row || token == KN_JSON_NULL)
        return kn_json_skip(&d->in, token);
    return decode_value(d, row->shape, kn_api_member(f->dst, row), token, false);
}

/* Notes about enums point into the items, and move with them. */
static void move_items(struct decoder *d, const struct frame *f, char *dst, size_t bytes)
{
    memcpy(dst, f->items, bytes);
    for (struct kn_api_unknown_enum *u = d->ctx->unknown; u; u = u->next) {
        uintptr_t at = (uintptr_t) u->at, from = (uintptr_t) f->items;
        if (at >= from && at - from < bytes)
            u->at = dst + (at - from);
    }
}

/* Room for one more item; ret is NULL when the limit is reached and it is not to be kept. */
static int grow(struct decoder *d, struct frame *f, size_t item_bytes, char **ret)
{
    size_t stored = f->shape->has_max ? (size_t) f->shape->max : SIZE_MAX;
    *ret = NULL;
    if (f->count++ >= stored)
        return 0;
    if (f->count > f->cap) {
        size_t cap = f->cap ? f->cap * 2 : 8;
        char *items = kn_arena_alloc(d->ctx->arena, cap * item_bytes);
        if (!items)
            return -ENOMEM;
        if (f->items)
            move_items(d, f, items, f->cap * item_bytes);
        f->items = items;
        f->cap = cap;
    }
    *ret = f->items + (f->count - 1) * item_bytes;
    return 0;
}

static int step_list(struct decoder *d, struct frame *f, enum kn_json_token token)
{
    if (token == KN_JSON_ARRAY_END) {
        struct kn_api_list list = {.set = true, .count = f->count, .items = f->items};
        memcpy(f->dst, &list, sizeof list);
        d->depth--;
        return 0;
    }
    char *slot;
    int error = token == KN_JSON_NULL ? -EBADMSG : grow(d, f, f->shape->item_bytes, &slot);
    if (error)
        return error;
    if (!slot)
        return kn_json_skip(&d->in, token);
    return decode_value(d, f->shape->item, slot, token, true);
}

static int step_map(struct decoder *d, struct frame *f, enum kn_json_token token)
{
    struct kn_api_pair pair;
    if (token == KN_JSON_OBJECT_END) {
        *(struct kn_api_map *) f->dst =
            (struct kn_api_map){.set = true,
                                .count = f->count,
                                .items = (const struct kn_api_pair *) (void *) f->items};
        d->depth--;
        return 0;
    }
    int error = kn_json_unescape(&d->in, d->ctx->arena, &pair.key);
    if (!error)
        error = kn_json_next(&d->in, &token);
    if (error || token == KN_JSON_NULL)
        return error;
    if (token != KN_JSON_STRING)
        return -EBADMSG;
    error = kn_json_unescape(&d->in, d->ctx->arena, &pair.value);
    if (error)
        return error;
    const struct kn_api_pair *kept = (const struct kn_api_pair *) (void *) f->items;
    for (size_t i = 0; i < kn_min_u64(f->count, f->cap); i++)
        if (kn_str_eq(kept[i].key, pair.key))
            return -EBADMSG;
    char *slot;
    error = grow(d, f, sizeof pair, &slot);
    if (slot && !error)
        memcpy(slot, &pair, sizeof pair);
    return error;
}

static int decode(struct kn_api_decode *ctx, struct kn_bytes body,
                  const struct kn_api_structure *structure, void *dst)
{
    struct decoder d = {.ctx = ctx};
    enum kn_json_token token;
    if (!body.len)
        return 0; /* clients send nothing where nothing is needed */
    kn_json_reader_init(&d.in, body);
    int error = kn_json_next(&d.in, &token);
    if (error || token != KN_JSON_OBJECT)
        return -EBADMSG;
    push(&d, (struct frame){.structure = structure, .dst = dst});
    while (d.depth) {
        struct frame *f = &d.stack[d.depth - 1];
        error = kn_json_next(&d.in, &token);
        if (!error)
            error = f->structure                    ? step_structure(&d, f, token)
                    : f->shape->type == KN_API_LIST ? step_list(&d, f, token)
                                                    : step_map(&d, f, token);
        if (error)
            return error;
    }
    return kn_json_next(&d.in, &token); /* nothing may follow */
}

/* --- encode ------------------------------------------------------------------------------------
 */
static void encode_map(struct kn_json_writer *w, const struct kn_api_map *map)
{
    kn_json_object_begin(w);
    for (size_t i = 0; i < map->count; i++) {
        kn_json_key_str(w, map->items[i].key);
        kn_json_str(w, map->items[i].value);
    }
    kn_json_object_end(w);
}

static void encode_blob(struct kn_json_writer *w, struct kn_bytes bytes)
{
    KN_CLEANUP(kn_buf_done) struct kn_buf text;
    kn_buf_init(&text, KN_API_ANSWER_BYTES_MAX);
    (void) kn_base64_encode(bytes, false, &text);
    if (text.error)
        w->out->error = w->out->error ? w->out->error : text.error;
    kn_json_str(w, kn_buf_str(&text));
}

static void encode_value(struct kn_json_writer *w, const struct kn_api_event *e)
{
    const struct kn_api_i64 *number = e->ptr;
    switch (e->shape->type) {
    case KN_API_STRING:
        kn_json_str(w, *(const struct kn_str *) e->ptr);
        break;
    case KN_API_BLOB:
        encode_blob(w, *(const struct kn_bytes *) e->ptr);
        break;
    case KN_API_INTEGER:
    case KN_API_LONG:
        kn_json_i64(w, e->row ? number->v : *(const int64_t *) e->ptr);
        break;
    case KN_API_TIMESTAMP:
        kn_json_epoch_ms(w, number->v);
        break;
    case KN_API_DOUBLE:
        kn_json_double(w, ((const struct kn_api_double *) e->ptr)->v);
        break;
    case KN_API_BOOLEAN:
        kn_json_bool(w, ((const struct kn_api_bool *) e->ptr)->v);
        break;
    case KN_API_ENUM:
        kn_assert((size_t) * (const int *) e->ptr <= e->shape->value_count);
        kn_json_str(w, e->shape->values[*(const int *) e->ptr]);
        break;
    case KN_API_MAP:
        encode_map(w, e->ptr);
        break;
    case KN_API_STRUCTURE:
    case KN_API_LIST:
        break; /* have events of their own */
    }
}

static int encode(const struct kn_api_structure *structure, const void *src, struct kn_buf *dst)
{
    struct kn_json_writer w;
    struct kn_api_walk walk;
    struct kn_api_event e;
    kn_json_writer_init(&w, dst);
    kn_json_object_begin(&w);
    kn_api_walk_init(&walk, structure, src);
    while (kn_api_walk_next(&walk, &e)) {
        if (e.kind == KN_API_ABSENT || (e.row && e.row->header))
            continue;
        if (e.row && e.kind != KN_API_STRUCTURE_END && e.kind != KN_API_LIST_END)
            kn_json_key_str(&w, e.row->name);
        if (e.kind == KN_API_STRUCTURE_BEGIN)
            kn_json_object_begin(&w);
        else if (e.kind == KN_API_STRUCTURE_END)
            kn_json_object_end(&w);
        else if (e.kind == KN_API_LIST_BEGIN)
            kn_json_array_begin(&w);
        else if (e.kind == KN_API_LIST_END)
            kn_json_array_end(&w);
        else
            encode_value(&w, &e);
    }
    return dst->error;
}

const struct kn_api_codec kn_api_rest_json = {"application/json", decode, encode};
