/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated disk; see sim_disk.h. One process-shared lock guards everything; the memory is
 * reserved once and touched as needed. */
#include "sim_disk.h"

#include "sim_thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/err.h"

enum {
    INODES_MAX = 256,
    ENTRIES_MAX = 1024,
    PATH_BYTES_MAX = 256,
    LATE_MAX = 16,
    FILE_BYTES_MAX = 1 << 20,
    SECTOR_BYTES = 512,
    SECTOR_WORDS = SECTOR_BYTES / 64, /* of the dirty bits */
};

struct inode {
    bool used, is_dir;
    unsigned opens; /* by the process under test */
    uint64_t size, durable_size;
    uint64_t touched;                    /* no byte at or after this was ever written */
    uint64_t dirty[FILE_BYTES_MAX / 64]; /* a bit a byte: written and not flushed */
    /* Of the volume's flush: in the disk's own cache, and the size there. */
    uint64_t staged[FILE_BYTES_MAX / 64];
    uint64_t staged_size;
    bool lost; /* the volume's flush has lost bytes of it, and nobody was told */
    uint8_t cache[FILE_BYTES_MAX];
    uint8_t disk[FILE_BYTES_MAX];
};

struct entry { /* a whole path; a folder's entries are those one step below it */
    char path[PATH_BYTES_MAX];
    int now, durable; /* inode, or -1: not there */
    int tied;         /* the other name of an unsynced rename: both or neither; -1 */
    bool kept;        /* at the last cut */
};

struct sim_disk {
    struct kn_fs fs;
    pthread_mutex_t lock;
    struct sim_plan plan;
    struct sim_lmdb lmdb;
    struct entry entries[ENTRIES_MAX];
    int entry_count;
    unsigned lies;
    char late[LATE_MAX][PATH_BYTES_MAX]; /* SIM_LATE_UNLINK: what is due */
    unsigned late_count;
    uint64_t free_bytes;
    bool volume_synced;     /* and no file since */
    uint64_t volume_random; /* what becomes of each file where that fails */
    struct inode inodes[INODES_MAX];
};

struct sim_file { /* per process */
    struct kn_file base;
    struct sim_disk *disk;
    int inode;
};

static struct sim_disk *disk_of(struct kn_fs *fs)
{
    return KN_CONTAINER_OF(fs, struct sim_disk, fs);
}

static struct sim_file *file_of(struct kn_file *file)
{
    return KN_CONTAINER_OF(file, struct sim_file, base);
}

static struct inode *inode_of(struct kn_file *file)
{
    return &file_of(file)->disk->inodes[file_of(file)->inode];
}

static void unlock(struct sim_disk **disk)
{
    pthread_mutex_unlock(&(*disk)->lock);
}
#define LOCKED(d)                                                                                  \
    sim_thread_pause();                                                                            \
    pthread_mutex_lock(&(d)->lock);                                                                \
    KN_CLEANUP(unlock) struct sim_disk *locked_ KN_UNUSED = (d)

static int step(struct sim_disk *d, enum sim_call call, uint32_t hash)
{
    return sim_plan_step(&d->plan, call, hash);
}

/* --- names ------------------------------------------------------------------------------------ */
static struct entry *entry_of(struct sim_disk *d, const char *path, bool make)
{
    struct entry *spare = NULL;
    for (int i = 0; i < d->entry_count; i++) {
        struct entry *e = &d->entries[i];
        if (strcmp(e->path, path) == 0)
            return e;
        if (e->now < 0 && e->durable < 0)
            spare = e;
    }
    if (!make)
        return NULL;
    if (!spare) {
        kn_assert(d->entry_count < ENTRIES_MAX);
        spare = &d->entries[d->entry_count++];
    }
    kn_assert(strlen(path) < PATH_BYTES_MAX);
    snprintf(spare->path, sizeof(spare->path), "%s", path);
    spare->now = spare->durable = spare->tied = -1;
    return spare;
}

