/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Acknowledgements of PutMedia: flat JSON objects, one an HTTP chunk, since AWS's C producer counts
 * only the first object of a chunk and loses chunks above 1024 bytes (observed with Producer C
 * 1.6.4). Key order and spelling are the service's.
 */
#ifndef INGEST_SRC_ACK_H
#define INGEST_SRC_ACK_H

#include "storage/fragment.h"

enum ingest_ack_type {
    INGEST_ACK_BUFFERING,
    INGEST_ACK_RECEIVED,
    INGEST_ACK_PERSISTED,
    INGEST_ACK_ERROR,
    INGEST_ACK_IDLE,
};

/* KVS API reference, PutMedia, "Error codes"; those that can arise here. */
enum ingest_error {
    INGEST_ERROR_NONE = 0,
    INGEST_STREAM_READ_ERROR = 4000,
    INGEST_MAX_FRAGMENT_SIZE_REACHED = 4001,
    INGEST_MAX_FRAGMENT_DURATION_REACHED = 4002,
    INGEST_MAX_CONNECTION_DURATION_REACHED = 4003,
    INGEST_FRAGMENT_TIMECODE_LESSER_THAN_PREVIOUS = 4004,
    INGEST_INVALID_MKV_DATA = 4006,
    INGEST_INVALID_PRODUCER_TIMESTAMP = 4007,
    INGEST_STREAM_NOT_ACTIVE = 4008,
    INGEST_FRAGMENT_METADATA_LIMIT_REACHED = 4009,
    INGEST_TRACK_NUMBER_MISMATCH = 4010,
    INGEST_FRAMES_MISSING_FOR_TRACK = 4011,
    INGEST_MORE_THAN_ALLOWED_TRACKS_FOUND = 4012,
    INGEST_INTERNAL_ERROR = 5000,
    INGEST_ARCHIVAL_ERROR = 5001,
};
const char *ingest_error_code(enum ingest_error id); /* "INVALID_MKV_DATA" */

struct ingest_ack {
    enum ingest_ack_type type;
    bool has_timecode, has_number;
    uint64_t timecode; /* the Cluster's, exactly as sent */
    struct storage_number number;
    enum ingest_error error;
};

enum {
    INGEST_ACK_BYTES_MAX = 512,
    INGEST_IDLE_BYTES = 320, /* libcurl gives up below 30 bytes/s over 30 s: one every 8 s holds */
    INGEST_ACKS_MAX = 256,   /* waiting for a client that does not read them */
};

/* One object and a line feed; returns its bytes, at most INGEST_ACK_BYTES_MAX. */
size_t ingest_ack_format(const struct ingest_ack *ack, char dst[INGEST_ACK_BYTES_MAX]);

struct ingest_ack_queue { /* a ring; zeroed is empty */
    struct ingest_ack items[INGEST_ACKS_MAX];
    unsigned first, count;
};
void ingest_ack_push(struct ingest_ack_queue *queue, const struct ingest_ack *ack); /* has room */
bool ingest_ack_pop(struct ingest_ack_queue *queue, struct ingest_ack *ret);

#endif
