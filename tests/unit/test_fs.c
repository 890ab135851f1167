/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/fs.h"

TEST(a_small_file_is_replaced_whole)
{
    char dir[] = "/tmp/kinema-fs-XXXXXX";
    char path[64];
    struct kn_fs *fs = kn_fs_system();
    struct kn_buf got;

    assert_non_null(mkdtemp(dir));
    (void) snprintf(path, sizeof path, "%s/file", dir);
    kn_buf_init(&got, 100);
    assert_int_equal(kn_fs_read_file(fs, path, &got), -ENOENT);
    assert_ok(kn_fs_write_file(fs, path, kn_bytes_of(KN_STR("a longer text"))));
    assert_ok(kn_fs_write_file(fs, path, kn_bytes_of(KN_STR("short"))));
    assert_ok(kn_fs_read_file(fs, path, &got));
    assert_str_is(kn_buf_str(&got), "short");
    kn_buf_done(&got);
    assert_ok(kn_fs_write_file(fs, path, kn_bytes_of(KN_STR(""))));
    assert_ok(kn_fs_read_file(fs, path, &got));
    assert_int_equal(got.len, 0);
    assert_ok(fs->ops->unlink(fs, path));
    assert_ok(fs->ops->rmdir(fs, dir));
}

TEST(gathered_writes_arrive_whole_and_allocation_keeps_the_size)
{
    char path[] = "/tmp/kinema-fs-XXXXXX";
    struct kn_fs *fs = kn_fs_system();
    struct kn_file *file;
    struct iovec iov[200];
    char bytes[400], back[400];
    uint64_t size;
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    (void) close(fd);
    for (size_t i = 0; i < KN_ARRAY_LEN(iov); i++) {
        bytes[2 * i] = (char) i;
        bytes[2 * i + 1] = (char) (i >> 8);
        iov[i] = (struct iovec){&bytes[2 * i], 2};
    }
    assert_ok(fs->ops->open(fs, path, KN_FS_WRITE, &file));
    assert_ok(fs->ops->allocate(file, 0, 1 << 20));
    assert_ok(kn_file_write_all(file, iov, (int) KN_ARRAY_LEN(iov), 10));
    assert_ok(fs->ops->sync(file));
    assert_ok(fs->ops->size(file, &size));
    assert_int_equal(size, 410);
    assert_ok(kn_file_read_all(file, back, sizeof back, 10));
    assert_memory_equal(back, bytes, sizeof back);
    assert_int_equal(kn_file_read_all(file, back, 1, 410), -ENODATA);
    fs->ops->close(file);
    assert_ok(fs->ops->unlink(fs, path));
}

static void write_past_the_cache(const char *folder)
{
    char path[64];
    struct kn_fs *fs = kn_fs_system();
    struct kn_file *file;
    uint8_t *bytes = aligned_alloc(4096, 8192), back[8192];

    assert_non_null(bytes);
    (void) snprintf(path, sizeof path, "%s/kinema-fs-XXXXXX", folder);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    (void) close(fd);
    assert_ok(fs->ops->unlink(fs, path));
    for (size_t i = 0; i < 8192; i++)
        bytes[i] = (uint8_t) (i * 7);
    assert_ok(fs->ops->open(fs, path, KN_FS_WRITE | KN_FS_CREATE | KN_FS_EXCLUSIVE | KN_FS_DIRECT,
                            &file));
    struct iovec iov = {bytes, 8192};
    assert_ok(kn_file_write_all(file, &iov, 1, 4096));
    memset(bytes, 0, 8192);
    assert_ok(kn_file_read_all(file, bytes, 8192, 4096));
    fs->ops->close(file);
    assert_ok(fs->ops->open(fs, path, KN_FS_READ, &file));
    assert_ok(kn_file_read_all(file, back, sizeof back, 4096));
    for (size_t i = 0; i < sizeof back; i++)
        assert_true(back[i] == (uint8_t) (i * 7) && bytes[i] == back[i]);
    fs->ops->close(file);
    assert_int_equal(
        fs->ops->open(fs, path, KN_FS_WRITE | KN_FS_CREATE | KN_FS_EXCLUSIVE | KN_FS_DIRECT, &file),
        -EEXIST);
    assert_ok(fs->ops->unlink(fs, path));
    free(bytes);
}

/* /dev/shm is memory, which for long had no such writes. */
TEST(writes_past_the_cache_are_read_through_it_on_any_file_system)
{
    write_past_the_cache("/tmp");
    write_past_the_cache("/dev/shm");
}

/* The descriptor that this process has of a file; -1: none. */
static int descriptor_of(const char *path)
{
    for (int fd = 0; fd < 1024; fd++) {
        char name[64], target[256];
        (void) snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        ssize_t len = readlink(name, target, sizeof target - 1);
        if (len > 0 && (size_t) len == strlen(path) && memcmp(target, path, strlen(path)) == 0)
            return fd;
    }
    return -1;
}

/* What else is asked of the descriptor must not take that from it. */
TEST(a_file_opened_to_be_written_past_the_cache_is)
{
    char path[64] = "/tmp/kinema-fs-XXXXXX";
    struct kn_fs *fs = kn_fs_system();
    struct kn_file *file;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    (void) close(fd);
    int plain = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
    bool has_direct = plain >= 0;
    if (has_direct)
        (void) close(plain);
    assert_ok(fs->ops->open(fs, path, KN_FS_WRITE | KN_FS_DIRECT, &file));
    fd = descriptor_of(path);
    assert_true(fd >= 0);
    assert_int_equal((fcntl(fd, F_GETFL) & O_DIRECT) != 0, has_direct);
    uint8_t some[100] = {1}, back[100];
    struct iovec iov = {some, sizeof some}; /* of no blocks: through it, in both directions */
    assert_ok(kn_file_write_all(file, &iov, 1, 0));
    fs->ops->close(file);
    assert_ok(fs->ops->open(fs, path, KN_FS_WRITE | KN_FS_DIRECT, &file));
    assert_ok(kn_file_read_all(file, back, 99, 1));
    assert_memory_equal(back, some + 1, 99);
    fs->ops->close(file);
    assert_ok(fs->ops->unlink(fs, path));
}

TESTS_MAIN(TEST_OF(a_small_file_is_replaced_whole),
           TEST_OF(gathered_writes_arrive_whole_and_allocation_keeps_the_size),
           TEST_OF(writes_past_the_cache_are_read_through_it_on_any_file_system),
           TEST_OF(a_file_opened_to_be_written_past_the_cache_is))
