/* SPDX-License-Identifier: Apache-2.0 */
/* A volatile cache under LMDB; see sim_lmdb.h. */
#include "sim_lmdb.h"

#include "sim_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    PATH_BYTES = 256,
    ROOT_SECTORS = 2 * 4096 / SIM_LMDB_SECTOR_BYTES,
};

static struct sim_lmdb *lmdb;
static struct sim_plan *plan;
static char data_path[PATH_BYTES], new_path[PATH_BYTES], folder_path[PATH_BYTES],
    parent_path[PATH_BYTES];

void sim_lmdb_begin(struct sim_lmdb *l, struct sim_plan *p, const char *dir)
{
    lmdb = l;
    plan = p;
    snprintf(parent_path, sizeof(parent_path), "%.200s", dir);
    snprintf(folder_path, sizeof(folder_path), "%.200s/catalogue", dir);
    snprintf(data_path, sizeof(data_path), "%.200s/catalogue/data.mdb", dir);
    snprintf(new_path, sizeof(new_path), "%.200s/catalogue/data.new", dir); /* before it is named */
}

static bool is_at(int fd, const char *path)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_ino == b.st_ino &&
           a.st_dev == b.st_dev;
}

static bool is_data(int fd)
{
    return lmdb && (is_at(fd, data_path) || is_at(fd, new_path));
}

static uint64_t size_of(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 ? (uint64_t) st.st_size : 0;
}

/* Keeps what the sectors held before their first unsynced write. */
static void remember(int fd, uint64_t from, uint64_t to)
{
    for (uint64_t i = from / SIM_LMDB_SECTOR_BYTES; i * SIM_LMDB_SECTOR_BYTES < to; i++) {
        kn_assert(i < SIM_LMDB_SECTORS_MAX);
        if (lmdb->dirty[i])
            continue;
        lmdb->dirty[i] = true;
        memset(lmdb->before[i], 0, SIM_LMDB_SECTOR_BYTES);
        ssize_t r =
            pread(fd, lmdb->before[i], SIM_LMDB_SECTOR_BYTES, (off_t) (i * SIM_LMDB_SECTOR_BYTES));
        kn_assert(r >= 0);
    }
}

static void forget(uint64_t from, uint64_t to)
{
    for (uint64_t i = from / SIM_LMDB_SECTOR_BYTES; i * SIM_LMDB_SECTOR_BYTES < to; i++)
        lmdb->dirty[i] = false;
}

static int fail_with(int r)
{
    errno = -r;
    return -1;
}

static ssize_t raw_pwrite(int fd, const void *bytes, size_t len, off_t off)
{
    return syscall(SYS_pwrite64, fd, bytes, len, off);
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t off)
{
    if (!is_data(fd))
        return raw_pwrite(fd, bytes, len, off);
    int r = sim_plan_step(plan, SIM_LMDB_WRITE, sim_hash((uint32_t) off, bytes, len));
    if (r < 0)
        return fail_with(r);
    uint64_t from = (uint64_t) off, to = from + len;
    bool durable = (fcntl(fd, F_GETFL) & O_DSYNC) && !lmdb->no_sync;
    if (durable)
        forget(from, to);
    else
        remember(fd, from, to);
    ssize_t done = raw_pwrite(fd, bytes, len, off);
    if (durable)
        lmdb->durable_bytes = kn_max_u64(lmdb->durable_bytes, to);
    return done;
}

ssize_t writev(int fd, const struct iovec *iov, int count)
{
    if (is_data(fd)) {
        uint64_t from = (uint64_t) lseek(fd, 0, SEEK_CUR), to = from;
        uint32_t hash = (uint32_t) from;
        for (int i = 0; i < count; i++) {
            to += iov[i].iov_len;
            hash = sim_hash(hash, iov[i].iov_base, iov[i].iov_len);
        }
        int r = sim_plan_step(plan, SIM_LMDB_WRITE, hash);
        if (r < 0)
            return fail_with(r);
        remember(fd, from, to);
    }
    return syscall(SYS_writev, fd, iov, count);
}

