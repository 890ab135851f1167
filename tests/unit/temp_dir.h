/* SPDX-License-Identifier: Apache-2.0 */
/* A folder of its own for one test, removed with all that is in it. */
#ifndef TESTS_UNIT_TEMP_DIR_H
#define TESTS_UNIT_TEMP_DIR_H

#include "test.h"

#include <ftw.h>
#include <unistd.h>

struct temp_dir {
    char path[64];
};

static inline struct temp_dir KN_UNUSED temp_dir_new(void)
{
    struct temp_dir dir = {"/tmp/kinema-test-XXXXXX"};
    assert_non_null(mkdtemp(dir.path));
    return dir;
}

static inline int temp_dir_remove_one(const char *path, const struct stat *st, int type,
                                      struct FTW *ftw)
{
    (void) st;
    (void) type;
    (void) ftw;
    return remove(path);
}

static inline void KN_UNUSED temp_dir_remove(const struct temp_dir *dir)
{
    assert_int_equal(nftw(dir->path, temp_dir_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

#endif
