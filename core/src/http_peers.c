/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connection ceilings. Addresses are counted in a hash table of fixed size with a seeded hash; an
 * IPv6 peer counts by its /64, since that is what one host is given. An entry whose count is 0 is
 * reused by whoever hashes along it; those at the end of a run are freed.
 */
#include "http_peers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "core/crypto.h"

struct kn_http_peer {
    uint64_t key;
    uint32_t count;
    bool used; /* was ever: a search goes on past it */
};

static uint64_t seed;

int kn_http_peers_init(struct kn_http_peers *peers, uint64_t max, uint64_t per_peer_max)
{
    *peers = (struct kn_http_peers){.max = max, .per_peer_max = per_peer_max};
    if (per_peer_max > 0) {
        uint32_t size = 1024;
        while (size < 2 * max)
            size *= 2;
        peers->table = calloc(size, sizeof(*peers->table));
        if (!peers->table)
            return -ENOMEM;
        peers->table_size = size;
        seed = kn_random_u64();
    }
    kn_lock_init(&peers->lock);
    return 0;
}

void kn_http_peers_done(struct kn_http_peers *peers)
{
    kn_assert(peers->count == 0);
    free(peers->table);
    kn_lock_done(&peers->lock);
}

static uint64_t key_of(const struct sockaddr *address)
{
    uint64_t key = 0;
    if (address->sa_family == AF_INET)
        key = ntohl(((const struct sockaddr_in *) (const void *) address)->sin_addr.s_addr);
    else if (address->sa_family == AF_INET6)
        memcpy(&key, &((const struct sockaddr_in6 *) (const void *) address)->sin6_addr,
               sizeof(key));
    return key;
}

static struct kn_http_peer *find_locked(struct kn_http_peers *peers, uint64_t key)
{
    kn_lock_assert_held(&peers->lock);
    uint64_t h = (key ^ seed) * UINT64_C(0x9e3779b97f4a7c15);
    struct kn_http_peer *idle = NULL;
    for (uint32_t i = 0; i < peers->table_size; i++) {
        struct kn_http_peer *peer = &peers->table[((h >> 32) + i) & (peers->table_size - 1)];
        if (peer->used && peer->key == key)
            return peer;
        if (!idle && peer->count == 0)
            idle = peer;
        if (!peer->used)
            break;
    }
    kn_assert(idle); /* the table is twice as large as there may be connections */
    *idle = (struct kn_http_peer){.key = key, .used = true};
    return idle;
}

int kn_http_peers_add(struct kn_http_peers *peers, const struct sockaddr *address,
                      uint32_t *ret_slot)
{
    KN_LOCKED(&peers->lock);
    if (peers->count >= peers->max)
        return -ENOSPC;
    if (peers->table_size > 0 && address->sa_family != AF_UNIX) {
        struct kn_http_peer *peer = find_locked(peers, key_of(address));
        if (peer->count >= peers->per_peer_max)
            return -EDQUOT;
        peer->count++;
        *ret_slot = (uint32_t) (peer - peers->table);
    } else {
        *ret_slot = KN_HTTP_PEER_UNCOUNTED;
    }
    peers->count++;
    return 0;
}

void kn_http_peers_remove(struct kn_http_peers *peers, uint32_t slot)
{
    if (slot == KN_HTTP_PEER_NONE)
        return;
    KN_LOCKED(&peers->lock);
    peers->count--;
    if (slot == KN_HTTP_PEER_UNCOUNTED)
        return;
    peers->table[slot].count--;
    /* The end of a run of entries is freed, so that searches do not grow with all who ever came. */
    uint32_t mask = peers->table_size - 1;
    while (peers->table[slot].used && peers->table[slot].count == 0 &&
           !peers->table[(slot + 1) & mask].used) {
        peers->table[slot].used = false;
        slot = (slot - 1) & mask;
    }
}

size_t kn_http_peer_name(const struct sockaddr *address, char *dst, size_t cap,
                         bool *ret_is_loopback)
{
    char host[INET6_ADDRSTRLEN] = "";
    int n = 0;
    *ret_is_loopback = false;
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *) address;
        (void) inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
        n = snprintf(dst, cap, "%s:%u", host, ntohs(in->sin_port));
        *ret_is_loopback = (ntohl(in->sin_addr.s_addr) >> 24) == 127;
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *) address;
        bool mapped = IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr);
        (void) inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
        n = snprintf(dst, cap, "[%s]:%u", host, ntohs(in6->sin6_port));
        *ret_is_loopback =
            IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr) || (mapped && in6->sin6_addr.s6_addr[12] == 127);
    } else if (address->sa_family == AF_UNIX) {
        n = snprintf(dst, cap, "local");
        *ret_is_loopback = true;
    }
    return n > 0 && (size_t) n < cap ? (size_t) n : 0;
}
