/* SPDX-License-Identifier: Apache-2.0 */
/* A file that lives in memory: chunks of streams with retention 0. */
#ifndef STORAGE_SRC_MEMORY_FILE_H
#define STORAGE_SRC_MEMORY_FILE_H

#include "core/fs.h"

int storage_memory_file_new(struct kn_file **ret) KN_MUSTUSE;

#endif
