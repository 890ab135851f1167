/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated disk; see sim_disk.h. One process-shared lock guards everything; the memory is
 * reserved once and touched as needed. */
#include "sim_disk.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    INODES_MAX = 256,
    ENTRIES_MAX = 512,
    PATH_BYTES_MAX = 256,
    FILE_BYTES_MAX = 4 << 20,
    SECTOR_BYTES = 512,
    SECTORS = FILE_BYTES_MAX / SECTOR_BYTES,
};

struct sector { /* bytes [low, high) were written and not flushed; low == high: clean */
    uint16_t low, high;
};

struct inode {
    bool used, is_dir;
    uint64_t size, durable_size;
    struct sector sectors[SECTORS];
    uint8_t cache[FILE_BYTES_MAX];
    uint8_t disk[FILE_BYTES_MAX];
};

struct entry { /* a whole path; a folder's entries are those one step below it */
    char path[PATH_BYTES_MAX];
    int now, durable; /* inode, or -1: not there */
};

struct sim_disk {
    struct kn_fs fs;
    pthread_mutex_t lock;
    struct entry entries[ENTRIES_MAX];
    int entry_count;
    int64_t calls, fail_calls;
    int64_t cut_at, fail_at;
    unsigned fail_kinds;
    int fail_error;
    bool fail_for_good, failed;
    enum sim_lie lie;
    uint64_t free_bytes;
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

static void unlock(struct sim_disk **disk)
{
    pthread_mutex_unlock(&(*disk)->lock);
}
#define LOCKED(d)                                                                                  \
    pthread_mutex_lock(&(d)->lock);                                                                \
    KN_CLEANUP(unlock) struct sim_disk *locked_ KN_UNUSED = (d)

/* Counts a call. The process may end here; else 0 or the error due. */
static int count_call(struct sim_disk *d, enum sim_call call)
{
    if ((call & SIM_CHANGES) && d->calls++ == d->cut_at)
        _exit(SIM_CUT_EXIT); /* the lock goes with us: sim_disk_heal makes a new one */
    if (!(d->fail_kinds & call))
        return 0;
    int64_t number = d->fail_calls++;
    if (number == d->fail_at || (d->fail_for_good && number > d->fail_at)) {
        d->failed = true;
        return d->fail_error;
    }
    return 0;
}

/* --- names
 * ---------------------------------------------------------------------------------------- */
static struct entry *entry_of(struct sim_disk *d, const char *path, bool make)
{
    for (int i = 0; i < d->entry_count; i++) {
        if (strcmp(d->entries[i].path, path) == 0)
            return &d->entries[i];
    }
    if (!make)
        return NULL;
    kn_assert(d->entry_count < ENTRIES_MAX && strlen(path) < PATH_BYTES_MAX);
    struct entry *e = &d->entries[d->entry_count++];
    snprintf(e->path, sizeof(e->path), "%s", path);
    e->now = e->durable = -1;
    return e;
}

static bool is_child(const char *dir, const char *path)
{
    size_t len = strlen(dir);
    return strncmp(path, dir, len) == 0 && path[len] == '/' && !strchr(path + len + 1, '/');
}

static int new_inode(struct sim_disk *d, bool is_dir)
{
    for (int i = 0; i < INODES_MAX; i++) {
        if (d->inodes[i].used)
            continue;
        struct inode *inode = &d->inodes[i];
        uint64_t touched = kn_max_u64(inode->size, inode->durable_size);
        memset(inode->cache, 0, touched);
        memset(inode->disk, 0, touched);
        memset(inode->sectors, 0, sizeof(inode->sectors));
        inode->used = true;
        inode->is_dir = is_dir;
        inode->size = inode->durable_size = 0;
        return i;
    }
    return -ENOSPC;
}

/* An inode goes once no name leads to it, now or after a cut; open files hold on too long, which
 * only costs memory. */
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
        if (!named[i])
            d->inodes[i].used = false;
    }
}

