/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the log of shards takes: threads append batches of 1,000-byte records to shards of their own
 * and wait for each answer. With SHARDS, each thread's batches go round over its part of so many,
 * and what an open shard takes of memory is told: each has had a record, and is idle.
 *
 *   shard_log DIR SECONDS THREADS RECORDS_A_BATCH [SHARDS]
 */
#include "folder.h"
#include "tool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/thread.h"
#include "storage/shard.h"

enum {
    DATA_BYTES = 1000,
    THREADS_MAX = 64,
    SHARDS_MAX = 100000,
    FILL_BATCH = 200, /* records: fills a journal soon */
};

struct sender {
    pthread_t thread;
    struct storage *storage;
    struct storage_shard **shards; /* its own */
    size_t shard_count, next;
    int64_t end_ns;
    size_t batch;
    struct kn_lock lock;
    struct kn_cond moved;
    bool done; /* guarded by lock, as is result */
    int result;
    uint64_t records, refused;
    struct tool_samples ms;
};

static void on_appended(void *ctx, uint64_t first_index, int64_t arrival_ms, int result)
{
    struct sender *s = ctx;
    (void) first_index;
    (void) arrival_ms;
    KN_LOCKED(&s->lock);
    s->done = true;
    s->result = result;
    kn_cond_signal(&s->moved);
}

/* -ENOBUFS: the disk is behind. */
static int fill(struct sender *s, struct storage_batch *batch)
{
    for (size_t i = 0; i < s->batch; i++) {
        uint8_t *dst;
        int r = storage_batch_add(batch, KN_STR("partition-key"), 0, NULL, DATA_BYTES, &dst);
        if (r < 0)
            return r;
        memset(dst, (int) i, DATA_BYTES);
    }
    return 0;
}

static void send_one(struct sender *s)
{
    struct storage_batch *batch = NULL;
    int64_t start_ns = tool_now_ns();
    int r = storage_batch_new(s->storage, &batch);
    if (r == 0)
        r = fill(s, batch);
    if (r < 0) {
        s->refused++;
        storage_batch_free(batch);
        sched_yield();
        return;
    }
    s->done = false;
    storage_shard_append(s->shards[s->next++ % s->shard_count], batch, on_appended, s);
    kn_lock_take(&s->lock);
    while (!s->done)
        kn_cond_wait(&s->moved, &s->lock);
    kn_lock_give(&s->lock);
    tool_must(s->result, "append");
    tool_sample(&s->ms, (double) (tool_now_ns() - start_ns) / 1e6);
    s->records += s->batch;
}

static void *sender_main(void *arg)
{
    struct sender *s = arg;
    while (tool_now_ns() < s->end_ns)
        send_one(s);
    return NULL;
}

static void start_shards(struct storage *storage)
{
    struct storage_shard_conf conf;
    struct kn_conf_table table = {.title = "shards",
                                  .keys = storage_shard_conf_keys,
                                  .count = storage_shard_conf_key_count,
                                  .target = &conf};
    struct storage_shards_report report = {0};
    struct kn_err err = {0};
    tool_must(kn_conf_defaults(&table, 1), "settings");
    tool_must(storage_shards_start(storage, &conf, &report, &err), "journals");
}

static struct storage_shard **open_shards(struct storage *storage, size_t count)
{
    struct storage_shard **shards = calloc(count, sizeof(struct storage_shard *));
    tool_must(shards ? 0 : -ENOMEM, "memory");
    for (size_t i = 0; i < count; i++) {
        struct storage_id id = {
            {(uint8_t) i, (uint8_t) (i >> 8), (uint8_t) (i >> 16), 1}
        };
        tool_must(storage_shard_open(storage, &id, INT64_MAX, &shards[i]), "shard");
    }
    return shards;
}

/* A record to each, and what fills the journals thereafter, so that nothing of them is in memory.
 */
