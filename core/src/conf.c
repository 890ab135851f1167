/* SPDX-License-Identifier: Apache-2.0 */
/* Settings from tables of rows; see core/conf.h for the forms they come in. */
#include "core/conf.h"

#include <ctype.h>
#include <errno.h>

#include "core/fs.h"

struct suffix {
    const char *text;
    uint64_t factor;
};

static const struct suffix byte_suffixes[] = {
    {"B",   1         },
    {"KiB", 1ull << 10},
    {"MiB", 1ull << 20},
    {"GiB", 1ull << 30},
    {"TiB", 1ull << 40},
    {NULL,  0         }
};
static const struct suffix ms_suffixes[] = {
    {"ms",  1       },
    {"s",   1000    },
    {"min", 60000   },
    {"h",   3600000 },
    {"d",   86400000},
    {NULL,  0       }
};
static const struct suffix second_suffixes[] = {
    {"s",   1    },
    {"min", 60   },
    {"h",   3600 },
    {"d",   86400},
    {NULL,  0    }
};
static const struct suffix hour_suffixes[] = {
    {"h",  1 },
    {"d",  24},
    {NULL, 0 }
};
static const struct suffix no_suffixes[] = {
    {NULL, 0}
};

static const struct suffix *suffixes_of(const struct kn_conf_key *key)
{
    if (strcmp(key->unit, "bytes") == 0)
        return byte_suffixes;
    if (strcmp(key->unit, "ms") == 0)
        return ms_suffixes;
    if (strcmp(key->unit, "s") == 0)
        return second_suffixes;
    if (strcmp(key->unit, "hours") == 0)
        return hour_suffixes;
    return no_suffixes;
}

static void *member(const struct kn_conf_table *table, const struct kn_conf_key *key)
{
    return (char *) table->target + key->offset;
}

static int set_text(const struct kn_conf_key *key, char **target, struct kn_str value,
                    struct kn_err *err)
{
    if (value.len && memchr(value.ptr, '\0', value.len))
        return kn_fail(err, -EINVAL, "%s: there is a zero byte in it", key->name);
    char *copy = strndup(value.ptr ? value.ptr : "", value.len);
    if (!copy)
        return -ENOMEM;
    free(*target);
    *target = copy;
    return 0;
}

/* Its unit is no word to say. */
static bool is_counted(const struct kn_conf_key *key)
{
    return !*key->unit || strcmp(key->unit, "count") == 0;
}

static int set_u64(const struct kn_conf_key *key, uint64_t *target, struct kn_str value,
                   struct kn_err *err)
{
    struct kn_str number = value, suffix;
    uint64_t v, factor = 1;
    size_t digits = 0;

    while (digits < value.len && isdigit((unsigned char) value.ptr[digits]))
        digits++;
    number.len = digits;
    suffix = kn_str_trim(kn_str_skip(value, digits));
    if (suffix.len) {
        const struct suffix *s = suffixes_of(key);

        while (s->text && !kn_str_eq_nocase(kn_str_from(s->text), suffix))
            s++;
        if (!s->text)
            return is_counted(key)
                       ? kn_fail(err, -EINVAL, "%s: \"" KN_STR_FMT "\" is not a number", key->name,
                                 KN_STR_ARG(value))
                       : kn_fail(err, -EINVAL, "%s: \"" KN_STR_FMT "\" is not a number of %s",
                                 key->name, KN_STR_ARG(value), key->unit);
        factor = s->factor;
    }
    if (kn_str_to_u64(number, UINT64_MAX, &v) < 0 || __builtin_mul_overflow(v, factor, &v))
        return kn_fail(err, -EINVAL, "%s: \"" KN_STR_FMT "\" is not a number", key->name,
                       KN_STR_ARG(value));
    if (v < key->min || v > key->max)
        return kn_fail(err, -EINVAL, "%s: %" PRIu64 " is outside %" PRIu64 " to %" PRIu64 " %s",
                       key->name, v, key->min, key->max, key->unit);
    *target = v;
    return 0;
}

static int set_bool(const struct kn_conf_key *key, bool *target, struct kn_str value,
                    struct kn_err *err)
{
    static const struct {
        const char *text;
        bool value;
    } words[] = {
        {"true",  true },
        {"yes",   true },
        {"on",    true },
        {"1",     true },
        {"",      true },
        {"false", false},
        {"no",    false},
        {"off",   false},
        {"0",     false}
    };

    for (size_t i = 0; i < KN_ARRAY_LEN(words); i++) {
        if (kn_str_eq_nocase(value, kn_str_from(words[i].text))) {
            *target = words[i].value;
            return 0;
        }
    }
    return kn_fail(err, -EINVAL, "%s: \"" KN_STR_FMT "\" is neither true nor false", key->name,
                   KN_STR_ARG(value));
}