static bool is_child(const char *dir, const char *path)
{
    size_t len = strlen(dir);
    return strncmp(path, dir, len) == 0 && path[len] == '/' && !strchr(path + len + 1, '/');
}

static int new_inode(struct sim_disk *d, bool is_dir)
{
    for (int i = 0; i < INODES_MAX; i++) {
        struct inode *inode = &d->inodes[i];
        if (inode->used)
            continue;
        memset(inode->cache, 0, inode->touched);
        memset(inode->disk, 0, inode->touched);
        memset(inode->dirty, 0, (inode->touched + 63) / 64 * sizeof(inode->dirty[0]));
        memset(inode->staged, 0, (inode->touched + 63) / 64 * sizeof(inode->staged[0]));
        inode->used = true;
        inode->lost = false;
        inode->is_dir = is_dir;
        inode->opens = 0;
        inode->size = inode->durable_size = inode->staged_size = inode->touched = 0;
        return i;
    }
    return -ENOSPC;
}

/* An inode goes once no name leads to it, now or after a cut, and nobody has it open. */
static void collect(struct sim_disk *d)
{
    bool named[INODES_MAX] = {false};
    for (int i = 0; i < d->entry_count; i++) {
        if (d->entries[i].now >= 0)
            named[d->entries[i].now] = true;
        if (d->entries[i].durable >= 0)
            named[d->entries[i].durable] = true;
    }
    for (int i = 0; i < INODES_MAX; i++) {
        if (!named[i] && d->inodes[i].opens == 0)
            d->inodes[i].used = false;
    }
}

static bool has_parent(struct sim_disk *d, const char *path)
{
    char parent[PATH_BYTES_MAX];
    snprintf(parent, sizeof(parent), "%.250s", path);
    char *slash = strrchr(parent, '/');
    kn_assert(slash != NULL);
    *slash = '\0';
    struct entry *e = entry_of(d, parent, false);
    /* The data folder itself is not ours: its children have no parent here. */
    return (e && e->now >= 0) || !strstr(parent, "/chunks");
}

static int sim_open(struct kn_fs *fs, const char *path, int flags, struct kn_file **ret)
{
    struct sim_disk *d = disk_of(fs);
    LOCKED(d);
    int r = step(d, SIM_OPEN, sim_hash_text(path) + (uint32_t) flags);
    if (r < 0)
        return r;
    struct entry *e = entry_of(d, path, false);
    bool there = e && e->now >= 0;
    if (there && (flags & KN_FS_EXCLUSIVE))
        return -EEXIST;
    if (!there && (!(flags & KN_FS_CREATE) || !has_parent(d, path)))
        return -ENOENT;
    int inode = there ? e->now : new_inode(d, false);
    if (inode < 0)
        return inode;
    if (!there)
        entry_of(d, path, true)->now = inode;
    struct sim_file *file = calloc(1, sizeof(*file));
    if (!file)
        return -ENOMEM;
    *file = (struct sim_file){.base = {fs}, .disk = d, .inode = inode};
    d->inodes[inode].opens++;
    *ret = &file->base;
    return 0;
}

static int sim_mkdir(struct kn_fs *fs, const char *path)
{
    struct sim_disk *d = disk_of(fs);
    LOCKED(d);
    int r = step(d, SIM_MKDIR, sim_hash_text(path));
    if (r < 0)
        return r;
    struct entry *e = entry_of(d, path, false);
    if (e && e->now >= 0)
        return -EEXIST;
    if (!has_parent(d, path))
        return -ENOENT;
    int inode = new_inode(d, true);
    if (inode < 0)
        return inode;
    entry_of(d, path, true)->now = inode;
    return 0;
}

static int sim_rename(struct kn_fs *fs, const char *from, const char *to)
{
    struct sim_disk *d = disk_of(fs);
    LOCKED(d);
    int r = step(d, SIM_RENAME, sim_hash_text(from) ^ sim_hash_text(to));
    if (r < 0)
        return r;
    struct entry *a = entry_of(d, from, false);
    if (!a || a->now < 0)
        return -ENOENT;
    struct entry *b = entry_of(d, to, true);
    b->now = a->now;
    a->now = -1;
    a->tied = (int) (b - d->entries);
    b->tied = (int) (a - d->entries);
    collect(d);
    return 0;
}

