/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Constraints, in AWS's words: "2 validation errors detected: Value '' at 'streamName' failed to
 * satisfy constraint: Member must have length greater than or equal to 1; Value …". Independent of
 * the codec. Paths begin in lower case and count from 1: 'tags.1.member.key'.
 * Source: recordings of the real service in kinesalite's public tests; wording and order of the
 * checks (null, range, pattern, length, enum, items).
 */
#include "api_private.h"
#include "utf8.h"

enum {
    VALUE_BYTES_MAX = 1024
};

struct validator {
    const struct kn_api_unknown_enum *unknown;
    const struct kn_api_dialect *dialect;
    struct kn_api_walk walk;
    struct kn_buf list; /* the violations, without the beginning */
    size_t count;
};

/* --- where ------------------------------------------------------------------------------------ */
static void append_name(struct kn_buf *dst, struct kn_str name, bool first)
{
    char c = name.ptr[0];
    if (first && c >= 'A' && c <= 'Z')
        c = (char) (c - 'A' + 'a');
    (void) kn_buf_append_byte(dst, (uint8_t) c); /* errors stick in dst */
    (void) kn_buf_append(dst, name.ptr + 1, name.len - 1);
}

/* The way from the root to the event: names of the open containers, then its own. */
static void append_path(const struct validator *v, const struct kn_api_event *e, struct kn_buf *dst)
{
    unsigned depth = v->walk.depth;
    bool first = true;
    if (e->kind == KN_API_LIST_BEGIN || e->kind == KN_API_STRUCTURE_BEGIN)
        depth--; /* the container of the event itself is open already */
    for (unsigned i = 0; i < depth; i++) {
        const struct kn_api_frame *f = &v->walk.stack[i];
        if (f->row) {
            if (!first)
                (void) kn_buf_append_byte(dst, '.');
            append_name(dst, f->row->name, true);
            first = false;
        }
        if (!f->structure)
            (void) kn_buf_printf(dst, ".%zu.member", f->at);
    }
    if (e->row) {
        if (!first)
            (void) kn_buf_append_byte(dst, '.');
        append_name(dst, e->row->name, true);
    }
}

/* --- what ------------------------------------------------------------------------------------- */
static struct kn_str unknown_text(const struct validator *v, const void *at)
{
    for (const struct kn_api_unknown_enum *u = v->unknown; u; u = u->next)
        if (u->at == at)
            return u->text;
    return KN_STR("");
}

static void append_scalar(const struct validator *v, const struct kn_api_event *e,
                          struct kn_buf *dst)
{
    int64_t whole;
    switch (e->shape->type) {
    case KN_API_STRING:
        (void) kn_buf_append_str(dst, *(const struct kn_str *) e->ptr);
        break;
    case KN_API_ENUM:
        (void) kn_buf_append_str(dst, *(const int *) e->ptr == KN_API_ENUM_UNKNOWN
                                          ? unknown_text(v, e->ptr)
                                          : e->shape->values[*(const int *) e->ptr]);
        break;
    case KN_API_BLOB:
        (void) kn_buf_printf(dst, "java.nio.HeapByteBuffer[pos=0 lim=%zu cap=%zu]",
                             ((const struct kn_bytes *) e->ptr)->len,
                             ((const struct kn_bytes *) e->ptr)->len);
        break;
    case KN_API_BLOB_VIEW:
        (void) kn_buf_printf(dst, "java.nio.HeapByteBuffer[pos=0 lim=%zu cap=%zu]",
                             ((const struct kn_api_blob *) e->ptr)->len,
                             ((const struct kn_api_blob *) e->ptr)->len);
        break;
    case KN_API_DOUBLE:
        (void) kn_buf_printf(dst, "%g", ((const struct kn_api_double *) e->ptr)->v);
        break;
    case KN_API_INTEGER:
    case KN_API_LONG:
    case KN_API_TIMESTAMP:
    case KN_API_BOOLEAN:
    case KN_API_STRUCTURE:
    case KN_API_LIST:
    case KN_API_MAP: /* only whole numbers come here */
        whole = e->row ? ((const struct kn_api_i64 *) e->ptr)->v : *(const int64_t *) e->ptr;
        (void) kn_buf_printf(dst, "%" PRId64, whole);
        break;
    }
}

static void append_list(const struct validator *v, const struct kn_api_shape *shape,
                        const void *ptr, struct kn_buf *dst)
{
    struct kn_api_list list;
    memcpy(&list, ptr, sizeof list);
    size_t kept =
        shape->has_max ? (size_t) kn_min_u64(list.count, (uint64_t) shape->max) : list.count;
    (void) kn_buf_append_byte(dst, '[');
    for (size_t i = 0; i < kept && dst->len < VALUE_BYTES_MAX; i++) {
        struct kn_api_event item = {.shape = shape->item,
                                    .ptr = (const char *) list.items + i * shape->item_bytes};
        if (i)
            (void) kn_buf_append_text(dst, ", ");
        if (shape->item->type == KN_API_STRUCTURE)
            (void) kn_buf_printf(dst, "%s%s%s", v->dialect->before, shape->item->structure->name,
                                 v->dialect->after);
        else
            append_scalar(v, &item, dst);
    }
    (void) kn_buf_append_byte(dst, ']');
}