static int sim_open(struct kn_fs *fs, const char *path, int flags, struct kn_file **ret)
{
    struct sim_disk *d = disk_of(fs);
    LOCKED(d);
    int r = count_call(d, SIM_OPEN);
    if (r < 0)
        return r;
    struct entry *e = entry_of(d, path, false);
    bool there = e && e->now >= 0;
    if (there && (flags & KN_FS_EXCLUSIVE))
        return -EEXIST;
    if (!there) {
        if (!(flags & KN_FS_CREATE))
            return -ENOENT;
        int inode = new_inode(d, false);
        if (inode < 0)
            return inode;
        e = entry_of(d, path, true);
        e->now = inode;
    }
    struct sim_file *file = calloc(1, sizeof(*file));
    if (!file)
        return -ENOMEM;
    file->base.fs = fs;
    file->disk = d;
    file->inode = e->now;
    *ret = &file->base;
    return 0;
}

static int sim_mkdir(struct kn_fs *fs, const char *path)
{
    struct sim_disk *d = disk_of(fs);
    LOCKED(d);
    int r = count_call(d, SIM_MKDIR);
    if (r < 0)
        return r;
    struct entry *e = entry_of(d, path, true);
    if (e->now >= 0)
        return -EEXIST;
    int inode = new_inode(d, true);
    if (inode < 0)
        return inode;
    e->now = inode;
    return 0;
}

static int sim_rename(struct kn_fs *fs, const char *from, const char *to)
{
    struct sim_disk *d = disk_of(fs);
    LOCKED(d);
    int r = count_call(d, SIM_RENAME);
    if (r < 0)
        return r;
    struct entry *a = entry_of(d, from, false);
    if (!a || a->now < 0)
        return -ENOENT;
    struct entry *b = entry_of(d, to, true);
    b->now = a->now;
    a->now = -1;
    return 0;
}

static int remove_entry(struct kn_fs *fs, const char *path, bool is_dir)
{
    struct sim_disk *d = disk_of(fs);
    LOCKED(d);
    int r = count_call(d, SIM_UNLINK);
    if (r < 0)
        return r;
    struct entry *e = entry_of(d, path, false);
    if (!e || e->now < 0)
        return -ENOENT;
    for (int i = 0; is_dir && i < d->entry_count; i++) {
        if (d->entries[i].now >= 0 && is_child(path, d->entries[i].path))
            return -EBUSY;
    }
    e->now = -1;
    collect(d);
    return 0;
}

static int sim_unlink(struct kn_fs *fs, const char *path)
{
    return remove_entry(fs, path, false);
}

static int sim_rmdir(struct kn_fs *fs, const char *path)
{
    return remove_entry(fs, path, true);
}

static int sim_sync_dir(struct kn_fs *fs, const char *path)
{
    struct sim_disk *d = disk_of(fs);
    LOCKED(d);
    int r = count_call(d, SIM_SYNC_DIR);
    if (r < 0 || d->lie == SIM_NO_DIR_SYNC)
        return r;
    for (int i = 0; i < d->entry_count; i++) {
        if (is_child(path, d->entries[i].path))
            d->entries[i].durable = d->entries[i].now;
    }
    collect(d);
    return 0;
}

