/* SPDX-License-Identifier: Apache-2.0 */
/* The log of a shard over a real folder; see shard_rig.h. */
#include "shard_rig.h"

#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

struct shard_disk shard_disk;
struct kn_fake_clock shard_clock;

static pthread_mutex_t folder_lock = PTHREAD_MUTEX_INITIALIZER;

void shard_disk_set_folder(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    pthread_mutex_lock(&folder_lock);
    vsnprintf(shard_disk.folder, sizeof shard_disk.folder, format, args);
    pthread_mutex_unlock(&folder_lock);
    va_end(args);
}

static bool is_bad_folder(const char *path)
{
    pthread_mutex_lock(&folder_lock);
    bool bad = shard_disk.folder[0] && strstr(path, shard_disk.folder) != NULL;
    pthread_mutex_unlock(&folder_lock);
    return bad;
}

static bool is_bad_file(const struct kn_file *file)
{
    for (size_t i = 0; i < SHARD_DISK_FILES_MAX; i++) {
        if (shard_disk.folder_files[i] == file)
            return true;
    }
    return false;
}

static void note_file(struct kn_file *file, bool bad)
{
    for (size_t i = 0; i < SHARD_DISK_FILES_MAX; i++) {
        struct kn_file *was = file;
        (void) atomic_compare_exchange_strong(&shard_disk.folder_files[i], &was, NULL);
    }
    for (size_t i = 0; bad && i < SHARD_DISK_FILES_MAX; i++) {
        struct kn_file *none = NULL;
        if (atomic_compare_exchange_strong(&shard_disk.folder_files[i], &none, file))
            return;
    }
    if (bad)
        shard_disk.folder_files[shard_disk.opened++ % SHARD_DISK_FILES_MAX] = file;
}

static int bad_mkdir(struct kn_fs *fs, const char *path)
{
    (void) fs;
    if (shard_disk.folder_error < 0 && is_bad_folder(path))
        return shard_disk.folder_error;
    return kn_fs_system()->ops->mkdir(kn_fs_system(), path);
}

static int bad_space(struct kn_fs *fs, const char *path, struct kn_fs_space *ret)
{
    (void) fs;
    int r = kn_fs_system()->ops->space(kn_fs_system(), path, ret);
    if (shard_disk.free_bytes > 0)
        ret->free_bytes = shard_disk.free_bytes;
    return r;
}

static int bad_unlink(struct kn_fs *fs, const char *path)
{
    (void) fs;
    int r = kn_fs_system()->ops->unlink(kn_fs_system(), path);
    if (r == 0 && (strstr(path, "/shards/") || strstr(path, "/chunks/")))
        shard_disk.free_bytes += shard_disk.file_bytes;
    return r;
}

static int bad_open(struct kn_fs *fs, const char *path, int flags, struct kn_file **ret)
{
    (void) fs;
    if (shard_disk.folder_error < 0 && is_bad_folder(path))
        return shard_disk.folder_error;
    while (shard_disk.folder_hangs && is_bad_folder(path)) {
        shard_disk.hanging = true;
        sched_yield();
    }
    if (shard_disk.no_checkpoints && (strstr(path, ".seg") || strstr(path, "/held.")))
        return -EIO;
    int r = kn_fs_system()->ops->open(kn_fs_system(), path, flags, ret);
    if (r == 0)
        (*ret)->fs = &shard_disk.fs;
    if (r == 0)
        note_file(*ret, is_bad_folder(path));
    return r;
}

static void bad_close(struct kn_file *file)
{
    note_file(file, false);
    kn_fs_system()->ops->close(file);
}

static ssize_t bad_preadv(struct kn_file *file, const struct iovec *iov, int n, uint64_t off,
                          bool nowait)
{
    uint64_t end = off;
    for (int i = 0; i < n; i++)
        end += iov[i].iov_len;
    if (off < shard_disk.sick_to && end > shard_disk.sick_from && is_bad_file(file)) {
        kn_fake_clock_advance(&shard_clock, shard_disk.refusal_ms);
        if (shard_disk.refusals_left > 0 && --shard_disk.refusals_left == 0)
            shard_disk.sick_to = 0;
        return -EIO;
    }
    ssize_t got = kn_fs_system()->ops->preadv(file, iov, n, off, nowait);
    shard_disk.reads += got > 0;
    shard_disk.read_bytes += got > 0 ? (uint64_t) got : 0;
    return got;
}

static int bad_sync(struct kn_file *file)
{
    char name[16] = "";
    (void) pthread_getname_np(pthread_self(), name, sizeof(name));
    if (shard_disk.flushes_to_fail > 0 && strcmp(name, "shard-commit") == 0) {
        shard_disk.flushes_to_fail--;
        return -EIO;
    }
    if (shard_disk.folder_flush_error < 0 && is_bad_file(file))
        return shard_disk.folder_flush_error;
    return kn_fs_system()->ops->sync(file);
}

void shard_rig_open(struct shard_rig *f)
{
    struct kn_err err = {0};
    struct storage_conf conf = rig_conf();
    assert_ok(storage_open(f->dir.path, &conf, &shard_disk.fs, &shard_clock.clock, &f->storage,
                           NULL, &err));
    f->report = (struct storage_shards_report){0};
    int r = storage_shards_start(f->storage, &f->conf, &f->report, &err);
    if (r < 0)
        print_error("%s\n", err.text);
    assert_ok(r);
    assert_ok(storage_shard_open(f->storage, &f->id, INT64_MAX, &f->shard));
}

