/* SPDX-License-Identifier: Apache-2.0 */
/* Catalogue rows of an old archive without its files: what opening, listing and trimming read. */
#ifndef TESTS_UNIT_ARCHIVE_ROWS_H
#define TESTS_UNIT_ARCHIVE_ROWS_H

#include "directory.h"

#include <stdlib.h>

enum {
    ARCHIVE_BATCH = 2048,
    ARCHIVE_CHUNK_MS = 600 * 1000,
    ARCHIVE_FRAGMENTS = 300,  /* of 2 s each, in a chunk */
    ARCHIVE_BYTES = 150000000 /* of a chunk: 2 Mbit/s */
};

/* Row `at` of a stream whose first chunk began at start_ms. Numbers rise by fragments + 1. */
static inline struct storage_chunk_row archive_row(uint64_t at, int64_t start_ms)
{
    uint64_t seq = 1 + at * (ARCHIVE_FRAGMENTS + 1);
    int64_t ms = start_ms + (int64_t) at * ARCHIVE_CHUNK_MS;
    return (struct storage_chunk_row){
        .name = {.seq = seq, .server_ts_ms = ms},
        .count = ARCHIVE_FRAGMENTS,
        .footer_offset = ARCHIVE_BYTES,
        .file_bytes = ARCHIVE_BYTES + 30000,
        .full_duration_ms_max = 2000,
        .first_seq = seq + 1,
        .last_seq = seq + ARCHIVE_FRAGMENTS,
        .first_server_ts_ms = ms + 1,
        .last_server_ts_ms = ms + ARCHIVE_CHUNK_MS - 2000,
        .last_end_ms = ms + ARCHIVE_CHUNK_MS,
        .producer_ts_ms_min = ms,
        .producer_ts_ms_max = ms + ARCHIVE_CHUNK_MS - 2001,
        .bytes = ARCHIVE_BYTES,
        .next_ordinal = (at + 1) * ARCHIVE_FRAGMENTS,
    };
}

/* Writes rows [0, count) of the stream; the storage has not looked at it yet. 0 or an error. */
static inline int archive_rows_write(struct storage_meta *meta, const struct storage_id *stream,
                                     uint64_t count, int64_t start_ms)
{
    struct batch {
        char keys[ARCHIVE_BATCH][STORAGE_CHUNK_KEY_BYTES];
        uint8_t values[ARCHIVE_BATCH][STORAGE_CHUNK_ROW_BYTES];
        struct storage_meta_change changes[ARCHIVE_BATCH];
    } *batch = malloc(sizeof(*batch));
    int r = batch ? 0 : -ENOMEM;
    for (uint64_t at = 0; r == 0 && at < count;) {
        size_t n = 0;
        for (; n < ARCHIVE_BATCH && at < count; n++, at++) {
            struct storage_chunk_row row = archive_row(at, start_ms);
            storage_chunk_row_encode(&row, batch->values[n]);
            batch->changes[n] = (struct storage_meta_change){
                .key = storage_chunk_key('c', stream, row.name.seq, batch->keys[n]),
                .value = {batch->values[n], STORAGE_CHUNK_ROW_BYTES}
            };
        }
        storage_meta_change_all(meta, batch->changes, n);
        for (size_t i = 0; r == 0 && i < n; i++)
            r = batch->changes[i].result;
    }
    free(batch);
    return r;
}

#endif
