/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One object in, whatever it is written in: a codec gives tokens, the tables say where their values
 * go. Decoding checks form and types only; what a value may be is api_validate.c's. Repeated
 * members are refused, so that nothing can be read two ways; unknown ones are ignored, null is
 * absent. Lists longer than their limit are counted but not kept. No recursion.
 * Sources: Smithy, AWS restJson1 and awsJson1_1 protocols; texts of type errors and what Kinesis
 * converts silently: recordings of the real service in kinesalite's public tests.
 */
#include "api_private.h"

#include <stdio.h>

#include "core/crypto.h"

enum {
    PROBLEM_TEXT_BYTES_MAX = 1024 /* of the value, in the answer */
};

struct frame {
    const struct kn_api_structure *structure; /* or */
    const struct kn_api_shape *shape;         /* a list or map */
    void *dst;
    uint64_t seen; /* rows of structure */
    size_t next;   /* row: members often come in the order of the tables */
    char *items;
    size_t count, cap;
};

struct decoder {
    struct kn_api_decode *ctx;
    struct kn_api_source *in;
    struct frame stack[KN_API_NESTING_MAX];
    unsigned depth;
};

static void push(struct decoder *d, struct frame frame)
{
    kn_assert(d->depth < KN_API_NESTING_MAX);
    d->stack[d->depth++] = frame;
}

/* --- type errors ------------------------------------------------------------------------------ */
static const char *type_name(const struct kn_api_shape *shape)
{
    switch (shape->type) {
    case KN_API_STRING:
    case KN_API_ENUM:
        return "an String";
    case KN_API_BLOB:
    case KN_API_BLOB_VIEW:
        return "a Blob";
    case KN_API_INTEGER:
        return "an Integer";
    case KN_API_LONG:
        return "an Long";
    case KN_API_DOUBLE:
        return "an Double";
    case KN_API_BOOLEAN:
        return "an Boolean";
    case KN_API_TIMESTAMP:
        return "milliseconds since epoch";
    case KN_API_STRUCTURE:
    case KN_API_LIST:
    case KN_API_MAP:
        break;
    }
    return "";
}

/* Notes what AWS says when a value of this kind stands there; -EBADMSG. */
static int mismatch(struct decoder *d, const struct kn_api_shape *shape, enum kn_api_token token)
{
    static const char *const wanted[] = {
        [KN_API_STRUCTURE] = "Expected null",
        [KN_API_LIST] = "Expected list or null",
        [KN_API_MAP] = "Expected map or null",
    };
    const char *class = token == KN_API_NUMBER
                            ? "com.amazon.coral.value.json.numbers.TruncatingBigNumber"
                        : token == KN_API_TRUE || token == KN_API_FALSE ? "java.lang.Boolean"
                                                                        : "java.lang.String";
    struct kn_arena *arena = d->ctx->arena;
    if (token == KN_API_ARRAY)
        d->ctx->problem = KN_STR("Start of list found where not expected");
    else if (token == KN_API_OBJECT)
        d->ctx->problem = KN_STR("Start of structure or map found where not expected.");
    else if (shape->type >= KN_API_STRUCTURE)
        d->ctx->problem = kn_str_from(wanted[shape->type]);
    else
        d->ctx->problem =
            kn_arena_printf(arena, "class %s can not be converted to %s", class, type_name(shape));
    return -EBADMSG;
}

int kn_api_blob_problem(struct kn_api_decode *ctx, struct kn_str text)
{
    const char *what = "Invalid last non-pad Base64 character dectected"; /* sic */
    char character[40];
    int shown = (int) kn_min_u64(text.len, PROBLEM_TEXT_BYTES_MAX);
    size_t len = text.len;
    while (len && text.len - len < 2 && text.ptr[len - 1] == '=')
        len--;
    for (size_t i = 0; i < len && text.len % 4 == 0; i++) {
        uint8_t four[3];
        char group[4] = {text.ptr[i], 'A', 'A', 'A'};
        if (kn_base64_read((struct kn_str){group, sizeof group}, four) == 0)
            continue;
        (void) snprintf(character, sizeof character, "Invalid Base64 character: '%c'", group[0]);
        what = character;
        break;
    }
    if (text.len % 4)
        ctx->problem = kn_arena_printf(ctx->arena,
                                       "'%.*s' can not be converted to a Blob: Base64 encoded "
                                       "length is expected a multiple of "
                                       "4 bytes but found: %zu",
                                       shown, text.ptr, text.len);
    else
        ctx->problem = kn_arena_printf(ctx->arena, "'%.*s' can not be converted to a Blob: %s",
                                       shown, text.ptr, what);
    return -EBADMSG;
}

/* --- scalars ---------------------------------------------------------------------------------- */
static int decode_view(struct decoder *d, enum kn_api_token token, struct kn_api_blob *dst)
{
    struct kn_str text;
    int error = d->in->ops->text(d->in, d->ctx->arena, &text);
    if (error)
        return error;
    *dst = (struct kn_api_blob){kn_bytes_of(text), text.len, token == KN_API_TEXT};
    if (!dst->wire.ptr)
        dst->wire.ptr = (const uint8_t *) ""; /* empty is not absent */
    if (dst->is_base64 && kn_base64_plain_len(text, &dst->len) < 0)
        return kn_api_blob_problem(d->ctx, text);
    return 0;
}

