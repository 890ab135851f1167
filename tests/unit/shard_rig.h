/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of a shard in a temporary folder, on a clock of the test's own and a disk whose flushes
 * can be made to fail. Records' contents follow from their numbers.
 */
#ifndef TESTS_UNIT_SHARD_RIG_H
#define TESTS_UNIT_SHARD_RIG_H

#include "storage_rig.h"
#include "temp_dir.h"
#include "test.h"

#include "shard/segment.h"

/* The real disk, on which flushes by the thread that commits can be made to fail, and what is done
 * to the files of one folder; or no records leave the journals. */
enum {
    SHARD_DISK_FILES_MAX = 64
};
extern struct shard_disk {
    struct kn_fs fs;
    struct kn_fs_ops ops;
    _Atomic int flushes_to_fail;
    char folder[80]; /* a part of its path: shard_disk_set_folder */
    _Atomic int folder_error, folder_flush_error;
    _Atomic uint64_t
        free_bytes; /* said of the volume; 0: the truth. Each file that is removed adds … */
    _Atomic uint64_t file_bytes;
    struct kn_file *_Atomic folder_files[SHARD_DISK_FILES_MAX]; /* the newest opened in it */
    _Atomic unsigned opened;
    _Atomic uint64_t sick_from, sick_to; /* bytes of it that cannot be read */
    _Atomic int64_t refusal_ms;          /* how long the disk tries; on the test's clock */
    _Atomic int refusals_left;           /* then it is well again; 0: never */
    _Atomic bool no_checkpoints;
    _Atomic bool folder_hangs, hanging; /* who opens a file there waits; somebody does */
    _Atomic unsigned reads;             /* that found bytes */
    _Atomic uint64_t read_bytes;
} shard_disk;
extern struct kn_fake_clock shard_clock;
/* What is bad from now on; threads of the log may ask meanwhile. "": nothing. */
void shard_disk_set_folder(const char *format, ...) __attribute__((format(printf, 1, 2)));

struct shard_rig {
    struct temp_dir dir;
    struct storage_shard_conf conf;
    struct storage *storage;
    struct storage_shards_report report;
    struct storage_id id;
    struct storage_shard *shard;
};

struct shard_waiter {
    struct kn_lock lock;
    struct kn_cond moved;
    size_t done;
    uint64_t index;
    int64_t arrival_ms;
    int result;
};

struct shard_rig shard_rig_setup(uint64_t journal_bytes);
void shard_rig_teardown(struct shard_rig *f);
void shard_rig_open(struct shard_rig *f);
void shard_rig_close(struct shard_rig *f);
void shard_rig_reopen(struct shard_rig *f);

int shard_rig_wait(struct storage_shard *shard, struct storage_batch *batch,
                   struct shard_waiter *w);
size_t shard_rig_data(uint64_t number, uint8_t dst[512]);
void shard_rig_add(struct shard_rig *f, struct storage_batch *batch, uint64_t number,
                   const struct storage_shard_source *source);
/* One batch; returns the first one's index. */
uint64_t shard_rig_append_to(struct shard_rig *f, struct storage_shard *shard, uint64_t number,
                             size_t count);
uint64_t shard_rig_append(struct shard_rig *f, uint64_t number, size_t count);
void shard_rig_assert_record(const struct storage_shard_record *record, uint64_t number);
/* All from this index on: record n has index n. */
void shard_rig_assert_reads(struct storage_shard *shard, uint64_t from, uint64_t to,
                            size_t count_max);

#endif
