/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What reading the log of shards takes, as GetRecords does it: each reader has a shard of its own
 * with records of 1,000 bytes and reads it from its beginning to its end, in pages of 1,000, again
 * and again. First while all is in memory, then from segments in the page cache; then a time is
 * looked for, each time another.
 *
 *   shard_read DIR SECONDS READERS
 */
#include "folder.h"
#include "tool.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/thread.h"
#include "storage/shard.h"

enum {
    DATA_BYTES = 1000,
    BATCH = 500,
    PAGE = 1000,
    IN_MEMORY = 4000,    /* records of a shard */
    IN_SEGMENTS = 60000, /* as many more */
    READERS_MAX = 64,
};

struct reader {
    pthread_t thread;
    struct storage_shard *shard;
    uint64_t to;
    int64_t from_ms, to_ms;
    int64_t end_ns;
    bool finds;
    uint64_t count; /* of records, or of times found */
    uint64_t bytes;
    struct kn_lock lock;
    struct kn_cond moved;
    bool done; /* guarded by lock, as is result */
    int result;
};

static void on_appended(void *ctx, uint64_t first_index, int64_t arrival_ms, int result)
{
    struct reader *r = ctx;
    (void) first_index;
    (void) arrival_ms;
    KN_LOCKED(&r->lock);
    r->done = true;
    r->result = result;
    kn_cond_signal(&r->moved);
}

static void append(struct storage *storage, struct reader *r, size_t records)
{
    for (size_t n = 0; n < records; n += BATCH) {
        struct storage_batch *batch = NULL;
        tool_must(storage_batch_new(storage, &batch), "batch");
        for (size_t i = 0; i < BATCH; i++) {
            uint8_t *dst;
            tool_must(storage_batch_add(batch, KN_STR("partition-key"), 0, NULL, DATA_BYTES, &dst),
                      "record");
            memset(dst, (int) i, DATA_BYTES);
        }
        r->done = false;
        storage_shard_append(r->shard, batch, on_appended, r);
        kn_lock_take(&r->lock);
        while (!r->done)
            kn_cond_wait(&r->moved, &r->lock);
        kn_lock_give(&r->lock);
        tool_must(r->result, "append");
    }
}

/* All of it once. */
static void read_through(struct reader *r)
{
    for (uint64_t from = 0; from < r->to;) {
        struct storage_shard_read read = {.from = from, .count_max = PAGE, .bytes_max = MIB(10)};
        struct storage_page page;
        tool_must(storage_shard_read(r->shard, &read, &page), "read");
        for (size_t i = 0; i < page.count; i++)
            r->bytes += page.records[i].data.len + page.records[i].key.len;
        r->count += page.count;
        from = page.next;
        storage_page_free(&page);
    }
}

static void *reader_main(void *arg)
{
    struct reader *r = arg;
    uint64_t state = (uint64_t) (uintptr_t) r;
    while (tool_now_ns() < r->end_ns) {
        uint64_t at;
        if (!r->finds) {
            read_through(r);
            continue;
        }
        state = state * 6364136223846793005u + 1442695040888963407u;
        int64_t ms =
            r->from_ms + (int64_t) ((state >> 33) % (uint64_t) (r->to_ms - r->from_ms + 1));
        tool_must(storage_shard_find(r->shard, ms, false, &at), "find");
        r->count++;
    }
    return NULL;
}

static void measure(struct reader *readers, size_t count, uint64_t seconds, bool finds,
                    const char *what)
{
    int64_t start_ns = tool_now_ns(), cpu_ns = tool_cpu_ns(0);
    for (size_t i = 0; i < count; i++) {
        struct storage_shard_ends ends;
        struct reader *r = &readers[i];
        storage_shard_ends(r->shard, &ends);
        r->to = ends.next;
        r->from_ms = ends.oldest_ms;
        r->to_ms = ends.newest_ms;
        r->finds = finds;
        r->count = r->bytes = 0;
        r->end_ns = start_ns + (int64_t) seconds * 1000000000;
        tool_must(kn_thread_start(&r->thread, "reader", reader_main, r), "thread");
    }
    uint64_t records = 0;
    for (size_t i = 0; i < count; i++) {
        pthread_join(readers[i].thread, NULL);
        records += readers[i].count;
    }
    double took = (double) (tool_now_ns() - start_ns) / 1e9;
    double cpu_us = (double) (tool_cpu_ns(0) - cpu_ns) / 1e3;
    printf("readers %zu, %s: %.0f/s, %.3f CPU us each\n", count, what, (double) records / took,
           cpu_us / (double) records);
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

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: shard_read DIR SECONDS READERS\n");
        return 2;
    }
    static struct reader readers[READERS_MAX];
    size_t count = kn_min_u64(tool_number(argv[3]), READERS_MAX);
    uint64_t seconds = tool_number(argv[2]);
    struct storage_conf conf = folder_conf();
    struct storage *storage = folder_open(argv[1], &conf, kn_fs_system(), kn_clock_system(), NULL);
    start_shards(storage);
    for (size_t i = 0; i < count; i++) {
        struct storage_id id = {
            {(uint8_t) i, 1}
        };
        kn_lock_init(&readers[i].lock);
        kn_cond_init(&readers[i].moved);
        tool_must(storage_shard_open(storage, &id, INT64_MAX, &readers[i].shard), "shard");
        append(storage, &readers[i], IN_MEMORY);
    }
    measure(readers, count, seconds, false, "records from memory");
    for (size_t i = 0; i < count; i++)
        append(storage, &readers[i], IN_SEGMENTS);
    measure(readers, count, seconds, false, "records from segments, nearly all");
    measure(readers, count, seconds, true, "times found");
    for (size_t i = 0; i < count; i++)
        storage_shard_unref(readers[i].shard);
    storage_close(storage);
    return 0;
}
