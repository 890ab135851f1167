/* SPDX-License-Identifier: Apache-2.0 */
/* How many connections there are, in all and from one address. Any thread. */
#ifndef CORE_SRC_HTTP_PEERS_H
#define CORE_SRC_HTTP_PEERS_H

#include "core/thread.h"

#define KN_HTTP_PEER_NONE      UINT32_MAX
#define KN_HTTP_PEER_UNCOUNTED (UINT32_MAX - 1) /* among all, not by address */

struct sockaddr;
struct kn_http_peer;
struct kn_http_peers {
    struct kn_lock lock;        /* guards all below */
    uint64_t max, per_peer_max; /* 0: no limit */
    uint64_t count;
    struct kn_http_peer *table; /* as many as max, rounded up: open addressing is never full */
    uint32_t table_size;        /* a power of two; 0 when per_peer_max is 0 */
};

int kn_http_peers_init(struct kn_http_peers *peers, uint64_t max, uint64_t per_peer_max) KN_MUSTUSE;
void kn_http_peers_done(struct kn_http_peers *peers);
/* -EDQUOT: too many of this address; -ENOSPC: too many of all. */
int kn_http_peers_add(struct kn_http_peers *peers, const struct sockaddr *address,
                      uint32_t *ret_slot) KN_MUSTUSE;
void kn_http_peers_remove(struct kn_http_peers *peers, uint32_t slot);

/* "127.0.0.1:4711", "[::1]:4711"; returns its length. */
size_t kn_http_peer_name(const struct sockaddr *address, char *dst, size_t cap,
                         bool *ret_is_loopback);

#endif
