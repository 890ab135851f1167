/* SPDX-License-Identifier: Apache-2.0 */
/* One flush for many files; see flush_volume.h. */
#include "flush_volume.h"

#include "core/log.h"

static const char *refused_by(enum storage_flush_volume_choice choice, bool own, int r)
{
    if (r == -EOPNOTSUPP)
        return "kernel_does_not_tell_errors";
    if (r < 0)
        return kn_errname(r);
    return choice == STORAGE_FLUSH_VOLUME_AUTO && !own ? "volume_may_be_shared" : NULL;
}

void storage_flush_volume_open(struct storage_flush_volume *v, const char *dir, struct kn_fs *fs,
                               const struct storage_conf *conf)
{
    bool own = false;
    *v = (struct storage_flush_volume){.files_min = conf->flush_volume_files_min};
    if (conf->flush_volume == STORAGE_FLUSH_VOLUME_NO)
        return;
    int r = fs->ops->open_volume ? fs->ops->open_volume(fs, dir, &own, &v->volume) : -EOPNOTSUPP;
    const char *why_not = refused_by((enum storage_flush_volume_choice) conf->flush_volume, own, r);
    if (why_not) {
        storage_flush_volume_close(v);
        kn_log_info("flush_volume", "on=no why=%s", why_not);
    } else {
        kn_log_info("flush_volume", "on=yes files_min=%zu why=%s", v->files_min,
                    conf->flush_volume == STORAGE_FLUSH_VOLUME_YES ? "set" : "own_volume");
    }
}

void storage_flush_volume_close(struct storage_flush_volume *v)
{
    if (v->volume)
        v->volume->fs->ops->close(v->volume);
    v->volume = NULL;
}

bool storage_flush_volume_wants(const struct storage_flush_volume *v, size_t count)
{
    return v->volume && count >= v->files_min;
}

/* The flush of one file after it: syncfs does not always have the disk empty its cache. XFS does so
 * with its log only, which is clean where bytes were overwritten in place; ext4 without a journal
 * writes inodes and extents after it has asked the disk; and both answer 0 where they have been
 * made read-only after an error. A file's own flush does all that, and asks. */
int storage_flush_volume_sync(const struct storage_flush_volume *v, struct kn_file *const *files,
                              int *results, size_t count)
{
    struct kn_fs *fs = v->volume->fs;
    int r = fs->ops->sync_volume(v->volume);
    for (size_t i = 0; r == 0 && i < count; i++) {
        if (files[i]->fs == fs) {
            r = fs->ops->sync(files[i]);
            break;
        }
    }
    for (size_t i = 0; i < count; i++)
        results[i] = r;
    return r;
}