static int set_choice(const struct kn_conf_key *key, int *target, struct kn_str value,
                      struct kn_err *err)
{
    for (int i = 0; key->choices[i]; i++) {
        if (kn_str_eq(value, kn_str_from(key->choices[i]))) {
            *target = i;
            return 0;
        }
    }
    char choices[128] = "";
    for (int i = 0; key->choices[i]; i++) {
        size_t len = strlen(choices);
        (void) snprintf(choices + len, sizeof choices - len, "%s%s", i ? ", " : "",
                        key->choices[i]);
    }
    return kn_fail(err, -EINVAL, "%s: \"" KN_STR_FMT "\" is not one of its values: %s", key->name,
                   KN_STR_ARG(value), choices);
}

static int set_member(const struct kn_conf_table *table, const struct kn_conf_key *key,
                      struct kn_str value, struct kn_err *err)
{
    void *target = member(table, key);

    switch (key->type) {
    case KN_CONF_U64:
        return set_u64(key, target, value, err);
    case KN_CONF_BOOL:
        return set_bool(key, target, value, err);
    case KN_CONF_CHOICE:
        return set_choice(key, target, value, err);
    case KN_CONF_TEXT:
        return set_text(key, target, value, err);
    }
    kn_assert_failed("conf type", __FILE__, __LINE__, __func__);
}

int kn_conf_defaults(const struct kn_conf_table *tables, size_t count)
{
    for (size_t t = 0; t < count; t++) {
        for (size_t k = 0; k < tables[t].count; k++) {
            const struct kn_conf_key *key = &tables[t].keys[k];
            void *target = member(&tables[t], key);

            if (key->type == KN_CONF_U64)
                *(uint64_t *) target = key->def;
            else if (key->type == KN_CONF_BOOL)
                *(bool *) target = key->def != 0;
            else if (key->type == KN_CONF_CHOICE)
                *(int *) target = (int) key->def;
            else if (set_text(key, target, kn_str_from(key->def_text), NULL) < 0)
                return -ENOMEM;
        }
    }
    return 0;
}

void kn_conf_done(const struct kn_conf_table *tables, size_t count)
{
    for (size_t t = 0; t < count; t++) {
        for (size_t k = 0; k < tables[t].count; k++) {
            const struct kn_conf_key *key = &tables[t].keys[k];

            if (key->type == KN_CONF_TEXT) {
                char **target = member(&tables[t], key);

                free(*target);
                *target = NULL;
            }
        }
    }
}

/* `-` and `_` are the same in a name: flags use one, files the other. */
static bool same_name(struct kn_str name, const char *key)
{
    if (name.len != strlen(key))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        if ((name.ptr[i] == '-' ? '_' : name.ptr[i]) != key[i])
            return false;
    }
    return true;
}

int kn_conf_set(const struct kn_conf_table *tables, size_t count, struct kn_str name,
                struct kn_str value, struct kn_err *err)
{
    for (size_t t = 0; t < count; t++) {
        for (size_t k = 0; k < tables[t].count; k++) {
            if (same_name(name, tables[t].keys[k].name))
                return set_member(&tables[t], &tables[t].keys[k], value, err);
        }
    }
    return kn_fail(err, -ENOENT, "there is no setting \"" KN_STR_FMT "\"", KN_STR_ARG(name));
}

static int set_line(const struct kn_conf_table *tables, size_t count, struct kn_str line,
                    struct kn_err *err)
{
    struct kn_str name, value;

    (void) kn_str_cut(line, '#', &line);
    (void) kn_str_cut(line, '\r', &line);
    line = kn_str_trim(line);
    if (line.len == 0)
        return 0;
    value = kn_str_cut(line, '=', &name);
    if (!value.ptr)
        return kn_fail(err, -EINVAL, "expected \"name = value\"");
    return kn_conf_set(tables, count, kn_str_trim(name), kn_str_trim(value), err);
}

int kn_conf_read_file(const struct kn_conf_table *tables, size_t count, const char *path,
                      struct kn_err *err)
{
    struct kn_buf text;
    struct kn_str rest;
    int r;

    kn_buf_init(&text, MIB(1));
    r = kn_fs_read_file(kn_fs_system(), path, &text);
    if (r < 0)
        (void) kn_fail(err, r, "%s: cannot be read: %s", path, kn_errsay(r));
    rest = kn_buf_str(&text);
    for (unsigned line = 1; r == 0 && rest.len; line++) {
        struct kn_str one;

        rest = kn_str_cut(rest, '\n', &one);
        r = set_line(tables, count, one, err);
        if (r < 0) {
            char where[128];

            (void) snprintf(where, sizeof where, "%.100s:%u", path, line);
            (void) kn_fail_at(err, r, where);
        }
    }
    kn_buf_done(&text);
    return r;
}

