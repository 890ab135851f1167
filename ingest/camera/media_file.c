/* SPDX-License-Identifier: Apache-2.0 */
#include "media_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    HEAD_BYTES = 400,
    TS_PACKET_BYTES = 188,   /* ISO/IEC 13818-1, 2.4.3.2 */
    M2TS_PACKET_BYTES = 192, /* as recorders write them, a time before each */
    TS_SYNC = 0x47,
};

/* --- kinds ------------------------------------------------------------------------------------ */
static bool is_ts(const uint8_t *head, size_t first, size_t apart)
{
    return head[first] == TS_SYNC && head[first + apart] == TS_SYNC &&
           head[first + 2 * apart] == TS_SYNC;
}

/* The type of the first box: ISO/IEC 14496-12; those that QuickTime's files begin with too. */
static bool is_mp4(const uint8_t *head)
{
    static const char types[][5] = {"ftyp", "moov", "mdat", "free", "skip", "wide", "styp"};
    for (size_t i = 0; i < KN_ARRAY_LEN(types); i++) {
        if (!memcmp(head + 4, types[i], 4))
            return true;
    }
    return false;
}

static const char *demuxer_of(int fd)
{
    static const uint8_t ebml[] = {0x1a, 0x45, 0xdf, 0xa3};
    uint8_t head[HEAD_BYTES] = {0};
    if (pread(fd, head, sizeof head, 0) < (ssize_t) sizeof ebml)
        return NULL;
    if (!memcmp(head, ebml, sizeof ebml))
        return "matroskademux";
    if (is_mp4(head))
        return "qtdemux";
    return is_ts(head, 0, TS_PACKET_BYTES) || is_ts(head, 4, M2TS_PACKET_BYTES) ? "tsdemux" : NULL;
}

/* --- below the folder ------------------------------------------------------------------------- */
static int error_of(int error)
{
    switch (error) {
    case EXDEV:
    case ELOOP:
        return -EXDEV;
    case ENOENT:
    case ENOTDIR:
        return -ENOENT;
    case EACCES:
    case EPERM:
        return -EACCES;
    default:
        return -EIO;
    }
}

/* Nothing is opened but files and folders: a pipe would wait, and a device may do what it does. */
static int open_below(int folder, const char *path, bool *ret_folder)
{
    const struct open_how how = {.flags = O_PATH | O_CLOEXEC,
                                 .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    char found_path[32];
    struct stat st;
    int found = (int) syscall(SYS_openat2, folder, path, &how, sizeof how);
    if (found < 0)
        return error_of(errno);
    int fd = fstat(found, &st) < 0                        ? -EIO
             : S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) ? 0
                                                          : -EINVAL;
    if (fd == 0) {
        *ret_folder = S_ISDIR(st.st_mode);
        (void) snprintf(found_path, sizeof found_path, "/proc/self/fd/%d", found);
        fd = open(found_path, O_RDONLY | O_CLOEXEC);
        fd = fd < 0 ? error_of(errno) : fd;
    }
    close(found);
    return fd;
}

/* NULL: the path is not below root. */
static const char *relative(const char *root, const char *path)
{
    size_t len = strlen(root);
    while (len > 0 && root[len - 1] == '/')
        len--;
    if (strncmp(path, root, len) != 0 || (path[len] && path[len] != '/'))
        return NULL;
    path += len;
    path += strspn(path, "/");
    return *path ? path : ".";
}

static int look_at(int fd, struct camera_media_file *ret)
{
    ret->fd = fd;
    ret->demuxer = demuxer_of(fd);
    return ret->demuxer ? 0 : -ENODATA;
}

/* --- folders ---------------------------------------------------------------------------------- */
struct names {
    char *list[CAMERA_FOLDER_NAMES_MAX];
    size_t count;
};

static void names_free(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->list[i]);
    free(names);
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *) a, *(char *const *) b);
}

/* Those after the one given, in the order of bytes. */
static int read_names(DIR *dir, const char *after, struct names *ret)
{
    size_t seen = 0;
    for (const struct dirent *entry; (entry = readdir(dir));) {
        const char *name = entry->d_name;
        if (*name == '.')
            continue;
        if (seen++ == CAMERA_FOLDER_NAMES_MAX)
            return -E2BIG;
        if (strcmp(name, after) <= 0)
            continue;
        ret->list[ret->count] = strdup(name);
        if (!ret->list[ret->count++])
            return -ENOMEM;
    }
    qsort(ret->list, ret->count, sizeof ret->list[0], by_bytes);
    return 0;
}

static int open_first(DIR *dir, const struct names *names, struct camera_media_file *ret)
{
    for (size_t i = 0; i < names->count; i++) {
        bool folder = false;
        int fd = open_below(dirfd(dir), names->list[i], &folder);
        if (fd >= 0 && !folder && look_at(fd, ret) == 0)
            return kn_str_copy(ret->name, sizeof ret->name, kn_str_from(names->list[i]));
        if (fd >= 0)
            close(fd);
    }
    return -ENODATA;
}

static int open_in_folder(int fd, const char *after, struct camera_media_file *ret)
{
    struct names *names = calloc(1, sizeof *names);
    DIR *dir = names ? fdopendir(fd) : NULL;
    int r = !names ? -ENOMEM : dir ? read_names(dir, after, names) : -EIO;
    if (r == 0)
        r = open_first(dir, names, ret);
    if (dir)
        closedir(dir);
    else
        close(fd);
    if (names)
        names_free(names);
    return r;
}

int camera_media_file_open(const char *root, const char *path, const char *after,
                           struct camera_media_file *ret)
{
    const char *rest = relative(root, path);
    bool is_folder = false;
    *ret = (struct camera_media_file){.fd = -1};
    if (!rest)
        return -EXDEV;
    int folder = open(*root ? root : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return errno == EACCES ? -EACCES : -ENOENT;
    int fd = open_below(folder, rest, &is_folder);
    close(folder);
    if (fd < 0)
        return fd;
    if (is_folder)
        return open_in_folder(fd, after, ret);
    int r = look_at(fd, ret);
    if (r < 0)
        close(fd);
    return r;
}
