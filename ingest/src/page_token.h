/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NextToken of lists by name: the last name of the page. Not a secret, yet checked, so that a token
 * that was cut, edited or made for another list is refused and not silently half understood.
 */
#ifndef INGEST_SRC_PAGE_TOKEN_H
#define INGEST_SRC_PAGE_TOKEN_H

#include "core/arena.h"
#include "core/err.h"

enum {
    INGEST_PAGE_TOKEN_BYTES_MAX = 512
}; /* the oldest model in use allows no more */

/* Written into dst, which must outlive the answer; ptr NULL when memory is out. list: one letter
 * that tells the lists apart. */
struct kn_str ingest_page_token(char dst[INGEST_PAGE_TOKEN_BYTES_MAX], char list,
                                struct kn_str after);
/* -EINVAL; -ENOMEM. *ret lies in the arena. */
int ingest_page_token_read(struct kn_arena *arena, char list, struct kn_str token,
                           struct kn_str *ret) KN_MUSTUSE;

#endif