int kn_conf_read_env(const struct kn_conf_table *tables, size_t count, char *const *vars,
                     struct kn_err *err)
{
    for (; *vars; vars++) {
        struct kn_str name, value = kn_str_cut(kn_str_from(*vars), '=', &name);
        char lower[64];
        size_t len = 0;
        int r;

        if (!kn_str_starts_with(name, KN_STR("KINEMA_")) || name.len - 7 >= sizeof lower)
            continue;
        for (size_t i = 7; i < name.len; i++)
            lower[len++] = (char) tolower((unsigned char) name.ptr[i]);
        r = kn_conf_set(tables, count, (struct kn_str){lower, len}, value, err);
        if (r == -ENOENT)
            continue; /* KINEMA_ variables of tests and scripts are none of ours */
        if (r < 0)
            return kn_fail_at(err, r, "environment");
    }
    return 0;
}

static void write_number(struct kn_buf *out, const struct kn_conf_key *key, uint64_t v)
{
    const struct suffix *best = NULL;

    if (v == UINT64_MAX) {
        (void) kn_buf_append_text(out, "no limit");
        return;
    }
    for (const struct suffix *s = suffixes_of(key); s->text; s++) {
        if (v && v % s->factor == 0)
            best = s;
    }
    if (best)
        (void) kn_buf_printf(out, "%" PRIu64 " %s", v / best->factor, best->text);
    else
        (void) kn_buf_printf(out, "%" PRIu64, v);
}

static void write_default(struct kn_buf *out, const struct kn_conf_key *key)
{
    if (key->type == KN_CONF_U64)
        write_number(out, key, key->def);
    else if (key->type == KN_CONF_BOOL)
        (void) kn_buf_append_text(out, key->def ? "true" : "false");
    else if (key->type == KN_CONF_CHOICE)
        (void) kn_buf_append_text(out, key->choices[key->def]);
    else
        (void) kn_buf_append_text(out, key->def_text && key->def_text[0] ? key->def_text : "none");
}

static void write_range(struct kn_buf *out, const struct kn_conf_key *key)
{
    if (key->type == KN_CONF_U64) {
        write_number(out, key, key->min);
        (void) kn_buf_append_text(out, " … ");
        write_number(out, key, key->max);
    } else if (key->type == KN_CONF_BOOL) {
        (void) kn_buf_append_text(out, "true, false");
    } else if (key->type == KN_CONF_CHOICE) {
        for (int i = 0; key->choices[i]; i++)
            (void) kn_buf_printf(out, "%s%s", i ? ", " : "", key->choices[i]);
    } else {
        (void) kn_buf_append_text(out, "text");
    }
}

int kn_conf_write_flag(const struct kn_conf_key *key, struct kn_buf *out)
{
    char flag[80];

    (void) snprintf(flag, sizeof flag, "--%s", key->name);
    for (char *p = flag; *p; p++) {
        if (*p == '_')
            *p = '-';
    }
    (void) kn_buf_printf(out, "  %-36s %s (default ", flag, key->help);
    write_default(out, key);
    (void) kn_buf_append_text(out, ")\n");
    return out->error;
}

int kn_conf_write_help(const struct kn_conf_table *tables, size_t count, struct kn_buf *out)
{
    for (size_t t = 0; t < count; t++) {
        (void) kn_buf_printf(out, "%s%s:\n", t ? "\n" : "", tables[t].title);
        for (size_t k = 0; k < tables[t].count; k++)
            (void) kn_conf_write_flag(&tables[t].keys[k], out);
    }
    return out->error;
}

int kn_conf_write_markdown(const struct kn_conf_table *tables, size_t count, struct kn_buf *out)
{
    for (size_t t = 0; t < count; t++) {
        (void) kn_buf_printf(
            out, "\n## %s\n\n| setting | range | default | meaning |\n|---|---|---|---|\n",
            tables[t].title);
        for (size_t k = 0; k < tables[t].count; k++) {
            const struct kn_conf_key *key = &tables[t].keys[k];

            (void) kn_buf_printf(out, "| `%s` | ", key->name);
            write_range(out, key);
            (void) kn_buf_append_text(out, " | ");
            write_default(out, key);
            (void) kn_buf_printf(out, " | %s |\n", key->help);
        }
    }
    return out->error;
}
