/* SPDX-License-Identifier: Apache-2.0 */
/* Calls a running server by the socket in its data folder, which needs no signature: whoever may
 * open it may read every key. */
#ifndef SERVER_LOCAL_H
#define SERVER_LOCAL_H

#include "config.h"

enum {
    SERVER_LOCAL_ANSWER_BYTES_MAX = 16 << 20
};

/* One POST; the answer's body, 0 for a status of 200. -EREMOTEIO: the server refuses, err is its
 * message; -ENXIO: likewise, with a status of 404; -ENOENT: no server runs on the folder. Blocks.
 */
int server_local_call(const char *dir, const char *path, struct kn_str body, struct kn_buf *answer,
                      struct kn_err *err) KN_MUSTUSE;
/* The string member of that name of a JSON object, at any depth; -ENOENT. */
int server_local_member(struct kn_bytes json, const char *name, struct kn_buf *dst) KN_MUSTUSE;

#endif
