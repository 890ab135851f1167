/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalogue when the write of LMDB's root reports an error. LMDB then writes the old root back,
 * which fails here too, so that the file shows what the first write left: nothing, or all of it.
 */
#include "temp_dir.h"
#include "test.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "storage/meta.h"

enum {
    ROOTS_END = 2 * 4096 /* LMDB's two root pages lie at the file's beginning */
};

static enum how {
    WELL,
    FAILS,
    FAILS_AND_ARRIVES
} root_writes;
static unsigned failed_writes;

/* LMDB's: this program's symbol comes before that of the C library. */
ssize_t pwrite(int fd, const void *ptr, size_t len, off_t off)
{
    if (root_writes == WELL || off >= ROOTS_END)
        return syscall(SYS_pwrite64, fd, ptr, len, off);
    if (root_writes == FAILS_AND_ARRIVES && failed_writes == 0)
        assert_int_equal(syscall(SYS_pwrite64, fd, ptr, len, off), len);
    failed_writes++;
    errno = EIO;
    return -1;
}

static struct storage_meta *open_meta(const struct temp_dir *dir)
{
    char path[128];
    snprintf(path, sizeof path, "%s/catalogue", dir->path);
    struct storage_meta *meta = NULL;
    assert_ok(storage_meta_open(path, MIB(64), &meta, NULL));
    return meta;
}

static struct kn_bytes text(const char *s)
{
    return (struct kn_bytes){(const uint8_t *) s, strlen(s)};
}

static int put(struct storage_meta *meta, const char *value, uint64_t expect, uint64_t *ret_version)
{
    return storage_meta_put(meta, text("s/a"), text(value), expect, ret_version);
}

/* 0: the value is `want`, or what reading it came to. */
static int read_value(struct storage_meta *meta, const char *want, uint64_t *ret_version)
{
    struct kn_buf value;
    kn_buf_init(&value, KIB(64));
    int r = storage_meta_get(meta, text("s/a"), &value, ret_version);
    if (r == 0)
        assert_str_is(kn_buf_str(&value), want);
    kn_buf_done(&value);
    return r;
}

/* Puts "old", then "new" while the root cannot be written. */
static void fail_a_change(struct storage_meta *meta, enum how how, uint64_t *ret_version)
{
    assert_ok(put(meta, "old", 0, ret_version));
    failed_writes = 0;
    root_writes = how;
    assert_int_equal(put(meta, "new", *ret_version, NULL), -EIO);
    root_writes = WELL;
    assert_true(failed_writes >= 2); /* the root, and the old one put back */
}

TEST(a_root_that_was_not_written_is_forgotten_and_work_goes_on)
{
    struct temp_dir dir = temp_dir_new();
    struct storage_meta *meta = open_meta(&dir);
    uint64_t version, found, newer;
    fail_a_change(meta, FAILS, &version);

    assert_ok(read_value(meta, "old", &found));
    assert_int_equal(found, version);
    assert_ok(put(meta, "newer", version, &newer));
    assert_true(newer > version);
    assert_ok(read_value(meta, "newer", &found));

    storage_meta_close(meta);
    meta = open_meta(&dir);
    assert_ok(read_value(meta, "newer", &found));
    storage_meta_close(meta);
    temp_dir_remove(&dir);
}

TEST(a_root_that_was_refused_and_arrived_closes_the_catalogue_until_it_is_opened_anew)
{
    struct temp_dir dir = temp_dir_new();
    struct storage_meta *meta = open_meta(&dir);
    uint64_t version, found;
    fail_a_change(meta, FAILS_AND_ARRIVES, &version);

    for (int i = 0; i < 3; i++) { /* and it stays so, whatever the disk does now */
        assert_int_equal(read_value(meta, "", &found), -EIO);
        assert_int_equal(put(meta, "newer", version, NULL), -EIO);
        assert_int_equal(put(meta, "newer", 0, NULL), -EIO);
        assert_int_equal(storage_meta_remove(meta, text("s/a"), 0), -EIO);
    }

    storage_meta_close(meta);
    meta = open_meta(&dir);
    assert_ok(read_value(meta, "new", &found));
    assert_true(found > version);
    assert_int_equal(put(meta, "newest", version, NULL), -ESTALE);
    assert_ok(put(meta, "newest", found, NULL));
    storage_meta_close(meta);
    temp_dir_remove(&dir);
}

TESTS_MAIN(
    TEST_OF(a_root_that_was_not_written_is_forgotten_and_work_goes_on),
    TEST_OF(a_root_that_was_refused_and_arrived_closes_the_catalogue_until_it_is_opened_anew))
