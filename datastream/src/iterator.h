/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shard iterators: where the next GetRecords of a shard begins, for five minutes. Sealed with a key
 * of the data folder, so that they cannot be made up and outlive a restart. As AWS's they are
 * base64 of eight bytes 00 … 01 and of a multiple of 16 that grows with the stream's name; clients
 * hand them back untouched.
 */
#ifndef DATASTREAM_SRC_ITERATOR_H
#define DATASTREAM_SRC_ITERATOR_H

#include "settings.h"

#include "core/crypto.h"
#include "storage/storage.h"

enum {
    DATASTREAM_ITERATOR_TEXT_BYTES = 377, /* 152 + 128 bytes in base64, and a NUL */
    DATASTREAM_ITERATOR_LIFE_MS = 300000,
};

struct datastream_iterator {
    int64_t issued_ms;
    struct storage_id stream; /* a stream of the same name made later is another */
    struct kn_str name;       /* of the stream, at most DATASTREAM_NAME_BYTES_MAX */
    uint32_t shard;
    uint64_t position; /* index of the record to read next */
};

/* Returns the length of the text. -ENOMEM. */
ssize_t datastream_iterator_format(const uint8_t key[KN_AEAD_KEY_BYTES],
                                   const struct datastream_iterator *iterator,
                                   char dst[DATASTREAM_ITERATOR_TEXT_BYTES]) KN_MUSTUSE;
/* name is copied to name_dst. -EINVAL: not one of ours; -ENOMEM. Its age is the caller's to judge.
 */
int datastream_iterator_parse(const uint8_t key[KN_AEAD_KEY_BYTES], struct kn_str text,
                              char name_dst[DATASTREAM_NAME_BYTES_MAX],
                              struct datastream_iterator *ret) KN_MUSTUSE;

#endif