static int sim_list(struct kn_fs *fs, const char *path, kn_fs_entry_fn *entry, void *ctx)
{
    struct sim_disk *d = disk_of(fs);
    for (int i = 0; i < d->entry_count; i++) {
        const struct entry *e = &d->entries[i];
        if (e->now < 0 || !is_child(path, e->path))
            continue;
        int r = entry(ctx, e->path + strlen(path) + 1, d->inodes[e->now].is_dir);
        if (r < 0)
            return r;
    }
    return 0;
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

/* --- files
 * --------------------------------------------------------------------------------------------- */
static void sim_close(struct kn_file *file)
{
    free(file_of(file));
}

static ssize_t sim_preadv(struct kn_file *file, const struct iovec *iov, int n, uint64_t off,
                          bool nowait)
{
    (void) nowait;
    struct sim_disk *d = file_of(file)->disk;
    LOCKED(d);
    int r = count_call(d, SIM_READ);
    if (r < 0)
        return r;
    const struct inode *inode = &d->inodes[file_of(file)->inode];
    ssize_t done = 0;
    for (int i = 0; i < n && off < inode->size; i++) {
        size_t len = kn_min_u64(iov[i].iov_len, inode->size - off);
        memcpy(iov[i].iov_base, inode->cache + off, len);
        off += len;
        done += (ssize_t) len;
    }
    return done;
}

static void dirty(struct inode *inode, uint64_t from, uint64_t to)
{
    for (uint64_t at = from; at < to;) {
        uint64_t sector = at / SECTOR_BYTES;
        uint64_t end = kn_min_u64(to, (sector + 1) * SECTOR_BYTES);
        uint16_t low = (uint16_t) (at % SECTOR_BYTES);
        uint16_t high = (uint16_t) (end - sector * SECTOR_BYTES);
        struct sector *s = &inode->sectors[sector];
        bool clean = s->low == s->high;
        s->low = clean || low < s->low ? low : s->low;
        s->high = clean || high > s->high ? high : s->high;
        at = end;
    }
}

static ssize_t sim_pwritev(struct kn_file *file, const struct iovec *iov, int n, uint64_t off)
{
    struct sim_disk *d = file_of(file)->disk;
    LOCKED(d);
    int r = count_call(d, SIM_WRITE);
    if (r < 0)
        return r;
    struct inode *inode = &d->inodes[file_of(file)->inode];
    ssize_t done = 0;
    for (int i = 0; i < n; i++) {
        if (off + iov[i].iov_len > FILE_BYTES_MAX)
            return -ENOSPC;
        memcpy(inode->cache + off, iov[i].iov_base, iov[i].iov_len);
        dirty(inode, off, off + iov[i].iov_len);
        off += iov[i].iov_len;
        done += (ssize_t) iov[i].iov_len;
        inode->size = kn_max_u64(inode->size, off);
    }
    return done;
}

static int sim_allocate(struct kn_file *file, uint64_t off, uint64_t len)
{
    (void) off;
    (void) len;
    struct sim_disk *d = file_of(file)->disk;
    LOCKED(d);
    return count_call(d, SIM_ALLOCATE);
}

static int sim_truncate(struct kn_file *file, uint64_t len)
{
    struct sim_disk *d = file_of(file)->disk;
    LOCKED(d);
    int r = count_call(d, SIM_TRUNCATE);
    if (r < 0)
        return r;
    struct inode *inode = &d->inodes[file_of(file)->inode];
    if (len < inode->size) {
        memset(inode->cache + len, 0, inode->size - len);
        dirty(inode, len, inode->size);
    }
    inode->size = len;
    return 0;
}

static int sim_sync_start(struct kn_file *file)
{
    (void) file;
    return 0;
}

static int sim_sync(struct kn_file *file)
{
    struct sim_disk *d = file_of(file)->disk;
    LOCKED(d);
    struct inode *inode = &d->inodes[file_of(file)->inode];
    int r = count_call(d, SIM_SYNC);
    if (r < 0) { /* the kernel marks the pages clean all the same */
        memset(inode->sectors, 0, sizeof(inode->sectors));
        return r;
    }
    if (d->lie == SIM_NO_DATA_SYNC)
        return 0;
    for (uint64_t i = 0; i < SECTORS; i++) {
        struct sector *s = &inode->sectors[i];
        if (s->low == s->high)
            continue;
        uint64_t at = i * SECTOR_BYTES + s->low;
        memcpy(inode->disk + at, inode->cache + at, (size_t) (s->high - s->low));
        *s = (struct sector){0, 0};
    }
    inode->durable_size = inode->size;
    return 0;
}

static int sim_size(struct kn_file *file, uint64_t *ret)
{
    struct sim_disk *d = file_of(file)->disk;
    LOCKED(d);
    *ret = d->inodes[file_of(file)->inode].size;
    return 0;
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
    .size = sim_size,
    .fd = sim_fd,
};

/* --- the machine around it
 * ---------------------------------------------------------------------------- */
static void make_lock(struct sim_disk *d)
{
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&d->lock, &attr);
    pthread_mutexattr_destroy(&attr);
}

