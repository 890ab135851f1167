/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command line, taken apart by a table of options. A command that takes settings also accepts
 * each of them as a flag: `--api-tls ADDR` sets the key api_tls (core/conf.h).
 */
#ifndef SERVER_ARGS_H
#define SERVER_ARGS_H

#include "core/conf.h"

enum {
    SERVER_ARGS_MAX = 128
};

struct server_option {
    const char *name;     /* without the dashes */
    const char *argument; /* what it takes, such as "DIR"; NULL: a switch */
    const char *help;
};

struct server_arg {
    struct kn_str name;
    const char *value; /* a switch: "true" */
    bool setting;      /* names a configuration key, in `name` with dashes as written */
};

struct server_args {
    struct server_arg given[SERVER_ARGS_MAX];
    size_t given_count;
    const char *words[SERVER_ARGS_MAX]; /* what is no option */
    size_t word_count;
    bool help;
};

struct server_args_spec {
    const struct server_option *options;
    size_t option_count;
    const struct kn_conf_table *tables; /* settings taken as flags; NULL: none */
    size_t table_count;
};

/* -EINVAL: err names the argument. Values point into argv. */
int server_args_parse(const struct server_args_spec *spec, int argc, char *const *argv,
                      struct server_args *ret, struct kn_err *err) KN_MUSTUSE;
/* The last value given; NULL: not given. */
const char *server_args_get(const struct server_args *args, const char *name);
bool server_args_has(const struct server_args *args, const char *name);

/* The key a flag names: dashes become underscores in dst. NULL: there is none. */
const struct kn_conf_key *server_args_setting(const struct server_args_spec *spec,
                                              struct kn_str flag, char *dst, size_t cap);

#endif
