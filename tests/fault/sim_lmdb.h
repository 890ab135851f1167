/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volatile cache under LMDB, which does its own I/O: this file defines pwrite, writev, fdatasync
 * and fsync, and for the catalogue's data file notes what each unsynced sector held before. At a
 * power cut each of them is, by the seed, kept, put back or scrambled in the real file; a catalogue
 * whose folder was never synced may be gone altogether. Nothing is really flushed.
 *
 * LMDB writes its root page through a descriptor with O_DSYNC and relies on that write being whole
 * within a sector, as do we.
 */
#ifndef TESTS_FAULT_SIM_LMDB_H
#define TESTS_FAULT_SIM_LMDB_H

#include "sim_plan.h"

enum {
    SIM_LMDB_SECTOR_BYTES = 512,
    SIM_LMDB_SECTORS_MAX = 4096, /* of a file of 2 MiB */
};

struct sim_lmdb { /* shared */
    bool dirty[SIM_LMDB_SECTORS_MAX];
    uint8_t before[SIM_LMDB_SECTORS_MAX][SIM_LMDB_SECTOR_BYTES];
    uint64_t durable_bytes;            /* size of the file at its last sync */
    bool folder_synced, parent_synced; /* with the file in it */
    bool no_sync;                      /* a mutant: as if the catalogue were never flushed */
};

/* From now on this process's LMDB in DIR/catalogue is simulated. */
void sim_lmdb_begin(struct sim_lmdb *lmdb, struct sim_plan *plan, const char *dir);
/* What the machine finds when power is back. */
void sim_lmdb_power_cut(struct sim_lmdb *lmdb, const char *dir, uint64_t *random,
                        enum sim_fate fate);
void sim_lmdb_wipe(struct sim_lmdb *lmdb);

#endif
