/* SPDX-License-Identifier: Apache-2.0 */
/* See folder.h. */
#include "folder.h"

#include "tool.h"

#include <stdio.h>

struct storage_conf folder_conf(void)
{
    struct storage_conf conf;
    struct kn_conf_table table = {.title = "storage",
                                  .keys = storage_conf_keys,
                                  .count = storage_conf_key_count,
                                  .target = &conf};
    tool_must(kn_conf_defaults(&table, 1), "settings");
    return conf;
}

struct storage *folder_open(const char *dir, const struct storage_conf *conf, struct kn_fs *fs,
                            struct kn_clock *clock, struct storage_report *ret_report)
{
    struct storage *storage;
    struct kn_err err = {0};
    int r = storage_open(dir, conf, fs, clock, &storage, ret_report, &err);
    if (r < 0)
        fprintf(stderr, "%s\n", err.text);
    tool_must(r, "open");
    return storage;
}
