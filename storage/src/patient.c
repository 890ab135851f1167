/* SPDX-License-Identifier: Apache-2.0 */
/* Reads that a sick sector does not end; see patient.h. */
#include "patient.h"

#include <stdlib.h>

#include "core/crypto.h"
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

/* A file may be opened more than once. */
static void say_once(struct storage_patient_fs *looks, const char *path, uint64_t sector)
{
    uint32_t sum = kn_crc32c(0, kn_bytes_of(kn_str_from(path)));
    for (size_t i = 0; i < kn_min_u64(looks->refused, STORAGE_SICK_SECTORS_MAX); i++) {
        if (looks->told[i].path == sum && looks->told[i].sector == sector)
            return;
    }
    size_t at = looks->refused++ % STORAGE_SICK_SECTORS_MAX;
    looks->told[at].path = sum;
    looks->told[at].sector = sector;
    looks->tell(looks->ctx, path, sector);
}

/* False: there are too many. */
static bool give_up(struct storage_patient *p, uint64_t sector)
{
    if (p->refused == STORAGE_SICK_SECTORS_MAX)
        return false;
    p->sectors[p->refused++] = sector;
    if (p->looks) {
        say_once(p->looks, p->path, sector);
        return true;
    }
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

/* --- for those who only look ------------------------------------------------------------------ */
struct patient_file {
    struct storage_patient patient;
    char path[];
};

static void patient_close(struct kn_file *file)
{
    struct storage_patient *p = storage_patient_of(file);
    p->inner->fs->ops->close(p->inner);
    free(KN_CONTAINER_OF(p, struct patient_file, patient));
}

static int patient_open(struct kn_fs *fs, const char *path, int flags, struct kn_file **ret)
{
    static const struct kn_fs_ops ops = {
        .preadv = patient_preadv, .size = patient_size, .close = patient_close};
    struct storage_patient_fs *looks = KN_CONTAINER_OF(fs, struct storage_patient_fs, fs);
    size_t len = strlen(path) + 1;
    struct kn_file *inner;
    kn_assert(flags == KN_FS_READ);
    int r = looks->inner->ops->open(looks->inner, path, flags, &inner);
    if (r < 0)
        return r;
    struct patient_file *f = malloc(sizeof(*f) + len);
    if (!f) {
        inner->fs->ops->close(inner);
        return -ENOMEM;
    }
    memcpy(f->path, path, len);
    storage_patient_init(&f->patient, looks->storage, inner, f->path);
    f->patient.fs.ops = &ops;
    f->patient.looks = looks;
    *ret = &f->patient.file;
    return 0;
}

static int patient_list(struct kn_fs *fs, const char *path, kn_fs_entry_fn *entry, void *ctx)
{
    struct storage_patient_fs *looks = KN_CONTAINER_OF(fs, struct storage_patient_fs, fs);
    return looks->inner->ops->list(looks->inner, path, entry, ctx);
}

void storage_patient_fs_init(struct storage_patient_fs *p, struct storage *storage,
                             storage_refused_fn *tell, void *ctx)
{
    static const struct kn_fs_ops ops = {.open = patient_open, .list = patient_list};
    *p = (struct storage_patient_fs){
        .fs = {&ops}, .inner = storage->fs, .storage = storage, .tell = tell, .ctx = ctx};
    storage->fs = &p->fs;
}

struct storage_patient *storage_patient_of(struct kn_file *file)
{
    return KN_CONTAINER_OF(file, struct storage_patient, file);
}
