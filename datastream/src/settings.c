/* SPDX-License-Identifier: Apache-2.0 */
#include "settings.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "core/json.h"

struct counted {
    _Atomic unsigned refs;
    struct kn_arena arena;
    struct datastream_settings settings;
};

struct datastream_settings *datastream_settings_ref(struct datastream_settings *settings)
{
    struct counted *c = KN_CONTAINER_OF(settings, struct counted, settings);
    unsigned before = atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    kn_assert(before > 0);
    return settings;
}

static void destroy(struct counted *c)
{
    kn_arena_done(&c->arena);
    free(c);
}

void datastream_settings_unref(struct datastream_settings *settings)
{
    if (!settings)
        return;
    struct counted *c = KN_CONTAINER_OF(settings, struct counted, settings);
    if (atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1)
        destroy(c);
}

static struct counted *make(void)
{
    struct counted *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    atomic_init(&c->refs, 1);
    kn_arena_init(&c->arena, DATASTREAM_SETTINGS_BYTES_MAX);
    return c;
}

static int copy_str(struct kn_arena *arena, struct kn_str *s)
{
    if (!s->ptr)
        return 0;
    *s = kn_arena_str(arena, *s);
    return s->ptr ? 0 : -ENOMEM;
}

static int by_key(const void *a, const void *b)
{
    return kn_str_cmp(((const struct datastream_tag *) a)->key,
                      ((const struct datastream_tag *) b)->key);
}

static int copy_tags(struct kn_arena *arena, struct datastream_settings *s)
{
    if (s->tag_count > DATASTREAM_TAGS_MAX)
        return -EINVAL;
    if (s->tag_count == 0)
        return 0;
    s->tags = kn_arena_copy(arena, s->tags, s->tag_count * sizeof(*s->tags));
    if (!s->tags)
        return -ENOMEM;
    for (size_t i = 0; i < s->tag_count; i++) {
        if (copy_str(arena, &s->tags[i].key) < 0 || copy_str(arena, &s->tags[i].value) < 0)
            return -ENOMEM;
    }
    qsort(s->tags, s->tag_count, sizeof(*s->tags), by_key);
    for (size_t i = 1; i < s->tag_count; i++) {
        if (kn_str_eq(s->tags[i].key, s->tags[i - 1].key))
            return -EINVAL;
    }
    return 0;
}

int datastream_settings_copy(const struct datastream_settings *settings,
                             struct datastream_settings **ret)
{
    struct counted *c = make();
    if (!c)
        return -ENOMEM;
    struct datastream_settings *s = &c->settings;
    *s = *settings;
    int r = copy_tags(&c->arena, s);
    if (r == 0)
        r = copy_str(&c->arena, &s->name);
    if (r == 0)
        r = copy_str(&c->arena, &s->kms_key);
    if (r == 0)
        r = copy_str(&c->arena, &s->policy);
    if (r < 0)
        destroy(c);
    else
        *ret = s;
    return r;
}

/* --- the record ------------------------------------------------------------------------------- */
enum kind {
    NUMBER,
    FLAG,
    TEXT
};
static const struct row {
    const char *name;
    enum kind kind;
    size_t offset;
} rows[] = {
#define ROW(kind, member)                                                                          \
    {                                                                                              \
#member, kind, offsetof(struct datastream_settings, member)                                \
    }
    ROW(TEXT, name),
    ROW(NUMBER, created_ms),
    ROW(NUMBER, retention_hours),
    ROW(NUMBER, record_kib_max),
    ROW(NUMBER, warm_mibps),
    ROW(NUMBER, metrics),
    ROW(FLAG, on_demand),
    ROW(FLAG, spread),
    ROW(FLAG, deleting),
    ROW(FLAG, creating),
    ROW(NUMBER, busy_until_ms),
    ROW(TEXT, kms_key),
    ROW(TEXT, policy),
#undef ROW
};
enum {
    ROWS = sizeof(rows) / sizeof(*rows)
};

static void write_member(struct kn_json_writer *w, const struct row *row,
                         const struct datastream_settings *s)
{
    const void *at = (const char *) s + row->offset;
    if (row->kind == TEXT && !((const struct kn_str *) at)->ptr)
        return;
    kn_json_key(w, row->name);
    switch (row->kind) {
    case NUMBER:
        kn_json_i64(w, *(const int64_t *) at);
        break;
    case FLAG:
        kn_json_bool(w, *(const bool *) at);
        break;
    case TEXT:
        kn_json_str(w, *(const struct kn_str *) at);
        break;
    }
}