static int decode_boolean_text(struct decoder *d, struct kn_str text, struct kn_api_bool *dst)
{
    static const struct {
        struct kn_str text;
        bool v;
    } rows[] = {
        {KN_STR_INIT("TRUE"),  true },
        {KN_STR_INIT("FALSE"), false},
        {KN_STR_INIT("YES"),   true },
        {KN_STR_INIT("NO"),    false},
        {KN_STR_INIT("1"),     true },
        {KN_STR_INIT("0"),     false}
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(rows); i++) {
        if (kn_str_eq_nocase(text, rows[i].text)) {
            *dst = (struct kn_api_bool){true, rows[i].v};
            return 0;
        }
    }
    char *upper = kn_arena_copy(d->ctx->arena, text.ptr, text.len);
    if (!upper)
        return -ENOMEM;
    for (size_t i = 0; i < text.len; i++)
        if (upper[i] >= 'a' && upper[i] <= 'z')
            upper[i] = (char) (upper[i] - 'a' + 'A');
    d->ctx->problem = kn_arena_printf(d->ctx->arena, "'%.*s' can not be converted to an Boolean",
                                      (int) text.len, upper);
    return -EBADMSG;
}

static int decode_text(struct decoder *d, const struct kn_api_shape *shape, void *dst)
{
    struct kn_str text;
    int error = d->in->ops->text(d->in, d->ctx->arena, &text);
    if (error)
        return error;
    if (!text.ptr)
        text.ptr = ""; /* empty is not absent */
    if (shape->type == KN_API_ENUM)
        return kn_api_decode_enum(d->ctx, shape, text, dst);
    if (shape->type == KN_API_BOOLEAN)
        return decode_boolean_text(d, text, dst);
    if (shape->type == KN_API_STRING) {
        *(struct kn_str *) dst = text;
        return 0;
    }
    error = kn_api_decode_text(d->ctx, shape, text, dst); /* a blob */
    return error == -EBADMSG ? kn_api_blob_problem(d->ctx, text) : error;
}

static int decode_bytes(struct decoder *d, struct kn_bytes *dst)
{
    struct kn_str bytes;
    int error = d->in->ops->text(d->in, d->ctx->arena, &bytes);
    if (!error)
        *dst = bytes.ptr ? kn_bytes_of(bytes) : kn_bytes_of(KN_STR("")); /* empty is not absent */
    return error;
}

/* Kinesis cuts what does not fit; other services refuse it. */
static int whole_number(struct decoder *d, const struct kn_api_shape *shape, int64_t *ret)
{
    int64_t min = shape->type == KN_API_INTEGER ? INT32_MIN : INT64_MIN;
    int64_t max = shape->type == KN_API_INTEGER ? INT32_MAX : INT64_MAX;
    double real;
    int error = d->in->ops->i64(d->in, ret);
    if (!error && *ret >= min && *ret <= max)
        return 0;
    if (!d->ctx->coral)
        return -EBADMSG;
    if (error && d->in->ops->real(d->in, &real) < 0)
        return -EBADMSG;
    if (!error)
        real = (double) *ret;
    if (!(real > (double) min)) /* NaN too */
        *ret = min;
    else if (real >= (double) max)
        *ret = max;
    else
        *ret = (int64_t) real - (real < (double) (int64_t) real); /* downwards */
    return 0;
}

static int decode_number(struct decoder *d, const struct kn_api_shape *shape, void *dst,
                         bool is_item)
{
    int64_t v;
    if (shape->type == KN_API_DOUBLE) {
        struct kn_api_double *number = dst;
        number->set = true;
        return d->in->ops->real(d->in, &number->v) < 0 ? -EBADMSG : 0;
    }
    int error = shape->type == KN_API_TIMESTAMP ? d->in->ops->epoch_ms(d->in, &v)
                                                : whole_number(d, shape, &v);
    if (error)
        return -EBADMSG;
    if (is_item)
        *(int64_t *) dst = v;
    else
        *(struct kn_api_i64 *) dst = (struct kn_api_i64){true, v};
    return 0;
}

/* --- containers ------------------------------------------------------------------------------- */
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

static int decode_scalar(struct decoder *d, const struct kn_api_shape *shape, void *dst,
                         enum kn_api_token token, bool is_item)
{
    bool text = token == KN_API_TEXT, bytes = token == KN_API_BYTES;
    switch (shape->type) {
    case KN_API_BLOB_VIEW:
        return text || bytes ? decode_view(d, token, dst) : mismatch(d, shape, token);
    case KN_API_BLOB:
        return bytes  ? decode_bytes(d, dst)
               : text ? decode_text(d, shape, dst)
                      : mismatch(d, shape, token);
    case KN_API_STRING:
    case KN_API_ENUM:
        return text ? decode_text(d, shape, dst) : mismatch(d, shape, token);
    case KN_API_INTEGER:
    case KN_API_LONG:
    case KN_API_TIMESTAMP:
    case KN_API_DOUBLE:
        return token == KN_API_NUMBER ? decode_number(d, shape, dst, is_item)
                                      : mismatch(d, shape, token);
    case KN_API_BOOLEAN:
        if (text && d->ctx->coral)
            return decode_text(d, shape, dst);
        if (token != KN_API_TRUE && token != KN_API_FALSE)
            return mismatch(d, shape, token);
        *(struct kn_api_bool *) dst = (struct kn_api_bool){true, token == KN_API_TRUE};
        return 0;
    case KN_API_STRUCTURE:
    case KN_API_LIST:
    case KN_API_MAP:
        break;
    }
    return -EBADMSG;
}