static int remove_entry(struct kn_fs *fs, const char *path, enum sim_call call)
{
    struct sim_disk *d = disk_of(fs);
    LOCKED(d);
    int r = step(d, call, sim_hash_text(path));
    if (r < 0)
        return r;
    struct entry *e = entry_of(d, path, false);
    if (!e || e->now < 0)
        return -ENOENT;
    if (call == SIM_UNLINK && (d->lies & SIM_LATE_UNLINK)) {
        kn_assert(d->late_count < LATE_MAX);
        snprintf(d->late[d->late_count++], sizeof(d->late[0]), "%s", path);
        return 0;
    }
    for (int i = 0; call == SIM_RMDIR && i < d->entry_count; i++) {
        if (d->entries[i].now >= 0 && is_child(path, d->entries[i].path))
            return -EBUSY;
    }
    e->now = -1;
    collect(d);
    return 0;
}

static int sim_unlink(struct kn_fs *fs, const char *path)
{
    return remove_entry(fs, path, SIM_UNLINK);
}

static int sim_rmdir(struct kn_fs *fs, const char *path)
{
    return remove_entry(fs, path, SIM_RMDIR);
}

static int sim_sync_dir(struct kn_fs *fs, const char *path)
{
    struct sim_disk *d = disk_of(fs);
    LOCKED(d);
    int r = step(d, SIM_SYNC_DIR, sim_hash_text(path));
    if (r < 0 || (d->lies & SIM_NO_DIR_SYNC))
        return r;
    struct entry *dir = entry_of(d, path, false);
    if (strstr(path, "/chunks") && (!dir || dir->now < 0))
        return -ENOENT;
    for (int i = 0; i < d->entry_count; i++) {
        struct entry *e = &d->entries[i];
        if (is_child(path, e->path)) {
            e->durable = e->now;
            e->tied = -1;
        }
    }
    collect(d);
    return 0;
}

static int sim_list(struct kn_fs *fs, const char *path, kn_fs_entry_fn *entry, void *ctx)
{
    struct sim_disk *d = disk_of(fs);
    char(*names)[PATH_BYTES_MAX] = malloc(sizeof(*names) * ENTRIES_MAX);
    bool is_dir[ENTRIES_MAX];
    int count = 0, r = names ? 0 : -ENOMEM;
    if (r == 0) {
        LOCKED(d);
        r = step(d, SIM_LIST, sim_hash_text(path));
        struct entry *dir = entry_of(d, path, false);
        if (r == 0 && (!dir || dir->now < 0))
            r = -ENOENT;
        for (int i = 0; r == 0 && i < d->entry_count; i++) {
            const struct entry *e = &d->entries[i];
            if (e->now < 0 || !is_child(path, e->path))
                continue;
            snprintf(names[count], sizeof(names[0]), "%s", e->path + strlen(path) + 1);
            is_dir[count++] = d->inodes[e->now].is_dir;
        }
    }
    for (int i = 0; r == 0 && i < count; i++)
        r = entry(ctx, names[i], is_dir[i]);
    free(names);
    return r;
}

static int sim_space(struct kn_fs *fs, const char *path, struct kn_fs_space *ret)
{
    (void) path;
    struct sim_disk *d = disk_of(fs);
    LOCKED(d);
    *ret = (struct kn_fs_space){
        .total_bytes = GIB(1), .free_bytes = d->free_bytes, .free_inodes = 1000};
    return 0;
}

/* --- files ------------------------------------------------------------------------------------ */
static void sim_close(struct kn_file *file)
{
    struct sim_disk *d = file_of(file)->disk;
    if (file_of(file)->inode >= 0) {
        LOCKED(d);
        inode_of(file)->opens--;
        collect(d);
    }
    free(file_of(file));
}

