/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chunks of a stream, in order, in memory: what a lookup bisects before it opens any file.
 * One row a chunk, stored in the catalogue under "c/<stream id><chunk seq>" once it is sealed;
 * while it is open its intent lies under "o/…", written before the file is made.
 */
#ifndef STORAGE_SRC_DIRECTORY_H
#define STORAGE_SRC_DIRECTORY_H

#include "chunk.h"

#include "storage/meta.h"

struct storage_chunk_row {
    struct storage_number name;
    uint32_t count;
    uint32_t footer_offset;
    uint32_t file_bytes;
    uint32_t full_duration_ms_max;
    uint32_t gap_ms_max; /* longest time between the end of a fragment and the next one's start */
    uint64_t first_seq, last_seq; /* of fragments; meaningless with count 0 */
    int64_t first_server_ts_ms, last_server_ts_ms;
    int64_t last_end_ms; /* server time + duration of the last fragment */
    int64_t producer_ts_ms_min, producer_ts_ms_max; /* of starts */
    uint64_t bytes;                                 /* of fragments, as sent */
    uint64_t next_ordinal, next_discontinuity;
    struct storage_chunk *live; /* a reference while the chunk is not just a sealed file */
    bool kept;                  /* a hold keeps it though the trim horizon has passed it */
};

struct storage_directory {
    struct storage_chunk_row *rows;
    size_t count;
    struct storage_chunk_row *base; /* the allocation: removal at the front leaves a gap there */
    size_t cap;
    size_t memory_count, kept_count; /* rows that live in memory only; rows that are kept */
    uint64_t kept_bytes;
    bool producer_ascends; /* chunk ranges of producer time do not overlap and rise */
    uint64_t fragments, bytes;
};

/* What is in it is what readers see: rows behind the horizon that no hold keeps are never in it.
 *
 * Makes room for one more row, so that the next insert cannot fail. */
int storage_directory_reserve(struct storage_directory *dir) KN_MUSTUSE;
/* By name.seq; replaces a row of that name. Room has been reserved. */
void storage_directory_insert(struct storage_directory *dir, const struct storage_chunk_row *row);
void storage_directory_remove(struct storage_directory *dir, size_t at, size_t count);
/* Gives back memory that it does not need. */
void storage_directory_fit(struct storage_directory *dir);
void storage_directory_keep(struct storage_directory *dir, struct storage_chunk_row *row);
void storage_directory_done(struct storage_directory *dir);
/* The row of the chunk; NULL. */
struct storage_chunk_row *storage_directory_find(struct storage_directory *dir, uint64_t chunk_seq);
/* First row whose last fragment is newer than seq; count when none. */
size_t storage_directory_after(const struct storage_directory *dir, uint64_t seq);
/* First row whose last fragment starts at or after the server time. */
size_t storage_directory_at_server(const struct storage_directory *dir, int64_t ts_ms);
/* Counts a fragment in. */
void storage_directory_count(struct storage_directory *dir, struct storage_chunk_row *row,
                             const struct storage_fragment *fragment);
/* Rows without fragments (open, or emptied by damage) stand at their chunk's own number. */
uint64_t storage_row_last_seq(const struct storage_chunk_row *row);
/* The row a whole index makes. */
void storage_chunk_row_of(const struct storage_chunk *chunk, struct storage_chunk_row *ret);

/* --- in the catalogue ------------------------------------------------------------------------ */
enum {
    STORAGE_CHUNK_KEY_BYTES = 2 + 32 + 16 + 1,
    STORAGE_CHUNK_ROW_BYTES = 128,
    STORAGE_INTENT_BYTES = 16 + STORAGE_HEAD_BODY_BYTES,
    STORAGE_NUMBERS_BYTES = 48,
};
/* family: 'c' sealed, 'o' open */
struct kn_bytes storage_chunk_key(char family, const struct storage_id *stream, uint64_t seq,
                                  char dst[STORAGE_CHUNK_KEY_BYTES]);
struct kn_bytes storage_chunk_prefix(char family, const struct storage_id *stream,
                                     char dst[STORAGE_CHUNK_KEY_BYTES]);
struct kn_bytes storage_numbers_key(const struct storage_id *stream,
                                    char dst[STORAGE_CHUNK_KEY_BYTES]);
int storage_chunk_key_parse(struct kn_bytes key, struct storage_id *ret_stream, uint64_t *ret_seq)
    KN_MUSTUSE;
void storage_chunk_row_encode(const struct storage_chunk_row *row,
                              uint8_t dst[STORAGE_CHUNK_ROW_BYTES]);
int storage_chunk_row_decode(struct kn_bytes value, struct storage_chunk_row *ret) KN_MUSTUSE;

/* What is known of a chunk before it is sealed: its head again, so that damage there loses nothing,
 * and a file without one sound record is known to be one that was never flushed. */
struct storage_intent {
    struct storage_chunk_head head;
    uint32_t segment;
    bool fenced; /* a flush failed: nothing after trusted_upto may be believed */
    uint64_t trusted_upto;
};
void storage_intent_encode(const struct storage_intent *intent, uint8_t dst[STORAGE_INTENT_BYTES]);
int storage_intent_decode(struct kn_bytes value, struct storage_intent *ret) KN_MUSTUSE;

/* Value of "q/<stream id>". */
struct storage_numbers {
    uint32_t epoch;
    uint64_t reserved_seq; /* all numbers below may have been seen */
    uint64_t trim_seq;
    int64_t trim_server_ts_ms;
    uint64_t ordinal, discontinuity; /* of what follows the trimmed part */
};
void storage_numbers_encode(const struct storage_numbers *n, uint8_t dst[STORAGE_NUMBERS_BYTES]);
int storage_numbers_decode(struct kn_bytes value, struct storage_numbers *ret) KN_MUSTUSE;

#endif