void datastream_settings_encode(const struct datastream_settings *settings, struct kn_buf *dst)
{
    struct kn_json_writer w;
    kn_json_writer_init(&w, dst);
    kn_json_object_begin(&w);
    for (size_t i = 0; i < ROWS; i++)
        write_member(&w, &rows[i], settings);
    kn_json_key(&w, "tags");
    kn_json_object_begin(&w);
    for (size_t i = 0; i < settings->tag_count; i++) {
        kn_json_key_str(&w, settings->tags[i].key);
        kn_json_str(&w, settings->tags[i].value);
    }
    kn_json_object_end(&w);
    kn_json_object_end(&w);
}

static int read_text(struct kn_json_reader *r, struct kn_arena *arena, struct kn_str *ret)
{
    struct kn_str view;
    int result = kn_json_unescape(r, arena, &view);
    if (result == 0) {
        *ret = kn_arena_str(arena, view);
        result = ret->ptr ? 0 : -ENOMEM;
    }
    return result;
}

static int read_member(struct kn_json_reader *r, struct counted *c, const struct row *row)
{
    void *at = (char *) &c->settings + row->offset;
    enum kn_json_token token;
    int result = kn_json_next(r, &token);
    if (result < 0)
        return result;
    switch (row->kind) {
    case NUMBER:
        return token == KN_JSON_NUMBER ? kn_json_number_i64(r, at) : -EBADMSG;
    case FLAG:
        *(bool *) at = token == KN_JSON_TRUE;
        return token == KN_JSON_TRUE || token == KN_JSON_FALSE ? 0 : -EBADMSG;
    case TEXT:
        return token == KN_JSON_STRING ? read_text(r, &c->arena, at) : -EBADMSG;
    }
    return -EBADMSG;
}

static int read_tags(struct kn_json_reader *r, struct counted *c)
{
    struct datastream_settings *s = &c->settings;
    s->tags = kn_arena_alloc(&c->arena, DATASTREAM_TAGS_MAX * sizeof(*s->tags));
    enum kn_json_token token;
    int result = s->tags ? kn_json_next(r, &token) : -ENOMEM;
    if (result < 0 || token != KN_JSON_OBJECT)
        return result < 0 ? result : -EBADMSG;
    for (;;) {
        result = kn_json_next(r, &token);
        if (result < 0 || token == KN_JSON_OBJECT_END)
            return result;
        if (s->tag_count == DATASTREAM_TAGS_MAX)
            return -EBADMSG;
        struct datastream_tag *tag = &s->tags[s->tag_count];
        result = read_text(r, &c->arena, &tag->key);
        if (result == 0)
            result = kn_json_next(r, &token);
        if (result == 0)
            result = token == KN_JSON_STRING ? read_text(r, &c->arena, &tag->value) : -EBADMSG;
        if (result < 0)
            return result;
        if (s->tag_count > 0 && kn_str_cmp(tag[-1].key, tag->key) >= 0)
            return -EBADMSG;
        s->tag_count++;
    }
}

static int read_known(struct kn_json_reader *r, struct counted *c)
{
    if (kn_str_eq(r->raw, KN_STR("tags")))
        return c->settings.tags ? -EBADMSG : read_tags(r, c);
    for (size_t i = 0; i < ROWS; i++) {
        if (kn_str_eq(r->raw, kn_str_from(rows[i].name)))
            return read_member(r, c, &rows[i]);
    }
    enum kn_json_token token; /* of a later version */
    int result = kn_json_next(r, &token);
    return result < 0 ? result : kn_json_skip(r, token);
}

static bool is_sound(const struct datastream_settings *s)
{
    return s->name.len > 0 && s->created_ms >= 0 && s->retention_hours > 0 &&
           s->retention_hours <= DATASTREAM_RETENTION_HOURS_MAX && s->record_kib_max > 0 &&
           s->record_kib_max <= DATASTREAM_RECORD_KIB_MAX && s->warm_mibps >= 0 &&
           s->busy_until_ms >= 0 && (s->metrics & ~(int64_t) DATASTREAM_METRICS_ALL) == 0;
}

static int read_record(struct kn_json_reader *r, struct counted *c)
{
    enum kn_json_token token;
    int result = kn_json_next(r, &token);
    if (result < 0 || token != KN_JSON_OBJECT)
        return result < 0 ? result : -EBADMSG;
    while ((result = kn_json_next(r, &token)) == 0 && token == KN_JSON_KEY) {
        result = read_known(r, c);
        if (result < 0)
            return result;
    }
    if (result == 0)
        result = kn_json_next(r, &token);
    if (result < 0)
        return result;
    return token == KN_JSON_DONE && is_sound(&c->settings) ? 0 : -EBADMSG;
}

int datastream_settings_decode(struct kn_bytes record, struct datastream_settings **ret)
{
    struct counted *c = make();
    if (!c)
        return -ENOMEM;
    struct kn_json_reader r;
    kn_json_reader_init(&r, record);
    int result = read_record(&r, c);
    if (result == 0) {
        *ret = &c->settings;
        return 0;
    }
    destroy(c);
    return result == -ENOMEM ? result : -EBADMSG;
}
