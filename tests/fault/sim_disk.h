/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk in shared memory that can lose power: a kn_fs with a volatile cache.
 *
 * Writes go to the cache. sync makes a file's bytes and size durable, sync_dir a folder's entries:
 * new, renamed and removed ones. At a power cut each unsynced 512-byte sector is, by a seeded coin,
 * kept, lost, or scrambled (only the bytes that were written since: a disk does not damage what it
 * was not asked to write), the size lands anywhere between the durable and the new one, and each
 * unsynced change of a folder is kept or undone; what lies in a folder that is gone is gone. A
 * failed sync leaves the bytes in the cache and forgets that they were dirty, as Linux does: they
 * read well until the cut, and no later sync writes them.
 *
 * sync_volume is that for all files and folders, except that the disk keeps files' bytes and sizes
 * in its own cache until the next sync of any file. Where it fails each dirty file may have been
 * left alone, or written, or be one whose bytes were lost: its own sync tells of that once, and
 * sync_volume never again.
 *
 * It lives in shared memory so that the process under test can be a child that dies at a chosen
 * call with all its threads. LMDB's file is on the real disk and has its own cache: sim_lmdb.h.
 */
#ifndef TESTS_FAULT_SIM_DISK_H
#define TESTS_FAULT_SIM_DISK_H

#include "sim_lmdb.h"
#include "sim_plan.h"

#include "core/fs.h"

enum sim_lie { /* mutants of the code under test, played by the disk */
    SIM_HONEST = 0,
    SIM_NO_DATA_SYNC = 1,    /* as if the code never flushed files */
    SIM_NO_DIR_SYNC = 2,     /* as if it never flushed folders */
    SIM_LATE_UNLINK = 4,     /* files go when sim_disk_unlink_late says so */
    SIM_NO_TRUNCATE = 8,     /* files are never cut */
    SIM_SYNC_AGAIN = 16,     /* a failed flush is tried again, and that one "succeeds" */
    SIM_KEEPS_CACHE = 32,    /* asked to forget what it caches, it does not: that is advice only */
    SIM_NO_VOLUME_SYNC = 64, /* as if the code never flushed the volume */
    SIM_VOLUME_SYNC_DENIES = 128,   /* the flush of the volume fails and says that it did not */
    SIM_NO_SYNC_AFTER_VOLUME = 256, /* as if no file were flushed after the volume */
};

struct sim_disk;
struct sim_disk *sim_disk_new(void);
void sim_disk_free(struct sim_disk *disk);
void sim_disk_wipe(struct sim_disk *disk);
struct kn_fs *sim_disk_fs(struct sim_disk *disk);
struct sim_plan *sim_disk_plan(struct sim_disk *disk);
struct sim_lmdb *sim_disk_lmdb(struct sim_disk *disk);
void sim_disk_lie(struct sim_disk *disk, unsigned lies);
void sim_disk_unlink_late(struct sim_disk *disk); /* SIM_LATE_UNLINK: now */
void sim_disk_set_free(struct sim_disk *disk, uint64_t free_bytes);

/* What the machine finds when power is back; dir: the data folder, for the catalogue. */
void sim_disk_power_cut(struct sim_disk *disk, const char *dir, uint64_t seed, enum sim_fate fate);
/* Only the process ended: the cache stays. Plans are cleared by both. */
void sim_disk_process_ended(struct sim_disk *disk);

uint64_t sim_disk_coin(uint64_t *random);
enum sim_fate sim_disk_fate(uint64_t *random, enum sim_fate fate); /* never RANDOM */

#endif