static void append_map(const struct kn_api_shape *shape, const struct kn_api_map *map,
                       struct kn_buf *dst)
{
    size_t kept =
        shape->has_max ? (size_t) kn_min_u64(map->count, (uint64_t) shape->max) : map->count;
    (void) kn_buf_append_byte(dst, '{');
    for (size_t i = 0; i < kept && dst->len < VALUE_BYTES_MAX; i++) {
        (void) kn_buf_append_text(dst, i ? ", " : "");
        (void) kn_buf_append_str(dst, map->items[i].key);
        (void) kn_buf_append_byte(dst, '=');
        (void) kn_buf_append_str(dst, map->items[i].value);
    }
    (void) kn_buf_append_byte(dst, '}');
}

static void append_value(const struct validator *v, const struct kn_api_event *e,
                         struct kn_buf *dst)
{
    KN_CLEANUP(kn_buf_done) struct kn_buf text = {0};
    if (e->kind == KN_API_ABSENT) {
        (void) kn_buf_append_text(dst, "Value null");
        return;
    }
    kn_buf_init(&text, KN_API_ANSWER_BYTES_MAX);
    if (e->shape->type == KN_API_LIST)
        append_list(v, e->shape, e->ptr, &text);
    else if (e->shape->type == KN_API_MAP)
        append_map(e->shape, e->ptr, &text);
    else
        append_scalar(v, e, &text);
    size_t cut = (size_t) kn_min_u64(text.len, VALUE_BYTES_MAX);
    while (cut && cut < text.len && (text.ptr[cut] & 0xC0) == 0x80)
        cut--; /* not inside a character */
    (void) kn_buf_append_text(dst, "Value '");
    (void) kn_buf_append(dst, text.ptr, cut);
    (void) kn_buf_append_byte(dst, '\'');
}

/* Begins one violation; the caller appends the constraint. False when enough have been told. */
static bool violate(struct validator *v, const struct kn_api_event *e)
{
    if (v->count == v->dialect->violations_max)
        return false;
    if (v->count++)
        (void) kn_buf_append_text(&v->list, "; ");
    append_value(v, e, &v->list);
    (void) kn_buf_append_text(&v->list, " at '");
    append_path(v, e, &v->list);
    (void) kn_buf_append_text(&v->list, "' failed to satisfy constraint: ");
    return true;
}

/* --- constraints ------------------------------------------------------------------------------ */
static void append_enum_set(const struct kn_api_shape *shape, struct kn_buf *dst)
{
    (void) kn_buf_append_text(dst, "Member must satisfy enum value set: [");
    for (size_t i = 1; i <= shape->value_count; i++) {
        (void) kn_buf_append_text(dst, i > 1 ? ", " : "");
        (void) kn_buf_append_str(dst, shape->values[i]);
    }
    (void) kn_buf_append_byte(dst, ']');
}

static void check_bounds(struct validator *v, const struct kn_api_event *e, const char *what,
                         int64_t got)
{
    if (e->shape->has_min && got < e->shape->min && violate(v, e))
        (void) kn_buf_printf(&v->list, "Member must have %s greater than or equal to %" PRId64,
                             what, e->shape->min);
    if (e->shape->has_max && got > e->shape->max && violate(v, e))
        (void) kn_buf_printf(&v->list, "Member must have %s less than or equal to %" PRId64, what,
                             e->shape->max);
}

static bool string_holds(const struct kn_api_shape *shape, struct kn_str s)
{
    int64_t len = (int64_t) kn_utf8_count(s);
    bool listed = shape->type != KN_API_ENUM;
    for (size_t i = 1; !listed && i <= shape->value_count; i++)
        listed = kn_str_eq(shape->values[i], s);
    return listed && !(shape->has_min && len < shape->min) &&
           !(shape->has_max && len > shape->max) && (!shape->pattern || shape->pattern(s));
}

/* "Member must satisfy constraint: [Member must have length …, …]" for items, keys and values. */
static void append_string_constraint(const struct kn_api_shape *shape, const char *who,
                                     struct kn_buf *dst)
{
    const char *comma = "";
    (void) kn_buf_printf(dst, "%s must satisfy constraint: [", who);
    if (shape->type == KN_API_ENUM)
        append_enum_set(shape, dst);
    if (shape->has_max) {
        (void) kn_buf_printf(dst, "Member must have length less than or equal to %" PRId64,
                             shape->max);
        comma = ", ";
    }
    if (shape->has_min) {
        (void) kn_buf_printf(dst, "%sMember must have length greater than or equal to %" PRId64,
                             comma, shape->min);
        comma = ", ";
    }
    if (shape->pattern)
        (void) kn_buf_printf(dst, "%sMember must satisfy regular expression pattern: %s", comma,
                             shape->pattern_text);
    (void) kn_buf_append_byte(dst, ']');
}