void shard_rig_close(struct shard_rig *f)
{
    storage_shard_unref(f->shard);
    storage_close(f->storage);
}

void shard_rig_reopen(struct shard_rig *f)
{
    shard_rig_close(f);
    shard_rig_open(f);
}

struct shard_rig shard_rig_setup(uint64_t journal_bytes)
{
    shard_disk = (struct shard_disk){.ops = *kn_fs_system()->ops};
    shard_disk.ops.open = bad_open;
    shard_disk.ops.close = bad_close;
    shard_disk.ops.mkdir = bad_mkdir;
    shard_disk.ops.space = bad_space;
    shard_disk.ops.unlink = bad_unlink;
    shard_disk.ops.preadv = bad_preadv;
    shard_disk.ops.sync = bad_sync;
    shard_disk.fs.ops = &shard_disk.ops;
    struct shard_rig f = {.dir = temp_dir_new(), .id = {{1, 2, 3}}};
    struct kn_conf_table table = {.title = "shards",
                                  .keys = storage_shard_conf_keys,
                                  .count = storage_shard_conf_key_count,
                                  .target = &f.conf};
    assert_ok(kn_conf_defaults(&table, 1));
    f.conf.journal_bytes = journal_bytes;
    f.conf.pack_shards_min = 1000000; /* each has files of its own, unless a test wants packs */
    kn_fake_clock_init(&shard_clock, 1700000000000);
    shard_rig_open(&f);
    return f;
}

void shard_rig_teardown(struct shard_rig *f)
{
    shard_rig_close(f);
    temp_dir_remove(&f->dir);
}

/* --- appending -------------------------------------------------------------------------------- */
static void on_appended(void *ctx, uint64_t first_index, int64_t arrival_ms, int result)
{
    struct shard_waiter *w = ctx;
    KN_LOCKED(&w->lock);
    w->done++;
    w->index = first_index;
    w->arrival_ms = arrival_ms;
    w->result = result;
    kn_cond_signal(&w->moved);
}

int shard_rig_wait(struct storage_shard *shard, struct storage_batch *batch, struct shard_waiter *w)
{
    *w = (struct shard_waiter){.done = 0};
    kn_lock_init(&w->lock);
    kn_cond_init(&w->moved);
    storage_shard_append(shard, batch, on_appended, w);
    kn_lock_take(&w->lock);
    while (w->done == 0)
        kn_cond_wait(&w->moved, &w->lock);
    kn_lock_give(&w->lock);
    kn_cond_done(&w->moved);
    kn_lock_done(&w->lock);
    return w->result;
}

size_t shard_rig_data(uint64_t number, uint8_t dst[512])
{
    size_t len = 4 + number * 37 % 500;
    for (size_t i = 0; i < len; i++)
        dst[i] = (uint8_t) (number + i * 7);
    return len;
}

void shard_rig_add(struct shard_rig *f, struct storage_batch *batch, uint64_t number,
                   const struct storage_shard_source *source)
{
    (void) f;
    uint8_t bytes[512], *dst;
    char key[24];
    size_t len = shard_rig_data(number, bytes);
    snprintf(key, sizeof(key), "key-%llu", (unsigned long long) number);
    assert_ok(storage_batch_add(batch, kn_str_from(key), (uint8_t) number, source, 512, &dst));
    memcpy(dst, bytes, len);
    storage_batch_trim(batch, len);
}

/* Records whose content follows from their number; returns the first one's index. */
uint64_t shard_rig_append_to(struct shard_rig *f, struct storage_shard *shard, uint64_t number,
                             size_t count)
{
    struct storage_batch *batch;
    struct shard_waiter w;
    assert_ok(storage_batch_new(f->storage, &batch));
    for (size_t i = 0; i < count; i++)
        shard_rig_add(f, batch, number + i, NULL);
    assert_ok(shard_rig_wait(shard, batch, &w));
    return w.index;
}

uint64_t shard_rig_append(struct shard_rig *f, uint64_t number, size_t count)
{
    return shard_rig_append_to(f, f->shard, number, count);
}

void shard_rig_assert_record(const struct storage_shard_record *record, uint64_t number)
{
    uint8_t bytes[512];
    char key[24];
    size_t len = shard_rig_data(number, bytes);
    snprintf(key, sizeof(key), "key-%llu", (unsigned long long) number);
    assert_str_is(record->key, key);
    assert_int_equal(record->tag, (uint8_t) number);
    assert_int_equal(record->data.len, len);
    assert_memory_equal(record->data.ptr, bytes, len);
}

/* All from this index on: record n has index n. */
void shard_rig_assert_reads(struct storage_shard *shard, uint64_t from, uint64_t to,
                            size_t count_max)
{
    int64_t arrival_ms = 0;
    struct storage_shard_ends ends;
    storage_shard_ends(shard, &ends);
    while (from < to) {
        struct storage_shard_read read = {
            .from = from, .count_max = count_max, .bytes_max = MIB(1)};
        struct storage_page page;
        assert_ok(storage_shard_read(shard, &read, &page));
        assert_true(page.count > 0 && page.count <= count_max);
        for (size_t i = 0; i < page.count; i++) {
            assert_int_equal(page.records[i].index, from + i);
            assert_true(page.records[i].arrival_ms >= arrival_ms);
            arrival_ms = page.records[i].arrival_ms;
            shard_rig_assert_record(&page.records[i], from + i);
        }
        from = page.next;
        assert_int_equal(page.at_end, from == ends.next);
        storage_page_free(&page);
    }
}
