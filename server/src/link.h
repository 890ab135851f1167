/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One-time links into the console: a random token that lets one browser in, once, for a short time.
 * The catalogue keeps "l/<sha256 of the token>" → expiry and access key id, never the token, so a
 * command can make a link beside the running server and a copy of the folder opens nothing.
 */
#ifndef SERVER_LINK_H
#define SERVER_LINK_H

#include "core/keyring.h"
#include "storage/meta.h"

enum {
    SERVER_LINK_TOKEN_BYTES = 65,
    SERVER_LINK_MINUTES = 60
};

/* key_id empty: the link counts only under --no-auth. Blocks. */
int server_link_create(struct storage_meta *meta, struct kn_str key_id, int64_t now_ms,
                       int64_t expires_ms, char token[SERVER_LINK_TOKEN_BYTES]) KN_MUSTUSE;
/* Spends it. key_id gets the id and a NUL. -ENOENT: unknown, used or too old. Blocks. */
int server_link_take(struct storage_meta *meta, struct kn_str token, int64_t now_ms,
                     char key_id[KN_KEY_ID_BYTES_MAX + 1]) KN_MUSTUSE;

#endif
