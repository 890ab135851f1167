/* SPDX-License-Identifier: Apache-2.0 */
/* Query text and percent-encoding. Any thread. */
#ifndef CORE_SRC_HTTP_QUERY_H
#define CORE_SRC_HTTP_QUERY_H

#include "core/arena.h"

/* dst holds in.len. -EINVAL for a bad escape or an encoded NUL. */
int kn_http_percent_decode(struct kn_str in, char *dst, size_t *ret_len) KN_MUSTUSE;
/* The decoded value of the first pair named name. -ENOENT, -EINVAL, -ENOMEM. */
int kn_http_query_find(struct kn_str query, struct kn_str name, struct kn_arena *arena,
                       struct kn_str *ret) KN_MUSTUSE;

#endif
