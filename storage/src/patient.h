/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading at a start what the disk may refuse (EIO). A start ends with files being used again or
 * cut, so it neither gives up at once what may come back, nor is it ended by one sick sector: what
 * is refused is tried again until the disk has refused it for STORAGE_SICK_MS (once for all files
 * of a start), then it reads as zeros, in which no checksum holds, and that is said. A file of
 * which neither end can be read, and more than STORAGE_SICK_SECTORS_MAX sectors of one, are a disk
 * that is broken: -EIO, and nothing has been changed.
 */
#ifndef STORAGE_SRC_PATIENT_H
#define STORAGE_SRC_PATIENT_H

#include "storage_internal.h"

#include "shard/sick.h"

/* A file to read another one by; it has no calls but preadv and size. */
struct storage_patient {
    struct kn_file file; /* hand this out */
    struct kn_fs fs;
    struct kn_file *inner;
    struct storage *storage;
    const char *path;
    uint64_t careful_upto; /* a read that ended here was refused: sector by sector before it */
    size_t refused;        /* sectors given up */
    uint64_t sectors[STORAGE_SICK_SECTORS_MAX];
    struct storage_patient_fs *looks; /* NULL: a start */
};

/* inner and path must outlive it. */
void storage_patient_init(struct storage_patient *p, struct storage *storage, struct kn_file *inner,
                          const char *path);
/* Has anything in [from, to) been given up? */
bool storage_patient_gave_up(const struct storage_patient *p, uint64_t from, uint64_t to);

/* --- for those who only look: check, dump ------------------------------------------------------
 */
typedef void storage_refused_fn(void *ctx, const char *path, uint64_t sector);

/* The files that it opens, for reading, are patients; each sector that is given up is told once. It
 * opens and lists, and has no other calls. */
struct storage_patient_fs {
    struct kn_fs fs;
    struct kn_fs *inner;
    struct storage *storage;
    storage_refused_fn *tell;
    void *ctx;
    uint64_t refused; /* sectors so far; the last ones: */
    struct {
        uint32_t path; /* its checksum */
        uint64_t sector;
    } told[STORAGE_SICK_SECTORS_MAX];
};

/* From now on storage, of which clock and fs are set, has this one. */
void storage_patient_fs_init(struct storage_patient_fs *p, struct storage *storage,
                             storage_refused_fn *tell, void *ctx);
/* Of a file that it has opened. */
struct storage_patient *storage_patient_of(struct kn_file *file);

#endif
