/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What holds for the account as a whole: the commitment to a minimum of throughput, which AWS asks
 * for before streams may have warm throughput. Key "da/commitment" in the catalogue.
 */
#ifndef DATASTREAM_SRC_ACCOUNT_H
#define DATASTREAM_SRC_ACCOUNT_H

#include "core/thread.h"
#include "storage/meta.h"

enum {
    DATASTREAM_COMMITMENT_MS_MIN = 24 * 60 * 60 * 1000 /* API reference, UpdateAccountSettings */
};

struct datastream_commitment {
    int64_t started_ms; /* 0: never */
    int64_t end_ms;     /* 0: not asked for yet; may lie ahead */
};

struct datastream_account {
    struct storage_meta *meta;
    struct kn_lock change; /* held over a change, which blocks */
    uint64_t version;      /* guarded by change: in the catalogue */
    struct kn_lock lock;   /* a leaf: what follows */
    struct datastream_commitment commitment;
};

/* Reads it; meta outlives it. Blocks. -EBADMSG: its record is damaged, err names it. */
int datastream_account_init(struct datastream_account *account, struct storage_meta *meta,
                            struct kn_err *err) KN_MUSTUSE;
void datastream_account_done(struct datastream_account *account);

/* Never blocks. */
struct datastream_commitment datastream_account_commitment(struct datastream_account *account);
bool datastream_commitment_holds(const struct datastream_commitment *commitment, int64_t now_ms);
/* Begins one, or goes on with one that holds; or asks for its end, which comes when the least time
 * is over. What holds then. Blocks. */
int datastream_account_commit(struct datastream_account *account, bool enabled, int64_t now_ms,
                              struct datastream_commitment *ret) KN_MUSTUSE;

#endif
