/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When an upload's fragment will end. Most cameras send a key frame every so many frames: then
 * nothing but the last frame and the next key frame is worth being read at once, since only whole
 * fragments are acknowledged. Learned from producer times and arrivals; a camera without a rhythm,
 * or one that sends much, is never said to be calm. Times of a producer are only compared with each
 * other.
 */
#ifndef INGEST_SRC_RHYTHM_H
#define INGEST_SRC_RHYTHM_H

#include "core/bytes.h"

enum {
    INGEST_CALM_MS_MAX = 2000,        /* an upload that is as regular as a clock is read so often */
    INGEST_CALM_UNSURE_MS_MAX = 1000, /* one that has sent a single whole fragment */
    INGEST_CALM_BYTES_MAX = 32 << 10, /* a second; who sends more is read for the bytes anyway */
};

struct ingest_rhythm {
    bool known;
    unsigned begun;   /* fragments after the first */
    unsigned steady;  /* of them in a row, as long as the one before */
    int64_t start_ms; /* of the newest fragment */
    int64_t period_ms;
    uint64_t start_bytes, period_bytes; /* of the upload */
    int64_t gap_ms;                     /* its start less the latest frame before it */
    int64_t offset_ns;                  /* arrival less producer time: the least seen lately */
};

struct ingest_times { /* of the newest fragment, in producer time */
    int64_t start_ms, newest_ms;
    int64_t gap_ms; /* between the latest frame before it and its start; 0: there is none */
};

/* Bytes were taken; bytes: of the upload so far. */
void ingest_rhythm_saw(struct ingest_rhythm *r, int64_t now_ns, const struct ingest_times *times,
                       uint64_t bytes);
/* Until this fragment's last frame, which may be the upload's, or until the next fragment; at most
 * INGEST_CALM_MS_MAX, or INGEST_CALM_UNSURE_MS_MAX; 1: it may come any moment. */
uint32_t ingest_rhythm_calm_ms(const struct ingest_rhythm *r, int64_t now_ns);

#endif
