/* SPDX-License-Identifier: Apache-2.0 */
/* Settings from tables of rows; see core/conf.h for the forms they come in. */
#include "core/conf.h"

#include <ctype.h>
#include <errno.h>

#include "core/fs.h"
#include "core/nearest.h"

enum {
    NAME_BYTES_MAX = 63
};

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

static const struct kn_conf_key *find(const struct kn_conf_table *tables, size_t count,
                                      struct kn_str name, const struct kn_conf_table **ret_table)
{
    for (size_t t = 0; t < count; t++) {
        for (size_t k = 0; k < tables[t].count; k++) {
            if (same_name(name, tables[t].keys[k].name)) {
                *ret_table = &tables[t];
                return &tables[t].keys[k];
            }
        }
    }
    return NULL;
}

int kn_conf_set(const struct kn_conf_table *tables, size_t count, struct kn_str name,
                struct kn_str value, struct kn_err *err)
{
    const struct kn_conf_table *table;
    const struct kn_conf_key *key = find(tables, count, name, &table);
    if (key)
        return set_member(table, key, value, err);
    const char *near = kn_conf_nearest(tables, count, name);
    return kn_fail(err, -ENOENT, "there is no setting \"" KN_STR_FMT "\"%s%s%s", KN_STR_ARG(name),
                   near ? "; is " : "", near ? near : "", near ? " meant?" : "");
}

const char *kn_conf_nearest(const struct kn_conf_table *tables, size_t count, struct kn_str name)
{
    struct kn_nearest nearest;

    kn_nearest_init(&nearest, name);
    for (size_t t = 0; t < count; t++)
        for (size_t k = 0; k < tables[t].count; k++)
            kn_nearest_try(&nearest, tables[t].keys[k].name);
    return nearest.found;
}

/* 1: a setting; 0: nothing is in this line. */
static int parse_line(struct kn_str line, struct kn_str *ret_name, struct kn_str *ret_value,
                      struct kn_err *err)
{
    struct kn_str value;

    (void) kn_str_cut(line, '#', &line);
    (void) kn_str_cut(line, '\r', &line);
    line = kn_str_trim(line);
    if (line.len == 0)
        return 0;
    value = kn_str_cut(line, '=', ret_name);
    if (!value.ptr)
        return kn_fail(err, -EINVAL, "expected \"name = value\"");
    *ret_name = kn_str_trim(*ret_name);
    *ret_value = kn_str_trim(value);
    return 1;
}

struct file {
    const struct kn_conf_table *tables;
    size_t count;
    struct kn_str text;
};

/* The first line that sets this. */
static unsigned line_of(const struct file *file, const struct kn_conf_key *key)
{
    struct kn_str rest = file->text, one, name, value;
    const struct kn_conf_table *table;

    for (unsigned line = 1; rest.len; line++) {
        rest = kn_str_cut(rest, '\n', &one);
        if (parse_line(one, &name, &value, NULL) > 0 &&
            find(file->tables, file->count, name, &table) == key)
            return line;
    }
    return 0;
}

static int set_line(const struct file *file, unsigned line, struct kn_str text, struct kn_err *err)
{
    struct kn_str name, value;
    const struct kn_conf_table *table;
    int r = parse_line(text, &name, &value, err);

    if (r <= 0)
        return r;
    const struct kn_conf_key *key = find(file->tables, file->count, name, &table);
    unsigned first = key ? line_of(file, key) : line;

    if (first != line)
        return kn_fail(err, -EINVAL, "%s: line %u sets it already", key->name, first);
    return kn_conf_set(file->tables, file->count, name, value, err);
}

int kn_conf_read_file(const struct kn_conf_table *tables, size_t count, const char *path,
                      struct kn_err *err)
{
    struct kn_buf text;
    int r;

    kn_buf_init(&text, MIB(1));
    r = kn_fs_read_file(kn_fs_system(), path, &text);
    if (r < 0)
        (void) kn_fail(err, r, "%s: cannot be read: %s", path, kn_errsay(r));
    const struct file file = {tables, count, kn_buf_str(&text)};
    struct kn_str rest = file.text;
    for (unsigned line = 1; r == 0 && rest.len; line++) {
        struct kn_str one;

        rest = kn_str_cut(rest, '\n', &one);
        r = set_line(&file, line, one, err);
        if (r < 0) {
            char where[128];

            (void) snprintf(where, sizeof where, "%.100s:%u", path, line);
            (void) kn_fail_at(err, r, where);
        }
    }
    kn_buf_done(&text);
    return r;
}

/* KINEMA_API_TLS → api_tls. False: it is no name of a setting. */
static bool name_of_variable(struct kn_str variable, char dst[NAME_BYTES_MAX], struct kn_str *ret)
{
    static const char prefix[] = "KINEMA_";
    struct kn_str name = kn_str_skip(variable, sizeof prefix - 1);

    if (!kn_str_starts_with(variable, KN_STR("KINEMA_")) || name.len > NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++)
        dst[i] = (char) tolower((unsigned char) name.ptr[i]);
    *ret = (struct kn_str){dst, name.len};
    return true;
}

int kn_conf_read_env(const struct kn_conf_table *tables, size_t count, char *const *vars,
                     struct kn_err *err)
{
    for (; *vars; vars++) {
        struct kn_str variable, name, value = kn_str_cut(kn_str_from(*vars), '=', &variable);
        const struct kn_conf_table *table;
        char lower[NAME_BYTES_MAX];

        if (!name_of_variable(variable, lower, &name) || !find(tables, count, name, &table))
            continue; /* KINEMA_ variables of tests and scripts are none of ours */
        int r = kn_conf_set(tables, count, name, value, err);

        if (r < 0)
            return kn_fail_at(err, r, "environment");
    }
    return 0;
}

void kn_conf_slips(const struct kn_conf_table *tables, size_t count, char *const *vars,
                   kn_conf_slip_fn *slip, void *ctx)
{
    for (; *vars; vars++) {
        struct kn_str variable, name;
        const char *nearest;
        char lower[NAME_BYTES_MAX];

        (void) kn_str_cut(kn_str_from(*vars), '=', &variable);
        if (!name_of_variable(variable, lower, &name))
            continue;
        nearest = kn_conf_nearest(tables, count, name);
        if (nearest && !same_name(name, nearest))
            slip(ctx, variable, nearest);
    }
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
