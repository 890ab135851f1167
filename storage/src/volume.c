/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The volume under the data folder: its floor, the ballast, and saying in words what became of
 * them.
 *
 * Two things stop uploads. Below the floor nothing new begins. A write that the volume itself
 * refuses (no bytes, no inodes, a quota) stops new chunks only: who has an open one, with room
 * reserved, goes on in it. That ends when as much as a new chunk needs can be made once for trial,
 * since a volume's figures do not know of quotas, and of inodes not everywhere.
 */
#include "storage_internal.h"
#include "storage_metrics.h"

#include <stdio.h>

#include "core/log.h"

enum {
    PATH_BYTES_MAX = 4096,
    TRIAL_BYTES = 4 << 20, /* what a chunk reserves at a time */
};

static void path_of(const struct storage *storage, const char *name, char dst[PATH_BYTES_MAX])
{
    snprintf(dst, PATH_BYTES_MAX, "%s/%s", storage->dir, name);
}

/* --- the ballast ------------------------------------------------------------------------------ */
static int make_file(struct storage *storage, const char *path, uint64_t bytes)
{
    struct kn_file *file;
    int r = storage->fs->ops->open(storage->fs, path, KN_FS_WRITE | KN_FS_CREATE, &file);
    if (r < 0)
        return r;
    r = file->fs->ops->allocate(file, 0, bytes);
    file->fs->ops->close(file);
    if (r < 0)
        (void) storage->fs->ops->unlink(storage->fs, path);
    return r;
}

static void drop_ballast(struct storage *storage)
{
    char path[PATH_BYTES_MAX];
    path_of(storage, "ballast", path);
    if (storage->fs->ops->unlink(storage->fs, path) == 0)
        kn_log_info("ballast_released",
                    "bytes=%" PRIu64 " said=\"so that deletion finds room to be written down\"",
                    storage->conf.ballast_bytes);
    storage->ballast = false;
}

/* Blocks set aside while there is plenty. */
static void make_ballast(struct storage *storage)
{
    char path[PATH_BYTES_MAX];
    path_of(storage, "ballast", path);
    storage->ballast = make_file(storage, path, storage->conf.ballast_bytes) == 0;
}

/* --- is there room? --------------------------------------------------------------------------- */
/* Folder, folder in it, file in that: what the first chunk of a stream takes, and the ballast. */
static int make_trial(struct storage *storage)
{
    static const char *const names[] = {"trial", "trial/day", "trial/day/chunk"};
    struct kn_fs *fs = storage->fs;
    char path[PATH_BYTES_MAX];
    int r = 0;
    for (unsigned i = 0; i < 2 && r == 0; i++) {
        path_of(storage, names[i], path);
        r = fs->ops->mkdir(fs, path);
        if (r == -EEXIST) /* of a run that was killed */
            r = 0;
    }
    path_of(storage, names[2], path);
    if (r == 0)
        r = make_file(storage, path,
                      TRIAL_BYTES + (storage->ballast ? 0 : storage->conf.ballast_bytes));
    (void) fs->ops->unlink(fs, path);
    for (unsigned i = 2; i > 0; i--) {
        path_of(storage, names[i - 1], path);
        (void) fs->ops->rmdir(fs, path);
    }
    return r;
}

static void say_full(struct storage *storage, const struct kn_fs_space *space)
{
    if (storage->full_said)
        return;
    storage->full_said = true;
    storage_metrics_full(true);
    kn_log_warn(
        "volume_full",
        "free_bytes=%" PRIu64 " floor_bytes=%" PRIu64 " free_inodes=%" PRIu64
        " why=%s said=\"uploads are refused until there is room; what is stored is served\"",
        space->free_bytes, storage->conf.volume_free_bytes_min, space->free_inodes,
        storage->no_space ? "below_floor" : "write_refused");
}

static void say_room(struct storage *storage, const struct kn_fs_space *space)
{
    if (!storage->full_said)
        return;
    storage->full_said = false;
    storage_metrics_full(false);
    kn_log_info("volume_has_room",
                "free_bytes=%" PRIu64 " free_inodes=%" PRIu64 " said=\"uploads are taken again\"",
                space->free_bytes, space->free_inodes);
}

bool storage_space_look(struct storage *storage, uint64_t *ret_free_bytes)
{
    struct kn_fs_space space;
    int r = storage->fs->ops->space(storage->fs, storage->dir, &space);
    if (r < 0)
        return false;
    *ret_free_bytes = space.free_bytes;
    storage_metrics_space(&space);
    storage_metrics_window(storage->blocks.used_bytes);
    uint64_t floor = storage->conf.volume_free_bytes_min;
    uint64_t enough = floor + floor / 8;
    bool refused = storage->refused;
    if (space.free_bytes < floor)
        storage->no_space = true;
    else if (space.free_bytes >= enough)
        storage->no_space = false;
    if (refused && make_trial(storage) == 0)
        storage->refused = refused = false;
    if (storage->no_space || refused) {
        say_full(storage, &space);
        if (storage->ballast && (space.free_bytes < floor || refused))
            drop_ballast(storage);
        return true;
    }
    say_room(storage, &space);
    if (!storage->ballast && storage->conf.ballast_bytes > 0 &&
        space.free_bytes > enough + 2 * storage->conf.ballast_bytes)
        make_ballast(storage);
    return true;
}

void storage_space_check(struct storage *storage)
{
    uint64_t free_bytes;
    (void) storage_space_look(storage, &free_bytes);
}

void storage_space_refused(struct storage *storage)
{
    storage->refused = true;
    storage_keeper_wake(storage);
}

void storage_space_start(struct storage *storage)
{
    char path[PATH_BYTES_MAX];
    struct kn_file *file;
    path_of(storage, "ballast", path);
    if (storage->fs->ops->open(storage->fs, path, KN_FS_READ, &file) == 0) {
        file->fs->ops->close(file);
        storage->ballast = true; /* of an earlier run: it too is released when space is short */
    }
    storage_space_check(storage);
}
