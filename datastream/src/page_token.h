/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NextToken of the lists of a stream (its shards, its consumers) and of the streams: which list,
 * whose, and after which item to go on; for five minutes (AWS API reference, ListShards). Sealed
 * with a key of the data folder, so that it can neither be made up nor tell a stranger's stream.
 */
#ifndef DATASTREAM_SRC_PAGE_TOKEN_H
#define DATASTREAM_SRC_PAGE_TOKEN_H

#include "datastream_internal.h"

enum {
    DATASTREAM_PAGE_TOKEN_LIFE_MS = 300000,
};

struct datastream_page_token {
    char list;                /* a letter that tells the lists apart */
    struct storage_id stream; /* one of the same name made later is another */
    struct kn_str name;       /* of the stream; of the list of streams both are empty */
    struct kn_str after;      /* of DATASTREAM_NAME_BYTES_MAX at most: the last item shown */
};

/* In the arena. -ENOMEM. */
int datastream_page_token_write(struct datastream *ds, struct kn_api_call *call,
                                const struct datastream_page_token *token, struct kn_str *ret)
    KN_MUSTUSE;
/* Raises InvalidArgumentException (not one of this list) or ExpiredNextTokenException. name and
 * after lie in the arena. */
int datastream_page_token_read(struct datastream *ds, struct kn_api_call *call, char list,
                               struct kn_str text, struct datastream_page_token *ret) KN_MUSTUSE;

#endif