static void check_string(struct validator *v, const struct kn_api_event *e)
{
    struct kn_str s = *(const struct kn_str *) e->ptr;
    if (e->shape->pattern && !e->shape->pattern(s) && violate(v, e))
        (void) kn_buf_printf(&v->list, "Member must satisfy regular expression pattern: %s",
                             e->shape->pattern_text);
    check_bounds(v, e, "length", (int64_t) kn_utf8_count(s));
}

static void check_map(struct validator *v, const struct kn_api_event *e)
{
    const struct kn_api_map *map = e->ptr;
    bool keys = true, values = true;
    check_bounds(v, e, "length", (int64_t) map->count);
    size_t kept =
        e->shape->has_max ? (size_t) kn_min_u64(map->count, (uint64_t) e->shape->max) : map->count;
    for (size_t i = 0; i < kept; i++) {
        keys = keys && string_holds(e->shape->key, map->items[i].key);
        values = values && string_holds(e->shape->value, map->items[i].value);
    }
    if (!keys && violate(v, e))
        append_string_constraint(e->shape->key, "Map keys", &v->list);
    if (!values && violate(v, e))
        append_string_constraint(e->shape->value, "Map value", &v->list);
}

static void check_list(struct validator *v, const struct kn_api_event *e)
{
    struct kn_api_list list;
    const struct kn_api_shape *item = e->shape->item;
    memcpy(&list, e->ptr, sizeof list);
    check_bounds(v, e, "length", (int64_t) list.count);
    if (item->type != KN_API_STRING && item->type != KN_API_ENUM)
        return;
    size_t kept =
        e->shape->has_max ? (size_t) kn_min_u64(list.count, (uint64_t) e->shape->max) : list.count;
    for (size_t i = 0; i < kept; i++) {
        const char *at = (const char *) list.items + i * e->shape->item_bytes;
        bool holds = item->type == KN_API_STRING
                         ? string_holds(item, *(const struct kn_str *) (const void *) at)
                         : *(const int *) (const void *) at != KN_API_ENUM_UNKNOWN;
        if (holds)
            continue;
        if (violate(v, e))
            append_string_constraint(item, "Member", &v->list);
        return;
    }
}

static void check_value(struct validator *v, const struct kn_api_event *e)
{
    switch (e->shape->type) {
    case KN_API_STRING:
        check_string(v, e);
        break;
    case KN_API_BLOB:
        check_bounds(v, e, "length", (int64_t) ((const struct kn_bytes *) e->ptr)->len);
        break;
    case KN_API_BLOB_VIEW:
        check_bounds(v, e, "length", (int64_t) ((const struct kn_api_blob *) e->ptr)->len);
        break;
    case KN_API_INTEGER:
    case KN_API_LONG:
        check_bounds(v, e, "value",
                     e->row ? ((const struct kn_api_i64 *) e->ptr)->v : *(const int64_t *) e->ptr);
        break;
    case KN_API_ENUM:
        if (*(const int *) e->ptr == KN_API_ENUM_UNKNOWN && violate(v, e))
            append_enum_set(e->shape, &v->list);
        break;
    case KN_API_MAP:
        check_map(v, e);
        break;
    case KN_API_TIMESTAMP:
    case KN_API_DOUBLE:
    case KN_API_BOOLEAN:
    case KN_API_STRUCTURE:
    case KN_API_LIST:
        break; /* nothing to check, or not a value */
    }
}

/* Strings and enums of a list have been told in one violation of the list itself. */
static bool is_told_by_list(const struct kn_api_event *e)
{
    return !e->row && e->shape &&
           (e->shape->type == KN_API_STRING || e->shape->type == KN_API_ENUM);
}

void kn_api_validate(const struct kn_api_structure *structure, const void *base,
                     const struct kn_api_unknown_enum *unknown,
                     const struct kn_api_dialect *dialect, struct kn_buf *dst)
{
    struct validator v = {.unknown = unknown, .dialect = dialect};
    struct kn_api_event e;
    kn_buf_init(&v.list, KN_API_BODY_BYTES_MAX);
    kn_api_walk_init(&v.walk, structure, base);
    while (kn_api_walk_next(&v.walk, &e)) {
        if (e.kind == KN_API_ABSENT && e.row->required && violate(&v, &e))
            (void) kn_buf_append_text(&v.list, "Member must not be null");
        else if (e.kind == KN_API_LIST_BEGIN)
            check_list(&v, &e);
        else if (e.kind == KN_API_VALUE && !is_told_by_list(&e))
            check_value(&v, &e);
    }
    if (v.count) {
        (void) kn_buf_printf(dst, "%zu validation error%s detected: ", v.count,
                             v.count == 1 ? "" : "s");
        (void) kn_buf_append(dst, v.list.ptr, v.list.len);
    }
    kn_buf_done(&v.list);
}
