/* SPDX-License-Identifier: Apache-2.0 */
/* What both directions share; see kinema/aggregate.h. */
#ifndef KINEMA_SRC_AGGREGATE_FORMAT_H
#define KINEMA_SRC_AGGREGATE_FORMAT_H

#include <stddef.h>
#include <stdint.h>

enum {
    AGGREGATE_MAGIC_BYTES = 4,
    AGGREGATE_DIGEST_BYTES = 16,
    /* message AggregatedRecord */
    AGGREGATE_PARTITION_KEYS = 1,
    AGGREGATE_HASH_KEYS = 2,
    AGGREGATE_RECORDS = 3,
    /* message Record */
    RECORD_PARTITION_KEY = 1, /* indexes of the two tables */
    RECORD_HASH_KEY = 2,
    RECORD_DATA = 3
};

extern const uint8_t kinema_aggregate_magic[AGGREGATE_MAGIC_BYTES];
/* MD5. 0, or -1: this OpenSSL does not give it (FIPS). */
int kinema_aggregate_digest(const uint8_t *ptr, size_t len, uint8_t dst[AGGREGATE_DIGEST_BYTES]);

#endif
