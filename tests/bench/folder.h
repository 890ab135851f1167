/* SPDX-License-Identifier: Apache-2.0 */
/* A data folder opened in the program itself, without a server. */
#ifndef BENCH_FOLDER_H
#define BENCH_FOLDER_H

#include "storage/storage.h"

struct storage_conf folder_conf(void); /* the defaults */
/* Prints and exits when it cannot. ret_report may be NULL. */
struct storage *folder_open(const char *dir, const struct storage_conf *conf, struct kn_fs *fs,
                            struct kn_clock *clock, struct storage_report *ret_report);

#endif
