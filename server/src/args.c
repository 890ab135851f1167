/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line. GNU forms: --name value, --name=value, --switch, -- ends the options.
 * Anything unknown is an error that names what is near and where the help is.
 */
#include "args.h"

#include "core/nearest.h"

const struct kn_conf_key *server_args_setting(const struct server_args_spec *spec,
                                              struct kn_str flag, char *dst, size_t cap)
{
    if (kn_str_copy(dst, cap, flag) < 0)
        return NULL;
    for (char *c = dst; *c; c++) {
        if (*c == '_')
            return NULL; /* one spelling only: --api-tls, not --api_tls */
        if (*c == '-')
            *c = '_';
    }
    for (size_t t = 0; t < spec->table_count; t++)
        for (size_t k = 0; k < spec->tables[t].count; k++)
            if (kn_str_eq(kn_str_from(spec->tables[t].keys[k].name), kn_str_from(dst)))
                return &spec->tables[t].keys[k];
    return NULL;
}

static const struct server_option *option_find(const struct server_args_spec *spec,
                                               struct kn_str name)
{
    for (size_t i = 0; i < spec->option_count; i++)
        if (kn_str_eq(kn_str_from(spec->options[i].name), name))
            return &spec->options[i];
    return NULL;
}

static int unknown(const struct server_args_spec *spec, struct kn_str name, struct kn_err *err)
{
    struct kn_nearest nearest;
    char flag[KN_NEAREST_BYTES_MAX + 1] = "";
    kn_nearest_init(&nearest, name);
    for (size_t i = 0; i < spec->option_count; i++)
        kn_nearest_try(&nearest, spec->options[i].name);
    for (size_t t = 0; t < spec->table_count; t++)
        for (size_t k = 0; k < spec->tables[t].count; k++)
            kn_nearest_try(&nearest, spec->tables[t].keys[k].name);
    bool near = nearest.found && kn_str_copy(flag, sizeof flag, kn_str_from(nearest.found)) == 0;
    for (char *c = flag; *c; c++)
        *c = *c == '_' ? '-' : *c;
    return kn_fail(err, -EINVAL, "unknown option --" KN_STR_FMT "%s%s%s", KN_STR_ARG(name),
                   near ? "; is --" : "", flag, near ? " meant?" : "");
}

/* One --flag; *at is its index and moves on when the value is the next word. */
static int take_flag(const struct server_args_spec *spec, int argc, char *const *argv, int *at,
                     struct server_args *args, struct kn_err *err)
{
    struct kn_str flag = kn_str_from(argv[*at] + 2);
    struct kn_str name;
    struct kn_str value = kn_str_cut(flag, '=', &name);
    char key_name[128];
    const struct server_option *option = option_find(spec, name);
    const struct kn_conf_key *key =
        option ? NULL : server_args_setting(spec, name, key_name, sizeof key_name);
    if (!option && !key)
        return unknown(spec, name, err);
    if (args->given_count == SERVER_ARGS_MAX)
        return kn_fail(err, -EMSGSIZE, "more than %d options", SERVER_ARGS_MAX);

    struct server_arg *arg = &args->given[args->given_count];
    *arg = (struct server_arg){.name = name, .setting = key != NULL, .value = "true"};
    bool is_switch = option ? !option->argument : key->type == KN_CONF_BOOL;
    if (value.ptr) {
        if (option && is_switch)
            return kn_fail(err, -EINVAL, "--" KN_STR_FMT " takes no value", KN_STR_ARG(name));
        arg->value = value.ptr; /* the rest of argv[i], so it ends with NUL */
    } else if (!is_switch) {
        if (*at + 1 >= argc)
            return kn_fail(err, -EINVAL, "--" KN_STR_FMT " wants a value", KN_STR_ARG(name));
        arg->value = argv[++*at];
    }
    args->given_count++;
    return 0;
}

int server_args_parse(const struct server_args_spec *spec, int argc, char *const *argv,
                      struct server_args *ret, struct kn_err *err)
{
    bool options = true;
    *ret = (struct server_args){0};
    for (int i = 0; i < argc; i++) {
        struct kn_str word = kn_str_from(argv[i]);
        if (options && kn_str_eq(word, KN_STR("--"))) {
            options = false;
        } else if (options &&
                   (kn_str_eq(word, KN_STR("--help")) || kn_str_eq(word, KN_STR("-h")))) {
            ret->help = true;
        } else if (options && kn_str_starts_with(word, KN_STR("--"))) {
            int code = take_flag(spec, argc, argv, &i, ret, err);
            if (code < 0)
                return code;
        } else if (options && word.len > 1 && word.ptr[0] == '-') {
            return kn_fail(err, -EINVAL, "unknown option %s", argv[i]);
        } else if (ret->word_count == SERVER_ARGS_MAX) {
            return kn_fail(err, -EMSGSIZE, "more than %d arguments", SERVER_ARGS_MAX);
        } else {
            ret->words[ret->word_count++] = argv[i];
        }
    }
    return 0;
}

const char *server_args_get(const struct server_args *args, const char *name)
{
    const char *value = NULL;
    for (size_t i = 0; i < args->given_count; i++)
        if (!args->given[i].setting && kn_str_eq(args->given[i].name, kn_str_from(name)))
            value = args->given[i].value;
    return value;
}

bool server_args_has(const struct server_args *args, const char *name)
{
    return server_args_get(args, name) != NULL;
}