static ssize_t sim_preadv(struct kn_file *file, const struct iovec *iov, int n, uint64_t off,
                          bool nowait)
{
    (void) nowait;
    struct sim_disk *d = file_of(file)->disk;
    LOCKED(d);
    int r = step(d, SIM_READ, (uint32_t) off);
    if (r < 0)
        return r;
    const struct inode *inode = inode_of(file);
    ssize_t done = 0;
    for (int i = 0; i < n && off < inode->size; i++) {
        size_t len = kn_min_u64(iov[i].iov_len, inode->size - off);
        memcpy(iov[i].iov_base, inode->cache + off, len);
        off += len;
        done += (ssize_t) len;
    }
    return done;
}

static void mark_dirty(struct inode *inode, uint64_t from, uint64_t to)
{
    inode->touched = kn_max_u64(inode->touched, to);
    for (uint64_t at = from; at < to;) {
        uint64_t bit = at % 64, len = kn_min_u64(64 - bit, to - at);
        uint64_t mask = len == 64 ? UINT64_MAX : ((1ull << len) - 1) << bit;
        inode->dirty[at / 64] |= mask;
        at += len;
    }
}

static bool is_dirty(const struct inode *inode, uint64_t at)
{
    return inode->dirty[at / 64] >> (at % 64) & 1;
}

static bool sector_is_dirty(const struct inode *inode, uint64_t sector)
{
    for (uint64_t i = 0; i < SECTOR_WORDS; i++) {
        if (inode->dirty[sector * SECTOR_WORDS + i])
            return true;
    }
    return false;
}

static ssize_t sim_pwritev(struct kn_file *file, const struct iovec *iov, int n, uint64_t off)
{
    struct sim_disk *d = file_of(file)->disk;
    LOCKED(d);
    uint32_t hash = (uint32_t) off;
    for (int i = 0; i < n; i++)
        hash = sim_hash(hash, iov[i].iov_base, iov[i].iov_len);
    int r = step(d, SIM_WRITE, hash);
    if (r < 0)
        return r;
    struct inode *inode = inode_of(file);
    ssize_t done = 0;
    for (int i = 0; i < n; i++) {
        kn_assert(off + iov[i].iov_len <= FILE_BYTES_MAX);
        memcpy(inode->cache + off, iov[i].iov_base, iov[i].iov_len);
        mark_dirty(inode, off, off + iov[i].iov_len);
        off += iov[i].iov_len;
        done += (ssize_t) iov[i].iov_len;
        inode->size = kn_max_u64(inode->size, off);
    }
    return done;
}

static int sim_allocate(struct kn_file *file, uint64_t off, uint64_t len)
{
    struct sim_disk *d = file_of(file)->disk;
    LOCKED(d);
    return step(d, SIM_ALLOCATE, (uint32_t) (off ^ len)); /* keeps the size: nothing to see */
}

static int sim_truncate(struct kn_file *file, uint64_t len)
{
    struct sim_disk *d = file_of(file)->disk;
    LOCKED(d);
    int r = step(d, SIM_TRUNCATE, (uint32_t) len);
    if (r < 0 || (d->lies & SIM_NO_TRUNCATE))
        return r;
    struct inode *inode = inode_of(file);
    if (len < inode->size) {
        memset(inode->cache + len, 0, inode->size - len);
        mark_dirty(inode, len, inode->size);
    }
    inode->size = len;
    return 0;
}

static int sim_sync_start(struct kn_file *file)
{
    struct sim_disk *d = file_of(file)->disk;
    LOCKED(d);
    return step(d, SIM_SYNC_START, 0);
}

static void clean(struct inode *inode)
{
    memset(inode->dirty, 0, (inode->touched + 63) / 64 * sizeof(inode->dirty[0]));
}

/* Bytes that are in the file's cache go where they last. */
static void keep(struct inode *inode, uint64_t *bits)
{
    for (uint64_t i = 0; i < (inode->touched + 63) / 64; i++) {
        if (bits[i] == UINT64_MAX)
            memcpy(inode->disk + i * 64, inode->cache + i * 64, 64);
        for (uint64_t b = 0; bits[i] != UINT64_MAX && b < 64; b++) {
            if (bits[i] >> b & 1)
                inode->disk[i * 64 + b] = inode->cache[i * 64 + b];
        }
        bits[i] = 0;
    }
}

