/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk in shared memory that can lose power: a kn_fs with a volatile cache.
 *
 * Writes go to the cache. sync makes a file's bytes durable, sync_dir a folder's entries. At a
 * power cut each unsynced 512-byte sector is, by a seeded coin, kept, lost, or scrambled (only the
 * bytes that were written since: a disk does not damage what it was not asked to write), the size
 * lands anywhere between the old and the new one, and each unsynced change of a folder is kept or
 * undone. A failed sync leaves the bytes in the cache and forgets that they were dirty, as Linux
 * does.
 *
 * It lives in shared memory so that the process under test can be a child that dies at a chosen
 * call, with all its threads, while its catalogue (LMDB, on the real disk) stays as it was.
 */
#ifndef TESTS_FAULT_SIM_DISK_H
#define TESTS_FAULT_SIM_DISK_H

#include "core/fs.h"

enum sim_call {
    SIM_OPEN = 1,
    SIM_MKDIR = 2,
    SIM_RENAME = 4,
    SIM_UNLINK = 8,
    SIM_SYNC_DIR = 16,
    SIM_WRITE = 32,
    SIM_ALLOCATE = 64,
    SIM_TRUNCATE = 128,
    SIM_SYNC = 256,
    SIM_READ = 512,
    SIM_ALL = 1023,
    SIM_CHANGES = SIM_ALL & ~SIM_READ,
};

enum sim_lie { /* mutants of the code under test, played by the disk */
    SIM_HONEST,
    SIM_NO_DATA_SYNC, /* as if the code never flushed files */
    SIM_NO_DIR_SYNC,  /* as if it never flushed folders */
};

struct sim_disk;
struct sim_disk *sim_disk_new(void);
void sim_disk_free(struct sim_disk *disk);
void sim_disk_wipe(struct sim_disk *disk);
struct kn_fs *sim_disk_fs(struct sim_disk *disk);

/* The calls of these kinds are counted from 0; the process ends with SIM_CUT_EXIT at number at. */
enum {
    SIM_CUT_EXIT = 77
};
void sim_disk_cut_at(struct sim_disk *disk, int64_t at);
/* Call number at, counted among `calls`, fails with error; and all later ones when for_good. */
void sim_disk_fail_at(struct sim_disk *disk, int64_t at, unsigned calls, int error, bool for_good);
void sim_disk_heal(struct sim_disk *disk); /* no cut, no failure; counting starts again */
int64_t sim_disk_calls(struct sim_disk *disk);
bool sim_disk_failed(struct sim_disk *disk); /* the failure has struck */
void sim_disk_lie(struct sim_disk *disk, enum sim_lie lie);
void sim_disk_set_free(struct sim_disk *disk, uint64_t free_bytes);

/* What the machine finds when power is back. */
void sim_disk_power_cut(struct sim_disk *disk, uint64_t seed);

#endif
