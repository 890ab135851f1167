/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the server is reached, by the ports that were bound: said in the ready line, and by
 * kinema.sock to commands that run beside it.
 */
#ifndef SERVER_ADDRESSES_H
#define SERVER_ADDRESSES_H

#include "console.h"

#include <stdatomic.h>

/* POST; on the local listener only. {"api": "http://127.0.0.1:4566", …}: the names of the ready
 * line; 503 before there is one. */
#define SERVER_ADDRESSES_PATH "/kinema/v1/local/addresses"

struct server_addresses {
    struct kn_buf json;
    atomic_bool known;
};

/* Called for each listener that there is. */
typedef void server_address_fn(void *ctx, const char *name, const char *url);
void server_addresses_each(const struct server_settings *settings, const struct server_ports *ports,
                           server_address_fn *each, void *ctx);

/* From now on whoever asks is told; once. */
void server_addresses_tell(struct server_addresses *addresses,
                           const struct server_settings *settings,
                           const struct server_ports *ports);
void server_addresses_done(struct server_addresses *addresses); /* after the server has stopped */
extern const struct kn_http_ops server_addresses_ops;           /* ctx: struct server_addresses * */

#endif
