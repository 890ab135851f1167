/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases: who of an application's workers reads which shard, and how far it is. A lease is a row of
 * the catalogue, "dl/<stream id><application>/<lease key>", and its version is that row's: whoever
 * changes one names the version seen, so of two only one succeeds. What key, owner and checkpoint
 * mean is the workers' affair. docs/protocols/leases.md.
 */
#ifndef DATASTREAM_SRC_LEASE_H
#define DATASTREAM_SRC_LEASE_H

#include "stream.h"

enum {
    DATASTREAM_LEASE_NAME_BYTES_MAX = 128, /* of an application, a key, an owner */
    DATASTREAM_LEASE_CHECKPOINT_BYTES_MAX = 256,
    DATASTREAM_LEASES_A_CALL_MAX = 500,
    DATASTREAM_LEASES_MAX = 20000,           /* of an application on a stream */
    DATASTREAM_LEASE_APPLICATIONS_MAX = 100, /* of a stream */
    DATASTREAM_LEASE_RECORD_BYTES_MAX =
        1 + 8 + 2 * 3 + DATASTREAM_LEASE_NAME_BYTES_MAX + DATASTREAM_LEASE_CHECKPOINT_BYTES_MAX * 4
};

struct datastream_lease {
    struct kn_str key, owner, checkpoint; /* owner: empty, nobody's */
    int64_t created_ms;
    uint64_t version;
};
/* What is borrowed lasts for the call; < 0 stops. */
typedef int datastream_lease_fn(void *ctx, const struct datastream_lease *lease);
/* In key order those greater than after, at most limit. -EBADMSG: a record is damaged. Blocks. */
int datastream_lease_list(struct storage_meta *meta, const struct storage_id *stream,
                          struct kn_str application, struct kn_str after, size_t limit,
                          datastream_lease_fn *each, void *ctx) KN_MUSTUSE;

struct datastream_lease_change {
    struct datastream_lease lease; /* version: as it was seen, 0: there is none yet */
    bool remove;
    int result; /* 0 and lease.version is new; -ESTALE: it was changed meanwhile, or is not there,
                   or there is one already */
};
/* Each is judged alone, all are on disk with one flush. -EDQUOT: a new one is one too many, nothing
 * was changed; else what kept all of them from being changed. Blocks. */
int datastream_lease_change_all(struct storage_meta *meta, const struct storage_id *stream,
                                struct kn_str application, int64_t now_ms,
                                struct datastream_lease_change *changes, size_t count) KN_MUSTUSE;

/* Those of a stream that is no more. Idempotent. Blocks. */
int datastream_lease_remove_all(struct storage_meta *meta, const struct storage_id *stream)
    KN_MUSTUSE;
/* On opening: what streams left that are gone. Blocks. */
int datastream_lease_tidy(struct storage_meta *meta, struct datastream_streams *streams) KN_MUSTUSE;

#endif