/* The disk empties its own cache. */
static void keep_staged(struct sim_disk *d)
{
    for (int i = 0; i < INODES_MAX; i++) {
        struct inode *inode = &d->inodes[i];
        if (!inode->used || inode->is_dir)
            continue;
        keep(inode, inode->staged);
        inode->durable_size = inode->staged_size;
    }
}

static int sim_sync(struct kn_file *file)
{
    struct sim_disk *d = file_of(file)->disk;
    LOCKED(d);
    struct inode *inode = inode_of(file);
    int r = step(d, SIM_SYNC, (uint32_t) inode->size);
    if (r == 0 && inode->lost)
        r = -EIO;
    inode->lost = false;
    bool after_volume = d->volume_synced;
    d->volume_synced = false;
    if (r < 0) { /* the kernel marks the pages clean all the same */
        clean(inode);
        return d->lies & SIM_SYNC_AGAIN ? 0 : r;
    }
    if ((d->lies & SIM_NO_DATA_SYNC) || (after_volume && (d->lies & SIM_NO_SYNC_AFTER_VOLUME)))
        return 0;
    keep(inode, inode->dirty);
    inode->staged_size = inode->size;
    keep_staged(d);
    return 0;
}

/* What syncfs does with one file. */
static void stage(struct inode *inode)
{
    for (uint64_t i = 0; i < (inode->touched + 63) / 64; i++)
        inode->staged[i] |= inode->dirty[i];
    clean(inode);
    inode->staged_size = inode->size;
}

static bool has_dirty(const struct inode *inode)
{
    for (uint64_t i = 0; i < (inode->touched + 63) / 64; i++) {
        if (inode->dirty[i])
            return true;
    }
    return false;
}

/* One that fails: any file may be the one. */
static void stage_some(struct sim_disk *d)
{
    for (int i = 0; i < INODES_MAX; i++) {
        struct inode *inode = &d->inodes[i];
        if (!inode->used || inode->is_dir || !has_dirty(inode))
            continue;
        switch (sim_disk_coin(&d->volume_random) % 4) {
        case 0:
            break;
        case 1:
            stage(inode);
            break;
        default:
            clean(inode);
            inode->lost = true;
            break;
        }
    }
}

static int sim_sync_volume(struct kn_file *volume)
{
    struct sim_disk *d = file_of(volume)->disk;
    LOCKED(d);
    int r = step(d, SIM_SYNC_VOLUME, 0);
    d->volume_synced = true;
    if (r < 0) {
        stage_some(d);
        return d->lies & SIM_VOLUME_SYNC_DENIES ? 0 : r;
    }
    if (d->lies & (SIM_NO_VOLUME_SYNC | SIM_NO_DATA_SYNC))
        return 0;
    for (int i = 0; i < INODES_MAX; i++) {
        if (d->inodes[i].used && !d->inodes[i].is_dir)
            stage(&d->inodes[i]);
    }
    for (int i = 0; i < d->entry_count && !(d->lies & SIM_NO_DIR_SYNC); i++) {
        d->entries[i].durable = d->entries[i].now;
        d->entries[i].tied = -1;
    }
    collect(d);
    return 0;
}

/* Its inode is none of the table's. */
static int sim_open_volume(struct kn_fs *fs, const char *path, bool *ret_own, struct kn_file **ret)
{
    struct sim_disk *d = disk_of(fs);
    LOCKED(d);
    int r = step(d, SIM_OPEN, sim_hash_text(path));
    struct sim_file *file = r == 0 ? calloc(1, sizeof(*file)) : NULL;
    if (!file)
        return r < 0 ? r : -ENOMEM;
    *file = (struct sim_file){.base = {fs}, .disk = d, .inode = -1};
    *ret_own = false;
    *ret = &file->base;
    return 0;
}