static void let_rest(struct storage *storage, struct storage_shard **shards, size_t count)
{
    struct storage_shard *filler;
    struct storage_id id = {
        {0xff, 0xff}
    };
    struct sender s = {.storage = storage, .batch = 1, .shards = shards, .shard_count = count};
    kn_lock_init(&s.lock);
    kn_cond_init(&s.moved);
    for (size_t i = 0; i < count; i++)
        send_one(&s);
    tool_must(storage_shard_open(storage, &id, INT64_MAX, &filler), "shard");
    s.batch = FILL_BATCH;
    s.shards = &filler;
    s.shard_count = 1;
    while (s.records < count + 5 * 32 * 1024)
        send_one(&s);
    storage_shard_unref(filler);
    free(s.ms.items);
}

static uint64_t anonymous_bytes(void)
{
    char line[128];
    unsigned long long kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    tool_must(file ? 0 : -errno, "/proc/self/status");
    while (fgets(line, sizeof(line), file)) {
        if (strncmp(line, "RssAnon:", 8) == 0)
            kib = strtoull(line + 8, NULL, 10);
    }
    fclose(file);
    return kib * 1024;
}

static void weigh(struct storage *storage, size_t count)
{
    uint64_t before = anonymous_bytes();
    struct storage_shard **shards = open_shards(storage, count);
    uint64_t opened = anonymous_bytes();
    let_rest(storage, shards, count);
    uint64_t idle = anonymous_bytes();
    printf("shards %zu: %.2f KB each when opened, %.2f KB when written and idle\n", count,
           (double) (opened - before) / 1024 / (double) count,
           (double) (idle > before ? idle - before : 0) / 1024 / (double) count);
    for (size_t i = 0; i < count; i++)
        storage_shard_unref(shards[i]);
    free(shards);
}

int main(int argc, char **argv)
{
    if (argc != 5 && argc != 6) {
        fprintf(stderr, "usage: shard_log DIR SECONDS THREADS RECORDS_A_BATCH [SHARDS]\n");
        return 2;
    }
    static struct sender senders[THREADS_MAX];
    size_t threads = kn_min_u64(tool_number(argv[3]), THREADS_MAX);
    size_t count = argc == 6 ? kn_min_u64(tool_number(argv[5]), SHARDS_MAX) : threads;
    struct storage_conf conf = folder_conf();
    struct storage *storage = folder_open(argv[1], &conf, kn_fs_system(), kn_clock_system(), NULL);
    start_shards(storage);
    if (argc == 6)
        weigh(storage, count);
    count = count < threads ? threads : count;
    struct storage_shard **shards = open_shards(storage, count);
    int64_t start_ns = tool_now_ns(), cpu_ns = tool_cpu_ns(0);
    for (size_t i = 0; i < threads; i++) {
        struct sender *s = &senders[i];
        *s = (struct sender){.storage = storage, .batch = tool_number(argv[4])};
        s->shards = shards + i * (count / threads);
        s->shard_count = count / threads;
        s->end_ns = start_ns + (int64_t) tool_number(argv[2]) * 1000000000;
        kn_lock_init(&s->lock);
        kn_cond_init(&s->moved);
        tool_must(kn_thread_start(&s->thread, "sender", sender_main, s), "thread");
    }
    struct tool_samples all = {0};
    uint64_t records = 0, refused = 0;
    for (size_t i = 0; i < threads; i++) {
        struct sender *s = &senders[i];
        pthread_join(s->thread, NULL);
        records += s->records;
        refused += s->refused;
        for (size_t n = 0; n < s->ms.count; n++)
            tool_sample(&all, s->ms.items[n]);
        free(s->ms.items);
    }
    double seconds = (double) (tool_now_ns() - start_ns) / 1e9;
    double cpu_us = (double) (tool_cpu_ns(0) - cpu_ns) / 1e3;
    printf("shards %zu, threads %zu, records a batch %s: %.0f records/s, %.2f CPU us a record, p50 "
           "%.2f ms, "
           "p99 %.2f ms, refused %" PRIu64 "\n",
           count, threads, argv[4], (double) records / seconds, cpu_us / (double) records,
           tool_percentile(&all, 0.5), tool_percentile(&all, 0.99), refused);
    free(all.items);
    for (size_t i = 0; i < count; i++)
        storage_shard_unref(shards[i]);
    free(shards);
    storage_close(storage);
    return 0;
}
