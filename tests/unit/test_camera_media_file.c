/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are played lie below one folder, whatever paths and links say. */
#include "media_file.h"
#include "temp_dir.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static const char ebml[] = "\x1a\x45\xdf\xa3 and more";
static const char mp4[] = "\0\0\0\x20"
                          "ftypisom and more";

struct rig {
    struct temp_dir dir;
    char root[96], path[PATH_MAX];
};

/* dir/root is the folder; dir/out lies beside it. */
static struct rig begin(void)
{
    struct rig rig = {.dir = temp_dir_new()};
    (void) snprintf(rig.root, sizeof rig.root, "%s/root", rig.dir.path);
    assert_ok(mkdir(rig.root, 0700));
    return rig;
}

static const char *at(struct rig *rig, const char *name)
{
    (void) snprintf(rig->path, sizeof rig->path, "%s/%s", rig->dir.path, name);
    return rig->path;
}

static void put(struct rig *rig, const char *name, const void *bytes, size_t len)
{
    int fd = open(at(rig, name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), len);
    close(fd);
}

static int look(struct rig *rig, const char *name, const char *after, struct camera_media_file *ret)
{
    int r = camera_media_file_open(rig->root, at(rig, name), after, ret);
    if (r == 0)
        close(ret->fd);
    return r;
}

static int result(struct rig *rig, const char *name)
{
    struct camera_media_file file;
    return look(rig, name, "", &file);
}

TEST(a_kind_is_told_by_the_first_bytes)
{
    struct rig rig = begin();
    struct camera_media_file file;
    uint8_t packets[400] = {0x47};
    packets[188] = packets[376] = 0x47;
    put(&rig, "root/a", ebml, sizeof ebml);
    put(&rig, "root/b", mp4, sizeof mp4);
    put(&rig, "root/c", packets, sizeof packets);
    put(&rig, "root/empty", "", 0);
    put(&rig, "root/list.mp4", "#EXTM3U\nhttp://10.0.0.1/\n", 24);

    assert_ok(look(&rig, "root/a", "", &file));
    assert_string_equal(file.demuxer, "matroskademux");
    assert_string_equal(file.name, "");
    assert_ok(look(&rig, "root/b", "", &file));
    assert_string_equal(file.demuxer, "qtdemux");
    assert_ok(look(&rig, "root/c", "", &file));
    assert_string_equal(file.demuxer, "tsdemux");
    assert_int_equal(result(&rig, "root/empty"), -ENODATA);
    assert_int_equal(result(&rig, "root/list.mp4"), -ENODATA);
    assert_int_equal(result(&rig, "root/none"), -ENOENT);
    assert_int_equal(result(&rig, "root/a/b"), -ENOENT);
    temp_dir_remove(&rig.dir);
}

TEST(neither_a_path_nor_a_link_leads_out)
{
    struct rig rig = begin();
    char whole[PATH_MAX];
    put(&rig, "out", ebml, sizeof ebml);
    put(&rig, "root/in", ebml, sizeof ebml);
    assert_ok(mkdir(at(&rig, "root/sub"), 0700));
    assert_ok(mkdir(at(&rig, "rooted"), 0700));
    put(&rig, "rooted/in", ebml, sizeof ebml);
    (void) snprintf(whole, sizeof whole, "%s", at(&rig, "out"));
    assert_ok(symlink(whole, at(&rig, "root/whole")));
    assert_ok(symlink("../out", at(&rig, "root/up")));
    assert_ok(symlink("..", at(&rig, "root/parent")));
    assert_ok(symlink("../in", at(&rig, "root/sub/within")));
    assert_ok(symlink("/proc/self/root", at(&rig, "root/magic")));

    assert_ok(result(&rig, "root/in"));
    assert_ok(result(&rig, "root/sub/within"));
    assert_int_equal(result(&rig, "out"), -EXDEV);
    assert_int_equal(result(&rig, "rooted/in"), -EXDEV);
    assert_int_equal(result(&rig, "root/../out"), -EXDEV);
    assert_int_equal(result(&rig, "root/whole"), -EXDEV);
    assert_int_equal(result(&rig, "root/up"), -EXDEV);
    assert_int_equal(result(&rig, "root/parent/out"), -EXDEV);
    assert_int_equal(result(&rig, "root/magic/etc/passwd"), -EXDEV);
    temp_dir_remove(&rig.dir);
}

TEST(what_is_no_file_is_not_waited_for)
{
    struct rig rig = begin();
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_ok(kn_str_copy(address.sun_path, sizeof address.sun_path,
                          kn_str_from(at(&rig, "root/socket"))));
    assert_ok(bind(fd, (struct sockaddr *) &address, sizeof address));
    close(fd);
    assert_ok(mkfifo(at(&rig, "root/pipe"), 0600));

    assert_int_equal(result(&rig, "root/pipe"), -EINVAL);
    assert_int_equal(result(&rig, "root/socket"), -EINVAL);
    assert_int_equal(result(&rig, "root"), -ENODATA);
    temp_dir_remove(&rig.dir);
}

TEST(a_folders_files_follow_each_other_by_name)
{
    struct rig rig = begin();
    struct camera_media_file file;
    put(&rig, "root/b.mkv", ebml, sizeof ebml);
    put(&rig, "root/a.mp4", mp4, sizeof mp4);
    put(&rig, "root/b.jpg", "\xff\xd8\xff\xe0", 4);
    put(&rig, "root/.hidden", ebml, sizeof ebml);
    put(&rig, "out", ebml, sizeof ebml);
    assert_ok(symlink("../out", at(&rig, "root/c.mkv")));
    assert_ok(mkdir(at(&rig, "root/d"), 0700));

    assert_ok(look(&rig, "root", "", &file));
    assert_string_equal(file.name, "a.mp4");
    assert_ok(look(&rig, "root/", "a.mp4", &file));
    assert_string_equal(file.name, "b.mkv");
    assert_int_equal(look(&rig, "root", "b.mkv", &file), -ENODATA);
    put(&rig, "root/e.mkv", ebml, sizeof ebml);
    assert_ok(look(&rig, "root", "b.mkv", &file));
    assert_string_equal(file.name, "e.mkv");
    temp_dir_remove(&rig.dir);
}

TEST(a_folder_of_too_many_names_is_refused)
{
    struct rig rig = begin();
    struct camera_media_file file;
    char name[32];
    for (int i = 0; i < CAMERA_FOLDER_NAMES_MAX; i++) {
        (void) snprintf(name, sizeof name, "root/%05d.jpg", i);
        assert_ok(symlink("none", at(&rig, name)));
    }
    assert_int_equal(result(&rig, "root"), -ENODATA);
    put(&rig, "root/x.mkv", ebml, sizeof ebml);
    assert_int_equal(result(&rig, "root"), -E2BIG);
    assert_ok(unlink(at(&rig, "root/00000.jpg")));
    assert_ok(look(&rig, "root", "", &file)); /* within a moment, though it is the last */
    assert_string_equal(file.name, "x.mkv");
    temp_dir_remove(&rig.dir);
}

TESTS_MAIN(TEST_OF(a_kind_is_told_by_the_first_bytes), TEST_OF(neither_a_path_nor_a_link_leads_out),
           TEST_OF(what_is_no_file_is_not_waited_for),
           TEST_OF(a_folders_files_follow_each_other_by_name),
           TEST_OF(a_folder_of_too_many_names_is_refused))