struct sim_disk *sim_disk_new(void)
{
    struct sim_disk *d = mmap(NULL, sizeof(*d), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    kn_assert(d != MAP_FAILED);
    d->fs.ops = &sim_ops;
    d->free_bytes = MIB(512);
    sim_disk_heal(d);
    return d;
}

void sim_disk_free(struct sim_disk *d)
{
    munmap(d, sizeof(*d));
}

void sim_disk_wipe(struct sim_disk *d)
{
    d->entry_count = 0;
    collect(d);
    d->lie = SIM_HONEST;
    d->free_bytes = MIB(512);
    sim_disk_heal(d);
}

struct kn_fs *sim_disk_fs(struct sim_disk *d)
{
    return &d->fs;
}

void sim_disk_cut_at(struct sim_disk *d, int64_t at)
{
    d->cut_at = at;
}

void sim_disk_fail_at(struct sim_disk *d, int64_t at, unsigned calls, int error, bool for_good)
{
    d->fail_at = at;
    d->fail_kinds = calls;
    d->fail_error = error;
    d->fail_for_good = for_good;
}

void sim_disk_heal(struct sim_disk *d)
{
    make_lock(d);
    d->cut_at = d->fail_at = -1;
    d->fail_kinds = 0;
    d->fail_for_good = d->failed = false;
    d->calls = d->fail_calls = 0;
}

int64_t sim_disk_calls(struct sim_disk *d)
{
    return d->calls;
}

bool sim_disk_failed(struct sim_disk *d)
{
    return d->failed;
}

void sim_disk_lie(struct sim_disk *d, enum sim_lie lie)
{
    d->lie = lie;
}

void sim_disk_set_free(struct sim_disk *d, uint64_t free_bytes)
{
    d->free_bytes = free_bytes;
}

static uint64_t coin(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545F4914F6CDD1Du >> 33;
}

/* Differing bytes that are not marked dirty were in a sync that failed: kept or lost, like others.
 */
static void cut_inode(struct inode *inode, uint64_t *state)
{
    uint64_t upto = kn_max_u64(inode->size, inode->durable_size);
    for (uint64_t i = 0; i * SECTOR_BYTES < upto; i++) {
        uint8_t *disk = inode->disk + i * SECTOR_BYTES, *cache = inode->cache + i * SECTOR_BYTES;
        struct sector *s = &inode->sectors[i];
        if (s->low == s->high && memcmp(disk, cache, SECTOR_BYTES) == 0)
            continue;
        uint64_t fate = coin(state) % 3;
        if (fate == 0)
            memcpy(disk, cache, SECTOR_BYTES);
        for (uint16_t b = s->low; fate == 1 && b < s->high; b++)
            disk[b] = (uint8_t) coin(state);
        *s = (struct sector){0, 0};
    }
    if (inode->size > inode->durable_size) {
        uint64_t grown = inode->size - inode->durable_size;
        switch (coin(state) % 3) {
        case 0:
            inode->durable_size = inode->size;
            break;
        case 1:
            inode->durable_size += coin(state) % grown;
            break;
        default:
            break;
        }
    } else if (inode->size < inode->durable_size && coin(state) % 2) {
        inode->durable_size = inode->size;
    }
    if (upto > inode->durable_size)
        memset(inode->disk + inode->durable_size, 0, upto - inode->durable_size);
    inode->size = inode->durable_size;
    memcpy(inode->cache, inode->disk, upto);
}

void sim_disk_power_cut(struct sim_disk *d, uint64_t seed)
{
    uint64_t state = seed * 0x9E3779B97F4A7C15u + 1;
    for (int i = 0; i < d->entry_count; i++) {
        struct entry *e = &d->entries[i];
        if (e->now != e->durable && coin(&state) % 2)
            e->durable = e->now;
        e->now = e->durable;
    }
    /* What lies in a folder that is not there is not there. */
    for (int i = 0; i < d->entry_count; i++) {
        struct entry *e = &d->entries[i];
        char parent[PATH_BYTES_MAX];
        snprintf(parent, sizeof(parent), "%s", e->path);
        char *slash = strrchr(parent, '/');
        for (; slash && slash != parent; slash = strrchr(parent, '/')) {
            *slash = '\0';
            struct entry *up = entry_of(d, parent, false);
            if (up && up->now < 0)
                e->now = e->durable = -1;
        }
    }
    collect(d);
    for (int i = 0; i < INODES_MAX; i++) {
        if (d->inodes[i].used && !d->inodes[i].is_dir)
            cut_inode(&d->inodes[i], &state);
    }
    sim_disk_heal(d);
}