/* What was not written back, or was marked clean by a flush that failed, is not there any more. */
static int sim_settle(struct kn_file *file)
{
    int r = sim_sync(file);
    struct sim_disk *d = file_of(file)->disk;
    LOCKED(d);
    struct inode *inode = inode_of(file);
    if (!(d->lies & (SIM_NO_DATA_SYNC | SIM_KEEPS_CACHE)))
        memcpy(inode->cache, inode->disk, inode->touched);
    return r;
}

static int sim_size(struct kn_file *file, uint64_t *ret)
{
    struct sim_disk *d = file_of(file)->disk;
    LOCKED(d);
    int r = step(d, SIM_SIZE, 0);
    if (r == 0)
        *ret = inode_of(file)->size;
    return r;
}

static int sim_fd(struct kn_file *file)
{
    (void) file;
    return -1;
}

static const struct kn_fs_ops sim_ops = {
    .open = sim_open,
    .mkdir = sim_mkdir,
    .rename = sim_rename,
    .unlink = sim_unlink,
    .rmdir = sim_rmdir,
    .sync_dir = sim_sync_dir,
    .list = sim_list,
    .space = sim_space,
    .close = sim_close,
    .preadv = sim_preadv,
    .pwritev = sim_pwritev,
    .allocate = sim_allocate,
    .truncate = sim_truncate,
    .sync_start = sim_sync_start,
    .sync = sim_sync,
    .settle = sim_settle,
    .size = sim_size,
    .fd = sim_fd,
    .open_volume = sim_open_volume,
    .sync_volume = sim_sync_volume,
};

/* --- the machine around it
 * ------------------------------------------------------------------------
 */
struct sim_disk *sim_disk_new(void)
{
    struct sim_disk *d = mmap(NULL, sizeof(*d), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    kn_assert(d != MAP_FAILED);
    d->fs.ops = &sim_ops;
    sim_disk_wipe(d);
    return d;
}

void sim_disk_free(struct sim_disk *d)
{
    munmap(d, sizeof(*d));
}

void sim_disk_wipe(struct sim_disk *d)
{
    d->entry_count = 0;
    d->lies = SIM_HONEST;
    d->free_bytes = MIB(512);
    sim_lmdb_wipe(&d->lmdb);
    d->plan.trace_count = d->plan.trace_hash = 0;
    d->plan.seen = 0;
    d->volume_random = 1;
    sim_disk_process_ended(d);
}

struct kn_fs *sim_disk_fs(struct sim_disk *d)
{
    return &d->fs;
}

struct sim_plan *sim_disk_plan(struct sim_disk *d)
{
    return &d->plan;
}

struct sim_lmdb *sim_disk_lmdb(struct sim_disk *d)
{
    return &d->lmdb;
}

void sim_disk_lie(struct sim_disk *d, unsigned lies)
{
    d->lies = lies;
}

void sim_disk_unlink_late(struct sim_disk *d)
{
    while (d->late_count > 0) {
        struct entry *e = entry_of(d, d->late[--d->late_count], false);
        if (step(d, SIM_UNLINK, 0) == 0 && e)
            e->now = -1;
    }
}

void sim_disk_set_free(struct sim_disk *d, uint64_t free_bytes)
{
    d->free_bytes = free_bytes;
}

/* The lock went with the process that held it: a new one. */
void sim_disk_process_ended(struct sim_disk *d)
{
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&d->lock, &attr);
    pthread_mutexattr_destroy(&attr);
    for (int i = 0; i < INODES_MAX; i++)
        d->inodes[i].opens = 0;
    d->late_count = 0;
    d->volume_synced = false;
    collect(d);
    sim_plan_clear(&d->plan);
}

uint64_t sim_disk_coin(uint64_t *random)
{
    *random ^= *random >> 12;
    *random ^= *random << 25;
    *random ^= *random >> 27;
    return *random * 0x2545F4914F6CDD1Du >> 33;
}

