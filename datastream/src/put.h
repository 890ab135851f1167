/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Putting records: each finds its shard by its key and is decoded straight into that shard's batch;
 * the batches of a call go to their logs side by side, and the call is answered when the last of
 * them is on disk. Records of one shard keep the order of the call.
 */
#ifndef DATASTREAM_SRC_PUT_H
#define DATASTREAM_SRC_PUT_H

#include "datastream_internal.h"
#include "sequence.h"

#include <stdatomic.h>

enum {
    DATASTREAM_PUT_BYTES_MAX = 10 << 20, /* keys and data of one call */
};

struct datastream_put_group { /* the records of one shard */
    struct datastream_put *put;
    uint32_t shard;
    int64_t created_s;
    struct storage_shard *log;               /* until the batch is handed over */
    struct storage_batch *batch;             /* likewise */
    size_t count, bytes;                     /* of records; of their keys and data */
    size_t throttled_count, throttled_bytes; /* of them, those that came too fast */
    int result;                              /* what came of them; of all alike */
    uint64_t first_index;
    int64_t arrival_ms;
};

struct datastream_put {
    struct datastream *ds;
    struct kn_api_call *call;
    atomic_uint left; /* groups that are not on disk, and the caller itself */
    size_t count, group_count;
    uint32_t *group_of; /* by record */
    bool *throttled;    /* by record: came too fast; NULL: nothing is */
    struct datastream_put_group *groups;
    struct storage_room *room;          /* where the batches are made */
    struct kn_str stream;               /* its name */
    struct datastream_stream *measured; /* a reference: for its metrics */
    enum datastream_EncryptionType encryption;
    void *out;
};

/* Fills put->out out of what came of the groups; on the request's loop. */
typedef int datastream_put_done_fn(struct kn_api_call *call, struct datastream_put *put);

/* Entries have been checked. Returns what the handler is to return. */
int datastream_put(struct datastream *ds, struct kn_api_call *call,
                   struct datastream_stream *stream,
                   const struct datastream_PutRecordsRequestEntry *entries, size_t count,
                   datastream_put_done_fn *done, void *out) KN_MUSTUSE;

#endif
