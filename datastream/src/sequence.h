/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sequence numbers: 56 decimal digits of 188 bits, as the AWS service writes them (decoded from its
 * answers; the kinesalite project's recordings agree). From the most significant bit:
 *
 *   2 (4 bits) · the shard's creation in seconds (36) · low four bits of the shard's index (4) ·
 *   index of the record (64, the top bit 0) · 0 (8) · arrival in seconds (36) · shard's index (32)
 * · 2 (4)
 *
 * The eight bits that are 0 in any record's number say 1 in ours that lie between two records.
 *
 * So numbers of one shard grow with the record's index, and a child's are greater than its parent's
 * since it was created later. Two older layouts are read, where AWS reads them, and never written.
 */
#ifndef DATASTREAM_SRC_SEQUENCE_H
#define DATASTREAM_SRC_SEQUENCE_H

#include "core/bytes.h"
#include "core/err.h"

enum {
    DATASTREAM_SEQUENCE_TEXT_BYTES = 58
};
#define DATASTREAM_SEQUENCE_INDEX_MAX                                                              \
    UINT64_C(0x7fffffffffffffff) /* a closed shard's ending number */

struct datastream_sequence {
    unsigned layout; /* 2; 0 and 1 are older */
    int64_t created_s;
    int32_t shard;  /* index; layout 0: its low 16 bits */
    uint64_t index; /* of the record; not in layout 0 */
    int64_t arrival_s;
    uint8_t past; /* 1: of no record; behind that of the index (ContinuationSequenceNumber) */
};

/* A shard's starting number has index 0 and is of no record: the log's record 0 has index 1. */
static inline uint64_t datastream_sequence_index(uint64_t log_index)
{
    return log_index + 1;
}

size_t datastream_sequence_format(const struct datastream_sequence *sequence,
                                  char dst[DATASTREAM_SEQUENCE_TEXT_BYTES]);

/* Numbers that follow one another: formatting the next costs an addition in decimal. */
struct datastream_sequence_run {
    uint32_t chunk[7]; /* of eight digits, the least significant first */
};
enum {
    DATASTREAM_SEQUENCE_DIGITS = 56 /* of any number of layout 2 */
};
void datastream_sequence_run_init(struct datastream_sequence_run *run,
                                  const struct datastream_sequence *first);
void datastream_sequence_run_next(struct datastream_sequence_run *run); /* index + 1 */
void datastream_sequence_run_text(const struct datastream_sequence_run *run,
                                  char dst[DATASTREAM_SEQUENCE_DIGITS]); /* without a NUL */

/* -EINVAL: of no layout, or the index or a date is out of range. */
int datastream_sequence_parse(struct kn_str text, struct datastream_sequence *ret) KN_MUSTUSE;

#endif