enum sim_fate sim_disk_fate(uint64_t *random, enum sim_fate fate)
{
    return fate == SIM_FATE_RANDOM ? (enum sim_fate)(sim_disk_coin(random) % 3) : fate;
}

static void cut_size(struct inode *inode, uint64_t *random, enum sim_fate fate)
{
    uint64_t low = kn_min_u64(inode->size, inode->durable_size);
    uint64_t high = kn_max_u64(inode->size, inode->durable_size);
    if (low == high)
        return;
    switch (sim_disk_fate(random, fate)) {
    case SIM_FATE_KEEP:
        inode->durable_size = inode->size;
        break;
    case SIM_FATE_SCRAMBLE: /* somewhere between */
        inode->durable_size = low + sim_disk_coin(random) % (high - low);
        break;
    case SIM_FATE_LOSE:
    case SIM_FATE_RANDOM:
        break;
    }
}

/* Differing bytes that are not dirty were in a sync that failed: kept or lost, like others. */
static void cut_inode(struct inode *inode, uint64_t *random, enum sim_fate fate)
{
    for (uint64_t i = 0; i * SECTOR_BYTES < inode->touched; i++) {
        uint8_t *disk = inode->disk + i * SECTOR_BYTES, *cache = inode->cache + i * SECTOR_BYTES;
        if (!sector_is_dirty(inode, i) && memcmp(disk, cache, SECTOR_BYTES) == 0)
            continue;
        enum sim_fate one = sim_disk_fate(random, fate);
        if (one == SIM_FATE_KEEP)
            memcpy(disk, cache, SECTOR_BYTES);
        for (uint64_t b = 0; one == SIM_FATE_SCRAMBLE && b < SECTOR_BYTES; b++) {
            if (is_dirty(inode, i * SECTOR_BYTES + b))
                disk[b] = (uint8_t) sim_disk_coin(random);
        }
    }
    clean(inode);
    memset(inode->staged, 0, (inode->touched + 63) / 64 * sizeof(inode->staged[0]));
    inode->lost = false;
    cut_size(inode, random, fate);
    if (inode->touched > inode->durable_size)
        memset(inode->disk + inode->durable_size, 0, inode->touched - inode->durable_size);
    inode->size = inode->staged_size = inode->durable_size;
    memcpy(inode->cache, inode->disk, inode->touched);
}

/* What lies in a folder that is not there is not there. */
static void cut_orphans(struct sim_disk *d)
{
    for (int i = 0; i < d->entry_count; i++) {
        struct entry *e = &d->entries[i];
        char parent[PATH_BYTES_MAX];
        snprintf(parent, sizeof(parent), "%s", e->path);
        char *slash = strrchr(parent, '/');
        for (; slash && slash != parent; slash = strrchr(parent, '/')) {
            *slash = '\0';
            struct entry *up = entry_of(d, parent, false);
            bool ours = strstr(parent, "/chunks") != NULL;
            if (ours && (!up || up->now < 0))
                e->now = e->durable = -1;
        }
    }
}

void sim_disk_power_cut(struct sim_disk *d, const char *dir, uint64_t seed, enum sim_fate fate)
{
    uint64_t random = seed * 0x9E3779B97F4A7C15u + 1;
    sim_disk_process_ended(d);
    for (int i = 0; i < d->entry_count; i++) {
        struct entry *e = &d->entries[i];
        bool kept = sim_disk_fate(&random, fate) == SIM_FATE_KEEP;
        if (e->tied >= 0 && e->tied < i)
            kept = d->entries[e->tied].kept;
        e->kept = kept;
        if (kept)
            e->durable = e->now;
        e->now = e->durable;
    }
    for (int i = 0; i < d->entry_count; i++)
        d->entries[i].tied = -1;
    cut_orphans(d);
    collect(d);
    for (int i = 0; i < INODES_MAX; i++) {
        if (d->inodes[i].used && !d->inodes[i].is_dir)
            cut_inode(&d->inodes[i], &random, fate);
    }
    sim_lmdb_power_cut(&d->lmdb, dir, &random, fate);
}
