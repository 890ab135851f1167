/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hash keys: 128-bit unsigned numbers that partition keys are spread over, and the ranges of them
 * that shards own (Kinesis API reference, HashKeyRange).
 */
#ifndef DATASTREAM_SRC_HASH_KEY_H
#define DATASTREAM_SRC_HASH_KEY_H

#include "core/bytes.h"
#include "core/err.h"

enum {
    DATASTREAM_HASH_TEXT_BYTES = 40 /* 39 digits and a NUL */
};

struct datastream_hash {
    uint64_t high, low;
};

struct datastream_hash_range { /* both ends belong to it */
    struct datastream_hash start, end;
};

/* MD5 of the key's UTF-8, read as a big-endian number. */
struct datastream_hash datastream_hash_of(struct kn_str partition_key);
/* -EINVAL: no decimal digits; -ERANGE: 2^128 or more. */
int datastream_hash_parse(struct kn_str text, struct datastream_hash *ret) KN_MUSTUSE;
size_t datastream_hash_format(struct datastream_hash hash, char dst[DATASTREAM_HASH_TEXT_BYTES]);

int datastream_hash_cmp(struct datastream_hash a, struct datastream_hash b);      /* < 0, 0, > 0 */
struct datastream_hash datastream_hash_add(struct datastream_hash a, uint64_t b); /* mod 2^128 */
struct datastream_hash datastream_hash_less(struct datastream_hash a,
                                            uint64_t b); /* a - b, mod 2^128 */

/* Range i of count equal ones: start = floor(2^128 / count) * i; the last one ends at 2^128 - 1. */
struct datastream_hash_range datastream_hash_share(uint32_t i, uint32_t count);

#endif
