/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ten years of streams as catalogue rows without files: what opening, listing and trimming them
 * costs in time and memory.
 *
 *   archive_rows DIR STREAMS ROWS_A_STREAM      (52,560 rows are a year of ten-minute chunks)
 *
 * Prints one line of JSON. DIR is made if it is not there, and used as it is if it is.
 */
#include "../unit/archive_rows.h"

#include "folder.h"
#include "storage_internal.h"
#include "tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "storage/stream.h"

enum {
    STREAMS_MAX = 1000,
    LOOKS = 2000
};

static struct kn_fake_clock fake_clock;
static struct storage_id ids[STREAMS_MAX];
static const int64_t start_ms = 1400000000000;

static double now_ms(void)
{
    return (double) tool_now_ns() / 1e6;
}

static double anonymous_mb(void) /* memory that is not the catalogue's mapped pages */
{
    char line[256];
    unsigned long kb = 0;
    FILE *status = fopen("/proc/self/status", "re");
    while (status && fgets(line, sizeof(line), status)) {
        if (sscanf(line, "RssAnon: %lu", &kb) == 1)
            break;
    }
    if (status)
        fclose(status);
    return (double) kb / 1024;
}

static struct storage *open_folder(const char *dir, double *ret_ms)
{
    struct storage_conf conf = folder_conf();
    conf.volume_free_bytes_min = 0;
    conf.ballast_bytes = 0;
    conf.catalogue_bytes_max = GIB(64);
    conf.retention_interval_ms = 3600 * 1000;
    double begun = now_ms();
    struct storage *storage = folder_open(dir, &conf, kn_fs_system(), &fake_clock.clock, NULL);
    *ret_ms = now_ms() - begun;
    return storage;
}

static void make(struct storage *storage, unsigned streams, uint64_t rows)
{
    for (unsigned i = 0; i < streams; i++) {
        char name[32];
        snprintf(name, sizeof(name), "years-%u", i);
        struct storage_stream_new settings = {.name = kn_str_from(name),
                                              .retention_hours = STORAGE_RETENTION_HOURS_MAX};
        struct storage_stream *stream;
        int r = storage_stream_create(storage, &settings, &stream);
        bool there = r == -EEXIST;
        if (there)
            stream = storage_stream_find(storage, settings.name), r = 0;
        tool_must(r, "create");
        ids[i] = stream->id;
        storage_stream_unref(stream);
        if (!there)
            tool_must(archive_rows_write(storage_meta_of(storage), &ids[i], rows, start_ms),
                      "rows");
    }
}

/* Microseconds a question about one chunk's time, of a stream that is in memory. */
static double look(struct storage *storage, uint64_t rows)
{
    double begun = now_ms();
    for (unsigned i = 0; i < LOOKS; i++) {
        uint64_t at = (uint64_t) i * 7919 % rows;
        struct storage_chunk_row row = archive_row(at, start_ms);
        struct storage_span span;
        size_t count;
        tool_must(storage_coverage(storage, &ids[0], row.first_server_ts_ms, row.last_server_ts_ms,
                                   5000, &span, 1, &count),
                  "coverage");
        if (count != 1 || span.fragments != ARCHIVE_FRAGMENTS)
            tool_must(-EBADMSG, "coverage of a chunk");
    }
    return (now_ms() - begun) * 1e3 / LOOKS;
}

static double stats_ms(struct storage *storage, unsigned from, unsigned to)
{
    double begun = now_ms();
    for (unsigned i = from; i < to; i++) {
        struct storage_stream_stats stats;
        tool_must(storage_stream_stats(storage, &ids[i], &stats, false), "stats");
    }
    return now_ms() - begun;
}

static double newest_ms(struct storage *storage, unsigned streams)
{
    double begun = now_ms();
    for (unsigned i = 0; i < streams; i++) {
        struct storage_span span;
        size_t count;
        tool_must(storage_coverage(storage, &ids[i], fake_clock.wall_ms - 3600 * 1000, INT64_MAX,
                                   5000, &span, 1, &count),
                  "coverage");
    }
    return now_ms() - begun;
}

static double round_ms(struct storage *storage)
{
    double begun = now_ms();
    storage_keeper_round(storage);
    return now_ms() - begun;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return fprintf(stderr, "archive_rows DIR STREAMS ROWS_A_STREAM\n"), 2;
    unsigned streams = (unsigned) kn_min_u64(strtoull(argv[2], NULL, 10), STREAMS_MAX);
    uint64_t rows = strtoull(argv[3], NULL, 10);
    (void) kn_fs_system()->ops->mkdir(kn_fs_system(), argv[1]);
    kn_fake_clock_init(&fake_clock, start_ms + (int64_t) rows * ARCHIVE_CHUNK_MS);
    double open_ms, made_ms = now_ms();
    struct storage *storage = open_folder(argv[1], &open_ms);
    make(storage, streams, rows);
    made_ms = now_ms() - made_ms;
    storage_close(storage);

    double idle_mb = anonymous_mb();
    storage = open_folder(argv[1], &open_ms);
    double quiet_ms = round_ms(storage), tail_ms = newest_ms(storage, streams),
           tail_mb = anonymous_mb(), load_ms = stats_ms(storage, 0, 1), whole_mb = anonymous_mb(),
           look_us = look(storage, rows), all_ms = stats_ms(storage, 0, streams),
           all_mb = anonymous_mb(), again_ms = stats_ms(storage, 0, streams);
    storage_close(storage);
    double recalled_open_ms;
    storage = open_folder(argv[1], &recalled_open_ms);
    double recalled_ms = stats_ms(storage, 0, streams);
    fake_clock.wall_ms += (int64_t) STORAGE_RETENTION_HOURS_MAX * 3600 * 1000 -
                          (int64_t) rows * ARCHIVE_CHUNK_MS +
                          (int64_t) (rows / 100) * ARCHIVE_CHUNK_MS; /* a hundredth is too old */
    double trim_ms = round_ms(storage);
    printf("{\"streams\": %u, \"rows\": %" PRIu64 ", \"made_s\": %.1f, \"open_ms\": %.1f, "
           "\"idle_round_ms\": %.2f, \"newest_us_a_stream\": %.1f, \"tail_kb_a_stream\": %.1f, "
           "\"load_ms\": %.1f, \"whole_mb\": %.1f, \"look_us\": %.2f, \"sums_ms_a_stream\": %.1f, "
           "\"most_mb\": %.1f, \"sums_again_us_a_stream\": %.1f, "
           "\"sums_after_restart_us_a_stream\": %.1f, \"trimmed\": %" PRIu64
           ", \"trim_rows_a_s\": %.0f}\n",
           streams, rows, made_ms / 1e3, open_ms, quiet_ms, tail_ms * 1e3 / streams,
           (tail_mb - idle_mb) * 1024 / streams, load_ms, whole_mb - tail_mb, look_us,
           all_ms / streams, all_mb, again_ms * 1e3 / streams, recalled_ms * 1e3 / streams,
           rows / 100 * streams, (double) (rows / 100 * streams) / trim_ms * 1e3);
    storage_close(storage);
    return 0;
}
