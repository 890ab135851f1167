/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data folder holds secrets, so it is 0700 from the start. The catalogue is LMDB, which other
 * processes may use beside the server (storage/meta.h); the chunks are never touched here.
 */
#include "folder.h"

#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PATH_BYTES_MAX = 4096
};

/* Says no for a path that is there but no folder we may write in. */
static int usable(const char *dir, struct kn_err *err)
{
    struct stat st;
    if (stat(dir, &st) < 0)
        return kn_fail(err, -errno, "data folder %s: %s", dir, kn_errsay(errno));
    if (!S_ISDIR(st.st_mode))
        return kn_fail(err, -EINVAL, "data folder %s: it is not a folder", dir);
    if (access(dir, R_OK | W_OK | X_OK) < 0)
        return kn_fail(err, -EACCES, "data folder %s: no permission to write there", dir);
    return 0;
}

int server_folder_make(const char *dir, struct kn_err *err)
{
    char path[PATH_BYTES_MAX];
    struct kn_fs *fs = kn_fs_system();
    if (kn_str_copy(path, sizeof path, kn_str_from(dir)) < 0 || !*path)
        return kn_fail(err, -EINVAL, "data folder: the path is empty or too long");
    for (char *c = path + 1;; c++) {
        if (*c && *c != '/')
            continue;
        char was = *c;
        *c = '\0';
        int code = fs->ops->mkdir(fs, path);
        if (code < 0 && code != -EEXIST && access(path, F_OK) < 0)
            return kn_fail(err, code, "data folder %s cannot be made: %s", path, kn_errsay(code));
        if (!was)
            break;
        *c = was;
    }
    return usable(dir, err);
}

/* What root makes would be shut to a server that runs as somebody else. */
static int act_as_owner(const char *path, const char *dir, struct kn_err *err)
{
    struct stat st;
    if (geteuid() != 0 || (stat(path, &st) < 0 && stat(dir, &st) < 0) || st.st_uid == 0)
        return 0;
    if (setgroups(0, NULL) < 0 || setgid(st.st_gid) < 0 || setuid(st.st_uid) < 0)
        return kn_fail(err, -EACCES, "data folder %s: root cannot act as its owner: %s", dir,
                       kn_errsay(errno));
    return 0;
}

int server_folder_catalogue(const struct server_config *config, bool make,
                            struct storage_meta **ret, struct kn_err *err)
{
    char path[PATH_BYTES_MAX];
    const char *dir = config->server.data;
    int code = make ? server_folder_make(dir, err) : usable(dir, err);
    if (code < 0)
        return code;
    int len = snprintf(path, sizeof path, "%s/catalogue", dir);
    if (len < 0 || (size_t) len >= sizeof path)
        return kn_fail(err, -EINVAL, "data folder: the path is too long");
    if (!make && access(path, F_OK) < 0)
        return kn_fail(err, -ENOENT, "data folder %s holds no catalogue", dir);
    code = act_as_owner(path, dir, err);
    return code < 0 ? code : storage_meta_open(path, config->storage.catalogue_bytes_max, ret, err);
}

int server_folder_key(const char *dir, const char *name, const char *remedy,
                      uint8_t ret_key[KN_AEAD_KEY_BYTES], struct kn_err *err)
{
    char path[PATH_BYTES_MAX];
    struct kn_buf file;
    struct kn_fs *fs = kn_fs_system();
    int len = snprintf(path, sizeof path, "%s/%s", dir, name);
    if (len < 0 || (size_t) len >= sizeof path)
        return kn_fail(err, -EINVAL, "the data folder's path is too long");
    kn_buf_init(&file, 4096);
    int code = kn_fs_read_file(fs, path, &file);
    if (code == 0 && file.len != KN_AEAD_KEY_BYTES)
        code = kn_fail(err, -EBADMSG, "%s is damaged: %s", path, remedy);
    else if (code == 0)
        memcpy(ret_key, file.ptr, KN_AEAD_KEY_BYTES);
    else if (code == -ENOENT) {
        kn_random(ret_key, KN_AEAD_KEY_BYTES);
        code = kn_fs_write_file(fs, path, (struct kn_bytes){ret_key, KN_AEAD_KEY_BYTES});
        if (code < 0)
            (void) kn_fail(err, code, "%s cannot be written: %s", path, kn_errsay(code));
    } else {
        (void) kn_fail(err, code, "%s cannot be read: %s", path, kn_errsay(code));
    }
    kn_buf_done(&file);
    return code;
}
