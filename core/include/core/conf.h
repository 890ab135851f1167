/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings from one table: file, environment, flags, help and the reference page are all made from
 * the same rows. Order of precedence: flag, environment, file, default.
 *
 * File: `name = value` a line, `#` comments. Environment: KINEMA_ + name in capitals. Flag: --name
 * with `-` for `_`. Sizes take KiB/MiB/GiB, times take ms/s/min/h/d suffixes.
 */
#ifndef CORE_CONF_H
#define CORE_CONF_H

#include "core/buf.h"
#include "core/err.h"

enum kn_conf_type {
    KN_CONF_U64,
    KN_CONF_BOOL,
    KN_CONF_TEXT,
    KN_CONF_CHOICE
};

struct kn_conf_key {
    const char *name;
    enum kn_conf_type type;
    size_t offset;              /* of the member: uint64_t, bool, char *, or int (choice) */
    uint64_t min, max, def;     /* u64; def also for bool and choice */
    const char *def_text;       /* text */
    const char *const *choices; /* NULL-terminated */
    const char *unit;           /* "bytes", "ms", "s", "hours", "count", "" */
    const char *help;           /* one or two sentences */
};

struct kn_conf_table {
    const char *title; /* heading in the reference page */
    const struct kn_conf_key *keys;
    size_t count;
    void *target; /* the struct the offsets are in */
};

/* Sets every default. Text members are malloc'd copies; kn_conf_done frees them. */
int kn_conf_defaults(const struct kn_conf_table *tables, size_t count) KN_MUSTUSE;
void kn_conf_done(const struct kn_conf_table *tables, size_t count);

/* One setting; err names the key and what is wrong with the value. -ENOENT unknown key: err names
 * the nearest. */
int kn_conf_set(const struct kn_conf_table *tables, size_t count, struct kn_str name,
                struct kn_str value, struct kn_err *err) KN_MUSTUSE;
int kn_conf_read_file(const struct kn_conf_table *tables, size_t count, const char *path,
                      struct kn_err *err) KN_MUSTUSE; /* err says file:line; -EINVAL also: twice */
int kn_conf_read_env(const struct kn_conf_table *tables, size_t count, char *const *environ,
                     struct kn_err *err) KN_MUSTUSE;

/* The setting whose name is a few letters from this one; NULL: none is. */
const char *kn_conf_nearest(const struct kn_conf_table *tables, size_t count, struct kn_str name);
/* Variables that are no settings and look like one that is mistyped. Others are passed over: those
 * of scripts, and Kubernetes sets KINEMA_PORT and more for a service of that name. */
typedef void kn_conf_slip_fn(void *ctx, struct kn_str variable, const char *nearest);
void kn_conf_slips(const struct kn_conf_table *tables, size_t count, char *const *environ,
                   kn_conf_slip_fn *slip, void *ctx);

/* A line of help: the flag of a setting, its meaning and its default. */
int kn_conf_write_flag(const struct kn_conf_key *key, struct kn_buf *out);
int kn_conf_write_help(const struct kn_conf_table *tables, size_t count, struct kn_buf *out);
int kn_conf_write_markdown(const struct kn_conf_table *tables, size_t count, struct kn_buf *out);

#endif
