/* SPDX-License-Identifier: Apache-2.0 */
/* Reads that a sick sector does not end; see patient.h. */
#include "patient.h"

#include "core/log.h"
#include "core/metrics.h"

enum {
    RETRY_MS = 100,
};

static struct kn_metric_family unreadable = {
    .kind = KN_COUNTER,
    .name = "kinema_storage_unreadable_sectors_total",
    .help = "Sectors that the disk went on refusing at start: what lay there is left out.",
};

static bool is_given_up(const struct storage_patient *p, uint64_t sector)
{
    for (size_t i = 0; i < p->refused; i++) {
        if (p->sectors[i] == sector)
            return true;
    }
    return false;
}

bool storage_patient_gave_up(const struct storage_patient *p, uint64_t from, uint64_t to)
{
    for (size_t i = 0; i < p->refused; i++) {
        if (p->sectors[i] < to && p->sectors[i] + STORAGE_SICK_SECTOR_BYTES > from)
            return true;
    }
    return false;
}

static ssize_t read_at(struct kn_file *file, void *dst, size_t len, uint64_t at)
{
    struct iovec iov = {dst, len};
    return file->fs->ops->preadv(file, &iov, 1, at, false);
}

/* Its first byte or its last: or it is the disk that fails, not a place on it. */
static bool is_readable(struct kn_file *file)
{
    uint8_t byte;
    uint64_t size;
    return read_at(file, &byte, 1, 0) >= 0 || (file->fs->ops->size(file, &size) == 0 && size > 0 &&
                                               read_at(file, &byte, 1, size - 1) >= 0);
}

static void rest(void)
{
    struct kn_lock lock;
    struct kn_cond never;
    kn_lock_init(&lock);
    kn_cond_init(&never);
    kn_lock_take(&lock);
    (void) kn_cond_wait_for(&never, &lock, RETRY_MS * INT64_C(1000000));
    kn_lock_give(&lock);
    kn_cond_done(&never);
    kn_lock_done(&lock);
}

/* False: there are too many. */
static bool give_up(struct storage_patient *p, uint64_t sector)
{
    if (p->refused == STORAGE_SICK_SECTORS_MAX)
        return false;
    p->sectors[p->refused++] = sector;
    kn_metric_add(kn_metric_series(&unreadable, NULL), 1);
    kn_log_error("sector_unreadable",
                 "file=" KN_LOG_QUOTED " at=%" PRIu64 " bytes=%d err=EIO"
                 " said=\"the disk has refused it for %d ms: what lies there is left out\"",
                 kn_log_quote(kn_str_from(p->path)), sector, STORAGE_SICK_SECTOR_BYTES,
                 STORAGE_SICK_MS);
    return true;
}

static ssize_t read_sector(struct storage_patient *p, uint8_t *dst, size_t len, uint64_t off)
{
    struct storage *storage = p->storage;
    uint64_t sector = off / STORAGE_SICK_SECTOR_BYTES * STORAGE_SICK_SECTOR_BYTES;
    len = kn_min_u64(len, sector + STORAGE_SICK_SECTOR_BYTES - off);
    while (!is_given_up(p, sector)) {
        ssize_t n = read_at(p->inner, dst, len, off);
        if (n != -EIO || !is_readable(p->inner))
            return n;
        int64_t now_ns = kn_mono_ns(storage->clock);
        if (!storage->refused_since_ns)
            storage->refused_since_ns = now_ns;
        if (now_ns - storage->refused_since_ns < STORAGE_SICK_MS * INT64_C(1000000))
            rest();
        else if (!give_up(p, sector))
            return -EIO;
    }
    memset(dst, 0, len);
    return (ssize_t) len;
}

static ssize_t patient_preadv(struct kn_file *file, const struct iovec *iov, int n, uint64_t off,
                              bool nowait)
{
    struct storage_patient *p = KN_CONTAINER_OF(file, struct storage_patient, file);
    kn_assert(n == 1 && !nowait);
    if (off >= p->careful_upto) {
        ssize_t got = p->inner->fs->ops->preadv(p->inner, iov, n, off, false);
        if (got != -EIO)
            return got;
        p->careful_upto = off + iov->iov_len;
    }
    return read_sector(p, iov->iov_base, iov->iov_len, off);
}

static int patient_size(struct kn_file *file, uint64_t *ret)
{
    struct storage_patient *p = KN_CONTAINER_OF(file, struct storage_patient, file);
    return p->inner->fs->ops->size(p->inner, ret);
}

void storage_patient_init(struct storage_patient *p, struct storage *storage, struct kn_file *inner,
                          const char *path)
{
    static const struct kn_fs_ops ops = {.preadv = patient_preadv, .size = patient_size};
    *p = (struct storage_patient){.fs = {&ops}, .inner = inner, .storage = storage, .path = path};
    p->file.fs = &p->fs;
}