static int decode_value(struct decoder *d, const struct kn_api_shape *shape, void *dst,
                        enum kn_api_token token, bool is_item)
{
    enum kn_api_token wanted = shape->type == KN_API_LIST ? KN_API_ARRAY : KN_API_OBJECT;
    if (shape->type < KN_API_STRUCTURE)
        return decode_scalar(d, shape, dst, token, is_item);
    if (token != wanted)
        return mismatch(d, shape, token);
    if (shape->type == KN_API_STRUCTURE)
        return open_structure(d, shape, dst, is_item);
    push(d, (struct frame){.shape = shape, .dst = dst});
    return 0;
}

static int member_of(struct frame *f, struct kn_str name, const struct kn_api_row **ret)
{
    size_t count = f->structure->row_count;
    *ret = NULL;
    for (size_t tried = 0; tried < count; tried++) {
        size_t i = f->next < count ? f->next : 0;
        const struct kn_api_row *row = &f->structure->rows[i];
        f->next = i + 1;
        if (row->header || !kn_str_eq(row->name, name))
            continue;
        if (f->seen & UINT64_C(1) << i)
            return -EBADMSG;
        f->seen |= UINT64_C(1) << i;
        *ret = row;
        break;
    }
    return 0;
}

static int step_structure(struct decoder *d, struct frame *f, enum kn_api_token token)
{
    const struct kn_api_row *row;
    struct kn_str name;
    if (token == KN_API_OBJECT_END) {
        d->depth--;
        return 0;
    }
    int error = d->in->ops->text(d->in, d->ctx->arena, &name);
    if (!error)
        error = member_of(f, name, &row);
    if (!error)
        error = d->in->ops->next(d->in, &token);
    if (error)
        return error;
    if (!row || token == KN_API_NULL)
        return d->in->ops->skip(d->in, token);
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

static int step_list(struct decoder *d, struct frame *f, enum kn_api_token token)
{
    if (token == KN_API_ARRAY_END) {
        struct kn_api_list list = {.set = true, .count = f->count, .items = f->items};
        memcpy(f->dst, &list, sizeof list);
        d->depth--;
        return 0;
    }
    char *slot;
    int error = token == KN_API_NULL ? -EBADMSG : grow(d, f, f->shape->item_bytes, &slot);
    if (error)
        return error;
    if (!slot)
        return d->in->ops->skip(d->in, token);
    return decode_value(d, f->shape->item, slot, token, true);
}

static int step_map(struct decoder *d, struct frame *f, enum kn_api_token token)
{
    struct kn_api_pair pair;
    if (token == KN_API_OBJECT_END) {
        *(struct kn_api_map *) f->dst =
            (struct kn_api_map){.set = true,
                                .count = f->count,
                                .items = (const struct kn_api_pair *) (void *) f->items};
        d->depth--;
        return 0;
    }
    int error = d->in->ops->text(d->in, d->ctx->arena, &pair.key);
    if (!error)
        error = d->in->ops->next(d->in, &token);
    if (error || token == KN_API_NULL)
        return error;
    if (token != KN_API_TEXT)
        return mismatch(d, f->shape->value, token);
    error = d->in->ops->text(d->in, d->ctx->arena, &pair.value);
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

int kn_api_decode_tokens(struct kn_api_decode *ctx, struct kn_api_source *in,
                         const struct kn_api_structure *structure, void *dst)
{
    struct decoder d;
    enum kn_api_token token;
    d.ctx = ctx;
    d.in = in;
    d.depth = 0; /* the stack is read after it is set */
    int error = in->ops->next(in, &token);
    if (error || token != KN_API_OBJECT)
        return -EBADMSG;
    push(&d, (struct frame){.structure = structure, .dst = dst});
    while (d.depth) {
        struct frame *f = &d.stack[d.depth - 1];
        error = in->ops->next(in, &token);
        if (!error)
            error = f->structure                    ? step_structure(&d, f, token)
                    : f->shape->type == KN_API_LIST ? step_list(&d, f, token)
                                                    : step_map(&d, f, token);
        if (error)
            return error;
    }
    return in->ops->next(in, &token); /* nothing may follow */
}

int kn_api_check_tokens(struct kn_api_source *in)
{
    enum kn_api_token token;
    int error = in->ops->next(in, &token);
    if (!error && token != KN_API_OBJECT && token != KN_API_ARRAY)
        error = -EBADMSG;
    while (!error && token != KN_API_END)
        error = in->ops->next(in, &token);
    return error;
}