/* A failed sync forgets what was dirty, as Linux does; the bytes may be there or not. */
static int sync_data(int fd)
{
    int r = sim_plan_step(plan, SIM_LMDB_SYNC, 0);
    if (r < 0)
        return fail_with(r);
    if (lmdb->no_sync)
        return 0;
    memset(lmdb->dirty, 0, sizeof(lmdb->dirty));
    lmdb->durable_bytes = size_of(fd);
    return 0;
}

int fdatasync(int fd)
{
    if (is_data(fd))
        return sync_data(fd);
    return lmdb ? 0 : (int) syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
    if (is_data(fd))
        return sync_data(fd);
    if (!lmdb)
        return (int) syscall(SYS_fsync, fd);
    bool folder = is_at(fd, folder_path);
    if (folder || is_at(fd, parent_path)) {
        int r = sim_plan_step(plan, SIM_LMDB_SYNC, 1);
        if (r < 0)
            return fail_with(r);
        if (folder)
            lmdb->folder_synced |= access(data_path, F_OK) == 0;
        else
            lmdb->parent_synced = true;
    }
    return 0;
}

/* --- the cut ---------------------------------------------------------------------------------- */
static void cut_sector(int fd, uint64_t at, uint64_t *random, enum sim_fate fate)
{
    uint8_t bytes[SIM_LMDB_SECTOR_BYTES];
    enum sim_fate one = sim_disk_fate(random, fate);
    if (one == SIM_FATE_SCRAMBLE && at < ROOT_SECTORS && lmdb->folder_synced)
        one = SIM_FATE_LOSE; /* a sector is whole, old or new: LMDB's own premise */
    switch (one) {
    case SIM_FATE_LOSE:
        memcpy(bytes, lmdb->before[at], sizeof(bytes));
        break;
    case SIM_FATE_SCRAMBLE:
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = (uint8_t) sim_disk_coin(random);
        break;
    case SIM_FATE_KEEP:
    case SIM_FATE_RANDOM:
        return;
    }
    kn_assert(raw_pwrite(fd, bytes, sizeof(bytes), (off_t) (at * sizeof(bytes))) ==
              (ssize_t) sizeof(bytes));
}

void sim_lmdb_power_cut(struct sim_lmdb *l, const char *dir, uint64_t *random, enum sim_fate fate)
{
    char path[PATH_BYTES], lock[PATH_BYTES];
    snprintf(path, sizeof(path), "%.200s/catalogue/data.mdb", dir);
    snprintf(lock, sizeof(lock), "%.200s/catalogue/lock.mdb", dir);
    lmdb = l;
    unlink(lock);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    bool named = l->folder_synced && l->parent_synced;
    if (fd >= 0 && !named && sim_disk_fate(random, fate) != SIM_FATE_KEEP) {
        unlink(path);
    } else if (fd >= 0) {
        for (uint64_t i = 0; i < SIM_LMDB_SECTORS_MAX; i++) {
            if (l->dirty[i])
                cut_sector(fd, i, random, fate);
        }
        uint64_t size = size_of(fd);
        if (size > l->durable_bytes && sim_disk_fate(random, fate) != SIM_FATE_KEEP)
            kn_assert(ftruncate(fd, (off_t) l->durable_bytes) == 0);
        l->durable_bytes = size_of(fd);
    }
    if (fd >= 0)
        close(fd);
    memset(l->dirty, 0, sizeof(l->dirty));
    lmdb = NULL;
}

void sim_lmdb_wipe(struct sim_lmdb *l)
{
    memset(l->dirty, 0, sizeof(l->dirty));
    l->durable_bytes = 0;
    l->folder_synced = l->parent_synced = false;
    l->no_sync = false;
}
